//! An encoder that reads segment by segment: memory tokens stand before the tokens of each, and what became of them, multiplied
//! by a retention factor, stands before those of the next (the recurrent memory transformer, arXiv 2207.06881; with factors from
//! long-term plasticity RMAAT, arXiv 2601.00426, section 3).

use burn::tensor::{Bool, Int, Tensor};

use crate::encoder::Encoder;
use crate::segments::Segment;

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
