//! Long sequences: the forms still agree and nothing drifts.

mod common;

use astrocytic_attention::ops::{self, Writes};
use astrocytic_attention::{AttentionInput, Form, Plasticity, PositionConfig};
use burn::module::Module;
use burn::tensor::{DType, Distribution, Tensor};
use common::{OTHER_PRECISIONS, To, device, input, layer, relative_error, variants};

#[test]
fn forms_agree_over_long_sequences() {
    let device = device();
    for (name, config) in variants() {
        if matches!(config.position, PositionConfig::Distance { .. }) {
            continue; // its longest sequence is known in advance, and here 40
        }
        let layer = layer(&config.with_causal(true), &device);
        for (steps, bound) in [(512, 1e-5), (4096, 1e-4)] {
            let x = input(1, steps, 6, &device);
            let run = |form| layer.forward(AttentionInput::self_attn(x.clone()).form(form)).context;
            let expected = run(Form::Recurrent);
            for form in [Form::Chunkwise(64), Form::Chunkwise(16)] {
                let error = relative_error(run(form), expected.clone());
                assert!(error < bound, "{name}, {steps} steps, {form:?}: {error:e}");
            }
            if steps <= 512 {
                let error = relative_error(run(Form::Parallel), expected);
                assert!(error < bound, "{name}, {steps} steps, parallel: {error:e}");
            }
        }
    }
}

/// Steps without `ASTROCYTIC_LONG`.
const STEPS: usize = 65_536;

/// The same writes over and over, in f32 and in f64: how far apart they drift.
fn drift(plasticity: Plasticity, log_decay: Option<f64>, strength: f64, steps: usize) -> f64 {
    let device = device();
    let period = 64;
    device.seed(3);
    let unit = |x: Tensor<4>| x.clone() / x.square().sum_dim(3).sqrt();
    let draw = || Tensor::<4>::random([1, 1, period, 8], Distribution::Normal(0.3, 1.0), (&device, DType::F64));
    let (query, key, value) = (unit(draw().abs()), unit(draw().abs()), draw());
    let run = |dtype: DType| {
        let query = query.clone().cast(dtype);
        let full = |x: f64| Tensor::<3>::full([1, 1, period], x, (&device, dtype));
        let writes = Writes {
            key: key.clone().cast(dtype),
            value: value.clone().cast(dtype),
            log_decay: log_decay.map(full),
            strength: Some(full(strength)),
        };
        let mut memory = writes.empty_memory();
        let mut reads = query.clone();
        for _ in 0..steps / period {
            (reads, memory) = ops::causal(query.clone(), writes.clone(), memory, plasticity, Form::Recurrent);
        }
        reads
    };
    relative_error(run(DType::F32), run(DType::F64))
}

/// The layer as users run it, the same steps over and over, in f32 and in f64.
#[test]
fn modules_do_not_drift() {
    if !OTHER_PRECISIONS {
        return;
    }
    let device = device();
    let period = input(1, 64, 8, &device);
    for (name, config) in variants() {
        if matches!(config.position, PositionConfig::Distance { .. }) {
            continue; // its longest sequence is known in advance, and here 40
        }
        if config.softmax_heads > 0 {
            continue; // its state grows, and its positions do not repeat
        }
        let layer = layer(&config.with_causal(true), &device);
        let last = |dtype: DType| {
            let (layer, x) = (layer.clone().map(&mut To(dtype)), period.clone().cast(dtype));
            let mut state = layer.empty_state(1);
            let mut pass = || layer.forward_state(AttentionInput::self_attn(x.clone()), &mut state).context;
            (1..STEPS / 64).for_each(|_| drop(pass()));
            pass()
        };
        let drift = relative_error(last(DType::F32).cast(DType::F64), last(DType::F64));
        assert!(drift < 1e-4, "{name}: {drift:e}");
    }
}

/// With `ASTROCYTIC_LONG=1` a million steps instead of 65,536.
#[test]
fn the_recurrent_form_does_not_drift() {
    if !OTHER_PRECISIONS {
        return;
    }
    let steps = if std::env::var_os("ASTROCYTIC_LONG").is_some() { 1_000_000 } else { STEPS };
    for plasticity in [Plasticity::Hebbian, Plasticity::Delta] {
        for (log_decay, strength) in [(None, 1.0), (Some(-1e-4), 0.5), (Some(-40.0), 1.0), (Some(0.0), 0.0)] {
            let drift = drift(plasticity, log_decay, strength, steps);
            assert!(drift < 1e-4, "{plasticity:?}, log a {log_decay:?}, β {strength}: {drift:e}");
        }
    }
}
