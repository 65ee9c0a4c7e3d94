//! The arms of a comparison: models that differ in their attention alone, with equal parameters.

use anyhow::{Result, bail};
use astrocytic_attention::{
    AstrocyticAttentionConfig, AttentionConfig, DecayConfig, Normalizer, Plasticity, PositionConfig,
    SoftmaxAttentionConfig,
};
use astrocytic_models::DecoderConfig;
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};

use crate::plastic::DynamicEvaluation;
use crate::results::Role;

/// Base of rotary positions in every arm that has them.
const ROTARY_THETA: f64 = 10_000.0;

/// Added to the seeds of the arm that has others: beyond those of any experiment.
const OTHER_SEEDS: u64 = 1_000_000;

/// A plastic read-out, in each document anew.
const READ_OUT: DynamicEvaluation = DynamicEvaluation { last_tokens: false, through_documents: false };
/// The same with a memory of what followed the last tokens.
const MEMORY: DynamicEvaluation = DynamicEvaluation { last_tokens: true, through_documents: false };
/// The same through all documents.
const THROUGH: DynamicEvaluation = DynamicEvaluation { last_tokens: true, through_documents: true };

/// One arm: its name, its role, a line on what it does, and its attention for a width and a number of heads.
pub struct Arm {
    /// Short name.
    pub name: &'static str,
    /// What it is for.
    pub role: Role,
    /// One line on what the layer does.
    pub description: &'static str,
    /// Whether what it remembers goes on from window to window, in training and through each document of a test.
    pub carried: bool,
    /// What of its read-out goes on learning from what it is tested on.
    pub plastic: Option<DynamicEvaluation>,
    attention: fn(usize, usize) -> AttentionConfig,
}

/// Every arm that can be asked for, the baseline first.
pub const ARMS: &[Arm] = &[
    Arm {
        name: "vanilla",
        role: Role::Baseline,
        description: "softmax attention, rotary positions",
        carried: false,
        plastic: None,
        attention: |d, h| AttentionConfig::Softmax(vanilla(d, h)),
    },
    Arm {
        name: "tripartite",
        role: Role::Astrocytic,
        description: "gated delta memory, short convolution, output gate, norm for each head",
        carried: false,
        plastic: None,
        attention: |d, h| AttentionConfig::Astrocytic(tripartite(d, h)),
    },
    Arm {
        name: "vanilla-convolution-gate",
        role: Role::Control,
        description: "vanilla with the short convolution and output gate of tripartite",
        carried: false,
        plastic: None,
        attention: |d, h| AttentionConfig::Softmax(vanilla(d, h).with_convolution(4).with_output_gate(true)),
    },
    Arm {
        name: "linear",
        role: Role::Control,
        description: "linear attention (elu + 1), rotary positions: nothing astrocytic but the normaliser",
        carried: false,
        plastic: None,
        attention: |d, h| AttentionConfig::Astrocytic(linear(d, h)),
    },
    Arm {
        name: "no-attention",
        role: Role::Control,
        description: "the layer returns zero",
        carried: false,
        plastic: None,
        attention: |_, _| AttentionConfig::Off,
    },
    Arm {
        name: "tripartite-release",
        role: Role::Astrocytic,
        description: "tripartite whose writes fail with probability 0.3 in training",
        carried: false,
        plastic: None,
        attention: |d, h| AttentionConfig::Astrocytic(tripartite(d, h).with_write_dropout(0.3)),
    },
    Arm {
        name: "tripartite-no-decay",
        role: Role::Control,
        description: "tripartite that forgets nothing",
        carried: false,
        plastic: None,
        attention: |d, h| AttentionConfig::Astrocytic(tripartite(d, h).with_decay(DecayConfig::None)),
    },
    Arm {
        name: "tripartite-hebbian",
        role: Role::Control,
        description: "tripartite with Hebbian writes instead of the delta rule",
        carried: false,
        plastic: None,
        attention: |d, h| AttentionConfig::Astrocytic(tripartite(d, h).with_plasticity(Plasticity::Hebbian)),
    },
    Arm {
        name: "tripartite-no-convolution",
        role: Role::Control,
        description: "tripartite without the short convolution",
        carried: false,
        plastic: None,
        attention: |d, h| AttentionConfig::Astrocytic(tripartite(d, h).with_convolution(0)),
    },
    Arm {
        name: "tripartite-no-gate",
        role: Role::Control,
        description: "tripartite without the output gate",
        carried: false,
        plastic: None,
        attention: |d, h| AttentionConfig::Astrocytic(tripartite(d, h).with_output_gate(false)),
    },
    Arm {
        name: "tripartite-no-write-gate",
        role: Role::Control,
        description: "tripartite that writes every step at full strength",
        carried: false,
        plastic: None,
        attention: |d, h| AttentionConfig::Astrocytic(tripartite(d, h).with_write_gate(false)),
    },
    Arm {
        name: "linear-decay",
        role: Role::Control,
        description: "linear whose memory forgets as the input says",
        carried: false,
        plastic: None,
        attention: |d, h| AttentionConfig::Astrocytic(linear(d, h).with_decay(DecayConfig::Gated)),
    },
    Arm {
        name: "linear-write-gate",
        role: Role::Control,
        description: "linear whose writes have a strength from the input",
        carried: false,
        plastic: None,
        attention: |d, h| AttentionConfig::Astrocytic(linear(d, h).with_write_gate(true)),
    },
    Arm {
        name: "linear-norm",
        role: Role::Control,
        description: "linear with a norm for each head instead of the calcium",
        carried: false,
        plastic: None,
        attention: |d, h| AttentionConfig::Astrocytic(linear(d, h).with_normalizer(Normalizer::Rms)),
    },
    Arm {
        name: "linear-delta",
        role: Role::Control,
        description: "linear-norm with the delta rule instead of Hebbian writes",
        carried: false,
        plastic: None,
        attention: |d, h| {
            AttentionConfig::Astrocytic(
                linear(d, h).with_normalizer(Normalizer::Rms).with_plasticity(Plasticity::Delta),
            )
        },
    },
    Arm {
        name: "linear-convolution",
        role: Role::Control,
        description: "linear with the short convolution",
        carried: false,
        plastic: None,
        attention: |d, h| AttentionConfig::Astrocytic(linear(d, h).with_convolution(4)),
    },
    Arm {
        name: "linear-gate",
        role: Role::Control,
        description: "linear with the output gate",
        carried: false,
        plastic: None,
        attention: |d, h| AttentionConfig::Astrocytic(linear(d, h).with_output_gate(true)),
    },
    Arm {
        name: "tripartite-carried",
        role: Role::Astrocytic,
        description: "tripartite whose memory goes on from window to window, through whole documents",
        carried: true,
        plastic: None,
        attention: |d, h| AttentionConfig::Astrocytic(tripartite(d, h)),
    },
    Arm {
        name: "vanilla-cached",
        role: Role::Control,
        description: "vanilla that sees the keys and values of the four windows before",
        carried: true,
        plastic: None,
        attention: |d, h| AttentionConfig::Softmax(vanilla(d, h)),
    },
    Arm {
        name: "vanilla-convolution-gate-cached",
        role: Role::Control,
        description: "vanilla-convolution-gate that sees the keys and values of the four windows before",
        carried: true,
        plastic: None,
        attention: |d, h| AttentionConfig::Softmax(vanilla(d, h).with_convolution(4).with_output_gate(true)),
    },
    Arm {
        name: "tripartite-plastic",
        role: Role::Astrocytic,
        description: "tripartite whose read-out goes on learning from each document it reads, by the delta rule",
        carried: false,
        plastic: Some(READ_OUT),
        attention: |d, h| AttentionConfig::Astrocytic(tripartite(d, h)),
    },
    Arm {
        name: "vanilla-plastic",
        role: Role::Control,
        description: "vanilla whose read-out goes on learning in the same way: dynamic evaluation of one layer",
        carried: false,
        plastic: Some(READ_OUT),
        attention: |d, h| AttentionConfig::Softmax(vanilla(d, h)),
    },
    Arm {
        name: "tripartite-memory",
        role: Role::Astrocytic,
        description: "tripartite with a memory of what followed the last tokens of each document it reads, beside a plastic read-out",
        carried: false,
        plastic: Some(MEMORY),
        attention: |d, h| AttentionConfig::Astrocytic(tripartite(d, h)),
    },
    Arm {
        name: "tripartite-memory-through",
        role: Role::Astrocytic,
        description: "tripartite with that memory going on through all documents that it reads",
        carried: false,
        plastic: Some(THROUGH),
        attention: |d, h| AttentionConfig::Astrocytic(tripartite(d, h)),
    },
    Arm {
        name: "vanilla-memory",
        role: Role::Control,
        description: "vanilla with a memory of what followed the last tokens of each document it reads, beside a plastic read-out",
        carried: false,
        plastic: Some(MEMORY),
        attention: |d, h| AttentionConfig::Softmax(vanilla(d, h)),
    },
    Arm {
        name: "vanilla-memory-through",
        role: Role::Control,
        description: "vanilla with that memory going on through all documents that it reads",
        carried: false,
        plastic: Some(THROUGH),
        attention: |d, h| AttentionConfig::Softmax(vanilla(d, h)),
    },
    Arm {
        name: "vanilla-other-seeds",
        role: Role::Calibration,
        description: "vanilla with other seeds, to test the measurement: the ratio is 1",
        carried: false,
        plastic: None,
        attention: |d, h| AttentionConfig::Softmax(vanilla(d, h)),
    },
    Arm {
        name: "vanilla-more-data",
        role: Role::Calibration,
        description: "vanilla with 1.5 times the data at each size, to test the measurement: the ratio is 1.5",
        carried: false,
        plastic: None,
        attention: |d, h| AttentionConfig::Softmax(vanilla(d, h)),
    },
    Arm {
        name: "retnet",
        role: Role::Astrocytic,
        description: "fixed decays, rotary positions, norm for each head, output gate",
        carried: false,
        plastic: None,
        attention: |d, h| astrocytic(AstrocyticAttentionConfig::retnet(d, h)),
    },
    Arm {
        name: "kozachkov2023",
        role: Role::Astrocytic,
        description: "positive random features, Hebbian writes, calcium normaliser, rotary positions",
        carried: false,
        plastic: None,
        attention: |d, h| {
            let position = PositionConfig::Rotary { theta: ROTARY_THETA };
            astrocytic(AstrocyticAttentionConfig::kozachkov2023(d, h).with_position(position))
        },
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

fn tripartite(d_model: usize, heads: usize) -> AstrocyticAttentionConfig {
    AstrocyticAttentionConfig::tripartite(d_model, heads).with_bias(false)
}

fn astrocytic(config: AstrocyticAttentionConfig) -> AttentionConfig {
    AttentionConfig::Astrocytic(config.with_causal(true).with_bias(false))
}

/// The arm of that name.
///
/// # Errors
/// For a name that is none; says which there are.
pub fn arm(name: &str) -> Result<&'static Arm> {
    match ARMS.iter().find(|arm| arm.name == name) {
        Some(arm) => Ok(arm),
        None => {
            let names: Vec<_> = ARMS.iter().map(|arm| arm.name).collect();
            bail!("unknown arm \"{name}\"; choose from {}", names.join(", "))
        }
    }
}

/// Sizes that all arms share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sizes {
    /// Number of tokens known.
    pub vocabulary: usize,
    /// Width of the stream.
    pub d_model: usize,
    /// Number of blocks.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Dropout of embedding and branches.
    pub dropout: f64,
    /// Whether blocks have feed-forward layers.
    pub feed_forward: bool,
}

impl Arm {
    /// Unique tokens that the arm is given at a data size, and the seed of its run: those of the cell but for the arms that
    /// test the measurement itself.
    pub fn given(&self, size: u64, seed: u64) -> (u64, u64) {
        match self.name {
            "vanilla-other-seeds" => (size, seed + OTHER_SEEDS),
            "vanilla-more-data" => (size * 3 / 2, seed),
            _ => (size, seed),
        }
    }

    /// The arm's model, its feed-forward width chosen so that its parameters are those of the vanilla arm; without
    /// feed-forward layers they are what they are.
    ///
    /// # Errors
    /// For sizes that no model can have, or where parameters cannot be matched within 1 %.
    pub fn model(&self, sizes: Sizes) -> Result<DecoderConfig> {
        if !sizes.feed_forward {
            return self.with_hidden(sizes, 0);
        }
        let target = parameters(&ARMS[0].with_hidden(sizes, hidden_of_vanilla(sizes.d_model))?)?;
        let at = |hidden: usize| parameters(&self.with_hidden(sizes, hidden)?);
        let (one, two) = (at(1)?, at(2)?);
        let hidden = 1 + (target.saturating_sub(one) as f64 / (two - one) as f64).round() as usize;
        let model = self.with_hidden(sizes, hidden)?;
        let found = parameters(&model)?;
        if (found as f64 / target as f64 - 1.0).abs() > 0.01 {
            bail!("arm {}: {found} parameters cannot be matched to vanilla's {target}; use a wider model", self.name);
        }
        Ok(model)
    }

    fn with_hidden(&self, sizes: Sizes, hidden: usize) -> Result<DecoderConfig> {
        let Sizes { vocabulary, d_model, layers, heads, dropout, .. } = sizes;
        let attention = (self.attention)(d_model, heads);
        let model = DecoderConfig::new(vocabulary, d_model, layers, hidden, attention).with_dropout(dropout);
        model.validate()?;
        Ok(model)
    }
}

/// 8/3 of the width, as with gated feed-forward layers usual (arXiv 2002.05202), in steps of 8.
fn hidden_of_vanilla(d_model: usize) -> usize {
    (d_model * 8 / 3).div_ceil(8) * 8
}

/// Trained parameters, counted on the model itself.
///
/// # Errors
/// For a configuration that does not hold.
pub fn parameters(model: &DecoderConfig) -> Result<u64> {
    model.validate()?;
    let mut trained = Trained(0);
    model.init(&Device::flex().autodiff()).visit(&mut trained);
    Ok(trained.0)
}

/// Counts what is trained: random directions of feature maps are not.
struct Trained(u64);

impl ModuleVisitor for Trained {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val();
        self.0 += if tensor.is_require_grad() { tensor.shape().num_elements() as u64 } else { 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arms_have_equal_parameters_and_unlike_attention() {
        let sizes = Sizes { vocabulary: 512, d_model: 64, layers: 2, heads: 2, dropout: 0.1, feed_forward: true };
        let target = parameters(&ARMS[0].model(sizes).unwrap()).unwrap() as f64;
        let mut seen = Vec::new();
        for arm in ARMS {
            let model = arm.model(sizes).unwrap();
            let found = parameters(&model).unwrap() as f64;
            assert!((found / target - 1.0).abs() < 0.01, "{}: {found} against {target}", arm.name);
            let as_another = arm.given(100, 0) != (100, 0) || arm.carried || arm.plastic.is_some();
            assert_eq!(seen.contains(&model.attention), as_another, "{} has another arm's attention", arm.name);
            seen.push(model.attention);
        }
        // 2 layers of 2 maps of 2 heads of 128 directions of size 32 are in the model, but nobody trains them.
        let random = arm("kozachkov2023").unwrap().model(sizes).unwrap();
        let all = random.init(&Device::flex()).num_params() as u64;
        assert_eq!(all - parameters(&random).unwrap(), 2 * 2 * 2 * 128 * 32);
        let bare = Sizes { feed_forward: false, ..sizes };
        assert_eq!(ARMS[0].model(bare).unwrap().d_hidden, 0);
        assert_eq!(ARMS[0].role, Role::Baseline);
        assert!(arm("vanila").is_err_and(|e| e.to_string().contains("tripartite")));
    }
}
