//! Sequences read segment by segment: memory tokens stand before the tokens of each, and what became of them, multiplied by a
//! retention factor, stands before those of the next (the recurrent memory transformer, arXiv 2207.06881; with factors from
//! long-term plasticity RMAAT, arXiv 2601.00426, section 3).

use astrocytic_attention::{AttentionConfig, AttentionError, PositionConfig};
use burn::config::Config;
use burn::tensor::{Bool, Int, Tensor};

use crate::encoder::Encoder;

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

impl Encoder {
    /// The memory before the first segment, `[batch, memory tokens, d_model]`; `None` where the whole is read.
    pub fn initial_memory(&self, batch: usize) -> Option<Tensor<3>> {
        let memory = self.memory.as_ref()?.val();
        let [count, d_model] = memory.dims();
        Some(memory.unsqueeze::<3>().expand([batch, count, d_model]))
    }

    /// A batch's segments in their order; one with all its tokens where the whole is read.
    ///
    /// # Shapes
    /// - as [`forward`](Self::forward)
    pub fn cut(&self, tokens: Tensor<2, Int>, padded: Tensor<2, Bool>) -> Vec<Segment> {
        let length = self.segments.as_ref().map_or(tokens.dims()[1], |segments| segments.length);
        let parts = tokens.split(length, 1).into_iter().zip(padded.split(length, 1)).enumerate();
        parts.map(|(index, (tokens, padded))| Segment { index, tokens, padded }).collect()
    }

    /// The memory after a segment, from that before it. Rows that ended before keep theirs.
    ///
    /// # Shapes
    /// - memory and what is returned: `[batch, memory tokens, d_model]`
    ///
    /// # Panics
    /// For more segments than there are retention factors.
    pub fn read(&self, memory: Tensor<3>, segment: &Segment) -> Tensor<3> {
        let retention = self.segments.as_ref().map_or(&[][..], |segments| &segments.retention);
        let (index, most) = (segment.index, retention.len());
        assert!(index < most, "segment {index}: the encoder has retention factors for {most}");
        let kept = if index == 0 { memory.clone() } else { memory.clone().mul_scalar(retention[index - 1]) };
        let [batch, count, d_model] = memory.dims();
        let seen = Tensor::<2, Bool>::zeros([batch, count], &segment.padded.device());
        let padded = Tensor::cat(vec![seen, segment.padded.clone()], 1);
        let x = Tensor::cat(vec![kept, self.embed(segment.tokens.clone())], 1);
        let new = self.normalised(x, &padded).narrow(1, 0, count);
        let ended = segment.padded.clone().all_dim(1).unsqueeze_dim::<3>(2).expand([batch, count, d_model]);
        new.mask_where(ended, memory)
    }
}
