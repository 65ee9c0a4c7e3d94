//! The sliding window beside the memory: its formula, its forms, its limits.

mod common;

use astrocytic_attention::{
    AstrocyticAttention, AstrocyticAttentionConfig as Config, AttentionInput, DecayConfig, FeatureMapConfig as Map,
    Form, PositionConfig, SoftmaxAttentionConfig,
};
use burn::tensor::{Bool, DType, Tensor, TensorData};
use common::{D_MODEL, HEADS, assert_same, device, input, layer, relative_error};

fn variants(window: usize) -> Vec<(&'static str, Config)> {
    let base = || Config::new(D_MODEL, HEADS).with_causal(true).with_chunk(5).with_window(window);
    let gated = || base().with_decay(DecayConfig::Gated).with_write_gate(true);
    vec![
        ("elu", base()),
        ("hedgehog", gated().with_feature_map(Map::Hedgehog)),
        ("taylor", base().with_feature_map(Map::Taylor).with_position(PositionConfig::Rotary { theta: 100.0 })),
        ("random", base().with_feature_map(Map::PositiveRandom { features: 8, seed: 1 })),
        ("grouped", gated().with_kv_heads(Some(1)).with_convolution(3).with_output_gate(true)),
        ("window alone", base().with_memory(false)),
    ]
}

const WINDOWS: [usize; 4] = [1, 3, 8, 30];

/// y = (γ Σ e^{s − c} v + Σ φ(q)·φ(k) v) / (the same with 1 for v), pair by pair in f64, for elu and no decay.
#[test]
fn the_formula_pair_by_pair() {
    let device = device();
    let steps = 11;
    for window in WINDOWS {
        let layer = layer(&variants(window)[0].1, &device);
        let x = input(1, steps, 3, &device);
        let numbers = |x: Tensor<3>| -> Vec<f64> { x.into_data().convert_dtype(DType::F64).iter::<f64>().collect() };
        let [q, k, v] = [&layer.query, &layer.key, &layer.value].map(|linear| numbers(linear.forward(x.clone())));
        let d = D_MODEL / HEADS;
        let part = |x: &[f64], step: usize, head: usize| x[step * D_MODEL + head * d..][..d].to_vec();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let phi = |x: Vec<f64>| x.into_iter().map(|x| if x > 0.0 { x + 1.0 } else { x.exp() }).collect::<Vec<_>>();
        let mut reads = vec![0.0; steps * D_MODEL];
        for i in 0..steps {
            for head in 0..HEADS {
                let query = part(&q, i, head);
                let score = |j: usize| dot(&query, &part(&k, j, head)) / (d as f64).sqrt();
                let first = (i + 1).saturating_sub(window);
                let largest = (first..=i).map(score).fold(f64::NEG_INFINITY, f64::max);
                let weight = |j: usize| match j >= first {
                    true => (score(j) - largest).exp(),
                    false => dot(&phi(query.clone()), &phi(part(&k, j, head))),
                };
                let all: f64 = (0..=i).map(weight).sum();
                for j in 0..=i {
                    for (c, value) in part(&v, j, head).iter().enumerate() {
                        reads[i * D_MODEL + head * d + c] += weight(j) * value / all;
                    }
                }
            }
        }
        let reads: Vec<f32> = reads.into_iter().map(|x| x as f32).collect();
        let reads = Tensor::<3>::from_data(TensorData::new(reads, [1, steps, D_MODEL]), &device);
        let expected = layer.output.forward(reads);
        let error = relative_error(layer.forward(AttentionInput::self_attn(x)).context, expected);
        assert!(error < 1e-5, "window {window}: {error:e}");
    }
}

#[test]
fn a_window_over_everything_is_softmax_attention() {
    let device = device();
    let softmax = SoftmaxAttentionConfig::new(D_MODEL, HEADS).with_causal(true).init(&device);
    let x = input(2, 20, 1, &device);
    let expected = softmax.forward(AttentionInput::self_attn(x.clone())).context;
    for (name, config) in variants(20).into_iter().filter(|(name, _)| !["taylor", "grouped"].contains(name)) {
        let layer = AstrocyticAttention::from_softmax(&softmax, &config).unwrap();
        let error = relative_error(layer.forward(AttentionInput::self_attn(x.clone())).context, expected.clone());
        assert!(error < 1e-5, "{name}: {error:e}");
    }
}

#[test]
fn in_one_call_in_parts_and_step_by_step_it_is_the_same() {
    let device = device();
    let x = input(2, 19, 2, &device);
    for window in WINDOWS {
        for (name, config) in variants(window) {
            let layer = layer(&config, &device);
            let whole = layer.forward(AttentionInput::self_attn(x.clone())).context;
            for form in [Form::Parallel, Form::Recurrent, Form::Chunkwise(3)] {
                let found = layer.forward(AttentionInput::self_attn(x.clone()).form(form)).context;
                let error = relative_error(found, whole.clone());
                assert!(error < 1e-5, "{name}, window {window}, {form:?}: {error:e}");
            }
            for parts in [vec![19], vec![1; 19], vec![4, 1, 9, 5]] {
                let mut state = layer.empty_state(2);
                let mut start = 0;
                let contexts = parts.into_iter().map(|count| {
                    let part = AttentionInput::self_attn(x.clone().narrow(1, start, count));
                    start += count;
                    layer.forward_state(part, &mut state).context
                });
                let error = relative_error(Tensor::cat(contexts.collect(), 1), whole.clone());
                assert!(error < 1e-5, "{name}, window {window}: {error:e}");
            }
        }
    }
}

#[test]
fn weights_are_those_of_the_reads() {
    let device = device();
    let x = input(2, 13, 4, &device);
    for window in WINDOWS {
        for (name, config) in variants(window).into_iter().filter(|(name, _)| *name != "grouped") {
            let layer = layer(&config, &device);
            let output = layer.forward(AttentionInput::self_attn(x.clone()).with_weights());
            let d = D_MODEL / HEADS;
            let value = layer.value.forward(x.clone()).reshape([2, 13, HEADS, d]).swap_dims(1, 2);
            let reads = output.weights.unwrap().matmul(value).swap_dims(1, 2).reshape([2, 13, D_MODEL]);
            let error = relative_error(layer.output.forward(reads), output.context);
            assert!(error < 1e-5, "{name}, window {window}: {error:e}");
        }
    }
}

#[test]
fn padding_is_not_there_and_the_past_does_not_change() {
    let device = device();
    let x = input(1, 12, 5, &device);
    let padded = [3, 4, 7, 11];
    let kept: Vec<usize> = (0..12).filter(|step| !padded.contains(step)).collect();
    let of_steps = |x: &Tensor<3>, steps: &[usize]| {
        Tensor::cat(steps.iter().map(|&step| x.clone().narrow(1, step, 1)).collect(), 1)
    };
    let mask: Vec<bool> = (0..12).map(|step| padded.contains(&step)).collect();
    let mask = Tensor::<2, Bool>::from_data(TensorData::new(mask, [1, 12]), &device);
    for window in WINDOWS {
        for (name, config) in variants(window) {
            let layer = layer(&config, &device);
            let short = layer.forward(AttentionInput::self_attn(of_steps(&x, &kept))).context;
            let long = layer.forward(AttentionInput::self_attn(x.clone()).mask_pad(mask.clone())).context;
            let error = relative_error(of_steps(&long, &kept), short);
            assert!(error < 1e-5, "{name}, window {window}: {error:e}");
            // A cache goes on as if the padded steps had never been.
            let mut state = layer.empty_state(1);
            layer.forward_state(AttentionInput::self_attn(x.clone()).mask_pad(mask.clone()), &mut state);
            let mut plain = layer.empty_state(1);
            layer.forward_state(AttentionInput::self_attn(of_steps(&x, &kept)), &mut plain);
            let next = || AttentionInput::self_attn(input(1, 3, 6, &device));
            let error = relative_error(
                layer.forward_state(next(), &mut state).context,
                layer.forward_state(next(), &mut plain).context,
            );
            assert!(error < 1e-5, "{name}, window {window}, cache: {error:e}");

            let changed = Tensor::cat(vec![x.clone().narrow(1, 0, 9), input(1, 3, 7, &device)], 1);
            let [before, after] = [x.clone(), changed].map(|x| layer.forward(AttentionInput::self_attn(x)).context);
            assert_same(after.narrow(1, 0, 9), before.narrow(1, 0, 9), &format!("{name}, window {window}"));
        }
    }
}

#[test]
fn what_a_window_cannot_have_is_refused() {
    let window = |config: Config| config.with_window(4).validate().unwrap_err().to_string();
    assert!(window(Config::new(16, 2)).contains("causal"));
    assert!(window(Config::tripartite(16, 2)).contains("calcium"));
    assert!(Config::new(16, 2).with_memory(false).validate().unwrap_err().to_string().contains("window"));
}
