//! Arms that see a whole example, or a whole segment of it, in both directions, and give it one
//! answer: the astromorphic line (arXiv 2312.10925, 2601.00426) and its controls.

use anyhow::Result;
use astrocytic_attention::{AstrocyticAttentionConfig, AttentionConfig, PositionConfig, SoftmaxAttentionConfig};
use astrocytic_dynamics::retention::LongTermPlasticity;
use astrocytic_models::{EncoderConfig, SegmentsConfig};

use super::sizes::{ROTARY_THETA, Sizes};
use crate::results::Role;

/// Segments that the longest example is cut in, where it is.
const SEGMENTS: usize = 4;
/// Tokens between them.
const MEMORY_TOKENS: usize = 8;

/// An encoder that differs from the others in its attention and in how it reads.
pub(crate) struct EncoderArm {
    pub(crate) name: &'static str,
    pub(crate) role: Role,
    /// One line on what the model does.
    pub(crate) description: &'static str,
    /// For a width, a number of heads, and tokens that are read together.
    attention: fn(usize, usize, usize) -> AttentionConfig,
    reads: Reads,
}

enum Reads {
    /// All tokens together.
    Whole,
    /// Segments, all that is in the memory going on to the next.
    Segments,
    /// Segments, what goes on multiplied by retention factors of long-term plasticity.
    Retention,
}

pub(crate) const ENCODERS: &[EncoderArm] = &[
    EncoderArm {
        name: "encoder-vanilla",
        role: Role::Control,
        description: "an encoder with softmax attention, rotary positions",
        attention: vanilla,
        reads: Reads::Whole,
    },
    EncoderArm {
        name: "encoder-linear",
        role: Role::Control,
        description: "an encoder with linear attention (elu + 1), rotary positions",
        attention: |d, h, _| {
            let position = PositionConfig::Rotary { theta: ROTARY_THETA };
            astrocytic(AstrocyticAttentionConfig::linear(d, h).with_position(position))
        },
        reads: Reads::Whole,
    },
    EncoderArm {
        name: "encoder-astromorphic",
        role: Role::Astrocytic,
        description: "an encoder with astromorphic attention: calcium to the power 0.25, memory of distances",
        attention: astromorphic,
        reads: Reads::Whole,
    },
    EncoderArm {
        name: "rmaat",
        role: Role::Astrocytic,
        description: "astromorphic attention within four segments, memory tokens between them that are kept by retention factors",
        attention: astromorphic,
        reads: Reads::Retention,
    },
    EncoderArm {
        name: "rmaat-no-retention",
        role: Role::Control,
        description: "rmaat whose memory tokens go on as they are",
        attention: astromorphic,
        reads: Reads::Segments,
    },
    EncoderArm {
        name: "rmt",
        role: Role::Control,
        description: "softmax attention within four segments, memory tokens between them (recurrent memory transformer)",
        attention: vanilla,
        reads: Reads::Segments,
    },
];

fn vanilla(d_model: usize, heads: usize, _steps: usize) -> AttentionConfig {
    let config = SoftmaxAttentionConfig::new(d_model, heads).with_bias(false);
    AttentionConfig::Softmax(config.with_rotary_theta(Some(ROTARY_THETA)))
}

fn astromorphic(d_model: usize, heads: usize, steps: usize) -> AttentionConfig {
    astrocytic(AstrocyticAttentionConfig::astromorphic(d_model, heads, steps))
}

fn astrocytic(config: AstrocyticAttentionConfig) -> AttentionConfig {
    AttentionConfig::Astrocytic(config.with_bias(false))
}

impl EncoderArm {
    /// The arm's model; an answer is a token, read out by the embedding, as it is for decoders.
    ///
    /// # Errors
    /// For sizes that no model can have.
    pub(crate) fn with_hidden(&self, sizes: Sizes, hidden: usize) -> Result<EncoderConfig> {
        let Sizes { vocabulary, d_model, layers, heads, dropout, context, .. } = sizes;
        let length = context.div_ceil(SEGMENTS);
        let cut = |retention| Some(SegmentsConfig::new(length, MEMORY_TOKENS, retention));
        let segments = match self.reads {
            Reads::Whole => None,
            Reads::Segments => cut(vec![1.0; SEGMENTS]),
            Reads::Retention => cut(LongTermPlasticity::default().retention_factors(SEGMENTS)?),
        };
        let together = segments.as_ref().map_or(context, |segments| segments.length + segments.memory_tokens);
        let attention = (self.attention)(d_model, heads, together);
        let model = EncoderConfig::new(vocabulary, vocabulary, d_model, layers, hidden, attention);
        let model = model.with_dropout(dropout).with_segments(segments).with_tied(true);
        model.validate()?;
        Ok(model)
    }
}
