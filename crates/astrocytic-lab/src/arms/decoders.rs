//! Arms that read from left to right, an answer after any token, and differ in their attention.

use anyhow::Result;
use astrocytic_attention::{
    AstrocyticAttentionConfig, AttentionConfig, DecayConfig, FeatureMapConfig, Normalizer, Plasticity, PositionConfig,
    SoftmaxAttentionConfig,
};
use astrocytic_models::{DecoderConfig, SwappedLayer};

use super::sizes::{ROTARY_THETA, Sizes};
use crate::results::Role;

/// A decoder that differs from the others in its attention.
pub(super) struct DecoderArm {
    pub(super) name: &'static str,
    pub(super) role: Role,
    /// One line on what the layer does.
    pub(super) description: &'static str,
    /// For a width and a number of heads.
    attention: fn(usize, usize) -> AttentionConfig,
    /// The last layer's, where it is another.
    last: Option<fn(usize, usize) -> AttentionConfig>,
}

/// Every decoder that an arm can have, the baseline first.
pub(super) const DECODERS: &[DecoderArm] = &[
    DecoderArm {
        name: "vanilla",
        role: Role::Baseline,
        description: "softmax attention, rotary positions",
        attention: |d, h| AttentionConfig::Softmax(vanilla(d, h)),
        last: None,
    },
    DecoderArm {
        name: "tripartite",
        role: Role::Astrocytic,
        description: "gated delta memory, short convolution, output gate, norm for each head",
        attention: |d, h| AttentionConfig::Astrocytic(tripartite(d, h)),
        last: None,
    },
    DecoderArm {
        name: "vanilla-convolution-gate",
        role: Role::Control,
        description: "vanilla with the short convolution and output gate of tripartite",
        attention: |d, h| AttentionConfig::Softmax(vanilla(d, h).with_convolution(4).with_output_gate(true)),
        last: None,
    },
    DecoderArm {
        name: "forgetting-softmax",
        role: Role::Control,
        description: "vanilla whose scores fade as the memory of gated-linear does (Forgetting Transformer)",
        attention: |d, h| AttentionConfig::Softmax(vanilla(d, h).with_decay(DecayConfig::Gated)),
        last: None,
    },
    DecoderArm {
        name: "linear",
        role: Role::Control,
        description: "linear attention (elu + 1), rotary positions: nothing astrocytic but the normaliser",
        attention: |d, h| AttentionConfig::Astrocytic(linear(d, h)),
        last: None,
    },
    DecoderArm {
        name: "no-attention",
        role: Role::Control,
        description: "the layer returns zero",
        attention: |_, _| AttentionConfig::Off,
        last: None,
    },
    DecoderArm {
        name: "tripartite-write-dropout",
        role: Role::Astrocytic,
        description: "tripartite whose writes fail with probability 0.3 in training",
        attention: |d, h| AttentionConfig::Astrocytic(tripartite(d, h).with_write_dropout(0.3)),
        last: None,
    },
    DecoderArm {
        name: "tripartite-negative-eigenvalues",
        role: Role::Astrocytic,
        description: "tripartite whose writes can turn a memory's sign (strength up to 2)",
        attention: |d, h| AttentionConfig::Astrocytic(tripartite(d, h).with_largest_write(2.0)),
        last: None,
    },
    DecoderArm {
        name: "tripartite-dpfp",
        role: Role::Astrocytic,
        description: "tripartite with higher-order features of keys and queries (DPFP, 2 shifts)",
        attention: |d, h| {
            AttentionConfig::Astrocytic(tripartite(d, h).with_feature_map(FeatureMapConfig::Dpfp { nu: 2 }))
        },
        last: None,
    },
    DecoderArm {
        name: "tripartite-last-softmax",
        role: Role::Astrocytic,
        description: "tripartite but for the last layer, which is vanilla's",
        attention: |d, h| AttentionConfig::Astrocytic(tripartite(d, h)),
        last: Some(|d, h| AttentionConfig::Softmax(vanilla(d, h))),
    },
    DecoderArm {
        name: "tripartite-no-decay",
        role: Role::Control,
        description: "tripartite that forgets nothing",
        attention: |d, h| AttentionConfig::Astrocytic(tripartite(d, h).with_decay(DecayConfig::None)),
        last: None,
    },
    DecoderArm {
        name: "tripartite-hebbian",
        role: Role::Control,
        description: "tripartite with Hebbian writes instead of the delta rule",
        attention: |d, h| AttentionConfig::Astrocytic(tripartite(d, h).with_plasticity(Plasticity::Hebbian)),
        last: None,
    },
    DecoderArm {
        name: "tripartite-no-convolution",
        role: Role::Control,
        description: "tripartite without the short convolution",
        attention: |d, h| AttentionConfig::Astrocytic(tripartite(d, h).with_convolution(0)),
        last: None,
    },
    DecoderArm {
        name: "tripartite-no-gate",
        role: Role::Control,
        description: "tripartite without the output gate",
        attention: |d, h| AttentionConfig::Astrocytic(tripartite(d, h).with_output_gate(false)),
        last: None,
    },
    DecoderArm {
        name: "tripartite-no-write-gate",
        role: Role::Control,
        description: "tripartite that writes every step at full strength",
        attention: |d, h| AttentionConfig::Astrocytic(tripartite(d, h).with_write_gate(false)),
        last: None,
    },
    DecoderArm {
        name: "gated-linear",
        role: Role::Astrocytic,
        description: "linear whose memory, and the calcium with it, leaks as the input says",
        attention: |d, h| AttentionConfig::Astrocytic(gated_linear(d, h)),
        last: None,
    },
    DecoderArm {
        name: "gated-linear-convolution",
        role: Role::Astrocytic,
        description: "gated-linear with the short convolution",
        attention: |d, h| AttentionConfig::Astrocytic(gated_linear(d, h).with_convolution(4)),
        last: None,
    },
    DecoderArm {
        name: "gated-linear-hedgehog",
        role: Role::Astrocytic,
        description: "gated-linear with learned features (Hedgehog), which can be as peaked as softmax",
        attention: |d, h| AttentionConfig::Astrocytic(gated_linear(d, h).with_feature_map(FeatureMapConfig::Hedgehog)),
        last: None,
    },
    DecoderArm {
        name: "gated-linear-last-softmax",
        role: Role::Astrocytic,
        description: "gated-linear but for the last layer, which is vanilla's",
        attention: |d, h| AttentionConfig::Astrocytic(gated_linear(d, h)),
        last: Some(|d, h| AttentionConfig::Softmax(vanilla(d, h))),
    },
    DecoderArm {
        name: "linear-write-gate",
        role: Role::Control,
        description: "linear whose writes have a strength from the input",
        attention: |d, h| AttentionConfig::Astrocytic(linear(d, h).with_write_gate(true)),
        last: None,
    },
    DecoderArm {
        name: "linear-rms-norm",
        role: Role::Control,
        description: "linear with a norm for each head instead of the calcium",
        attention: |d, h| AttentionConfig::Astrocytic(linear(d, h).with_normalizer(Normalizer::Rms)),
        last: None,
    },
    DecoderArm {
        name: "linear-delta",
        role: Role::Control,
        description: "linear-rms-norm with the delta rule instead of Hebbian writes",
        attention: |d, h| {
            AttentionConfig::Astrocytic(
                linear(d, h).with_normalizer(Normalizer::Rms).with_plasticity(Plasticity::Delta),
            )
        },
        last: None,
    },
    DecoderArm {
        name: "linear-convolution",
        role: Role::Control,
        description: "linear with the short convolution",
        attention: |d, h| AttentionConfig::Astrocytic(linear(d, h).with_convolution(4)),
        last: None,
    },
    DecoderArm {
        name: "linear-gate",
        role: Role::Control,
        description: "linear with the output gate",
        attention: |d, h| AttentionConfig::Astrocytic(linear(d, h).with_output_gate(true)),
        last: None,
    },
    DecoderArm {
        name: "vanilla-other-seeds",
        role: Role::Calibration,
        description: "vanilla with other seeds, to test the measurement: the ratio is 1",
        attention: |d, h| AttentionConfig::Softmax(vanilla(d, h)),
        last: None,
    },
    DecoderArm {
        name: "vanilla-more-data",
        role: Role::Calibration,
        description: "vanilla with 1.5 times the data at each size, to test the measurement: the ratio is 1.5",
        attention: |d, h| AttentionConfig::Softmax(vanilla(d, h)),
        last: None,
    },
    DecoderArm {
        name: "retnet",
        role: Role::Astrocytic,
        description: "fixed decays, rotary positions, norm for each head, output gate",
        attention: |d, h| astrocytic(AstrocyticAttentionConfig::retnet(d, h)),
        last: None,
    },
    DecoderArm {
        name: "kozachkov2023",
        role: Role::Astrocytic,
        description: "positive random features, Hebbian writes, calcium normaliser, rotary positions",
        attention: |d, h| {
            let position = PositionConfig::Rotary { theta: ROTARY_THETA };
            astrocytic(AstrocyticAttentionConfig::kozachkov2023(d, h).with_position(position))
        },
        last: None,
    },
];

fn vanilla(d_model: usize, heads: usize) -> SoftmaxAttentionConfig {
    let config = SoftmaxAttentionConfig::new(d_model, heads).with_causal(true).with_bias(false);
    config.with_rotary_theta(Some(ROTARY_THETA))
}

fn linear(d_model: usize, heads: usize) -> AstrocyticAttentionConfig {
    let position = PositionConfig::Rotary { theta: ROTARY_THETA };
    AstrocyticAttentionConfig::linear(d_model, heads).with_causal(true).with_bias(false).with_position(position)
}

fn gated_linear(d_model: usize, heads: usize) -> AstrocyticAttentionConfig {
    linear(d_model, heads).with_decay(DecayConfig::Gated)
}

fn tripartite(d_model: usize, heads: usize) -> AstrocyticAttentionConfig {
    AstrocyticAttentionConfig::tripartite(d_model, heads).with_bias(false)
}

fn astrocytic(config: AstrocyticAttentionConfig) -> AttentionConfig {
    AttentionConfig::Astrocytic(config.with_causal(true).with_bias(false))
}

impl DecoderArm {
    pub(super) fn with_hidden(&self, sizes: Sizes, hidden: usize) -> Result<DecoderConfig> {
        let Sizes { vocabulary, d_model, layers, heads, dropout, .. } = sizes;
        let attention = (self.attention)(d_model, heads);
        let last = |attention: fn(usize, usize) -> _| SwappedLayer::new(layers - 1, attention(d_model, heads));
        let swapped = self.last.filter(|_| layers > 0).map(last).into_iter().collect();
        let model = DecoderConfig::new(vocabulary, d_model, layers, hidden, attention);
        let model = model.with_dropout(dropout).with_swapped(swapped);
        model.validate()?;
        Ok(model)
    }
}
