//! Gradients of reads that all come after the last step.

use pulp::Simd;

use super::super::sizes::Sizes;
use super::{Pass, Work, slope_of_normalizer, transpose_padded};
use crate::kernel::heads::{load_heads, store_heads};
use crate::kernel::product::{Into, Left, product};
use crate::kernel::real::{Real, add_scaled, dot, plus, scale};

impl<T: Real, S: Simd> Pass<'_, '_, T, S> {
    /// Gradients of the queries, and what a chunk of them adds to the gradient of the last state.
    #[inline(always)]
    pub(super) fn reads_after_last(&mut self) {
        let Sizes { reads, m, chunk, group, shared, c_pad, m_pad, d_pad, .. } = self.sizes;
        let (simd, place) = (self.simd, self.query_place());
        let read_wide = [group * shared, c_pad, m_pad];
        let first = self.range.start * chunk;
        let (start, end) =
            if self.work == Work::Whole { (0, reads) } else { (first, reads.min(self.range.end * chunk)) };
        for start in (start..end).step_by(chunk) {
            let count = chunk.min(reads - start);
            load_heads(simd, &self.inputs.query, place, [start, count], self.buffers.q, read_wide);
            load_heads(simd, &self.grad, place, [start, count], self.buffers.dr, [group * shared, c_pad, d_pad]);
            for head in 0..group {
                self.reads_of_head_after_last(head, start / chunk, count);
            }
            store_heads(self.buffers.dq, read_wide, &mut self.gradients.query[start - first..][..count], m);
        }
    }

    #[inline(always)]
    fn reads_of_head_after_last(&mut self, head: usize, c: usize, count: usize) {
        let Sizes { m, d, shared, chunks, c_pad, m_pad, d_pad, .. } = self.sizes;
        let (simd, spec, wide, tall) = (self.simd, self.spec, self.sizes.wide(), self.sizes.tall());
        let [_, (h, g)] = self.saved_states(head, chunks - 1);
        let buffers = &mut self.buffers;
        transpose_padded(m, d, (h, d_pad), (buffers.h_transposed, m_pad));
        buffers.added.fill(T::ZERO);
        for reader in head * shared..(head + 1) * shared {
            let q = &mut buffers.q[reader * wide..][..wide];
            let dr = &mut buffers.dr[reader * tall..][..tall];
            let dq = &mut buffers.dq[reader * wide..][..wide];
            buffers.q_slopes.map(simd, spec, q, m_pad, m, count);
            if let Some(floor) = self.floor {
                for i in 0..count {
                    buffers.n[i] = dot(simd, &q[i * m_pad..][..m_pad], g);
                    scale(&mut dr[i * d_pad..][..d_pad], T::ONE / buffers.n[i].max(floor));
                }
            }
            let left = Left::plain(dr, d_pad);
            product(simd, [count, m_pad, d], left, (buffers.h_transposed, m_pad), (dq, m_pad), Into::Set);
            if let Some(floor) = self.floor {
                for i in 0..count {
                    let (q, dq) = (&q[i * m_pad..][..m_pad], &mut dq[i * m_pad..][..m_pad]);
                    buffers.dn[i] = slope_of_normalizer(dot(simd, q, dq), buffers.n[i], floor);
                    add_scaled(simd, dq, buffers.dn[i], g);
                    add_scaled(simd, buffers.added, buffers.dn[i], q);
                }
            }
            buffers.q_slopes.map_backward(simd, spec, q, dq, [m_pad, m, count]);
        }
        // All queries of a key head in one product: rows between those of two heads are 0.
        let rows = (shared - 1) * c_pad + count;
        let (dh, dg) = self.states.at(head, c);
        let into = if self.work == Work::Reads { Into::Set } else { Into::Add };
        let left = Left::transposed(&buffers.q[head * shared * wide..][..shared * wide], m_pad);
        let right = (&buffers.dr[head * shared * tall..][..shared * tall], d_pad);
        product(simd, [m, d_pad, rows], left, right, (dh, d_pad), into);
        if self.work == Work::Reads {
            dg.fill(T::ZERO);
        }
        plus(simd, dg, buffers.added);
    }
}
