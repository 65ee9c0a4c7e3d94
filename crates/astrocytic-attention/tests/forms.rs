//! Reference, parallel, chunkwise and recurrent forms give one answer, whole or cut anywhere;
//! nothing sees the future.

mod common;

use astrocytic_attention::ops::{self, Writes};
use astrocytic_attention::{AttentionInput, Form, Plasticity};
use burn::tensor::{Tensor, TensorData};
use common::{assert_same, device, input, layer, relative_error, variants};

const BOUND: f64 = 1e-5;

#[test]
fn forms_agree() {
    let device = device();
    for (name, config) in variants() {
        let layer = layer(&config.with_causal(true), &device);
        for steps in [1, 2, 23] {
            let x = input(2, steps, 3, &device);
            let run = |form| {
                let mut state = layer.empty_state(2);
                let context = layer.forward_state(AttentionInput::self_attn(x.clone()).form(form), &mut state).context;
                let calcium = state.calcium.unwrap_or_else(|| Tensor::ones([1, 1, 1], &device));
                (context, state.memory, calcium)
            };
            let (expected, memory, calcium) = run(Form::Recurrent);
            let chunks = [1, 2, 7, 16, 64, steps, steps + 3].map(Form::Chunkwise);
            for form in chunks.into_iter().chain([Form::Parallel]) {
                let (found, found_memory, found_calcium) = run(form);
                let error = relative_error(found, expected.clone());
                assert!(error < BOUND, "{name}, {steps} steps, {form:?}: {error:e}");
                let error = relative_error(found_memory, memory.clone());
                assert!(error < BOUND, "{name}, {steps} steps, {form:?}, memory: {error:e}");
                let error = relative_error(found_calcium, calcium.clone());
                assert!(error < BOUND, "{name}, {steps} steps, {form:?}, calcium: {error:e}");
            }
        }
    }
}

#[test]
fn a_cut_sequence_goes_on_where_it_was() {
    let device = device();
    let steps = 11;
    for (name, config) in variants() {
        let layer = layer(&config.with_causal(true), &device);
        let x = input(2, steps, 4, &device);
        let mut whole_state = layer.empty_state(2);
        let whole = layer.forward_state(AttentionInput::self_attn(x.clone()), &mut whole_state).context;
        for cut in 1..steps {
            let mut state = layer.empty_state(2);
            let part = |start, length| AttentionInput::self_attn(x.clone().narrow(1, start, length));
            let first = layer.forward_state(part(0, cut), &mut state).context;
            let second = layer.forward_state(part(cut, steps - cut), &mut state).context;
            let error = relative_error(Tensor::cat(vec![first, second], 1), whole.clone());
            assert!(error < BOUND, "{name}, cut at {cut}: {error:e}");
            let error = relative_error(state.memory, whole_state.memory.clone());
            assert!(error < BOUND, "{name}, cut at {cut}, memory: {error:e}");
        }
    }
}

#[test]
fn the_future_changes_no_bit_of_the_past() {
    let device = device();
    for (name, config) in variants() {
        let layer = layer(&config.with_causal(true), &device);
        let x = input(1, 19, 5, &device);
        for form in [Form::Chunkwise(7), Form::Parallel, Form::Recurrent] {
            let run = |x| layer.forward(AttentionInput::self_attn(x).form(form)).context;
            let before = run(x.clone());
            for t in [1, 6, 7, 18] {
                let after = run(x.clone().slice_fill([0..1, t..19, 0..16], 1e3));
                let past = |context: Tensor<3>| context.narrow(1, 0, t);
                assert_same(past(after), past(before.clone()), &format!("{name}, {form:?}, changed at {t}"));
            }
        }
    }
}

/// A few strong decays before weak ones: what lies between two steps is not lost beside what came
/// before both.
#[test]
fn strong_decay_costs_no_digits() {
    let device = device();
    for plasticity in [Plasticity::Hebbian, Plasticity::Delta] {
        for strong in [-0.5, -3.0, -10.0, -40.0] {
            let steps = 64;
            let decays: Vec<f32> = (0..steps).map(|t| if t < 60 { strong } else { -0.1 }).collect();
            let draw = |width| input(1, steps, width as u64, &device).narrow(2, 0, width).reshape([1, 1, steps, width]);
            let unit = |x: Tensor<4>| x.clone() / x.square().sum_dim(3).sqrt();
            let writes = Writes {
                key: unit(draw(6)),
                value: draw(5),
                log_decay: Some(Tensor::from_data(TensorData::new(decays, [1, 1, steps]), &device)),
                strength: None,
            };
            let query = unit(draw(7).narrow(3, 0, 6));
            let run = |form| ops::causal(query.clone(), writes.clone(), writes.empty_memory(), plasticity, form);
            let (expected, memory) = run(Form::Recurrent);
            for form in [Form::Parallel, Form::Chunkwise(16), Form::Chunkwise(64)] {
                let (found, found_memory) = run(form);
                let errors = (relative_error(found, expected.clone()), relative_error(found_memory, memory.clone()));
                assert!(errors.0 < BOUND && errors.1 < BOUND, "{plasticity:?}, {strong}, {form:?}: {errors:?}");
            }
        }
    }
}
