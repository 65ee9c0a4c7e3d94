//! What a layer is said to cost is what it costs.

#[allow(unexpected_cfgs)]
#[path = "../../astrocytic-attention/tests/common/mod.rs"]
mod common;

use astrocytic_attention::{
    AttentionCache, AttentionConfig, AttentionInput, DecayConfig, LstmConfig, SoftmaxAttentionConfig,
};
use astrocytic_models::cost::{flops_per_token, state_bytes};
use burn::nn::attention::MultiHeadAttentionConfig;
use common::{D_MODEL, HEADS, device, input, variants};

#[test]
fn state_bytes_are_those_of_the_state() {
    let device = device();
    for (name, config) in variants() {
        let config = AttentionConfig::Astrocytic(config.with_causal(true));
        let layer = config.init(&device);
        let mut cache = layer.empty_cache(1);
        let mut seen = 0;
        for steps in [1, 9] {
            seen += steps;
            layer.forward_cache(AttentionInput::self_attn(input(1, steps, 3, &device)), &mut cache);
            let AttentionCache::Memory(state) = &cache else { panic!("{name}: another cache") };
            let position = state.position.dtype().size();
            assert_eq!(state.bytes() - position, state_bytes(&config, seen) as usize, "{name}");
            let grows = matches!(&config, AttentionConfig::Astrocytic(config) if config.softmax_heads > 0);
            assert_eq!(state_bytes(&config, 1) < state_bytes(&config, 2), grows, "{name}");
        }
    }
}

#[test]
fn an_lstms_state_does_not_grow() {
    let config = AttentionConfig::Lstm(LstmConfig::new(D_MODEL));
    let layer = config.init(&device());
    let mut cache = layer.empty_cache(1);
    for steps in [1, 9] {
        layer.forward_cache(AttentionInput::self_attn(input(1, steps, 3, &device())), &mut cache);
        let AttentionCache::Lstm(state) = &cache else { panic!("another cache") };
        assert_eq!(state.bytes(), state_bytes(&config, steps) as usize);
    }
}

#[test]
fn a_key_value_cache_grows_as_stated() {
    let device = device();
    let softmax = SoftmaxAttentionConfig::new(D_MODEL, HEADS).with_causal(true);
    let grouped = softmax.with_kv_heads(Some(1)).with_convolution(3);
    for config in [
        AttentionConfig::Softmax(grouped.clone()),
        AttentionConfig::Softmax(grouped.with_decay(DecayConfig::Gated)),
        AttentionConfig::Burn(MultiHeadAttentionConfig::new(D_MODEL, HEADS)),
    ] {
        let layer = config.init(&device);
        let mut cache = layer.empty_cache(1);
        for seen in [4, 8, 12] {
            layer.forward_cache(AttentionInput::self_attn(input(1, 4, 3, &device)), &mut cache);
            let AttentionCache::KeyValue(cache) = &cache else { panic!("another cache") };
            let floats: usize = cache.steps().iter().flatten().map(|x| x.shape().num_elements()).sum();
            let history: usize = cache.history.iter().flatten().map(|x| x.shape().num_elements()).sum();
            assert_eq!(4 * (floats + history), state_bytes(&config, seen) as usize, "{config}");
        }
    }
}

/// 16 wide, 2 heads of 8, chunks of 7: each product counted by hand.
#[test]
fn operations_are_those_of_the_products() {
    let linear = &variants().into_iter().find(|(name, _)| *name == "relu").expect("a variant").1;
    let causal = AttentionConfig::Astrocytic(linear.clone().with_causal(true));
    let projections = 4.0 * 2.0 * 16.0 * 16.0;
    // In a head: scores 7 × 8, their product with values and ones 7 × 9, reading and writing 8 × 9,
    // each multiply-add two; maps of q and k 4 a feature.
    let head = 2.0 * 7.0 * 8.0 + 2.0 * 7.0 * 9.0 + 2.0 * 2.0 * 8.0 * 9.0 + 2.0 * 4.0 * 8.0;
    assert_eq!(flops_per_token(&causal, 64), projections + 2.0 * head);
    // Bidirectional and without decay: one sum over all steps, and no chunks.
    let head = 2.0 * 2.0 * 8.0 * 9.0 + 2.0 * 4.0 * 8.0;
    assert_eq!(flops_per_token(&AttentionConfig::Astrocytic(linear.clone()), 64), projections + 2.0 * head);
    let softmax = AttentionConfig::Softmax(SoftmaxAttentionConfig::new(16, 2));
    let mixing = 2.0 * 2.0 * 64.0 * 16.0 + 5.0 * 2.0 * 64.0;
    assert_eq!(flops_per_token(&softmax, 64), projections + mixing);
    assert_eq!(flops_per_token(&AttentionConfig::Off, 64), 0.0);
    // Three matrices, whatever the number of steps, and 14 operations for each of 9 numbers.
    let lstm = AttentionConfig::Lstm(LstmConfig::new(16));
    assert_eq!(flops_per_token(&lstm, 64), 2.0 * 9.0 * (4.0 * 16.0 + 4.0 * 9.0 + 16.0) + 14.0 * 9.0);
}
