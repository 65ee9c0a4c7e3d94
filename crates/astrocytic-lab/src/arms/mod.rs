//! The arms of a comparison: models of equal parameters that differ in their attention, and in what they read at once.

mod encoders;

use anyhow::{Result, bail};
use astrocytic_attention::{
    AstrocyticAttentionConfig, AttentionConfig, DecayConfig, FeatureMapConfig, Normalizer, Plasticity, PositionConfig,
    SoftmaxAttentionConfig,
};
use astrocytic_models::memory::MemoryKind;
use astrocytic_models::{DecoderConfig, EncoderConfig, SwappedLayer};
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use serde::Serialize;

use crate::learning::Learning;
use crate::results::Role;
use encoders::{ENCODERS, EncoderArm};

/// Base of rotary positions in every arm that has them.
pub(crate) const ROTARY_THETA: f64 = 10_000.0;

/// Added to the seeds of the arm that has others: beyond those of any experiment.
const OTHER_SEEDS: u64 = 1_000_000;

/// What an arm knows beyond its window of context.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Beyond {
    /// Nothing.
    Nothing,
    /// What its attention remembers, memory or keys and values, goes on from window to window, in training and through each
    /// document of a test.
    Carried,
    /// What it learns from the text that it is tested on.
    Learned(Learning),
}

/// One arm: a model, and what it knows beyond its window.
pub struct Arm {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// One line on what it does.
    pub description: String,
    /// What it knows beyond its window.
    pub beyond: Beyond,
    reader: Reader,
}

/// How an arm's model reads.
#[derive(Clone, Copy)]
enum Reader {
    /// From left to right, an answer after any token.
    Decoder(&'static Model),
    /// In both directions, an answer for each example.
    Encoder(&'static EncoderArm),
}

/// What an arm trains.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
#[allow(clippy::large_enum_variant)]
pub enum ModelConfig {
    /// A decoder.
    Decoder(DecoderConfig),
    /// An encoder.
    Encoder(EncoderConfig),
}

/// A decoder that differs from the others in its attention.
struct Model {
    name: &'static str,
    role: Role,
    /// One line on what the layer does.
    description: &'static str,
    /// For a width and a number of heads.
    attention: fn(usize, usize) -> AttentionConfig,
    /// The last layer's, where it is another.
    last: Option<fn(usize, usize) -> AttentionConfig>,
}

/// What may follow a model's name, what the arm knows beyond its window then, and a line on it.
const ENDINGS: [(&str, Beyond, &str); 6] = [
    ("-carried", Beyond::Carried, "its memory goes on from window to window, through whole documents"),
    ("-cached", Beyond::Carried, "it sees the keys and values of the four windows before"),
    (
        "-plastic",
        Beyond::Learned(Learning { learns: MemoryKind::ReadOut, through_documents: false }),
        "its read-out goes on learning from each document that it is tested on, by the delta rule",
    ),
    (
        "-memory",
        Beyond::Learned(Learning { learns: MemoryKind::Ngram, through_documents: false }),
        "with a memory of what followed the last tokens of each document that it is tested on, beside a plastic read-out",
    ),
    (
        "-memory-through",
        Beyond::Learned(Learning { learns: MemoryKind::Ngram, through_documents: true }),
        "with such a memory, and plastic read-out, through all documents that it is tested on",
    ),
    (
        "-dynamic",
        Beyond::Learned(Learning { learns: MemoryKind::Dynamic, through_documents: true }),
        "all its weights go on learning through all documents that it is tested on, by gradient descent (dynamic evaluation)",
    ),
];

/// Every decoder that an arm can have, the baseline first.
const MODELS: &[Model] = &[
    Model {
        name: "vanilla",
        role: Role::Baseline,
        description: "softmax attention, rotary positions",
        attention: |d, h| AttentionConfig::Softmax(vanilla(d, h)),
        last: None,
    },
    Model {
        name: "tripartite",
        role: Role::Astrocytic,
        description: "gated delta memory, short convolution, output gate, norm for each head",
        attention: |d, h| AttentionConfig::Astrocytic(tripartite(d, h)),
        last: None,
    },
    Model {
        name: "vanilla-convolution-gate",
        role: Role::Control,
        description: "vanilla with the short convolution and output gate of tripartite",
        attention: |d, h| AttentionConfig::Softmax(vanilla(d, h).with_convolution(4).with_output_gate(true)),
        last: None,
    },
    Model {
        name: "vanilla-decay",
        role: Role::Control,
        description: "vanilla whose scores fade as the memory of linear-decay does (Forgetting Transformer)",
        attention: |d, h| AttentionConfig::Softmax(vanilla(d, h).with_decay(DecayConfig::Gated)),
        last: None,
    },
    Model {
        name: "linear",
        role: Role::Control,
        description: "linear attention (elu + 1), rotary positions: nothing astrocytic but the normaliser",
        attention: |d, h| AttentionConfig::Astrocytic(linear(d, h)),
        last: None,
    },
    Model {
        name: "no-attention",
        role: Role::Control,
        description: "the layer returns zero",
        attention: |_, _| AttentionConfig::Off,
        last: None,
    },
    Model {
        name: "tripartite-release",
        role: Role::Astrocytic,
        description: "tripartite whose writes fail with probability 0.3 in training",
        attention: |d, h| AttentionConfig::Astrocytic(tripartite(d, h).with_write_dropout(0.3)),
        last: None,
    },
    Model {
        name: "tripartite-negative",
        role: Role::Astrocytic,
        description: "tripartite whose writes can turn a memory's sign (strength up to 2)",
        attention: |d, h| AttentionConfig::Astrocytic(tripartite(d, h).with_largest_write(2.0)),
        last: None,
    },
    Model {
        name: "tripartite-dpfp",
        role: Role::Astrocytic,
        description: "tripartite with higher-order features of keys and queries (DPFP, 2 shifts)",
        attention: |d, h| {
            AttentionConfig::Astrocytic(tripartite(d, h).with_feature_map(FeatureMapConfig::Dpfp { nu: 2 }))
        },
        last: None,
    },
    Model {
        name: "tripartite-softmax",
        role: Role::Astrocytic,
        description: "tripartite but for the last layer, which is vanilla's",
        attention: |d, h| AttentionConfig::Astrocytic(tripartite(d, h)),
        last: Some(|d, h| AttentionConfig::Softmax(vanilla(d, h))),
    },
    Model {
        name: "tripartite-no-decay",
        role: Role::Control,
        description: "tripartite that forgets nothing",
        attention: |d, h| AttentionConfig::Astrocytic(tripartite(d, h).with_decay(DecayConfig::None)),
        last: None,
    },
    Model {
        name: "tripartite-hebbian",
        role: Role::Control,
        description: "tripartite with Hebbian writes instead of the delta rule",
        attention: |d, h| AttentionConfig::Astrocytic(tripartite(d, h).with_plasticity(Plasticity::Hebbian)),
        last: None,
    },
    Model {
        name: "tripartite-no-convolution",
        role: Role::Control,
        description: "tripartite without the short convolution",
        attention: |d, h| AttentionConfig::Astrocytic(tripartite(d, h).with_convolution(0)),
        last: None,
    },
    Model {
        name: "tripartite-no-gate",
        role: Role::Control,
        description: "tripartite without the output gate",
        attention: |d, h| AttentionConfig::Astrocytic(tripartite(d, h).with_output_gate(false)),
        last: None,
    },
    Model {
        name: "tripartite-no-write-gate",
        role: Role::Control,
        description: "tripartite that writes every step at full strength",
        attention: |d, h| AttentionConfig::Astrocytic(tripartite(d, h).with_write_gate(false)),
        last: None,
    },
    Model {
        name: "linear-decay",
        role: Role::Astrocytic,
        description: "linear whose memory, and the calcium with it, leaks as the input says",
        attention: |d, h| AttentionConfig::Astrocytic(linear_decay(d, h)),
        last: None,
    },
    Model {
        name: "linear-decay-convolution",
        role: Role::Astrocytic,
        description: "linear-decay with the short convolution",
        attention: |d, h| AttentionConfig::Astrocytic(linear_decay(d, h).with_convolution(4)),
        last: None,
    },
    Model {
        name: "linear-decay-hedgehog",
        role: Role::Astrocytic,
        description: "linear-decay with learned features (Hedgehog), which can be as peaked as softmax",
        attention: |d, h| AttentionConfig::Astrocytic(linear_decay(d, h).with_feature_map(FeatureMapConfig::Hedgehog)),
        last: None,
    },
    Model {
        name: "linear-decay-softmax",
        role: Role::Astrocytic,
        description: "linear-decay but for the last layer, which is vanilla's",
        attention: |d, h| AttentionConfig::Astrocytic(linear_decay(d, h)),
        last: Some(|d, h| AttentionConfig::Softmax(vanilla(d, h))),
    },
    Model {
        name: "linear-write-gate",
        role: Role::Control,
        description: "linear whose writes have a strength from the input",
        attention: |d, h| AttentionConfig::Astrocytic(linear(d, h).with_write_gate(true)),
        last: None,
    },
    Model {
        name: "linear-norm",
        role: Role::Control,
        description: "linear with a norm for each head instead of the calcium",
        attention: |d, h| AttentionConfig::Astrocytic(linear(d, h).with_normalizer(Normalizer::Rms)),
        last: None,
    },
    Model {
        name: "linear-delta",
        role: Role::Control,
        description: "linear-norm with the delta rule instead of Hebbian writes",
        attention: |d, h| {
            AttentionConfig::Astrocytic(
                linear(d, h).with_normalizer(Normalizer::Rms).with_plasticity(Plasticity::Delta),
            )
        },
        last: None,
    },
    Model {
        name: "linear-convolution",
        role: Role::Control,
        description: "linear with the short convolution",
        attention: |d, h| AttentionConfig::Astrocytic(linear(d, h).with_convolution(4)),
        last: None,
    },
    Model {
        name: "linear-gate",
        role: Role::Control,
        description: "linear with the output gate",
        attention: |d, h| AttentionConfig::Astrocytic(linear(d, h).with_output_gate(true)),
        last: None,
    },
    Model {
        name: "vanilla-other-seeds",
        role: Role::Calibration,
        description: "vanilla with other seeds, to test the measurement: the ratio is 1",
        attention: |d, h| AttentionConfig::Softmax(vanilla(d, h)),
        last: None,
    },
    Model {
        name: "vanilla-more-data",
        role: Role::Calibration,
        description: "vanilla with 1.5 times the data at each size, to test the measurement: the ratio is 1.5",
        attention: |d, h| AttentionConfig::Softmax(vanilla(d, h)),
        last: None,
    },
    Model {
        name: "retnet",
        role: Role::Astrocytic,
        description: "fixed decays, rotary positions, norm for each head, output gate",
        attention: |d, h| astrocytic(AstrocyticAttentionConfig::retnet(d, h)),
        last: None,
    },
    Model {
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

fn linear_decay(d_model: usize, heads: usize) -> AstrocyticAttentionConfig {
    linear(d_model, heads).with_decay(DecayConfig::Gated)
}

fn tripartite(d_model: usize, heads: usize) -> AstrocyticAttentionConfig {
    AstrocyticAttentionConfig::tripartite(d_model, heads).with_bias(false)
}

fn astrocytic(config: AstrocyticAttentionConfig) -> AttentionConfig {
    AttentionConfig::Astrocytic(config.with_causal(true).with_bias(false))
}

/// The arm of that name: a model's, or a decoder's with an ending that says what it knows beyond its window.
///
/// # Errors
/// For a name that is none; says which there are.
pub fn arm(name: &str) -> Result<Arm> {
    let of = |role, description: &str, beyond, reader| {
        Ok(Arm { name: name.into(), role, description: description.into(), beyond, reader })
    };
    let model = |name: &str| MODELS.iter().find(|model| model.name == name);
    if let Some(model) = model(name) {
        return of(model.role, model.description, Beyond::Nothing, Reader::Decoder(model));
    }
    if let Some(encoder) = ENCODERS.iter().find(|encoder| encoder.name == name) {
        return of(encoder.role, encoder.description, Beyond::Nothing, Reader::Encoder(encoder));
    }
    for (ending, beyond, what) in ENDINGS {
        if let Some(model) = name.strip_suffix(ending).and_then(model) {
            let role = if model.role == Role::Baseline { Role::Control } else { model.role };
            return of(role, &format!("{}; {what}", model.description), beyond, Reader::Decoder(model));
        }
    }
    bail!(
        "unknown arm \"{name}\"; choose from {}, each also with {}; for tasks with one answer from {}",
        MODELS.iter().map(|model| model.name).collect::<Vec<_>>().join(", "),
        ENDINGS.map(|e| e.0).join(", "),
        ENCODERS.iter().map(|encoder| encoder.name).collect::<Vec<_>>().join(", ")
    )
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
    /// Tokens that are read at once at most.
    pub context: usize,
    /// Whether blocks have feed-forward layers.
    pub feed_forward: bool,
}

impl Arm {
    /// Whether what its attention remembers goes on from window to window.
    pub fn is_carried(&self) -> bool {
        self.beyond == Beyond::Carried
    }

    /// Whether it gives one answer for a whole example.
    pub fn is_encoder(&self) -> bool {
        matches!(self.reader, Reader::Encoder(_))
    }

    /// Unique tokens that the arm is given at a data size, and the seed of its run: those of the cell but for the arms that
    /// test the measurement itself.
    pub fn given(&self, size: u64, seed: u64) -> (u64, u64) {
        // Of the model: what it knows beyond its window changes nothing of this.
        let name = match self.reader {
            Reader::Decoder(model) => model.name,
            Reader::Encoder(encoder) => encoder.name,
        };
        match name {
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
    pub fn model(&self, sizes: Sizes) -> Result<ModelConfig> {
        if !sizes.feed_forward {
            return self.with_hidden(sizes, 0);
        }
        let vanilla = MODELS[0].with_hidden(sizes, hidden_of_vanilla(sizes.d_model))?;
        let target = parameters(&ModelConfig::Decoder(vanilla))?;
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

    /// The arm's model, which must be a decoder.
    ///
    /// # Errors
    /// For an encoder, and as [`model`](Self::model).
    pub fn decoder(&self, sizes: Sizes) -> Result<DecoderConfig> {
        match self.model(sizes)? {
            ModelConfig::Decoder(model) => Ok(model),
            ModelConfig::Encoder(_) => bail!("arm {}: an encoder, where a language model is needed", self.name),
        }
    }

    fn with_hidden(&self, sizes: Sizes, hidden: usize) -> Result<ModelConfig> {
        Ok(match self.reader {
            Reader::Decoder(model) => ModelConfig::Decoder(model.with_hidden(sizes, hidden)?),
            Reader::Encoder(encoder) => ModelConfig::Encoder(encoder.with_hidden(sizes, hidden)?),
        })
    }
}

impl ModelConfig {
    /// Operations of a forward pass for each of `steps` tokens.
    pub(crate) fn flops_per_token(&self, steps: usize) -> f64 {
        match self {
            Self::Decoder(model) => model.flops_per_token(steps),
            Self::Encoder(model) => model.flops_per_token(steps),
        }
    }

    /// Bytes that reading `steps` tokens keeps.
    pub(crate) fn state_bytes(&self, steps: usize) -> u64 {
        match self {
            Self::Decoder(model) => model.state_bytes(steps),
            Self::Encoder(model) => model.state_bytes(steps),
        }
    }
}

impl Model {
    fn with_hidden(&self, sizes: Sizes, hidden: usize) -> Result<DecoderConfig> {
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

/// 8/3 of the width, as with gated feed-forward layers usual (arXiv 2002.05202), in steps of 8.
fn hidden_of_vanilla(d_model: usize) -> usize {
    (d_model * 8 / 3).div_ceil(8) * 8
}

/// Trained parameters, counted on the model itself.
///
/// # Errors
/// For a configuration that does not hold.
pub fn parameters(model: &ModelConfig) -> Result<u64> {
    let device = Device::flex().autodiff();
    let mut trained = Trained(0);
    match model {
        ModelConfig::Decoder(model) => {
            model.validate()?;
            model.init(&device).visit(&mut trained);
        }
        ModelConfig::Encoder(model) => model.init(&device)?.visit(&mut trained),
    }
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
    fn arms_have_equal_parameters_and_unlike_models() {
        let sizes =
            Sizes { vocabulary: 512, d_model: 64, layers: 2, heads: 2, dropout: 0.1, context: 128, feed_forward: true };
        let target = parameters(&arm("vanilla").unwrap().model(sizes).unwrap()).unwrap() as f64;
        let mut seen = Vec::new();
        for name in MODELS.iter().map(|model| model.name).chain(ENCODERS.iter().map(|encoder| encoder.name)) {
            let arm = arm(name).unwrap();
            let model = arm.model(sizes).unwrap();
            let found = parameters(&model).unwrap() as f64;
            assert!((found / target - 1.0).abs() < 0.01, "{name}: {found} against {target}");
            let own = match model {
                ModelConfig::Decoder(model) => format!("{} {:?}", model.attention, model.swapped),
                ModelConfig::Encoder(model) => format!("{} {:?}", model.attention, model.segments),
            };
            assert_eq!(seen.contains(&own), arm.given(100, 0) != (100, 0), "{name} is another arm's model");
            assert_eq!(arm.decoder(sizes).is_err(), arm.is_encoder());
            seen.push(own);
        }
        // 2 layers of 2 maps of 2 heads of 128 directions of size 32 are in the model, but nobody trains them.
        let random = arm("kozachkov2023").unwrap().decoder(sizes).unwrap();
        let all = random.init(&Device::flex()).num_params() as u64;
        assert_eq!(all - parameters(&ModelConfig::Decoder(random)).unwrap(), 2 * 2 * 2 * 128 * 32);
        let bare = Sizes { feed_forward: false, ..sizes };
        assert_eq!(arm("vanilla").unwrap().decoder(bare).unwrap().d_hidden, 0);
    }

    #[test]
    fn an_ending_says_what_is_known_beyond_the_window() {
        let of = |name| arm(name).map(|arm| (arm.role, arm.beyond)).unwrap();
        assert_eq!(of("vanilla"), (Role::Baseline, Beyond::Nothing));
        assert_eq!(of("vanilla-cached"), (Role::Control, Beyond::Carried));
        assert_eq!(of("tripartite-carried"), (Role::Astrocytic, Beyond::Carried));
        let through = Learning { learns: MemoryKind::Ngram, through_documents: true };
        assert_eq!(arm("vanilla-more-data-memory").unwrap().given(100, 7), (150, 7));
        assert_eq!(arm("vanilla-other-seeds-dynamic").unwrap().given(100, 7), (100, 7 + OTHER_SEEDS));
        assert_eq!(of("tripartite-memory-through"), (Role::Astrocytic, Beyond::Learned(through)));
        for name in ["vanila", "-memory", "vanilla-memory-cached", "memory", "rmaat-memory"] {
            assert!(arm(name).is_err_and(|e| e.to_string().contains("tripartite")), "{name}");
        }
    }
}
