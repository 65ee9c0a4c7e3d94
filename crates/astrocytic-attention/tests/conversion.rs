//! A conversion keeps what the layer has or refuses by name.

mod common;

use astrocytic_attention::{
    AstrocyticAttention, AstrocyticAttentionConfig as Config, Attention, AttentionError, AttentionInput, DecayConfig,
    FeatureMapConfig, PositionConfig, SoftmaxAttentionConfig,
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
        (old.clone().with_causal(false), new.clone(), "later steps"),
        (old.clone().with_rotary_theta(Some(100.0)), new.clone(), "rotary positions"),
        (old.clone().with_rotary_theta(Some(100.0)), rotary, "rotary positions"),
        (old.clone().with_convolution(3), new.clone(), "short convolution"),
        (old.clone().with_convolution(3), new.clone().with_convolution(4), "short convolution"),
        (old.clone().with_output_gate(true), new.clone(), "output gate"),
    ] {
        refused(AstrocyticAttention::from_softmax(&old.init(&device), &new), part);
    }
    refused(
        AstrocyticAttention::from_softmax(&old.clone().with_decay(DecayConfig::Gated).init(&device), &new),
        "gated decay",
    );
    let all = old.with_rotary_theta(Some(100.0)).with_convolution(3).with_output_gate(true);
    let all = all.with_decay(DecayConfig::Gated).init(&device);
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

#[test]
fn an_astrocytic_layer_becomes_another_with_all_that_it_has() {
    let device = device();
    let old = Config::tripartite(D_MODEL, HEADS).with_causal(true).with_output_gate(true);
    let mut layer = Attention::Astrocytic(old.init(&device));
    let Attention::Astrocytic(before) = layer.clone() else { unreachable!() };
    let plain = layer.plain_config().unwrap();
    let asked = plain.clone().with_feature_map(FeatureMapConfig::Hedgehog);
    layer.swap(&asked).unwrap();
    let (layer, Attention::Astrocytic(new)) = (before, layer) else { panic!("an astrocytic layer") };
    assert_eq!(new.config(), &asked);
    for (old, new) in [(&layer.query, &new.query), (&layer.output, &new.output)] {
        assert_eq!(old.weight.to_data(), new.weight.to_data());
    }
    let taps = |layer: &AstrocyticAttention| layer.convolution.as_ref().unwrap()[0].kernel.to_data();
    let rate = |layer: &AstrocyticAttention| layer.decay.rate.as_ref().unwrap().to_data();
    let gate = |layer: &AstrocyticAttention| layer.gate.as_ref().unwrap().weight.to_data();
    assert_eq!((taps(&layer), rate(&layer), gate(&layer)), (taps(&new), rate(&new), gate(&new)));
    refused(layer.with_config(&plain.clone().with_convolution(0)), "short convolution");
    refused(layer.with_config(&plain.with_decay(DecayConfig::None)), "gated decay");
    // The same configuration is the same layer.
    let x = Tensor::<3>::random([2, 9, D_MODEL], burn::tensor::Distribution::Default, &device);
    let context = |layer: &AstrocyticAttention| layer.forward(AttentionInput::self_attn(x.clone())).context.into_data();
    for (name, config) in common::variants() {
        let layer = common::layer(&config, &device);
        let again = layer.with_config(layer.config()).unwrap();
        assert_eq!(context(&again), context(&layer), "{name}");
    }
    let windowed = Config::linear(D_MODEL, HEADS).with_causal(true).with_window(4);
    refused(windowed.init(&device).with_config(&windowed.clone().with_window(0)), "window");
    let gated = Config::tripartite(D_MODEL, HEADS);
    refused(gated.init(&device).with_config(&gated.clone().with_write_gate(false)), "write gate");
    assert!(Attention::Off(astrocytic_attention::NoAttention).plain_config().is_none());
}
