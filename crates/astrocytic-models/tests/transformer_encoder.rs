//! The twin of Burn's encoder: the same bits with every layer vanilla, Burn's records, and layers
//! that swap.

use astrocytic_attention::AstrocyticAttentionConfig;
use astrocytic_attention::drop_in::MultiHeadAttention;
use astrocytic_models::{TransformerEncoder, TransformerEncoderConfig, TransformerEncoderInput};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::nn::attention::generate_autoregressive_mask;
use burn::nn::transformer as vanilla;
use burn::store::{ModuleSnapshot, SafetensorsStore};
use burn::tensor::{Bool, Device, Distribution, Gradients, Tensor, TensorData};

const BATCH: usize = 3;
const STEPS: usize = 7;
const WIDTH: usize = 16;

fn burn_config(norm_first: bool) -> vanilla::TransformerEncoderConfig {
    vanilla::TransformerEncoderConfig::new(WIDTH, 24, 2, 3).with_norm_first(norm_first)
}

/// Burn's encoder as if trained: new norms are all alike, these are not.
fn trained(norm_first: bool, device: &Device) -> vanilla::TransformerEncoder {
    burn_config(norm_first).init(device).map(&mut Shaken)
}

struct Shaken;

impl ModuleMapper for Shaken {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|x| x.clone() + x.random_like(Distribution::Normal(0.0, 0.1)))
    }
}

fn config(norm_first: bool) -> TransformerEncoderConfig {
    TransformerEncoderConfig::new(WIDTH, 24, 2, 3).with_norm_first(norm_first)
}

/// Every kind of memory that the encoder meets, causal and not.
fn memories() -> Vec<AstrocyticAttentionConfig> {
    vec![
        AstrocyticAttentionConfig::linear(WIDTH, 2),
        AstrocyticAttentionConfig::kozachkov2023(WIDTH, 2),
        AstrocyticAttentionConfig::tripartite(WIDTH, 2),
    ]
}

fn stream(device: &Device) -> Tensor<3> {
    Tensor::random([BATCH, STEPS, WIDTH], Distribution::Normal(0.0, 1.0), device)
}

fn padding(device: &Device) -> Tensor<2, Bool> {
    let padded = (0..BATCH * STEPS).map(|i| i % STEPS >= STEPS - i / STEPS).collect::<Vec<_>>();
    Tensor::from_data(TensorData::new(padded, [BATCH, STEPS]), device)
}

fn causal(steps: usize, device: &Device) -> Tensor<3, Bool> {
    generate_autoregressive_mask(BATCH, steps, device)
}

fn bits(x: Tensor<3>) -> Vec<u32> {
    x.into_data().iter::<f32>().map(f32::to_bits).collect()
}

fn assert_close(found: Tensor<3>, wanted: Tensor<3>, what: &str) {
    let error: f32 = (found - wanted).abs().max().into_scalar();
    assert!(error < 1e-4, "{what}: {error}");
}

/// The same stream and masks through both.
fn assert_same_bits(burn: &vanilla::TransformerEncoder, own: &TransformerEncoder) {
    let device = &burn.devices()[0];
    let x = stream(device);
    for (pad, attn) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut theirs = vanilla::TransformerEncoderInput::new(x.clone());
        let mut ours = TransformerEncoderInput::new(x.clone());
        if pad {
            (theirs, ours) = (theirs.mask_pad(padding(device)), ours.mask_pad(padding(device)));
        }
        if attn {
            (theirs, ours) = (theirs.mask_attn(causal(STEPS, device)), ours.mask_attn(causal(STEPS, device)));
        }
        assert_eq!(bits(burn.forward(theirs)), bits(own.forward(ours)), "mask_pad {pad}, mask_attn {attn}");
    }
}

#[test]
fn an_identity_swap_gives_the_bits_of_burns() {
    for norm_first in [false, true] {
        let burn = trained(norm_first, &Device::flex());
        assert_same_bits(&burn, &TransformerEncoder::from(burn.clone()));
        let none = TransformerEncoder::from_burn(&burn, [], &memories()[0]).unwrap();
        assert_same_bits(&burn, &none);
        let quiet = burn_config(norm_first).with_quiet_softmax(true).init(&Device::flex()).map(&mut Shaken);
        assert_same_bits(&quiet, &quiet.clone().into());
    }
}

#[test]
fn cached_vanilla_inference_gives_the_bits_of_burns() {
    let device = Device::flex();
    for norm_first in [false, true] {
        let burn = trained(norm_first, &device);
        let own = TransformerEncoder::from(burn.clone());
        let (mut theirs, mut ours) = (burn.new_autoregressive_cache(), own.new_autoregressive_cache());
        let x = stream(&device);
        for steps in 3..=STEPS {
            let x = x.clone().narrow(1, 0, steps);
            let wanted = vanilla::TransformerEncoderInput::new(x.clone()).mask_attn(causal(steps, &device));
            let input = TransformerEncoderInput::new(x).mask_attn(causal(steps, &device));
            let wanted = burn.forward_autoregressive_inference(wanted, &mut theirs);
            assert_eq!(bits(own.forward_autoregressive_inference(input, &mut ours)), bits(wanted));
        }
    }
}

#[test]
fn records_of_burns_encoder_load_by_name() {
    let device = Device::flex();
    for norm_first in [false, true] {
        let burn = trained(norm_first, &device);
        let own = config(norm_first).init(&device).try_load_record(burn.clone().into_record()).unwrap();
        assert_same_bits(&burn, &own);

        let mut saved = SafetensorsStore::from_bytes(None);
        burn.save_into(&mut saved).unwrap();
        let mut own = config(norm_first).init(&device);
        let loaded = own.load_from(&mut SafetensorsStore::from_bytes(Some(saved.get_bytes().unwrap()))).unwrap();
        assert!(loaded.unused.is_empty() && loaded.missing.is_empty(), "{loaded}");
        assert_same_bits(&burn, &own);

        // And back.
        let back = burn_config(norm_first).init(&device).try_load_record(own.clone().into_record()).unwrap();
        assert_same_bits(&back, &own);
    }
}

#[test]
fn a_swapped_encoder_comes_back_from_its_record() {
    let device = Device::flex();
    for memory in memories() {
        let burn = trained(true, &device);
        let swapped = TransformerEncoder::from_burn(&burn, [0, 2], &memory).unwrap();
        let fresh = config(true).with_astrocytic([0, 2], &memory).init(&device);
        let loaded = fresh.try_load_record(swapped.clone().into_record()).unwrap();
        let input = TransformerEncoderInput::new(stream(&device)).mask_pad(padding(&device));
        assert_eq!(bits(loaded.forward(input.clone())), bits(swapped.forward(input)));
    }
}

#[test]
fn a_swapped_layer_keeps_its_projections() {
    let device = Device::flex();
    let burn = trained(false, &device);
    for memory in memories() {
        let own = TransformerEncoder::from_burn(&burn, 0..2, &memory).unwrap();
        for (i, (layer, old)) in own.layers.iter().zip(&burn.layers).enumerate() {
            let old = [&old.mha.query, &old.mha.key, &old.mha.value, &old.mha.output];
            let new = match &layer.mha {
                MultiHeadAttention::Astrocytic(mha) if i < 2 => [&mha.query, &mha.key, &mha.value, &mha.output],
                MultiHeadAttention::Burn(mha) if i == 2 => [&mha.query, &mha.key, &mha.value, &mha.output],
                other => panic!("layer {i}: {other}"),
            };
            for (old, new) in old.into_iter().zip(new) {
                assert_eq!(old.weight.id, new.weight.id);
                assert_eq!(old.weight.val().into_data(), new.weight.val().into_data());
                let bias = |linear: &burn::nn::Linear| linear.bias.as_ref().unwrap().val().into_data();
                assert_eq!(bias(old), bias(new));
            }
        }
    }
}

#[test]
fn cached_inference_is_the_causal_pass() {
    let device = Device::flex();
    let mut choices = vec![config(false), config(true)];
    for memory in memories() {
        for norm_first in [false, true] {
            choices.push(config(norm_first).with_astrocytic([1], &memory));
            choices.push(config(norm_first).with_astrocytic(0..3, &memory));
        }
    }
    for choice in choices {
        let encoder = choice.init(&device);
        let x = stream(&device);
        let input = |steps: usize| {
            TransformerEncoderInput::new(x.clone().narrow(1, 0, steps)).mask_attn(causal(steps, &device))
        };
        let wanted = encoder.forward(input(STEPS));
        for first in [1, 4] {
            let mut cache = encoder.new_autoregressive_cache();
            for steps in first..=STEPS {
                let found = encoder.forward_autoregressive_inference(input(steps), &mut cache);
                assert_close(found, wanted.clone().narrow(1, 0, steps), &format!("{steps} steps of {choice}"));
            }
        }
        // As Burn's users call it: a step at a time and no mask.
        let mut cache = encoder.new_autoregressive_cache();
        for steps in 1..=STEPS {
            let input = TransformerEncoderInput::new(x.clone().narrow(1, 0, steps));
            let found = encoder.forward_autoregressive_inference(input, &mut cache);
            assert_close(found, wanted.clone().narrow(1, 0, steps), &format!("{steps} steps, no mask, of {choice}"));
        }
    }
}

#[test]
fn padding_stays_padding_in_the_cache() {
    let device = Device::flex();
    let encoder = config(true).with_astrocytic(0..3, &memories()[2]).init(&device);
    let (x, padded) = (stream(&device), padding(&device));
    let wanted = encoder.forward(TransformerEncoderInput::new(x.clone()).mask_pad(padded.clone()));
    let mut cache = encoder.new_autoregressive_cache();
    for steps in [2, 5, 6, 7] {
        let part = padded.clone().narrow(1, 0, steps);
        let input = TransformerEncoderInput::new(x.clone().narrow(1, 0, steps)).mask_pad(part);
        let found = encoder.forward_autoregressive_inference(input, &mut cache);
        assert_close(found, wanted.clone().narrow(1, 0, steps), "padded");
    }
}

#[test]
fn what_makes_no_sense_is_named() {
    let linear = |width, heads| AstrocyticAttentionConfig::linear(width, heads);
    let fine = config(false).with_astrocytic([1], &linear(WIDTH, 2));
    fine.validate().unwrap();
    for (bad, part) in [
        (TransformerEncoderConfig::new(WIDTH, 24, 3, 3), "n_heads = 3"),
        (TransformerEncoderConfig::new(WIDTH, 0, 2, 3), "d_ff"),
        (config(false).with_dropout(1.0), "dropout = 1"),
        (config(false).with_layer_norm_eps(f64::NAN), "layer_norm_eps"),
        (fine.clone().with_quiet_softmax(true), "layer 1: quiet_softmax"),
        (config(false).with_astrocytic([3], &linear(WIDTH, 2)), "layer 3"),
        (config(false).with_astrocytic([2], &linear(WIDTH, 4)), "n_heads, kv_heads"),
        (config(false).with_astrocytic([2], &linear(WIDTH, 2).with_kv_heads(Some(1))), "kv_heads"),
        (config(false).with_astrocytic([0], &linear(WIDTH, 2).with_chunk(0)), "chunk = 0"),
    ] {
        let error = bad.validate().unwrap_err().to_string();
        assert!(error.contains(part) && error.lines().count() == 1, "\"{part}\" is not in \"{error}\"");
    }

    let quiet = burn_config(false).with_quiet_softmax(true).init(&Device::flex());
    let error = TransformerEncoder::from_burn(&quiet, [0], &linear(WIDTH, 2)).unwrap_err().to_string();
    assert!(error.contains("quiet_softmax"), "{error}");
    let mut encoder = fine.init(&Device::flex());
    let before = encoder.to_string();
    let causal = linear(WIDTH, 2).with_causal(true);
    for (layers, part) in [([0, 3], "no layer 3"), ([0, 1], "sight of later steps")] {
        let error = encoder.swap(layers, &causal).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
        assert_eq!(encoder.to_string(), before);
    }
}

#[test]
fn burns_configurations_are_read() {
    let text = burn_config(true).with_dropout(0.3).to_string();
    let own: TransformerEncoderConfig = serde_json::from_str(&text).unwrap();
    assert!(own.norm_first && own.dropout == 0.3 && own.attention.is_none());
    let swapped = own.with_astrocytic([1], &memories()[0]);
    let back: TransformerEncoderConfig = serde_json::from_str(&swapped.to_string()).unwrap();
    assert_eq!(back.attention, swapped.attention);
}

/// Names the parameters without a gradient.
struct Untouched<'a> {
    gradients: &'a Gradients,
    path: Vec<String>,
    names: Vec<String>,
}

impl ModuleVisitor for Untouched<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let gradient = param.val().grad(self.gradients);
        // In exact arithmetic softmax does not see a key's bias, and random features are never
        // trained.
        let size: f32 = gradient.map_or(0.0, |gradient| gradient.abs().max().into_scalar());
        let name = self.path.join(".");
        if size == 0.0 && !["key.bias", "_map.projection"].iter().any(|end| name.ends_with(end)) {
            self.names.push(name);
        }
    }
}

#[test]
fn gradients_reach_every_parameter() {
    let device = Device::flex().autodiff();
    for memory in memories() {
        for norm_first in [false, true] {
            let burn = trained(norm_first, &Device::flex());
            let swapped = TransformerEncoder::from_burn(&burn.clone().train(), [0, 2], &memory).unwrap();
            // The same where a model that is not in training is swapped and then trained.
            let resumed = TransformerEncoder::from_burn(&burn, [0, 2], &memory).unwrap().train();
            for encoder in [swapped, resumed] {
                let input = TransformerEncoderInput::new(stream(&device)).mask_pad(padding(&device));
                // Weighed, because the norm at the end makes plain sums constant.
                let gradients = (encoder.forward(input) * stream(&device)).sum().backward();
                let mut visitor = Untouched { gradients: &gradients, path: Vec::new(), names: Vec::new() };
                encoder.visit(&mut visitor);
                assert!(visitor.names.is_empty(), "{memory}: {:?}", visitor.names);
            }
        }
    }
}

#[test]
#[should_panic(expected = "9 steps cannot follow 7 by one")]
fn a_vanilla_cache_refuses_a_leap() {
    let encoder = config(true).init(&Device::flex());
    let mut cache = encoder.new_autoregressive_cache();
    let x = stream(&Device::flex());
    encoder.forward_autoregressive_inference(TransformerEncoderInput::new(x.clone()), &mut cache);
    let longer = Tensor::cat(vec![x.clone(), x.narrow(1, 0, 2)], 1);
    encoder.forward_autoregressive_inference(TransformerEncoderInput::new(longer), &mut cache);
}
