//! Inputs of the recurrence and their sizes.

use crate::kernel::host::View;
use crate::kernel::operation::inputs;
use crate::kernel::product::BLOCK;
use crate::kernel::real::Real;

/// Input, forget, cell and output gate.
pub const GATES: usize = 4;
/// Most rows in a group: as many as a product has in registers.
const LARGEST_GROUP: usize = 8;
/// Groups that a small batch is cut in, for as many threads.
const GROUPS: usize = 4;

inputs! {
    /// What is run, and what it starts from.
    LstmInputs {
        /// What the input gives to the gates, `[batch, steps, 4, hidden]`.
        gates,
        /// What the hidden state gives, `[hidden, 4, 1, hidden]`.
        recurrent,
        /// Hidden and cell state before, `[2, batch, 1, hidden]`.
        before,
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    pub batch: usize,
    pub steps: usize,
    pub hidden: usize,
    /// `hidden` up to a whole block.
    pub pad: usize,
    /// Rows of the batch that run together; the last group may have fewer.
    pub group: usize,
}

impl Sizes {
    pub fn new<T: Real>(inputs: &LstmInputs<View<T>>) -> Self {
        let [batch, steps, _, hidden] = inputs.gates.shape();
        let group = batch.div_ceil(GROUPS).min(LARGEST_GROUP);
        Self { batch, steps, hidden, pad: hidden.next_multiple_of(BLOCK), group }
    }

    /// Rows in the group that begins with this one.
    pub fn rows(&self, first: usize) -> usize {
        self.group.min(self.batch - first)
    }
}
