//! What a layer remembers between calls: grouped, padded, weighed, and left alone by an error.

mod common;

use astrocytic_attention::{
    AstrocyticAttentionConfig as Config, Attention, AttentionCache, AttentionCacheRecord, AttentionConfig,
    AttentionError, AttentionInput, AttentionState, DecayConfig, LstmConfig, SoftmaxAttentionConfig,
};
use burn::module::{Module, ModuleMapper, Param};
use burn::nn::attention::{MultiHeadAttentionConfig, generate_autoregressive_mask};
use burn::tensor::{Bool, DType, Tensor};
use common::{
    D_MODEL, HEADS, OTHER_PRECISIONS, To, assert_same, device, drawn, input, layer, relative_error, variants,
    with_one_value,
};

#[test]
fn grouped_queries_keep_one_memory_a_key_head() {
    let device = device();
    let config = Config::linear(D_MODEL, 4).with_kv_heads(Some(2)).with_causal(true);
    let state = layer(&config, &device).empty_state(3);
    assert_eq!(state.memory.dims(), [3, 2, 4, 4]);
    assert_eq!(state.calcium.expect("a calcium normaliser").dims(), [3, 2, 4]);
    let [grouped, full] = [Some(2), None].map(|kv_heads| {
        let state = layer(&config.clone().with_kv_heads(kv_heads), &device).empty_state(3);
        state.bytes() - 3 * state.position.dtype().size()
    });
    assert_eq!(2 * grouped, full);
}

/// 0 in place of a projection's numbers.
struct Nothing;

impl ModuleMapper for Nothing {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| tensor.zeros_like())
    }
}

/// What is read is linear in the values: what the weights make of the new ones and what is read of
/// the state.
#[test]
fn weights_after_a_state_are_those_of_the_new_steps() {
    let device = device();
    for (name, config) in variants() {
        // What follows the weights is left out, and convolution and norms, which mix old and new.
        let config = config.with_causal(true).with_convolution(0).with_output_gate(false).with_bias(false);
        let bends = config.normalizer != (astrocytic_attention::Normalizer::Calcium { alpha: 1.0 });
        let config = if bends { config.with_normalizer(astrocytic_attention::Normalizer::None) } else { config };
        let layer = with_one_value(layer(&config, &device));
        let mut silent = layer.clone();
        silent.value = silent.value.map(&mut Nothing);
        let silent = with_one_value(silent);
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
    let configs = [
        AttentionConfig::Astrocytic(Config::tripartite(D_MODEL, HEADS)),
        AttentionConfig::Astrocytic(Config::tripartite(D_MODEL, HEADS).with_softmax_heads(1)),
        AttentionConfig::Softmax(softmax.clone()),
        AttentionConfig::Softmax(softmax.with_decay(DecayConfig::Gated)),
        AttentionConfig::Burn(MultiHeadAttentionConfig::new(D_MODEL, HEADS)),
        AttentionConfig::Lstm(LstmConfig::new(D_MODEL)),
        AttentionConfig::Off,
    ];
    configs.iter().map(|config| drawn(&device(), || config.init(&device()))).collect()
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
        // Burn's own layer is causal by its mask alone.
        let whole = AttentionInput::self_attn(Tensor::cat(kept.to_vec(), 1));
        let whole = layer.forward(whole.mask_attn(generate_autoregressive_mask(1, 5, &device))).context;
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

/// Every kind of layer, and every variant of the astrocytic one, with a padded cache of three rows.
fn with_caches() -> Vec<(String, Attention, AttentionCache)> {
    let device = device();
    let causal = |(name, config): (&str, Config)| {
        (name.to_owned(), Attention::Astrocytic(layer(&config.with_causal(true), &device)))
    };
    let layers = variants().into_iter().map(causal);
    let layers = layers.chain(every_kind().into_iter().map(|layer| (format!("{:?}", layer.config()), layer)));
    let padded =
        Tensor::<2, Bool>::from_data([[false; 4], [true, false, false, true], [false, true, true, false]], &device);
    let prompt = AttentionInput::self_attn(input(3, 4, 81, &device)).mask_pad(padded);
    let filled = |layer: &Attention| {
        let mut cache = layer.empty_cache(3);
        layer.forward_cache(prompt.clone(), &mut cache);
        cache
    };
    layers.map(|(name, layer)| (name, layer.clone(), filled(&layer))).collect()
}

#[test]
fn rows_of_a_cache_go_on_by_themselves() {
    let device = device();
    let rows = [2, 0, 2];
    let x = input(3, 2, 82, &device);
    let chosen = |x: Tensor<3>| x.select(0, Tensor::from_data(rows, &device));
    for (name, layer, cache) in with_caches() {
        let mut beams = cache.clone().select(Tensor::from_data(rows, &device));
        let mut cache = cache;
        // As every row goes on with steps of its own, so do the chosen ones.
        let found = layer.forward_cache(AttentionInput::self_attn(chosen(x.clone())), &mut beams).context;
        let all = layer.forward_cache(AttentionInput::self_attn(x.clone()), &mut cache).context;
        let error = relative_error(found, chosen(all));
        assert!(error < 1e-5, "{name}: {error:e}");
    }
}

#[test]
fn a_cache_that_was_saved_goes_on() {
    let device = device();
    let x = AttentionInput::self_attn(input(3, 2, 83, &device));
    for (name, layer, mut cache) in with_caches() {
        let text = serde_json::to_string(&cache.clone().into_record()).unwrap();
        let record: AttentionCacheRecord = serde_json::from_str(&text).unwrap();
        let mut loaded = AttentionCache::from_record(record, &device).unwrap().to_device(&device);
        let again = serde_json::to_string(&loaded.clone().into_record()).unwrap();
        assert_eq!(again, text, "{name}");
        for _ in 0..2 {
            let expected = layer.forward_cache(x.clone(), &mut cache).context;
            assert_same(layer.forward_cache(x.clone(), &mut loaded).context, expected, &name);
        }
    }
}

#[test]
fn a_saved_cache_keeps_its_precision() {
    if !OTHER_PRECISIONS {
        return;
    }
    let device = device();
    for layer in every_kind() {
        let layer = layer.map(&mut To(DType::F64));
        let x = |seed| AttentionInput::self_attn(input(2, 3, seed, &device).cast(DType::F64));
        let mut cache = layer.empty_cache(2);
        layer.forward_cache(x(84), &mut cache);
        let mut loaded = AttentionCache::from_record(cache.clone().into_record(), &device).unwrap();
        let [expected, found] = [&mut cache, &mut loaded].map(|cache| layer.forward_cache(x(85), cache).context);
        assert_eq!((found.dtype(), found.into_data()), (DType::F64, expected.into_data()));
    }
}

#[test]
fn what_is_no_cache_is_refused() {
    let device = device();
    for (name, layer, cache) in with_caches() {
        let text = serde_json::to_string(&cache.into_record()).unwrap();
        let refused = |text: String, part: &str| {
            let record: AttentionCacheRecord = serde_json::from_str(&text).unwrap();
            let mut cache = match AttentionCache::from_record(record, &device) {
                Ok(cache) => cache,
                Err(error) => return assert!(error.to_string().contains(part), "{name}: {error}"),
            };
            let next = AttentionInput::self_attn(input(3, 1, 86, &device));
            let error = layer.try_forward_cache(next, &mut cache).unwrap_err().to_string();
            assert!(error.contains(part), "{name}: {error}");
        };
        if text.contains("\"position\"") {
            refused(text.replacen("\"position\"", "\"place\"", 1), "is missing");
            refused(text.replacen("\"dtype\":\"F32\"", "\"dtype\":\"I32\"", 1), "record:");
        }
        if text.contains("[3,2,") {
            refused(text.replacen("[3,2,", "[3,1,2,", 1), "record:");
        }
    }
}

#[test]
fn a_sequence_that_is_given_whole_grows_through_the_enum() {
    let device = device();
    let x = input(2, 7, 87, &device);
    for layer in every_kind() {
        let input = |steps| {
            let x = x.clone().narrow(1, 0, steps);
            AttentionInput::self_attn(x).mask_attn(generate_autoregressive_mask(2, steps, &device))
        };
        let whole = layer.forward(input(7)).context;
        let mut cache = AttentionCache::autoregressive();
        for steps in [1, 2, 3, 4, 5, 6, 7] {
            if steps == 4 {
                cache = AttentionCache::from_record(cache.into_record(), &device).unwrap();
            }
            if steps == 5 {
                let swapped = Tensor::from_data([1, 0], &device);
                cache = cache.select(swapped.clone()).select(swapped);
            }
            let found = layer.forward_cache(input(steps), &mut cache).context;
            if !matches!(layer, Attention::Off(_)) {
                let error = relative_error(found, whole.clone().narrow(1, 0, steps));
                assert!(error < 1e-5, "{layer}, {steps} steps: {error:e}");
            }
        }
        let error = layer.try_forward_cache(input(7), &mut cache).unwrap_err().to_string();
        assert!(error.contains("7"), "{error}");
    }
}
