//! Nothing sees the future: not where it is infinite or not a number, and no gradient either.

mod common;

use astrocytic_attention::debug::without_kernels;
use astrocytic_attention::{
    Attention, AttentionConfig, AttentionInput, DecayConfig, Form, LstmConfig, SoftmaxAttentionConfig,
};
use burn::tensor::{Bool, Device, Tensor};
use common::{D_MODEL, HEADS, assert_same, device, drawn, input, layer, variants};

const STEPS: usize = 70;
const FORMS: [Form; 4] = [Form::Chunkwise(64), Form::Chunkwise(7), Form::Parallel, Form::Recurrent];

fn variants_of_steps() -> impl Iterator<Item = (&'static str, astrocytic_attention::AstrocyticAttentionConfig)> {
    use astrocytic_attention::PositionConfig::Distance;
    variants().into_iter().map(|(name, config)| match config.position {
        Distance { scale, .. } => (name, config.with_position(Distance { scale, max_steps: STEPS })),
        _ => (name, config),
    })
}

/// Holds `forward` to leave every step before a changed one as it was.
fn hold(what: &str, x: &Tensor<3>, forward: &dyn Fn(Tensor<3>) -> Tensor<3>) {
    let before = forward(x.clone());
    for t in [1, 20, 64] {
        for fault in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let changed = x.clone().slice_fill([0..1, t..t + 1, 0..D_MODEL], fault);
            let after = forward(changed);
            let past = |context: &Tensor<3>| context.clone().narrow(1, 0, t);
            assert_same(past(&after), past(&before), &format!("{what}, {fault} at {t}"));
            let own = after.narrow(1, t, 1).is_nan().any().into_scalar::<bool>();
            assert!(own, "{what}, {fault} at {t}: is not seen at its own step");
        }
    }
}

#[test]
fn what_is_not_finite_changes_no_bit_before_its_step() {
    let device = device();
    let x = input(1, STEPS, 61, &device);
    for (name, config) in variants_of_steps() {
        let layer = layer(&config.with_causal(true), &device);
        for form in FORMS {
            let forward = |x| layer.forward(AttentionInput::self_attn(x).form(form)).context;
            hold(&format!("{name}, {form:?}"), &x, &forward);
            hold(&format!("{name}, {form:?}, composed"), &x, &|x| without_kernels(|| forward(x)));
        }
        let weighed = |x| layer.forward(AttentionInput::self_attn(x).with_weights()).context;
        hold(&format!("{name}, with weights"), &x, &weighed);
    }
}

fn baselines(device: &Device) -> Vec<(&'static str, Attention)> {
    let softmax = SoftmaxAttentionConfig::new(D_MODEL, HEADS).with_causal(true);
    let grouped = SoftmaxAttentionConfig::new(D_MODEL, 4).with_kv_heads(Some(2)).with_causal(true);
    let grouped = grouped.with_convolution(3).with_rotary_theta(Some(100.0));
    let forgetting = softmax.clone().with_decay(DecayConfig::Gated);
    let lstm = AttentionConfig::Lstm(LstmConfig::new(D_MODEL));
    let all =
        [("softmax", softmax.into()), ("grouped", grouped.into()), ("forgetting", forgetting.into()), ("lstm", lstm)];
    all.map(|(name, config)| (name, drawn(device, || config.init(device)))).into()
}

#[test]
fn the_baselines_past_is_as_safe() {
    let device = device();
    let x = input(1, STEPS, 62, &device);
    for (name, layer) in baselines(&device) {
        let forward = |x| layer.forward(AttentionInput::self_attn(x)).context;
        hold(name, &x, &forward);
        hold(&format!("{name}, composed"), &x, &|x| without_kernels(|| forward(x)));
        if matches!(layer, Attention::Softmax(_)) {
            let weighed = |x| layer.forward(AttentionInput::self_attn(x).with_weights()).context;
            hold(&format!("{name}, weighed"), &x, &weighed);
        }
    }
}

#[test]
fn padded_steps_may_hold_anything() {
    let device = device();
    let x = input(1, 9, 63, &device);
    let padded =
        || Tensor::<2, Bool>::from_data([[true, false, false, true, true, false, false, false, true]], &device);
    let broken = x.clone().slice_fill([0..1, 3..5, 0..D_MODEL], f32::NAN);
    for (name, config) in variants() {
        let layer = layer(&config, &device);
        let forward = |x: &Tensor<3>| layer.forward(AttentionInput::self_attn(x.clone()).mask_pad(padded())).context;
        assert_same(forward(&broken), forward(&x), name);
    }
    for (name, layer) in baselines(&device) {
        let forward = |x: &Tensor<3>| layer.forward(AttentionInput::self_attn(x.clone()).mask_pad(padded())).context;
        assert_same(forward(&broken), forward(&x), name);
    }
}

#[test]
fn no_gradient_reaches_a_later_step() {
    let plain = device();
    let device = plain.clone().autodiff();
    let steps = 19;
    for (name, config) in variants() {
        let layer = layer(&config.with_causal(true), &device);
        for form in FORMS {
            for s in [0, 6, 7, 17] {
                let x = Tensor::<3>::from_inner(input(1, steps, 64, &plain)).require_grad();
                let context = layer.forward(AttentionInput::self_attn(x.clone()).form(form)).context;
                let grads = context.narrow(1, s, 1).sum().backward();
                let grad = x.grad(&grads).expect("a leaf");
                let later = grad.clone().narrow(1, s + 1, steps - s - 1).abs().max().into_scalar::<f32>();
                assert!(later == 0.0, "{name}, {form:?}: step {s} depends on a later one, {later:e}");
                assert!(grad.abs().max().into_scalar::<f32>() > 0.0, "{name}, {form:?}: step {s} depends on nothing");
            }
        }
    }
}

#[test]
fn no_gradient_of_a_baseline_reaches_a_later_step() {
    let plain = device();
    let device = plain.clone().autodiff();
    for (name, layer) in baselines(&device) {
        for s in [0, 6, 17] {
            let x = Tensor::<3>::from_inner(input(1, 19, 64, &plain)).require_grad();
            let context = layer.forward(AttentionInput::self_attn(x.clone())).context;
            let grad = x.grad(&context.narrow(1, s, 1).sum().backward()).expect("a leaf");
            let later = grad.clone().narrow(1, s + 1, 18 - s).abs().max().into_scalar::<f32>();
            assert!(later == 0.0, "{name}: step {s} depends on a later one, {later:e}");
            assert!(grad.abs().max().into_scalar::<f32>() > 0.0, "{name}: step {s} depends on nothing");
        }
    }
}
