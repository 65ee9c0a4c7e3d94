//! Options that came after the first stored runs: what they start with, what they refuse, and that
//! one that is off leaves no trace in a file.

mod common;

use astrocytic_attention::ops::{MemoryInputs, MemorySpec, MemoryState, memory_attention};
use astrocytic_attention::{
    AstrocyticAttention, AstrocyticAttentionConfig as Config, AttentionInput, DecayConfig, FeatureMapConfig, Form,
    Normalizer, Plasticity, PositionConfig, ShortConvolution, SoftmaxAttentionConfig,
};
use burn::module::Param;
use burn::nn::attention::MultiHeadAttentionConfig;
use burn::tensor::{Tensor, activation::sigmoid};
use common::{D_MODEL, assert_same, device, drawn, input, relative_error, variants};

fn numbers<const D: usize>(x: Tensor<D>) -> Vec<f64> {
    x.into_data().iter::<f64>().collect()
}

fn near(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found / expected - 1.0).abs() < 1e-5, "{found} for {expected}");
    }
}

#[test]
fn an_option_that_is_off_is_not_written() {
    let names = ["initial_write", "initial_leak", "undecayed_heads", "writes_per_step", "softmax"];
    for (name, config) in variants() {
        let text = serde_json::to_string(&config).unwrap();
        let again: Config = serde_json::from_str(&text).unwrap();
        assert_eq!((again, serde_json::to_string(&config).unwrap()), (config, text), "{name}");
    }
    for config in [Config::new(D_MODEL, 2), Config::tripartite(D_MODEL, 2), Config::retnet(D_MODEL, 2)] {
        let text = serde_json::to_string(&config).unwrap();
        assert!(names.iter().all(|name| !text.contains(name)), "{text}");
    }
}

#[test]
fn write_gates_start_where_they_are_told() {
    let device = device();
    let turning = Config::tripartite(D_MODEL, 4).with_largest_write(2.0);
    let start = |config: Config| {
        let gate = config.init(&device).write_gate.expect("a write gate");
        numbers(sigmoid(gate.bias.expect("a bias").val()).mul_scalar(2.0))
    };
    near(&start(turning.clone().with_initial_write(Some([1.9, 1.0]))), &[1.9, 1.6, 1.3, 1.0]);
    near(&start(turning.clone().with_initial_write(Some([1.5; 2]))), &[1.5; 4]);
    near(&start(turning.clone().with_kv_heads(Some(1)).with_initial_write(Some([1.9, 1.1]))), &[1.5]);
    let drawn = |config: Config| {
        device.seed(5);
        numbers(config.init(&device).write_gate.expect("a write gate").weight.val())
    };
    assert_eq!(drawn(turning.clone().with_initial_write(Some([1.9, 1.0]))), drawn(turning), "weights");
}

#[test]
fn decays_start_as_open_as_they_are_told_and_some_heads_have_none() {
    let device = device();
    let nothing = Tensor::<3>::zeros([1, 1, D_MODEL], &device);
    for decay in [DecayConfig::Gated, DecayConfig::Griffin] {
        let config = Config::tripartite(D_MODEL, 4).with_decay(decay).with_undecayed_heads(1);
        let layer = config.with_initial_leak(Some([1e-4, 1e-2])).init(&device);
        let leaks = numbers(layer.decay.forward(&nothing).expect("a decay").neg());
        near(&leaks, &[1e-4, 1e-3, 1e-2]);
    }
}

/// One head of two features, no decay, no norm: two reflections a step turn the memory by twice the
/// angle between their keys, and a step's read comes after both.
#[test]
fn two_reflections_are_a_rotation() {
    let device = device();
    let number = |x: f32| Tensor::<4>::from_data([[[[x]]]], &device);
    let pair = |x: [f32; 2]| Tensor::<4>::from_data([[[x]]], &device);
    let (sin, cos) = 0.3f32.sin_cos();
    let keys = Tensor::cat(vec![pair([1.0, 0.0]), pair([cos, sin])], 1);
    let (steps, zero) = (5, number(0.0).repeat_dim(1, 2));
    let before = Tensor::<4>::from_data([[[[1.0], [0.0]]]], &device);
    let spec = MemorySpec {
        plasticity: Plasticity::Delta,
        feature: FeatureMapConfig::Identity.element_wise().expect("element-wise"),
        unit: false,
        calcium: false,
        causal: true,
        form: Form::Chunkwise(4),
    };
    for form in [Form::Chunkwise(4), Form::Chunkwise(3), Form::Parallel, Form::Recurrent] {
        let inputs = MemoryInputs {
            query: pair([1.0, 0.0]).repeat_dim(1, steps),
            key: keys.clone().repeat_dim(1, steps),
            value: zero.clone().repeat_dim(1, steps),
            log_decay: None,
            strength: Some(Tensor::full([1, 2 * steps, 1], 2.0, &device)),
        };
        let state = Some(MemoryState { memory: before.clone(), calcium: None });
        let (reads, after) = memory_attention(&MemorySpec { form, ..spec }, inputs, state, true);
        assert_eq!(reads.dims(), [1, steps, 1, 1]);
        for (t, read) in numbers(reads).into_iter().enumerate() {
            let expected = (0.6 * (t + 1) as f64).cos();
            assert!((read - expected).abs() < 1e-5, "{form:?}, step {t}: {read} for {expected}");
        }
        let memory = numbers(after.expect("asked for").memory);
        assert!((memory[1] - (0.6 * steps as f64).sin()).abs() < 1e-5, "{form:?}: {memory:?}");
    }
}

/// Of a converted layer the further writes hardly count, and the first are as they would be alone.
#[test]
fn a_conversion_begins_with_one_write_a_step() {
    let device = device();
    let mha = MultiHeadAttentionConfig::new(D_MODEL, 2);
    let mha = drawn(&device, || mha.init(&device));
    let config = Config::linear(D_MODEL, 2).with_write_gate(true).with_normalizer(Normalizer::None);
    let x = input(1, 7, 91, &device);
    let [one, three] = [1, 3].map(|writes| {
        let layer = AstrocyticAttention::from_mha(&mha, &config.clone().with_writes_per_step(writes)).unwrap();
        layer.forward(AttentionInput::self_attn(x.clone())).context
    });
    let error = relative_error(three, one);
    assert!((1e-6..0.2).contains(&error), "{error:e}");
    let ungated = config.clone().with_write_gate(false).with_writes_per_step(2);
    let error = AstrocyticAttention::from_mha(&mha, &ungated).unwrap_err().to_string();
    assert!(error.contains("write_gate = true"), "{error}");
    // Filters of the one write stay, those of the further ones are new.
    let softmax = SoftmaxAttentionConfig::new(D_MODEL, 2).with_convolution(3).init(&device);
    let config = config.with_convolution(3).with_writes_per_step(2);
    let layer = AstrocyticAttention::from_softmax(&softmax, &config).unwrap();
    let taps = |filters: &Option<[ShortConvolution; 3]>| filters.as_ref().expect("filters")[1].kernel.val();
    assert_eq!(taps(&layer.convolution).dims(), [2 * D_MODEL, 3]);
    assert_same(taps(&layer.convolution).narrow(0, 0, D_MODEL), taps(&softmax.convolution), "taps");
    let error = layer.with_config(&config.with_writes_per_step(1)).unwrap_err().to_string();
    assert!(error.contains("further writes"), "{error}");
}

/// With nothing of the memory heads in the output, what is left is softmax attention.
#[test]
fn softmax_heads_are_those_of_softmax_attention() {
    let device = device();
    for (kv_heads, heads, theta) in [(None, 1, Some(10_000.0)), (None, 3, Some(50.0)), (Some(2), 2, None)] {
        let softmax = SoftmaxAttentionConfig::new(D_MODEL, 4).with_kv_heads(kv_heads).with_causal(true);
        let softmax = softmax.with_rotary_theta(theta).with_convolution(3).with_output_gate(true);
        let mut softmax = drawn(&device, || softmax.init(&device));
        let width = heads * D_MODEL / 4;
        let of_first = softmax.output.weight.val().slice_fill([width..D_MODEL, 0..D_MODEL], 0.0);
        softmax.output.weight = Param::from_tensor(of_first);
        let position = theta.map_or(PositionConfig::None, |theta| PositionConfig::Rotary { theta });
        let config = Config::tripartite(D_MODEL, 4).with_kv_heads(kv_heads).with_convolution(3);
        let config = config.with_softmax_heads(heads).with_softmax_rotary_theta(theta).with_position(position);
        let layer = AstrocyticAttention::from_softmax(&softmax, &config).unwrap();
        let x = input(2, 70, 92, &device);
        let call = || AttentionInput::self_attn(x.clone());
        let (found, expected) = (layer.forward(call()).context, softmax.forward(call()).context);
        let error = relative_error(found, expected.clone());
        assert!(error < 1e-5, "{heads} heads: {error:e}");
        let mut state = layer.empty_state(2);
        let parts = [0..3, 3..4, 4..70].map(|steps| {
            let part = AttentionInput::self_attn(x.clone().narrow(1, steps.start, steps.len()));
            layer.forward_state(part, &mut state).context
        });
        let error = relative_error(Tensor::cat(parts.to_vec(), 1), expected);
        assert!(error < 1e-5, "{heads} heads, step by step: {error:e}");
        let memory = numbers(state.memory.clone());
        let state = state.truncate(3);
        assert_eq!((state.softmax.length(), numbers(state.memory)), (3, memory), "{heads} heads, truncated");
    }
}

#[test]
fn a_conversion_keeps_softmax_heads_or_says_what_it_would_lose() {
    let device = device();
    let lost = |layer: &AstrocyticAttention, config: &Config, part: &str| {
        let error = layer.with_config(config).unwrap_err().to_string();
        assert!(error.contains(part), "\"{part}\" is not in \"{error}\"");
    };
    let half = Config::tripartite(D_MODEL, 4).with_softmax_heads(2);
    let layer = half.init(&device);
    lost(&layer, &half.clone().with_softmax_heads(0), "softmax heads");
    lost(&layer, &half.clone().with_softmax_heads(1), "softmax heads");
    lost(&layer, &half.clone().with_softmax_rotary_theta(None), "rotary positions of softmax heads");
    lost(&Config::tripartite(D_MODEL, 4).init(&device), &half, "each head");
    let rotary = SoftmaxAttentionConfig::new(D_MODEL, 4).with_causal(true).with_rotary_theta(Some(50.0));
    let config = Config::linear(D_MODEL, 4).with_causal(true).with_softmax_heads(2);
    let config = config.with_position(PositionConfig::Rotary { theta: 50.0 });
    let error = AstrocyticAttention::from_softmax(&rotary.init(&device), &config).unwrap_err().to_string();
    assert!(error.contains("softmax_rotary_theta"), "{error}");
    let mha = MultiHeadAttentionConfig::new(D_MODEL, 4).init(&device);
    let converted = AstrocyticAttention::from_mha(&mha, &half).unwrap();
    assert_same(converted.key.weight.val(), mha.key.weight.val(), "keys");
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let base = || Config::tripartite(D_MODEL, 4);
    for (config, part) in [
        (base().with_initial_write(Some([0.5, 1.0])), "initial_write"),
        (base().with_initial_write(Some([0.0, 0.5])), "initial_write"),
        (base().with_write_gate(false).with_initial_write(Some([0.5; 2])), "write_gate = true"),
        (base().with_initial_leak(Some([0.0, 0.1])), "initial_leak"),
        (base().with_decay(DecayConfig::Fixed).with_initial_leak(Some([0.1; 2])), "initial_leak"),
        (base().with_decay(DecayConfig::Griffin).with_initial_leak(Some([0.01, 0.1])), "initial_leak"),
        (base().with_undecayed_heads(4), "undecayed_heads"),
        (base().with_softmax_heads(4), "softmax_heads"),
        (base().with_kv_heads(Some(2)).with_softmax_heads(1), "groups of 2"),
        (base().with_softmax_heads(2).with_causal(false), "causal = true"),
        (Config::linear(D_MODEL, 4).with_causal(true).with_window(3).with_softmax_heads(2), "no window"),
        (base().with_softmax_heads(2).with_softmax_rotary_theta(Some(0.0)), "softmax_rotary_theta"),
        (Config::tripartite(12, 4).with_softmax_heads(2), "even head size"),
        (base().with_softmax_heads(2).with_undecayed_heads(2), "undecayed_heads"),
        (base().with_writes_per_step(0), "writes_per_step"),
        (base().with_writes_per_step(17), "writes_per_step"),
        (Config::linear(D_MODEL, 4).with_causal(true).with_window(3).with_writes_per_step(2), "a window"),
        (Config::astromorphic(D_MODEL, 4, 9).with_writes_per_step(2), "a distance memory"),
        (base().with_decay(DecayConfig::None).with_undecayed_heads(1), "undecayed_heads"),
    ] {
        let error = config.validate().unwrap_err().to_string();
        assert!(error.contains(part) && error.lines().count() == 1, "\"{part}\" is not in \"{error}\"");
    }
}
