//! Scores of the queries and keys of a chunk, and the normalisers made of them.

use pulp::Simd;

use super::sizes::Sizes;
use crate::kernel::product::BLOCK;
use crate::kernel::real::{Real, dot, times};

/// Scores times what is left between their steps; 0 above the diagonal, up to the block that was computed.
#[inline(always)]
pub fn times_lower<T: Real>(scores: &mut [T], between: &[T], chunk: usize, width: usize) {
    for i in 0..chunk {
        let end = (i / BLOCK + 1) * BLOCK;
        let row = &mut scores[i * width..][..end];
        times(row, &between[i * width..][..end]);
        // Not a product: 0 times what is not finite.
        row[i + 1..].fill(T::ZERO);
    }
}

/// `n_i = Σ_j scores_ij β_j + from_start_i (q_i · g)`.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "the terms of one formula")]
pub fn normalizers<T: Real, S: Simd>(
    simd: S,
    sizes: &Sizes,
    scores: &[T],
    strength: &[T],
    query: &[T],
    from_start: &[T],
    calcium: &[T],
    n: &mut [T],
) {
    for i in 0..sizes.chunk {
        let end = (i / BLOCK + 1) * BLOCK;
        let within = dot(simd, &scores[i * sizes.c_pad..][..end], strength);
        let before = dot(simd, &query[i * sizes.m_pad..][..sizes.m_pad], calcium);
        n[i] = within + from_start[i] * before;
    }
}
