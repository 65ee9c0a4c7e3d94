//! How a sequence is cut into segments, and what is kept from one to the next.

use astrocytic_attention::{AttentionConfig, AttentionError, PositionConfig};
use burn::config::Config;
use burn::tensor::{Bool, Int, Tensor};

/// More tokens than any segment has, and more segments than any sequence.
const MOST_STEPS: usize = 1 << 20;

/// How a sequence is cut, and what is kept of it.
#[derive(Config, Debug, PartialEq)]
pub struct SegmentsConfig {
    /// Tokens of a segment.
    pub length: usize,
    /// Memory tokens.
    pub memory_tokens: usize,
    /// Factors by which the memory is multiplied after each segment, before the next is read. There
    /// is one for each segment that a sequence can have, a number that must be known in advance;
    /// the last is unused. In the first block a norm removes the factor from what attention reads
    /// of the memory; the factor decides how fast the memory is overwritten.
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
    /// Checks the configuration.
    ///
    /// # Errors
    /// [`AttentionError::Config`], which names the field and what it may be.
    pub(crate) fn validate(&self, attention: &AttentionConfig) -> Result<(), AttentionError> {
        let Self { length, memory_tokens, retention } = self;
        let fault = |text: String| Err(AttentionError::Config(text));
        if [*length, *memory_tokens, retention.len()].contains(&0) {
            return fault(format!(
                "segments: length = {length}, memory_tokens = {memory_tokens} and the {} retention factors must be above 0",
                retention.len()
            ));
        }
        if let Some(place) = retention.iter().position(|factor| !(factor.is_finite() && *factor >= 0.0)) {
            let factor = retention[place];
            return fault(format!(
                "segments: the retention factor of segment {place} of {} is {factor}; it must be at least 0",
                retention.len()
            ));
        }
        if (*length).max(*memory_tokens).max(retention.len()) > MOST_STEPS {
            return Err(AttentionError::Config(format!(
                "segments: length, memory_tokens and the number of segments must be at most {MOST_STEPS}"
            )));
        }
        if let AttentionConfig::Astrocytic(config) = attention
            && let PositionConfig::Distance { max_steps, .. } = config.position
            && max_steps < length + memory_tokens
        {
            return Err(AttentionError::Config(format!(
                "segments: {length} tokens and {memory_tokens} memory tokens are more than the {max_steps} steps of the \
                 attention's positions (max_steps)"
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
