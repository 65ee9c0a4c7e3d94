//! Gradients of what a chunk writes.

use pulp::Simd;

use super::super::sizes::Sizes;
use super::{Pass, Work, transpose_padded};
use crate::kernel::product::{
    BLOCK, Into, Left, lower_of_product, lower_times, lower_transposed_times, product, transpose,
};
use crate::kernel::real::{Real, add_scaled, copy, dot, scale};

impl<T: Real, S: Simd> Pass<'_, '_, T, S> {
    /// Keys, X and U, as in the forward pass.
    #[inline(always)]
    pub(super) fn recompute(&mut self, head: usize, c: usize, count: usize) {
        let Sizes { m, d, chunk, c_pad, m_pad, d_pad, .. } = self.sizes;
        let (simd, wide, tall) = (self.simd, self.sizes.wide(), self.sizes.tall());
        let [(h, _), _] = self.saved_states(head, c);
        let buffers = &mut self.buffers;
        let k = &mut buffers.k[head * wide..][..wide];
        let x = &mut buffers.x[head * tall..][..tall];
        buffers.k_slopes.map(simd, self.spec, k, m_pad, m, count);
        if self.spec.causal || self.delta {
            transpose(c_pad, m, (k, m_pad), (buffers.k_transposed, c_pad));
        }
        if self.delta {
            product(simd, [chunk, d_pad, m], Left::plain(k, m_pad), (h, d_pad), (buffers.u, d_pad), Into::Set);
            for i in 0..chunk {
                let recalled = &buffers.u[i * d_pad..][..d_pad];
                add_scaled(simd, &mut x[i * d_pad..][..d_pad], -buffers.decay.from_start[i], recalled);
            }
            let between = &*buffers.decay.between;
            buffers.correction.load(simd, &self.sizes, k, buffers.k_transposed, between, buffers.strength);
        }
        copy::<T, S>(buffers.u, x);
        if self.inputs.strength.is_some() {
            for (row, &by) in buffers.u.chunks_exact_mut(d_pad).zip(&*buffers.strength) {
                scale(row, by);
            }
        }
        if self.delta {
            buffers.correction.solve(simd, &self.sizes, buffers.u);
        }
        transpose_padded(m, d, (h, d_pad), (buffers.h_transposed, m_pad));
    }

    /// Through the writes, from the state after the chunk to U and the keys. Returns the gradient
    /// of `b_C`.
    #[inline(always)]
    pub(super) fn through_state(&mut self, head: usize, c: usize) -> T {
        let Sizes { m, d, chunk, m_pad, d_pad, .. } = self.sizes;
        let (simd, wide, tall) = (self.simd, self.sizes.wide(), self.sizes.tall());
        let [_, (h_after, g_after)] = self.saved_states(head, c);
        let (dh, dg) = self.states.at(head, c);
        let buffers = &mut self.buffers;
        let k = &buffers.k[head * wide..][..wide];
        let dk = &mut buffers.dk[head * wide..][..wide];
        let du = &mut buffers.du[head * tall..][..tall];
        transpose_padded(m, d, (dh, d_pad), (buffers.dh_transposed, m_pad));
        product(simd, [chunk, d_pad, m], Left::plain(k, m_pad), (dh, d_pad), (du, d_pad), Into::Set);
        let left = Left::plain(buffers.u, d_pad);
        product(simd, [chunk, m_pad, d], left, (buffers.dh_transposed, m_pad), (dk, m_pad), Into::Set);
        if self.floor.is_some() {
            for (row, &by) in dk.chunks_exact_mut(m_pad).zip(&buffers.strength[..chunk]) {
                add_scaled(simd, row, by, dg);
            }
        }
        let to_end = &*buffers.decay.to_end;
        if self.decays {
            for i in 0..chunk {
                scale(&mut du[i * d_pad..][..d_pad], to_end[i]);
                scale(&mut dk[i * m_pad..][..m_pad], to_end[i]);
            }
        }
        // What β has of the calcium: the part of its gradient that does not come by U.
        if self.floor.is_some() {
            for i in 0..chunk {
                buffers.row_sums[i] = to_end[i] * dot(simd, &k[i * m_pad..][..m_pad], dg);
            }
        }
        if !self.decays {
            return T::ZERO;
        }
        let by_whole = dot(simd, dh, h_after) + dot(simd, dg, g_after);
        if self.work == Work::Whole {
            buffers.decay.whole.apply(dh);
            buffers.decay.whole.apply(dg);
        }
        by_whole
    }

    /// Through the correction of the delta rule, from U to values, keys, β and the state before the
    /// chunk.
    #[inline(always)]
    pub(super) fn through_correction(&mut self, head: usize, c: usize) {
        let Sizes { m, d, chunk, c_pad, m_pad, d_pad, .. } = self.sizes;
        let (simd, wide, tall) = (self.simd, self.sizes.wide(), self.sizes.tall());
        let (dh, _) = self.states.at(head, c);
        let buffers = &mut self.buffers;
        let k = &buffers.k[head * wide..][..wide];
        let dk = &mut buffers.dk[head * wide..][..wide];
        let x = &buffers.x[head * tall..][..tall];
        let du = &mut buffers.du[head * tall..][..tall];
        let d_overlap = &mut *buffers.d_overlap;
        buffers.correction.solve_transposed(simd, &self.sizes, du);
        if !self.spec.causal {
            transpose(c_pad, d, (buffers.u, d_pad), (buffers.u_transposed, c_pad));
        }
        let left = Left::plain(du, d_pad);
        lower_of_product(simd, [chunk, d], left, (buffers.u_transposed, c_pad), (d_overlap, c_pad));
        for i in 0..chunk {
            let end = (i / BLOCK + 1) * BLOCK;
            let row = &mut d_overlap[i * c_pad..][..end];
            // dA = −dR Uᵀ; β's part of it is what A is without β.
            let by_strength = -dot(simd, row, &buffers.correction.overlap[i * c_pad..][..end]);
            let offered = dot(simd, &du[i * d_pad..][..d_pad], &x[i * d_pad..][..d_pad]);
            buffers.row_sums[i] = by_strength + offered;
            let by = -buffers.strength[i];
            for (x, &left) in row[..i].iter_mut().zip(&buffers.decay.between[i * c_pad..]) {
                *x *= by * left;
            }
            row[i..].fill(T::ZERO);
        }
        for (row, &by) in du.chunks_exact_mut(d_pad).zip(&*buffers.strength) {
            scale(row, by);
        }
        // `du` is dV now, and −from_start dV, in `u`, the gradient of what was recalled.
        copy::<T, S>(buffers.u, du);
        for (row, &by) in buffers.u.chunks_exact_mut(d_pad).zip(&*buffers.decay.from_start) {
            scale(row, -by);
        }
        let (left, dk_read) = (Left::plain(buffers.u, d_pad), &mut *buffers.dk_read);
        product(simd, [chunk, m_pad, d], left, (buffers.h_transposed, m_pad), (dk_read, m_pad), Into::Set);
        lower_times(simd, [chunk, m_pad], (d_overlap, c_pad), (k, m_pad), (dk_read, m_pad), Into::Add);
        lower_transposed_times(simd, [chunk, m_pad], (d_overlap, c_pad), (k, m_pad), (dk, m_pad), Into::Add);
        product(simd, [m, d_pad, chunk], Left::transposed(k, m_pad), (buffers.u, d_pad), (dh, d_pad), Into::Add);
    }

    /// Through β of the Hebbian rule, from U to values and β.
    #[inline(always)]
    pub(super) fn through_strength(&mut self, head: usize) {
        let Sizes { chunk, d_pad, .. } = self.sizes;
        let tall = self.sizes.tall();
        let buffers = &mut self.buffers;
        let x = &buffers.x[head * tall..][..tall];
        let du = &mut buffers.du[head * tall..][..tall];
        for i in 0..chunk {
            let offered = dot(self.simd, &du[i * d_pad..][..d_pad], &x[i * d_pad..][..d_pad]);
            let by_calcium = buffers.row_sums[i];
            buffers.row_sums[i] = if self.floor.is_some() { by_calcium + offered } else { offered };
        }
        if self.inputs.strength.is_some() {
            for (row, &by) in du.chunks_exact_mut(d_pad).zip(&*buffers.strength) {
                scale(row, by);
            }
        }
    }

    /// Gradients of write strength and of log decay.
    #[inline(always)]
    pub(super) fn store_numbers(&mut self, head: usize, by_whole: T, [start, count]: [usize; 2]) {
        let Sizes { steps, chunk, m_pad, .. } = self.sizes;
        let (simd, wide) = (self.simd, self.sizes.wide());
        let first = head * steps + start - self.range.start * chunk;
        let buffers = &mut self.buffers;
        copy::<T, S>(&mut self.gradients.strength[first..][..count], &buffers.row_sums[..count]);
        if !self.decays {
            return;
        }
        for i in 0..chunk {
            let row = i * m_pad..(i + 1) * m_pad;
            let k = &buffers.k[head * wide..][row.clone()];
            buffers.by_log[i] -= dot(simd, k, &buffers.dk[head * wide..][row.clone()]);
            if self.delta {
                buffers.by_log[i] += dot(simd, k, &buffers.dk_read[row]);
            }
        }
        // The gradient of log a_t is that of every b_i with i ≥ t.
        let mut sum = by_whole.to_f64();
        for i in (0..count).rev() {
            sum += buffers.by_log[i].to_f64();
            self.gradients.log_decay[first + i] = T::from_f64(sum);
        }
    }

    /// From the gradients of φ(k) to those of k.
    #[inline(always)]
    pub(super) fn finish_keys(&mut self, head: usize, count: usize) {
        let Sizes { m, m_pad, .. } = self.sizes;
        let (simd, wide) = (self.simd, self.sizes.wide());
        let buffers = &mut self.buffers;
        let k = &buffers.k[head * wide..][..wide];
        let dk = &mut buffers.dk[head * wide..][..wide];
        if self.delta {
            for (row, read) in dk.chunks_exact_mut(m_pad).zip(buffers.dk_read.chunks_exact(m_pad)).take(count) {
                add_scaled(simd, row, T::ONE, read);
            }
        }
        buffers.k_slopes.map_backward(simd, self.spec, k, dk, [m_pad, m, count]);
    }
}
