//! Gradients of reads that go with the steps.

use pulp::Simd;

use super::super::scores::{normalizers, times_lower};
use super::super::sizes::Sizes;
use super::{Pass, Work, slope_of_normalizer};
use crate::kernel::product::{
    BLOCK, Into, Left, lower_of_product, lower_times, lower_transposed_times, product, transpose,
};
use crate::kernel::real::{Real, add_scaled, copy, dot, plus, scale};

impl<T: Real, S: Simd> Pass<'_, '_, T, S> {
    /// Through what one query head reads in a chunk.
    #[inline(always)]
    pub(super) fn through_read(&mut self, head: usize, reader: usize, c: usize, count: usize) {
        let Sizes { m, shared, m_pad, .. } = self.sizes;
        let (wide, place) = (self.sizes.wide(), head * shared + reader);
        let q = &mut self.buffers.q[place * wide..][..wide];
        self.buffers.q_slopes.map(self.simd, self.spec, q, m_pad, m, count);
        if self.scored() {
            self.score(place, count, head, c);
        }
        if self.work != Work::Reads {
            self.read_gradients(place, head, count);
        }
        if self.work != Work::Given {
            self.weigh_queries(place);
        }
    }

    /// Scores and normalisers again; their gradients, and of dq what comes of the state before the
    /// chunk.
    #[inline(always)]
    fn score(&mut self, place: usize, count: usize, head: usize, c: usize) {
        let Sizes { m, d, chunk, c_pad, m_pad, d_pad, .. } = self.sizes;
        let (simd, wide, tall) = (self.simd, self.sizes.wide(), self.sizes.tall());
        let [(_, g), _] = self.saved_states(head, c);
        let buffers = &mut self.buffers;
        let q = &buffers.q[place * wide..][..wide];
        let dr = &mut buffers.dr[place * tall..][..tall];
        let dq = &mut buffers.dq[place * wide..][..wide];
        let from_start = &*buffers.decay.from_start;
        let left = Left::plain(q, m_pad);
        lower_of_product(simd, [chunk, m], left, (buffers.k_transposed, c_pad), (buffers.scores, c_pad));
        times_lower(buffers.scores, buffers.decay.between, chunk, c_pad);
        if let Some(floor) = self.floor {
            normalizers(simd, &self.sizes, buffers.scores, buffers.strength, q, from_start, g, buffers.n);
            for (row, &n) in dr.chunks_exact_mut(d_pad).zip(&buffers.n[..count]) {
                scale(row, T::ONE / n.max(floor));
            }
        }
        transpose(c_pad, d, (buffers.u, d_pad), (buffers.u_transposed, c_pad));
        let left = Left::plain(dr, d_pad);
        lower_of_product(simd, [chunk, d], left, (buffers.u_transposed, c_pad), (buffers.d_scores, c_pad));
        product(simd, [chunk, m_pad, d], left, (buffers.h_transposed, m_pad), (dq, m_pad), Into::Set);
        let Some(floor) = self.floor else { return };
        for i in 0..chunk {
            let whole = ..(i / BLOCK + 1) * BLOCK;
            let d_scores = &mut buffers.d_scores[i * c_pad..][whole];
            let (q, dq) = (&q[i * m_pad..][..m_pad], &mut dq[i * m_pad..][..m_pad]);
            let within = dot(simd, &buffers.scores[i * c_pad..][whole], d_scores);
            let before = from_start[i] * dot(simd, q, dq);
            buffers.dn[i] = slope_of_normalizer(within + before, buffers.n[i], floor);
            add_scaled(simd, d_scores, buffers.dn[i], buffers.strength);
            add_scaled(simd, dq, buffers.dn[i], g);
        }
    }

    /// From the gradients of the scores and of the reads to those of queries, keys and what was
    /// written.
    #[inline(always)]
    fn read_gradients(&mut self, place: usize, head: usize, count: usize) {
        let Sizes { m, chunk, c_pad, m_pad, d_pad, .. } = self.sizes;
        let (simd, wide, tall) = (self.simd, self.sizes.wide(), self.sizes.tall());
        let buffers = &mut self.buffers;
        let q = &buffers.q[place * wide..][..wide];
        let dr = &buffers.dr[place * tall..][..tall];
        let dq = &mut buffers.dq[place * wide..][..wide];
        let k = &buffers.k[head * wide..][..wide];
        let dk = &mut buffers.dk[head * wide..][..wide];
        let du = &mut buffers.du[head * tall..][..tall];
        let (scores, d_scores) = (&*buffers.scores, &mut *buffers.d_scores);
        times_lower(d_scores, buffers.decay.between, chunk, c_pad);
        if self.decays {
            for (row, &by) in dq.chunks_exact_mut(m_pad).zip(&*buffers.decay.from_start) {
                scale(row, by);
            }
        }
        lower_times(simd, [chunk, m_pad], (d_scores, c_pad), (k, m_pad), (dq, m_pad), Into::Add);
        lower_transposed_times(simd, [chunk, m_pad], (d_scores, c_pad), (q, m_pad), (dk, m_pad), Into::Add);
        lower_transposed_times(simd, [chunk, d_pad], (scores, c_pad), (dr, d_pad), (du, d_pad), Into::Add);
        if self.floor.is_some() {
            for i in 0..chunk {
                let scores = &scores[i * c_pad..][..(i / BLOCK + 1) * BLOCK];
                add_scaled(simd, buffers.row_sums, buffers.dn[i], scores);
            }
        }
        if self.decays {
            for i in 0..chunk {
                buffers.by_log[i] += dot(simd, &q[i * m_pad..][..m_pad], &dq[i * m_pad..][..m_pad]);
            }
        }
        buffers.q_slopes.map_backward(simd, self.spec, q, dq, [m_pad, m, count]);
    }

    /// Queries as the state before the chunk is read by them, and what they add to the gradient of
    /// its calcium.
    #[inline(always)]
    fn weigh_queries(&mut self, place: usize) {
        let Sizes { chunk, m_pad, .. } = self.sizes;
        let wide = self.sizes.wide();
        let buffers = &mut self.buffers;
        let q = &mut buffers.q[place * wide..][..wide];
        if self.decays {
            for (row, &by) in q.chunks_exact_mut(m_pad).zip(&*buffers.decay.from_start) {
                scale(row, by);
            }
        }
        if self.floor.is_some() {
            for (row, &dn) in q.chunks_exact(m_pad).zip(&buffers.dn[..chunk]) {
                add_scaled(self.simd, buffers.added, dn, row);
            }
        }
    }

    /// The gradient of the state before the chunk, by what all query heads of a key head read of
    /// it.
    #[inline(always)]
    pub(super) fn reads_to_state(&mut self, head: usize, c: usize) {
        let Sizes { m, shared, chunk, c_pad, m_pad, d_pad, .. } = self.sizes;
        let (simd, wide, tall) = (self.simd, self.sizes.wide(), self.sizes.tall());
        let buffers = &self.buffers;
        let (dh, dg) = self.states.at(head, c);
        // All queries of a key head in one product: rows between those of two heads are 0.
        let rows = (shared - 1) * c_pad + chunk;
        let left = Left::transposed(&buffers.q[head * shared * wide..][..shared * wide], m_pad);
        let right = (&buffers.dr[head * shared * tall..][..shared * tall], d_pad);
        if self.work == Work::Reads {
            product(simd, [m, d_pad, rows], left, right, (dh, d_pad), Into::Set);
            copy::<T, S>(dg, buffers.added);
        } else {
            product(simd, [m, d_pad, rows], left, right, (dh, d_pad), Into::Add);
            plus(simd, dg, buffers.added);
        }
    }
}
