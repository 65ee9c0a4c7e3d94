//! Padding, masks and the drop-in contract.

mod common;

use astrocytic_attention::{
    AstrocyticAttention, AstrocyticAttentionConfig, Attention, AttentionConfig, AttentionError, AttentionInput,
    DecayConfig, FeatureMapConfig, LstmConfig, Normalizer, PositionConfig, SoftmaxAttention, SoftmaxAttentionConfig,
};
use burn::nn::attention::{MhaInput, MultiHeadAttentionConfig, generate_autoregressive_mask};
use burn::tensor::{Bool, Device, Tensor};
use common::{
    D_MODEL, HEADS, assert_same, device, drawn, input, layer, relative_error, variants, ways, with_one_value,
};

/// Rows with no padding, padding on the right, on the left, inside, and nothing but padding.
const PADDED: [[bool; 6]; 5] = [
    [false, false, false, false, false, false],
    [false, false, false, true, true, true],
    [true, true, false, false, false, false],
    [false, true, false, true, true, false],
    [true, true, true, true, true, true],
];

fn mask(device: &Device) -> Tensor<2, Bool> {
    Tensor::from_data(PADDED, device)
}

#[test]
fn a_padded_batch_is_its_rows_one_by_one() {
    let device = device();
    for (name, config) in variants() {
        for causal in [true, config.causal] {
            let layer = layer(&config.clone().with_causal(causal), &device);
            let x = input(5, 6, 7, &device);
            let context = layer.forward(AttentionInput::self_attn(x.clone()).mask_pad(mask(&device))).context;
            for (row, padded) in PADDED.iter().enumerate() {
                let kept: Vec<usize> = (0..6).filter(|&t| !padded[t]).collect();
                let own = x.clone().narrow(0, row, 1);
                let pick =
                    |x: Tensor<3>| Tensor::cat(kept.iter().map(|&t| x.clone().narrow(1, t, 1)).collect::<Vec<_>>(), 1);
                if kept.is_empty() {
                    assert!(context.clone().narrow(0, row, 1).is_finite().all().into_scalar::<bool>(), "{name}");
                    continue;
                }
                let alone = layer.forward(AttentionInput::self_attn(pick(own))).context;
                let found = pick(context.clone().narrow(0, row, 1));
                assert_same(found, alone, &format!("{name}, causal {causal}, row {row}"));
            }
        }
    }
}

#[test]
fn a_padded_step_leaves_the_whole_state_as_it_is() {
    let device = device();
    for (name, config) in variants() {
        let layer = layer(&config.with_causal(true), &device);
        let x = input(1, 9, 8, &device);
        let mut expected = layer.empty_state(1);
        layer.forward_state(AttentionInput::self_attn(x.clone().narrow(1, 0, 5)), &mut expected);
        let mut state = expected.clone();
        let nothing = Tensor::<2, Bool>::from_data([[true; 4]], &device);
        layer.forward_state(AttentionInput::self_attn(x.narrow(1, 5, 4)).mask_pad(nothing), &mut state);
        assert_same(state.memory, expected.memory, &format!("{name}: memory"));
        for (found, expected) in state.calcium.into_iter().zip(expected.calcium) {
            assert_same(found, expected, &format!("{name}: calcium"));
        }
        for (found, expected) in state.history.into_iter().flatten().zip(expected.history.into_iter().flatten()) {
            assert_same(found, expected, &format!("{name}: convolution"));
        }
        for (found, expected) in state.recent.into_iter().flatten().zip(expected.recent.into_iter().flatten()) {
            assert_same(found, expected, &format!("{name}: window"));
        }
        let position = |p: Tensor<1, burn::tensor::Int>| p.into_data().iter::<i64>().collect::<Vec<_>>();
        assert_eq!(position(state.position), position(expected.position), "{name}: position");
    }
}

#[test]
fn a_causal_mask_is_honoured_and_another_refused() {
    let device = device();
    let config = AstrocyticAttentionConfig::linear(D_MODEL, HEADS);
    let open = layer(&config, &device);
    let causal = layer(&config.with_causal(true), &device);
    let x = input(2, 5, 9, &device);
    let with = |mask| AttentionInput::self_attn(x.clone()).mask_attn(mask);
    let autoregressive = generate_autoregressive_mask(2, 5, &device);
    let expected = causal.forward(AttentionInput::self_attn(x.clone())).context;
    assert_same(open.forward(with(autoregressive.clone())).context, expected, "causal mask");

    let nothing_hidden = Tensor::<3, Bool>::from_data([[[false; 5]; 5]; 2], &device);
    let free = open.forward(AttentionInput::self_attn(x.clone())).context;
    assert_same(open.forward(with(nothing_hidden)).context, free, "empty mask");

    let hole = autoregressive.slice_fill([1..2, 4..5, 2..3], true);
    let refused = open.try_forward(with(hole.clone())).unwrap_err();
    assert_eq!(refused, AttentionError::UnsupportedMask);
    assert!(refused.to_string().contains("mask_attn"));
    // A causal layer does not pass over a mask either.
    assert_eq!(causal.try_forward(with(hole)).unwrap_err(), AttentionError::UnsupportedMask);
    assert!(
        causal
            .forward(with(generate_autoregressive_mask(2, 5, &device)))
            .context
            .is_finite()
            .all()
            .into_scalar::<bool>()
    );
}

#[test]
fn bad_input_is_named() {
    let device = device();
    let open = layer(&AstrocyticAttentionConfig::linear(D_MODEL, HEADS), &device);
    let x = || input(2, 5, 9, &device);
    let narrow = Tensor::<3>::zeros([2, 5, D_MODEL - 1], &device);
    let other_mask = Tensor::<2, Bool>::from_data([[false; 4]; 2], &device);
    for (input, part) in [
        (AttentionInput::self_attn(narrow), "d_model"),
        (AttentionInput::new(x(), x().narrow(0, 0, 1), x()), "batch"),
        (AttentionInput::self_attn(x()).mask_pad(other_mask), "mask_pad"),
    ] {
        let error = open.try_forward(input).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    let near = PositionConfig::Distance { scale: 0.2, max_steps: 9 };
    for (config, part) in [
        (AstrocyticAttentionConfig::linear(10, 3), "n_heads"),
        (AstrocyticAttentionConfig::linear(12, 4).with_kv_heads(Some(3)), "kv_heads"),
        (AstrocyticAttentionConfig::linear(12, 4).with_convolution(1), "convolution"),
        (AstrocyticAttentionConfig::linear(12, 4).with_write_dropout(1.0), "write_dropout"),
        (AstrocyticAttentionConfig::retnet(12, 4), "head size"),
        (
            AstrocyticAttentionConfig::linear(12, 4)
                .with_feature_map(FeatureMapConfig::Trigonometric { features: 4, seed: 0 }),
            "positive kernel",
        ),
        (AstrocyticAttentionConfig::tripartite(12, 4).with_position(near), "delta rule"),
    ] {
        let error = config.validate().unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn cross_attention_reads_keys_of_another_length() {
    let device = device();
    for (name, config) in variants() {
        if config.causal {
            continue;
        }
        let layer = layer(&config, &device);
        let (q, k) = (input(2, 4, 10, &device), input(2, 9, 11, &device));
        let output = layer.forward(AttentionInput::new(q.clone(), k.clone(), k.clone()).with_weights());
        assert_eq!(output.context.dims(), [2, 4, D_MODEL], "{name}");
        // Keys that nobody should see change nothing.
        let padded =
            Tensor::<2, Bool>::from_data([[false, false, false, false, false, true, true, true, true]; 2], &device);
        let hidden = k.clone().slice_fill([0..2, 5..9, 0..D_MODEL], 7.0);
        let full = layer.forward(AttentionInput::new(q.clone(), hidden.clone(), hidden).mask_pad(padded)).context;
        let short = k.narrow(1, 0, 5);
        let error = relative_error(full, layer.forward(AttentionInput::new(q, short.clone(), short)).context);
        assert!(error < 1e-5, "{name}: {error:e}");
    }
}

#[test]
fn weights_times_values_is_the_context() {
    let device = device();
    for (name, config) in variants() {
        // What follows the weights is left out; what precedes them is held to them.
        let config = config.with_convolution(0).with_output_gate(false);
        let config = match config.normalizer {
            Normalizer::Calcium { alpha: 1.0 } => config,
            _ => config.with_normalizer(Normalizer::None),
        };
        for &causal in ways(&config) {
            let layer = with_one_value(layer(&config.clone().with_causal(causal), &device));
            let (heads, key_heads, d) = (config.n_heads, config.key_heads(), config.head_size());
            let x = input(5, 6, 12, &device);
            let output = layer.forward(AttentionInput::self_attn(x.clone()).mask_pad(mask(&device)).with_weights());
            let value = layer.value.forward(x).reshape([5, 6, key_heads, d]).swap_dims(1, 2);
            let shared = (0..heads).map(|h| value.clone().narrow(1, h * key_heads / heads, 1));
            let reads = output.weights.unwrap().matmul(Tensor::cat(shared.collect::<Vec<_>>(), 1));
            let context = layer.output.forward(reads.swap_dims(1, 2).reshape([5, 6, D_MODEL]));
            let error = relative_error(context, output.context);
            assert!(error < 1e-5, "{name}, causal {causal}: {error:e}");
        }
    }
}

#[test]
fn a_trained_layer_keeps_its_projections() {
    let device = device();
    let mha = MultiHeadAttentionConfig::new(D_MODEL, HEADS).init(&device);
    let config = AstrocyticAttentionConfig::kozachkov2023(D_MODEL, HEADS);
    let layer = AstrocyticAttention::from_mha(&mha, &config).unwrap();
    assert_same(layer.query.weight.val(), mha.query.weight.val(), "weights");
    assert_same(layer.output.bias.unwrap().val(), mha.output.bias.unwrap().val(), "bias");
    let other = AstrocyticAttentionConfig::linear(D_MODEL, 4);
    let mha = MultiHeadAttentionConfig::new(D_MODEL, HEADS).init(&device);
    assert!(AstrocyticAttention::from_mha(&mha, &other).unwrap_err().to_string().contains("n_heads"));
}

#[test]
fn the_baseline_is_burns_attention() {
    let device = device();
    let mha = MultiHeadAttentionConfig::new(D_MODEL, HEADS).with_dropout(0.0).init(&device);
    let mut own = SoftmaxAttentionConfig::new(D_MODEL, HEADS).init(&device);
    own.query = mha.query.clone();
    own.key = mha.key.clone();
    own.value = mha.value.clone();
    own.output = mha.output.clone();
    let x = input(2, 6, 13, &device);
    let autoregressive = generate_autoregressive_mask(2, 6, &device);
    let theirs = mha.forward(MhaInput::self_attn(x.clone()).mask_attn(autoregressive.clone())).context;
    let ours = own.forward(AttentionInput::self_attn(x).mask_attn(autoregressive)).context;
    assert!(relative_error(ours, theirs) < 1e-5);
}

#[test]
fn the_baseline_cached_is_the_baseline_whole() {
    let device = device();
    let config = SoftmaxAttentionConfig::new(D_MODEL, HEADS)
        .with_causal(true)
        .with_kv_heads(Some(1))
        .with_rotary_theta(Some(100.0))
        .with_convolution(3)
        .with_output_gate(true);
    device.seed(1);
    let attention: Attention = AttentionConfig::Softmax(config).init(&device);
    let x = input(2, 9, 14, &device);
    let whole = attention.forward(AttentionInput::self_attn(x.clone())).context;
    let mut cache = attention.empty_cache(2);
    let parts = [0..4, 4..5, 5..9].map(|r| {
        let part = AttentionInput::self_attn(x.clone().narrow(1, r.start, r.len()));
        attention.forward_cache(part, &mut cache).context
    });
    assert!(relative_error(Tensor::cat(parts.to_vec(), 1), whole) < 1e-5);
}

fn softmax(device: &Device, forgets: bool) -> SoftmaxAttention {
    let config = SoftmaxAttentionConfig::new(D_MODEL, 4).with_kv_heads(Some(2)).with_rotary_theta(Some(100.0));
    let config = config.with_causal(true).with_convolution(3).with_output_gate(true);
    let decay = if forgets { DecayConfig::Gated } else { DecayConfig::None };
    let mut layer = config.with_decay(decay).init(device);
    for filter in layer.convolution.iter_mut().flatten() {
        let [channels, width] = filter.kernel.dims();
        let kernel = input(1, width, 51, device).reshape([width, D_MODEL]).narrow(1, 0, channels).transpose();
        filter.kernel = burn::module::Param::from_tensor(kernel);
    }
    layer
}

fn baselines(device: &Device) -> [Attention; 3] {
    let [softmax, forgetting] = [false, true].map(|forgets| Attention::Softmax(softmax(device, forgets)));
    [softmax, forgetting, drawn(device, || AttentionConfig::Lstm(LstmConfig::new(D_MODEL)).init(device))]
}

#[test]
fn the_padded_baseline_is_its_rows_one_by_one() {
    let device = device();
    let x = input(5, 6, 52, &device);
    for layer in baselines(&device) {
        let context = layer.forward(AttentionInput::self_attn(x.clone()).mask_pad(mask(&device))).context;
        for (row, padded) in PADDED.iter().enumerate().filter(|(_, padded)| padded.contains(&false)) {
            let pick = |x: Tensor<3>| {
                let kept = (0..6).filter(|&t| !padded[t]).map(|t| x.clone().narrow(0, row, 1).narrow(1, t, 1));
                Tensor::cat(kept.collect::<Vec<_>>(), 1)
            };
            let alone = layer.forward(AttentionInput::self_attn(pick(x.clone()))).context;
            let error = relative_error(pick(context.clone()), alone);
            assert!(error < 1e-5, "row {row}: {error:e}");
        }
    }
}

#[test]
fn a_padded_beginning_stays_hidden_in_the_baselines_cache() {
    let device = device();
    let x = input(1, 7, 53, &device);
    for layer in baselines(&device) {
        let padded = Tensor::<2, Bool>::from_data([[true, true, false, false]], &device);
        let mut cache = layer.empty_cache(1);
        layer.forward_cache(AttentionInput::self_attn(x.clone().narrow(1, 0, 4)).mask_pad(padded), &mut cache);
        let found = layer.forward_cache(AttentionInput::self_attn(x.clone().narrow(1, 4, 3)), &mut cache).context;
        let expected = layer.forward(AttentionInput::self_attn(x.clone().narrow(1, 2, 5))).context.narrow(1, 2, 3);
        let error = relative_error(found, expected);
        assert!(error < 1e-5, "{error:e}");
    }
}
