//! Burn's names over a layer that can be swapped: old records and configurations load, bits stay,
//! and a swap keeps the projections.

use astrocytic_attention::drop_in::{MhaCache, MhaInput, MultiHeadAttention, MultiHeadAttentionConfig};
use astrocytic_attention::{AstrocyticAttentionConfig, DecayConfig};
use burn::config::Config;
use burn::module::Module;
use burn::nn::attention as vanilla;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Bool, Device, Distribution, Tensor};

/// A user's model before the change of the `use` line, and after it.
#[derive(Module, Debug)]
struct Before {
    attention: vanilla::MultiHeadAttention,
    output: Linear,
}

#[derive(Module, Debug)]
struct After {
    attention: MultiHeadAttention,
    output: Linear,
}

fn random(dims: [usize; 3]) -> Tensor<3> {
    Tensor::random(dims, Distribution::Normal(0.0, 1.0), &Device::flex())
}

fn bits<const D: usize>(x: Tensor<D>) -> Vec<u32> {
    x.into_data().iter::<f32>().map(f32::to_bits).collect()
}

#[test]
fn an_old_record_loads_and_gives_the_same_bits() {
    let device = Device::flex();
    let old = Before {
        attention: vanilla::MultiHeadAttentionConfig::new(12, 3).with_key_bias(false).init(&device),
        output: LinearConfig::new(12, 2).init(&device),
    };
    let fresh = After {
        attention: MultiHeadAttentionConfig::new(12, 3).with_key_bias(false).init(&device),
        output: LinearConfig::new(12, 2).init(&device),
    };
    assert_eq!(fresh.num_params(), old.num_params());
    let new = fresh.try_load_record(old.clone().into_record()).unwrap();

    let (x, y) = (random([2, 5, 12]), random([2, 4, 12]));
    let padded = Tensor::<2, Bool>::from_data([[false, false, true, true], [false; 4]], &device);
    let hidden = Tensor::<3>::random([2, 5, 4], Distribution::Default, &device).greater_elem(0.6);
    let theirs = vanilla::MhaInput::new(x.clone(), y.clone(), y.clone()).mask_pad(padded.clone());
    let theirs = old.attention.forward(theirs.mask_attn(hidden.clone()));
    let ours = MhaInput::new(x, y.clone(), y).mask_pad(padded).mask_attn(hidden);
    let ours = new.attention.forward(ours);
    assert_eq!(bits(ours.context), bits(theirs.context));
    assert_eq!(bits(ours.weights.unwrap()), bits(theirs.weights));
    assert!(new.to_string().contains("MultiHeadAttention"), "{new}");
}

#[test]
fn a_swap_keeps_the_projections_and_adds_what_the_memory_needs() {
    let device = Device::flex();
    let plain = MultiHeadAttentionConfig::new(12, 3);
    let plain = plain.with_query_bias(false).with_key_bias(false).with_value_bias(false).with_output_bias(false);
    let mut layer = plain.init(&device);
    let MultiHeadAttention::Burn(old) = layer.clone() else { panic!("{layer}") };
    let config = AstrocyticAttentionConfig::linear(12, 3).with_decay(DecayConfig::Gated);
    layer.swap(&config).unwrap();
    let MultiHeadAttention::Astrocytic(new) = &layer else { panic!("{layer}") };
    for (old, new) in [(old.query, &new.query), (old.key, &new.key), (old.value, &new.value), (old.output, &new.output)]
    {
        assert_eq!(old.weight.id, new.weight.id);
        assert_eq!(bits(old.weight.val()), bits(new.weight.val()));
        assert_eq!(old.bias.map(|bias| bits(bias.val())), new.bias.as_ref().map(|bias| bits(bias.val())));
    }
    // The same through the configuration, and back from a record.
    let fresh = plain.with_astrocytic(Some(config)).init(&device);
    let loaded = fresh.try_load_record(layer.clone().into_record()).unwrap();
    let x = random([2, 6, 12]);
    let forward = |layer: &MultiHeadAttention| bits(layer.forward(MhaInput::self_attn(x.clone())).context);
    assert_eq!(forward(&loaded), forward(&layer));
}

#[test]
fn burns_configuration_is_read() {
    let text = vanilla::MultiHeadAttentionConfig::new(12, 3).with_dropout(0.25).to_string();
    let path = std::env::temp_dir().join(format!("astrocytic-drop-in-{}.json", std::process::id()));
    std::fs::write(&path, text).unwrap();
    let config = MultiHeadAttentionConfig::load(&path);
    std::fs::remove_file(&path).unwrap();
    let config = config.unwrap();
    assert_eq!((config.d_model, config.n_heads, config.dropout), (12, 3, 0.25));
    assert!(config.astrocytic.is_none());
}

#[test]
fn what_cannot_be_swapped_is_refused_and_left_alone() {
    let device = Device::flex();
    let linear = |width, heads| AstrocyticAttentionConfig::linear(width, heads);
    let config = MultiHeadAttentionConfig::new(12, 3);
    for (layer, memory, part) in [
        (config.clone().with_quiet_softmax(true), linear(12, 3), "quiet_softmax"),
        (config.clone().with_value_bias(false), linear(12, 3), "biases"),
        (config.clone(), linear(12, 2), "n_heads"),
        (config.clone(), linear(12, 3).with_kv_heads(Some(1)), "kv_heads"),
        (config.clone(), linear(12, 3).with_write_dropout(2.0), "write_dropout"),
        (
            config.clone().with_astrocytic(Some(linear(12, 3).with_decay(DecayConfig::Gated))),
            linear(12, 3),
            "gated decay",
        ),
    ] {
        let mut layer = layer.init(&device);
        let before = layer.to_string();
        let error = layer.swap(&memory).unwrap_err().to_string();
        assert!(error.contains(part) && error.lines().count() == 1, "\"{part}\" is not in \"{error}\"");
        assert_eq!(layer.to_string(), before);
    }
    for (bad, part) in [
        (MultiHeadAttentionConfig::new(12, 5), "n_heads = 5"),
        (MultiHeadAttentionConfig::new(12, 0), "n_heads = 0"),
        (config.clone().with_dropout(f64::NAN), "dropout"),
        (config.clone().with_quiet_softmax(true).with_astrocytic(Some(linear(12, 3))), "quiet_softmax"),
        (config.with_value_bias(false).with_astrocytic(Some(linear(12, 3))), "biases"),
    ] {
        let error = bad.validate().unwrap_err().to_string();
        assert!(error.contains(part), "\"{part}\" is not in \"{error}\"");
    }
}

#[test]
fn cached_cross_attention_is_burns() {
    let layer = MultiHeadAttentionConfig::new(12, 3).init(&Device::flex());
    let (x, y) = (random([2, 5, 12]), random([2, 4, 12]));
    let wanted = layer.forward(MhaInput::new(x.clone(), y.clone(), y.clone())).context;
    let mut cache = MhaCache::autoregressive_cross_attention();
    for steps in 2..=5 {
        let input = MhaInput::new(x.clone().narrow(1, 0, steps), y.clone(), y.clone());
        let found = layer.forward_cache(input, &mut cache).context;
        assert!(found.all_close(wanted.clone().narrow(1, 0, steps), Some(1e-5), Some(1e-5)));
    }
}

fn swapped() -> MultiHeadAttention {
    let memory = AstrocyticAttentionConfig::linear(12, 3);
    MultiHeadAttentionConfig::new(12, 3).with_astrocytic(Some(memory)).init(&Device::flex())
}

#[test]
#[should_panic(expected = "of Burn's own layer or of cross-attention")]
fn a_memory_refuses_cached_cross_attention() {
    let x = random([2, 5, 12]);
    swapped().forward_cache(MhaInput::self_attn(x), &mut MhaCache::autoregressive_cross_attention());
}

#[test]
#[should_panic(expected = "mask_attn: only the causal mask")]
fn a_memory_refuses_a_mask_that_hides_what_it_has_seen() {
    let (x, mut cache) = (random([1, 2, 12]), MhaCache::autoregressive());
    let layer = swapped();
    layer.forward_cache(MhaInput::self_attn(x.clone().narrow(1, 0, 1)), &mut cache);
    let hidden = Tensor::<3, Bool>::from_data([[[false, true], [true, false]]], &Device::flex());
    layer.forward_cache(MhaInput::self_attn(x).mask_attn(hidden), &mut cache);
}

#[test]
#[should_panic(expected = "the cache has seen 5 steps")]
fn a_memory_refuses_a_sequence_that_does_not_grow() {
    let (x, mut cache) = (random([1, 5, 12]), MhaCache::autoregressive());
    let layer = swapped();
    layer.forward_cache(MhaInput::self_attn(x.clone()), &mut cache);
    layer.forward_cache(MhaInput::self_attn(x), &mut cache);
}
