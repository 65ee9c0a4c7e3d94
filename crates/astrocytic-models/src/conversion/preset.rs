//! Astrocytic attentions that take a softmax layer's place, by name.

use astrocytic_attention::{AstrocyticAttentionConfig, DecayConfig, FeatureMapConfig, Normalizer, Plasticity};

use super::error::ConversionError;

/// A preset: its name, what it is, and what it makes of the plain config with the layer's sizes.
pub struct Preset {
    /// Short name.
    pub name: &'static str,
    /// One line.
    pub description: &'static str,
    make: fn(AstrocyticAttentionConfig) -> AstrocyticAttentionConfig,
}

/// All presets.
pub const PRESETS: &[Preset] = &[
    Preset {
        name: "hedgehog",
        description: "learned softmax-like feature map, Hebbian writes, calcium, gated decay and write strength, short \
                      convolution",
        make: |config| gated(config.with_feature_map(FeatureMapConfig::Hedgehog)),
    },
    Preset {
        name: "taylor",
        description: "second-order Taylor features of the softmax kernel, Hebbian writes, calcium, gated decay and write \
                      strength, short convolution",
        make: |config| gated(config.with_feature_map(FeatureMapConfig::Taylor)),
    },
    Preset {
        name: "kozachkov2023",
        description: "positive random features of the softmax kernel, Hebbian writes, calcium",
        make: |config| {
            let features = 8 * config.head_size();
            config.with_feature_map(FeatureMapConfig::PositiveRandom { features, seed: 0 })
        },
    },
    Preset { name: "linear", description: "elu + 1, Hebbian writes, calcium", make: |config| config },
    Preset {
        name: "tripartite",
        description: "delta rule, gated decay and write strength, short convolution, norm for each head",
        make: |config| {
            config
                .with_feature_map(FeatureMapConfig::Silu)
                .with_plasticity(Plasticity::Delta)
                .with_normalizer(Normalizer::Rms)
                .with_decay(DecayConfig::Gated)
                .with_write_gate(true)
                .with_convolution(4)
                .with_chunk(32)
        },
    },
];

/// Gates and a short convolution, which start as if they were not there.
fn gated(config: AstrocyticAttentionConfig) -> AstrocyticAttentionConfig {
    config.with_decay(DecayConfig::Gated).with_write_gate(true).with_convolution(4)
}

/// Largest head whose d² second-order features are few enough.
const SMALL_HEAD: usize = 16;

/// The preset for a layer where none is named: `taylor`, nearest to softmax, where heads are small, else `hedgehog`.
pub fn default_preset(layer: &AstrocyticAttentionConfig) -> &'static str {
    if layer.head_size() <= SMALL_HEAD { "taylor" } else { "hedgehog" }
}

/// The named preset for a layer, by its plain configuration: with its sizes, its heads, its positions, and the convolution,
/// gate and decay that it has; with a window where asked for.
///
/// # Errors
/// For an unknown name, or a layer or window that the preset cannot have.
pub fn preset(
    name: &str,
    layer: &AstrocyticAttentionConfig,
    window: usize,
) -> Result<AstrocyticAttentionConfig, ConversionError> {
    let Some(preset) = PRESETS.iter().find(|preset| preset.name == name) else {
        let known: Vec<_> = PRESETS.iter().map(|preset| preset.name).collect();
        return Err(ConversionError::UnknownPreset { name: name.into(), known: known.join(", ") });
    };
    let window = if window > 0 { window } else { layer.window };
    let mut config = (preset.make)(layer.clone().with_window(window));
    if layer.convolution > 0 {
        config.convolution = layer.convolution;
    }
    if layer.decay != DecayConfig::None {
        config.decay = layer.decay;
    }
    // A bidirectional layer sees every step alike: nothing leaks.
    if !layer.causal {
        config.decay = DecayConfig::None;
        config.convolution = 0;
    }
    config.validate()?;
    Ok(config)
}
