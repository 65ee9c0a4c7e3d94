//! The correction of the delta rule inside a chunk.

use pulp::Simd;

use super::sizes::Sizes;
use crate::kernel::product::{Into, Left, lower_of_product, product};
use crate::kernel::real::{Real, add_scaled};
use crate::kernel::scratch::Scratch;

/// The correction of the delta rule in a chunk: from what is offered, `X = V − from_start ⊙ K H`, to what is written,
/// `(I + A) U = β X` with `A_ij = β_i (k_i · k_j) e^{b_i − b_j}` for j < i.
pub struct Correction<'a, T> {
    /// `(k_i · k_j) e^{b_i − b_j}` for j < i, else 0.
    pub overlap: &'a mut [T],
    /// −A.
    pub against: &'a mut [T],
}

impl<'a, T: Real> Correction<'a, T> {
    pub fn scratch(sizes: &Sizes) -> usize {
        2 * sizes.c_pad * sizes.c_pad
    }

    #[inline(always)]
    pub fn new(sizes: &Sizes, scratch: &mut Scratch<'a, T>) -> Self {
        let [overlap, against] = [(); 2].map(|()| scratch.take(sizes.c_pad * sizes.c_pad));
        Self { overlap, against }
    }

    #[inline(always)]
    pub fn load<S: Simd>(
        &mut self,
        simd: S,
        sizes: &Sizes,
        key: &[T],
        key_transposed: &[T],
        between: &[T],
        strength: &[T],
    ) {
        let width = sizes.c_pad;
        let left = Left::plain(key, sizes.m_pad);
        lower_of_product(simd, [sizes.chunk, sizes.m], left, (key_transposed, width), (self.overlap, width));
        for i in 0..sizes.chunk {
            let overlap = &mut self.overlap[i * width..][..width];
            let against = &mut self.against[i * width..][..width];
            let strength = -strength[i];
            for j in 0..i {
                overlap[j] *= between[i * width + j];
                against[j] = overlap[j] * strength;
            }
            overlap[i..].fill(T::ZERO);
            against[i..].fill(T::ZERO);
        }
    }

    /// Solves `(I + A) U = rows` in place.
    #[inline(always)]
    pub fn solve<S: Simd>(&self, simd: S, sizes: &Sizes, rows: &mut [T]) {
        let (width, pad) = (sizes.c_pad, sizes.d_pad);
        for start in (0..sizes.chunk).step_by(STRIP) {
            let height = STRIP.min(sizes.chunk - start);
            let (done, strip) = rows.split_at_mut(start * pad);
            if start > 0 {
                let left = Left::plain(&self.against[start * width..], width);
                product(simd, [height, pad, start], left, (done, pad), (strip, pad), Into::Add);
            }
            for i in 1..height {
                let (before, row) = strip.split_at_mut(i * pad);
                for (j, earlier) in before.chunks_exact(pad).enumerate() {
                    let by = self.against[(start + i) * width + start + j];
                    add_scaled(simd, &mut row[..pad], by, earlier);
                }
            }
        }
    }

    /// Solves `(I + A)ᵀ X = rows` in place.
    #[inline(always)]
    pub fn solve_transposed<S: Simd>(&self, simd: S, sizes: &Sizes, rows: &mut [T]) {
        let (width, pad) = (sizes.c_pad, sizes.d_pad);
        for start in (0..sizes.chunk).step_by(STRIP).rev() {
            let end = (start + STRIP).min(sizes.chunk);
            let (strip, done) = rows.split_at_mut(end * pad);
            let strip = &mut strip[start * pad..];
            if end < sizes.chunk {
                let left = Left::transposed(&self.against[end * width + start..], width);
                let shape = [end - start, pad, sizes.chunk - end];
                product(simd, shape, left, (done, pad), (strip, pad), Into::Add);
            }
            for i in (0..end - start).rev() {
                let (until, after) = strip.split_at_mut((i + 1) * pad);
                for (j, later) in after.chunks_exact(pad).enumerate() {
                    let by = self.against[(start + i + 1 + j) * width + start + i];
                    add_scaled(simd, &mut until[i * pad..], by, later);
                }
            }
        }
    }
}

/// Rows that are solved one after another, before products take over.
const STRIP: usize = 8;
