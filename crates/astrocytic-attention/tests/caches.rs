//! What a layer remembers between calls: grouped, padded, weighed, and left alone by an error.

mod common;

use astrocytic_attention::{
    AstrocyticAttentionConfig as Config, Attention, AttentionCache, AttentionConfig, AttentionError, AttentionInput,
    AttentionState, DecayConfig, SoftmaxAttentionConfig,
};
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Bool, DType, Tensor};
use common::{D_MODEL, HEADS, OTHER_PRECISIONS, To, assert_same, device, input, layer, relative_error, variants};

#[test]
fn grouped_queries_keep_one_memory_a_key_head() {
    let device = device();
    let config = Config::linear(D_MODEL, 4).with_kv_heads(Some(2)).with_causal(true);
    let state = layer(&config, &device).empty_state(3);
    assert_eq!(state.memory.dims(), [3, 2, 4, 4]);
    assert_eq!(state.calcium.expect("a calcium normaliser").dims(), [3, 2, 4]);
    let [grouped, full] = [Some(2), None]
        .map(|kv_heads| AttentionConfig::Astrocytic(config.clone().with_kv_heads(kv_heads)).state_bytes(100));
    assert_eq!(2 * grouped, full);
}

/// 0 in place of a projection's numbers.
struct Nothing;

impl ModuleMapper for Nothing {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| tensor.zeros_like())
    }
}

/// What is read is linear in the values: what the weights make of the new ones and what is read of the state.
#[test]
fn weights_after_a_state_are_those_of_the_new_steps() {
    let device = device();
    for (name, config) in variants() {
        // What follows the weights is left out, and convolution and norms, which mix old and new.
        let config = config.with_causal(true).with_convolution(0).with_output_gate(false).with_bias(false);
        let bends = config.normalizer != (astrocytic_attention::Normalizer::Calcium { alpha: 1.0 });
        let config = if bends { config.with_normalizer(astrocytic_attention::Normalizer::None) } else { config };
        let layer = layer(&config, &device);
        let mut silent = layer.clone();
        silent.value = silent.value.map(&mut Nothing);
        let x = input(2, 13, 71, &device);
        let mut state = layer.empty_state(2);
        layer.forward_state(AttentionInput::self_attn(x.clone().narrow(1, 0, 6)), &mut state);
        let new = x.narrow(1, 6, 7);
        let asked = AttentionInput::self_attn(new.clone()).with_weights();
        let output = layer.forward_state(asked.clone(), &mut state.clone());
        let of_state = silent.forward_state(asked, &mut state.clone()).context;
        let plain = layer.forward_state(AttentionInput::self_attn(new.clone()), &mut state).context;
        let error = relative_error(output.context.clone(), plain);
        assert!(error < 1e-5, "{name}: with and without weights {error:e}");

        let (heads, key_heads, d) = (config.n_heads, config.key_heads(), config.head_size());
        let value = layer.value.forward(new).reshape([2, 7, key_heads, d]).swap_dims(1, 2);
        let shared = (0..heads).map(|h| value.clone().narrow(1, h * key_heads / heads, 1));
        let reads = output.weights.expect("asked for").matmul(Tensor::cat(shared.collect::<Vec<_>>(), 1));
        let of_new = layer.output.forward(reads.swap_dims(1, 2).reshape([2, 7, D_MODEL]));
        let error = relative_error(of_new + of_state, output.context);
        assert!(error < 1e-5, "{name}: {error:e}");
    }
}

#[test]
fn weights_have_the_precision_of_the_input() {
    if !OTHER_PRECISIONS {
        return;
    }
    let device = device();
    let softmax = SoftmaxAttentionConfig::new(D_MODEL, HEADS).with_causal(true);
    for config in [
        AttentionConfig::Astrocytic(Config::tripartite(D_MODEL, HEADS)),
        AttentionConfig::Astrocytic(Config::linear(D_MODEL, HEADS).with_causal(true).with_window(3)),
        AttentionConfig::Softmax(softmax.clone()),
        AttentionConfig::Softmax(softmax.with_decay(DecayConfig::Gated)),
    ] {
        for dtype in [DType::F32, DType::BF16, DType::F16] {
            let layer = config.init(&device).map(&mut To(dtype));
            let x = input(1, 5, 72, &device).cast(dtype);
            let output = layer.forward(AttentionInput::self_attn(x).with_weights());
            assert_eq!(
                (output.context.dtype(), output.weights.expect("asked for").dtype()),
                (dtype, dtype),
                "{config:?}"
            );
        }
    }
}

fn every_kind() -> Vec<Attention> {
    let softmax = SoftmaxAttentionConfig::new(D_MODEL, HEADS).with_causal(true).with_convolution(3);
    let softmax = softmax.with_rotary_theta(Some(100.0));
    vec![
        AttentionConfig::Astrocytic(Config::tripartite(D_MODEL, HEADS)).init(&device()),
        AttentionConfig::Softmax(softmax.clone()).init(&device()),
        AttentionConfig::Softmax(softmax.with_decay(DecayConfig::Gated)).init(&device()),
        AttentionConfig::Off.init(&device()),
    ]
}

#[test]
fn padded_prompts_are_cached_through_the_enum() {
    let device = device();
    let x = input(1, 8, 73, &device);
    let padded = Tensor::<2, Bool>::from_data([[true, true, false, true, false]], &device);
    for layer in every_kind() {
        let mut cache = layer.empty_cache(1);
        let prompt = AttentionInput::self_attn(x.clone().narrow(1, 0, 5)).mask_pad(padded.clone());
        layer.forward_cache(prompt, &mut cache);
        let found = layer.forward_cache(AttentionInput::self_attn(x.clone().narrow(1, 5, 3)), &mut cache).context;
        let kept = [2, 4, 5, 6, 7].map(|t| x.clone().narrow(1, t, 1));
        let whole = layer.forward(AttentionInput::self_attn(Tensor::cat(kept.to_vec(), 1))).context;
        let error = relative_error(found, whole.narrow(1, 2, 3));
        assert!(error < 1e-5, "{layer:?}: {error:e}");
    }
}

#[test]
fn an_error_leaves_a_cache_as_it_was() {
    let device = device();
    for layer in every_kind().into_iter().filter(|layer| !matches!(layer, Attention::Off(_))) {
        let x = |batch| AttentionInput::self_attn(input(batch, 3, 74, &device));
        let (mut cache, mut tried) = (layer.empty_cache(2), layer.empty_cache(2));
        layer.forward_cache(x(2), &mut cache);
        layer.forward_cache(x(2), &mut tried);
        for bad in [x(1), AttentionInput::self_attn(Tensor::zeros([2, 3, 5], &device))] {
            let error = layer.try_forward_cache(bad, &mut tried).unwrap_err();
            assert!(matches!(error, AttentionError::Shape(_)), "{error}");
        }
        let other = layer.try_forward_cache(x(2), &mut AttentionCache::Empty).unwrap_err().to_string();
        assert!(other.contains("another kind of layer"), "{other}");
        let next = |cache: &mut AttentionCache| layer.forward_cache(x(2), cache).context;
        assert_same(next(&mut tried), next(&mut cache), "after errors");
    }
}

#[test]
fn a_state_of_another_layer_is_refused_and_left_alone() {
    let device = device();
    let all: Vec<_> = variants().into_iter().map(|(name, config)| (name, config.with_causal(true))).collect();
    let x = AttentionInput::self_attn(input(2, 1, 3, &device));
    for (name, config) in &all {
        let layer = layer(config, &device);
        let empty = layer.empty_state(2);
        assert!(layer.try_forward_state(x.clone(), &mut empty.clone()).is_ok(), "{name}");
        for (other, made_by) in &all {
            let mut state = common::layer(made_by, &device).empty_state(2);
            let before = state.memory.clone().into_data();
            let shapes = |state: &AttentionState| {
                let history = state.history.as_ref().map(|history| history.each_ref().map(Tensor::dims));
                let recent = state.recent.as_ref().map(|recent| recent.each_ref().map(Tensor::dims));
                (state.memory.dims(), state.calcium.as_ref().map(Tensor::dims), history, recent)
            };
            if shapes(&state) == shapes(&empty) {
                continue;
            }
            let error = layer.try_forward_state(x.clone(), &mut state).unwrap_err().to_string();
            assert!(error.contains("another configuration"), "{name} with that of {other}: {error}");
            assert_eq!(state.memory.into_data(), before);
        }
    }
}
