//! Feature maps of the rows of a chunk, and back.

use pulp::Simd;

use super::super::spec::MemorySpec;
use crate::kernel::element_wise::Rows;
use crate::kernel::real::{Real, dot, scale, times};
use crate::tensor::NORM_FLOOR;

/// φ of `count` rows of `width` numbers, `pad` apart, in place. Pads stay 0.
#[inline(always)]
pub fn map<T: Real, S: Simd>(simd: S, spec: &MemorySpec, rows: &mut [T], pad: usize, width: usize, count: usize) {
    spec.feature.map_rows(Rows { values: &mut *rows, slopes: &mut [], pad, width, count });
    if spec.unit {
        for row in rows.chunks_exact_mut(pad).take(count) {
            scale(row, T::ONE / length(simd, row));
        }
    }
}

/// What [`Slopes::map_backward`] needs of the rows of a chunk.
pub struct Slopes<'a, T> {
    /// φ′, laid out as the rows.
    pub slopes: &'a mut [T],
    /// Of each row the inverse of its length, where it is brought to 1.
    pub inverses: &'a mut [T],
}

impl<T: Real> Slopes<'_, T> {
    /// As [`map`], and remembers the slopes.
    #[inline(always)]
    pub fn map<S: Simd>(&mut self, simd: S, spec: &MemorySpec, rows: &mut [T], pad: usize, width: usize, count: usize) {
        spec.feature.map_rows(Rows { values: &mut *rows, slopes: &mut *self.slopes, pad, width, count });
        if spec.unit {
            for (row, inverse) in rows.chunks_exact_mut(pad).take(count).zip(&mut *self.inverses) {
                *inverse = T::ONE / length(simd, row);
                scale(row, *inverse);
            }
        }
    }

    /// Turns the gradients of `count` rows φ of `width` numbers, `pad` apart in `grads`, into those
    /// of x.
    #[inline(always)]
    pub fn map_backward<S: Simd>(
        &self,
        simd: S,
        spec: &MemorySpec,
        phi: &[T],
        grads: &mut [T],
        [pad, width, count]: [usize; 3],
    ) {
        let rows = grads.chunks_exact_mut(pad).zip(phi.chunks_exact(pad)).take(count);
        for (i, (grad, phi)) in rows.enumerate() {
            if spec.unit {
                // φ = f / |f|: df = (dφ − φ (φ · dφ)) / |f|.
                let along = dot(simd, phi, grad);
                for (grad, &phi) in grad.iter_mut().zip(phi) {
                    *grad = (*grad - phi * along) * self.inverses[i];
                }
            }
            if !spec.feature.is_identity() {
                times(&mut grad[..width], &self.slopes[i * pad..][..width]);
            }
        }
    }
}

#[inline(always)]
fn length<T: Real, S: Simd>(simd: S, row: &[T]) -> T {
    (dot(simd, row, row) + T::from_f64(NORM_FLOOR)).sqrt()
}
