//! Presets are what their sources say, option by option.

use astrocytic_attention::{
    AstrocyticAttentionConfig as Config, DecayConfig, FeatureMapConfig, Normalizer, Plasticity, PositionConfig,
};

/// d = 16, 4 heads: nothing but what a preset names.
fn plain() -> Config {
    Config::new(16, 4)
        .with_causal(false)
        .with_feature_map(FeatureMapConfig::Elu)
        .with_decay(DecayConfig::None)
        .with_normalizer(Normalizer::Calcium { alpha: 1.0 })
        .with_plasticity(Plasticity::Hebbian)
        .with_write_gate(false)
        .with_write_dropout(0.0)
        .with_convolution(0)
        .with_output_gate(false)
        .with_position(PositionConfig::None)
}

#[test]
fn presets_are_pinned() {
    assert_eq!(Config::linear(16, 4), plain());
    let random = FeatureMapConfig::PositiveRandom { features: 16, seed: 0 };
    assert_eq!(Config::kozachkov2023(16, 4), plain().with_feature_map(random));
    assert_eq!(
        Config::astromorphic(16, 4, 99),
        plain()
            .with_normalizer(Normalizer::Calcium { alpha: 0.25 })
            .with_position(PositionConfig::Distance { scale: 0.1, max_steps: 99 })
    );
    assert_eq!(
        Config::retnet(16, 4),
        plain()
            .with_causal(true)
            .with_feature_map(FeatureMapConfig::Identity)
            .with_decay(DecayConfig::Fixed)
            .with_normalizer(Normalizer::Rms)
            .with_position(PositionConfig::Rotary { theta: 10_000.0 })
            .with_output_gate(true)
    );
    assert_eq!(
        Config::tripartite(16, 4),
        plain()
            .with_causal(true)
            .with_feature_map(FeatureMapConfig::Silu)
            .with_decay(DecayConfig::Gated)
            .with_normalizer(Normalizer::Rms)
            .with_plasticity(Plasticity::Delta)
            .with_write_gate(true)
            .with_convolution(4)
            .with_output_gate(true)
            .with_chunk(32)
    );
    assert_eq!(
        Config::delta_product(16, 4),
        Config::tripartite(16, 4)
            .with_normalizer(Normalizer::None)
            .with_largest_write(2.0)
            .with_initial_write(Some([1.0, 1.9]))
            .with_writes_per_step(2)
            .with_undecayed_heads(2)
    );
    // Of one head, and of three, one more decays than does not.
    assert_eq!([1, 3].map(|heads| Config::delta_product(24, heads).undecayed_heads), [0, 1]);
    assert!([1, 2, 3, 4, 6].iter().all(|&heads| Config::delta_product(24, heads).validate().is_ok()));
}
