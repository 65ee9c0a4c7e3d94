//! A conversion keeps what the layer has or refuses by name.

mod common;

use astrocytic_attention::{
    AstrocyticAttention, AstrocyticAttentionConfig as Config, AttentionError, DecayConfig, FeatureMapConfig,
    PositionConfig, SoftmaxAttentionConfig,
};
use burn::module::{Module, ModuleVisitor, Param};
use burn::nn::attention::MultiHeadAttentionConfig;
use burn::tensor::Tensor;
use common::{D_MODEL, HEADS, device};

fn refused(result: Result<AstrocyticAttention, AttentionError>, part: &str) {
    let error = result.expect_err(part).to_string();
    assert!(error.contains(part) && error.lines().count() == 1, "\"{part}\" is not in \"{error}\"");
}

#[test]
fn what_cannot_be_kept_is_refused_by_name() {
    let device = device();
    let old = SoftmaxAttentionConfig::new(D_MODEL, HEADS).with_causal(true);
    let new = Config::new(D_MODEL, HEADS).with_causal(true);
    let rotary = new.clone().with_position(PositionConfig::Rotary { theta: 50.0 });
    for (old, new, part) in [
        (old.clone(), Config::new(D_MODEL, HEADS), "causality"),
        (old.clone().with_rotary_theta(Some(100.0)), new.clone(), "rotary positions"),
        (old.clone().with_rotary_theta(Some(100.0)), rotary, "rotary positions"),
        (old.clone().with_convolution(3), new.clone(), "short convolution"),
        (old.clone().with_convolution(3), new.clone().with_convolution(4), "short convolution"),
        (old.clone().with_output_gate(true), new.clone(), "output gate"),
    ] {
        refused(AstrocyticAttention::from_softmax(&old.init(&device), &new), part);
    }
    refused(AstrocyticAttention::from_softmax(&old.init_forgetting(&device), &new), "gated decay");
    let all = old.with_rotary_theta(Some(100.0)).with_convolution(3).with_output_gate(true);
    let all = all.init_forgetting(&device);
    let keeps = new.with_position(PositionConfig::Rotary { theta: 100.0 }).with_convolution(3).with_output_gate(true);
    AstrocyticAttention::from_softmax(&all, &keeps.with_decay(DecayConfig::Gated)).unwrap();

    let mha = MultiHeadAttentionConfig::new(D_MODEL, HEADS);
    let memory = Config::linear(D_MODEL, HEADS);
    refused(
        AstrocyticAttention::from_mha(&mha.clone().with_quiet_softmax(true).init(&device), &memory),
        "quiet_softmax",
    );
    refused(AstrocyticAttention::from_mha(&mha.with_key_bias(false).init(&device), &memory), "biases");
}

#[test]
fn settings_that_would_do_nothing_are_refused() {
    for (config, part) in [
        (Config::linear(D_MODEL, HEADS).with_largest_write(2.0), "write_gate"),
        (Config::linear(D_MODEL, HEADS).with_chunk(129), "1 to 128"),
        (Config::linear(D_MODEL, HEADS).with_chunk(0), "1 to 128"),
    ] {
        let error = config.validate().unwrap_err().to_string();
        assert!(error.contains(part), "\"{part}\" is not in \"{error}\"");
    }
}

/// Which parameters want gradients.
struct Wants(Vec<(String, bool)>, Vec<String>);

impl ModuleVisitor for Wants {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.1.push(name.into());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.1.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.push((self.1.join("."), param.val().is_require_grad()));
    }
}

#[test]
fn random_directions_are_buffers_that_nothing_unfreezes() {
    let device = device().autodiff();
    for map in [
        FeatureMapConfig::PositiveRandom { features: 12, seed: 5 },
        FeatureMapConfig::Trigonometric { features: 12, seed: 5 },
        FeatureMapConfig::Hedgehog,
    ] {
        let config = Config::linear(D_MODEL, HEADS).with_normalizer(astrocytic_attention::Normalizer::Rms);
        let layer = config.with_feature_map(map).init(&device);
        let trained = map == FeatureMapConfig::Hedgehog;
        for layer in [layer.clone(), layer.clone().unfreeze(), layer.clone().valid().unfreeze().train()] {
            let mut wants = Wants(Vec::new(), Vec::new());
            layer.visit(&mut wants);
            let maps: Vec<_> = wants.0.iter().filter(|(name, _)| name.ends_with("projection")).collect();
            assert_eq!(maps.len(), 2, "{map:?}: {:?}", wants.0);
            assert!(maps.iter().all(|(_, wanted)| *wanted == trained), "{map:?}: {maps:?}");
        }
        // A copy that is changed leaves the layer alone.
        let numbers = |layer: &AstrocyticAttention| {
            layer.key_map.projection.as_ref().expect("a projection").val().into_data().iter::<f32>().collect::<Vec<_>>()
        };
        let before = numbers(&layer);
        let _half = layer.clone().map(&mut common::To(burn::tensor::DType::BF16));
        assert_eq!(numbers(&layer), before);
    }
}
