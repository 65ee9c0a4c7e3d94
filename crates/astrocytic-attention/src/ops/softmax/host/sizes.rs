//! Inputs of softmax attention and their sizes.

use crate::kernel::host::View;
use crate::kernel::operation::inputs;
use crate::kernel::product::BLOCK;
use crate::kernel::real::Real;

/// Queries and keys in a block.
pub const SIDE: usize = 64;

/// Stands for −∞ in scores, finite so that differences are.
pub const UNSEEN: f64 = -1e30;

inputs! {
    /// Each key head is for a group of query heads.
    SoftmaxInputs {
        /// `[batch, steps_q, heads, d]`.
        query,
        /// `[batch, steps, key heads, d]`.
        key,
        /// As the key.
        value,
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    pub batch: usize,
    pub heads: usize,
    /// Query heads that share a key head.
    pub group: usize,
    pub queries: usize,
    pub keys: usize,
    pub d: usize,
    pub d_pad: usize,
    pub causal: bool,
}

impl Sizes {
    pub fn new<T: Real>(causal: bool, inputs: &SoftmaxInputs<View<T>>) -> Self {
        let [batch, queries, heads, d] = inputs.query.shape();
        let [_, keys, key_heads, _] = inputs.key.shape();
        let (group, d_pad) = (heads / key_heads, d.next_multiple_of(BLOCK));
        Self { batch, heads, group, queries, keys, d, d_pad, causal }
    }

    /// How many keys query i sees.
    #[inline(always)]
    pub fn seen(&self, i: usize) -> usize {
        if self.causal { self.keys + i + 1 - self.queries } else { self.keys }
    }

    /// Of the block of keys from `first` on, how many query i sees.
    #[inline(always)]
    pub fn seen_of_block(&self, i: usize, first: usize) -> usize {
        self.seen(i).saturating_sub(first).min(SIDE)
    }

    /// `1 / √d`.
    pub fn factor<T: Real>(&self) -> T {
        T::from_f64((self.d as f64).sqrt().recip())
    }
}
