//! How a sequence is cut into segments, and what is kept from one to the next.

use astrocytic_attention::{AttentionConfig, AttentionError, PositionConfig};
use burn::config::Config;
use burn::tensor::{Bool, Int, Tensor};

/// How a sequence is cut, and what is kept of it.
#[derive(Config, Debug, PartialEq)]
pub struct SegmentsConfig {
    /// Tokens of a segment.
    pub length: usize,
    /// Memory tokens.
    pub memory_tokens: usize,
    /// By what the memory is multiplied after each segment, before the next is read. There are as many as a sequence has
    /// segments at most, a number that must be known in advance; the last multiplies nothing. In the first block a norm makes
    /// what attention reads of a memory independent of the factor; how fast the memory is overwritten depends on it.
    pub retention: Vec<f64>,
}

/// A segment of each row of a batch.
#[derive(Debug, Clone)]
pub struct Segment {
    /// Which, counted from 0.
    pub index: usize,
    /// `[batch, steps]`.
    pub tokens: Tensor<2, Int>,
    /// `[batch, steps]`, true where padded.
    pub padded: Tensor<2, Bool>,
}

impl SegmentsConfig {
    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// [`AttentionError::Config`] with the field and what would do.
    pub(crate) fn validate(&self, attention: &AttentionConfig) -> Result<(), AttentionError> {
        let Self { length, memory_tokens, retention } = self;
        let fits = |factor: &f64| factor.is_finite() && *factor >= 0.0;
        if [*length, *memory_tokens, retention.len()].contains(&0) || !retention.iter().all(fits) {
            return Err(AttentionError::Config(format!(
                "segments need a length, memory tokens and retention factors of at least 0: {self}"
            )));
        }
        if let AttentionConfig::Astrocytic(config) = attention
            && let PositionConfig::Distance { max_steps, .. } = config.position
            && max_steps < length + memory_tokens
        {
            return Err(AttentionError::Config(format!(
                "max_steps = {max_steps} must be at least a segment and its memory tokens, {length} + {memory_tokens}"
            )));
        }
        if attention.is_causal() {
            return Err(AttentionError::Config(
                "memory tokens stand first and must see the others: causal = false".into(),
            ));
        }
        Ok(())
    }
}
