//! What the queries read: step by step, or all after the last step.

use pulp::Simd;

use super::super::features::map;
use super::super::scores::{normalizers, times_lower};
use super::super::sizes::Sizes;
use super::{Pass, Work};
use crate::kernel::heads::{load_heads, store_heads};
use crate::kernel::product::{Into, Left, lower_of_product, lower_times, product};
use crate::kernel::real::{Real, all_finite, dot, scale};

impl<T: Real, S: Simd> Pass<'_, '_, T, S> {
    /// What a query head reads, step by step.
    #[inline(always)]
    pub(super) fn read(&mut self, head: usize, reader: usize, state: usize, count: usize) {
        let Sizes { m, chunk, c_pad, m_pad, d_pad, .. } = self.sizes;
        let (simd, wide, tall) = (self.simd, self.sizes.wide(), self.sizes.tall());
        let q = &mut self.q[reader * wide..][..wide];
        let y = &mut self.y[reader * tall..][..tall];
        let u = &self.u[head * tall..][..tall];
        map(simd, self.spec, q, m_pad, m, count);
        let left = Left::plain(q, m_pad);
        lower_of_product(simd, [chunk, m], left, (self.k_transposed, c_pad), (self.scores, c_pad));
        times_lower(self.scores, self.decay.between, chunk, c_pad);
        let read = Read {
            simd,
            sizes: &self.sizes,
            calcium: self.spec.calcium,
            q,
            scores: self.scores,
            from_start: self.decay.from_start,
            state: self.sizes.parts(&self.states[state..]),
        };
        read.reads(u, self.strength, y, self.n);
        if !all_finite(&y[..count * d_pad]) || (self.spec.calcium && !all_finite(&self.n[..count])) {
            read.reads_before_fault(u, self.strength, y, self.n, count);
        }
        if let Some(floor) = self.floor {
            for (row, &n) in y.chunks_exact_mut(d_pad).zip(&self.n[..count]) {
                scale(row, T::ONE / n.max(floor));
            }
        }
    }

    /// All queries read what there is after the last step.
    #[inline(always)]
    pub(super) fn read_after_last(&mut self) {
        let Sizes { reads, m, d, chunk, group, shared, c_pad, m_pad, d_pad, .. } = self.sizes;
        let (simd, wide, tall, of_head) = (self.simd, self.sizes.wide(), self.sizes.tall(), self.states.len() / group);
        let first = self.range.start * chunk;
        let (start, end) =
            if self.work == Work::Reads { (first, reads.min(self.range.end * chunk)) } else { (0, reads) };
        for start in (start..end).step_by(chunk) {
            let count = chunk.min(reads - start);
            let place = self.query_place();
            load_heads(simd, &self.inputs.query, place, [start, count], self.q, [group * shared, c_pad, m_pad]);
            for reader in 0..group * shared {
                let q = &mut self.q[reader * wide..][..wide];
                let y = &mut self.y[reader * tall..][..tall];
                let last = &self.states[(reader / shared + 1) * of_head - self.sizes.state()..];
                let (h, g) = self.sizes.parts(last);
                map(simd, self.spec, q, m_pad, m, count);
                product(simd, [count, d_pad, m], Left::plain(q, m_pad), (h, d_pad), (y, d_pad), Into::Set);
                if let Some(floor) = self.floor {
                    for (row, q) in y.chunks_exact_mut(d_pad).zip(q.chunks_exact(m_pad)).take(count) {
                        scale(row, T::ONE / dot(simd, q, g).max(floor));
                    }
                }
            }
            let rows = &mut self.reads[start - first..][..count];
            store_heads(self.y, [group * shared, c_pad, d_pad], rows, d);
        }
    }
}

/// What a query head reads in a chunk, before the normaliser.
struct Read<'a, T: Real, S> {
    simd: S,
    sizes: &'a Sizes,
    calcium: bool,
    q: &'a [T],
    scores: &'a [T],
    from_start: &'a [T],
    /// Memory and calcium before the chunk.
    state: (&'a [T], &'a [T]),
}

impl<T: Real, S: Simd> Read<'_, T, S> {
    /// Reads into `y` and, with calcium, normalisers into `n`, of what was written, U and β.
    #[inline(always)]
    fn reads(&self, u: &[T], strength: &[T], y: &mut [T], n: &mut [T]) {
        let Self { simd, sizes, calcium, q, scores, from_start, state: (h, g) } = *self;
        let Sizes { chunk, m, c_pad, m_pad, d_pad, .. } = *sizes;
        product(simd, [chunk, d_pad, m], Left::plain(q, m_pad), (h, d_pad), (y, d_pad), Into::Set);
        for (row, &by) in y.chunks_exact_mut(d_pad).zip(from_start) {
            scale(row, by);
        }
        lower_times(simd, [chunk, d_pad], (scores, c_pad), (u, d_pad), (y, d_pad), Into::Add);
        if calcium {
            normalizers(simd, sizes, scores, strength, q, from_start, g, n);
        }
    }

    /// Blocks of products reach a few steps beyond each, 0 times what is there. So those before the first step that is
    /// not finite are read again with nothing from there on: the same sums.
    #[inline(always)]
    fn reads_before_fault(&self, u: &[T], strength: &[T], y: &mut [T], n: &mut [T], count: usize) {
        let Sizes { c_pad, d_pad, .. } = *self.sizes;
        let finite = |j: usize| all_finite(&u[j * d_pad..][..d_pad]) && all_finite(&strength[j..=j]);
        let sound = (0..count).find(|&j| !finite(j)).unwrap_or(count);
        let (mut u, mut strength) = (u.to_vec(), strength.to_vec());
        u[sound * d_pad..].fill(T::ZERO);
        strength[sound..].fill(T::ZERO);
        let (mut y_sound, mut n_sound) = (vec![T::ZERO; c_pad * d_pad], vec![T::ZERO; c_pad]);
        self.reads(&u, &strength, &mut y_sound, &mut n_sound);
        y[..sound * d_pad].copy_from_slice(&y_sound[..sound * d_pad]);
        n[..sound].copy_from_slice(&n_sound[..sound]);
    }
}
