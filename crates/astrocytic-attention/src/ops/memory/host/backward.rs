//! The backward pass: chunks in reverse, carrying the gradient of the state.
//!
//! A log decay b_i stands in every product as a factor e^{b_i} of what reads at step i and e^{−b_j} of what was written at
//! step j. So its gradient is `q_i · dq_i` and `k_i · dk_i`, the latter with a minus sign for that part of dk in which the
//! key was written: no other sum over pairs of steps is needed.

use std::mem::MaybeUninit;
use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::super::spec::Plasticity;
use super::chunk::{Correction, Decay, leak, map_backward, map_with_slopes};
use super::forward::{normalizers, times_lower};
use super::{Memory, Sizes};
use crate::kernel::Views;
use crate::kernel::heads::{load_heads, load_numbers, store_heads};
use crate::kernel::host::View;
use crate::kernel::product::{
    BLOCK, Into, Left, lower_of_product, lower_times, lower_transposed_times, product, transpose,
};
use crate::kernel::real::{Real, add_scaled, copy, dot, plus, scale};
use crate::kernel::scratch::Scratch;

/// Numbers of scratch that a task takes.
pub fn scratch(sizes: &Sizes) -> usize {
    let Sizes { c_pad: c, m_pad: m, d_pad: d, group, shared, .. } = *sizes;
    let state = m * d + m;
    let of_heads = state + c * (2 * (1 + shared) * m + (2 + shared) * d);
    let of_one = 2 * d * m + c * (4 * m + 3 * d + 3 * c + 7) + m;
    group * of_heads + of_one + Decay::<f32>::scratch(sizes) + Correction::<f32>::scratch(sizes)
}

/// Where the gradients go: of the steps of the chunks.
pub struct Found<'a, 'b, T> {
    pub dq: &'a mut [&'b mut [MaybeUninit<T>]],
    pub dk: &'a mut [&'b mut [MaybeUninit<T>]],
    pub dv: &'a mut [&'b mut [MaybeUninit<T>]],
    /// One number a step, head by head.
    pub d_decay: &'a mut [T],
    pub d_strength: &'a mut [T],
    /// Of the state before the first step, where the part is the whole.
    pub d_memory: &'a mut [T],
    pub d_calcium: &'a mut [T],
}

/// What of the work, and what the states are.
#[derive(Clone, Copy, PartialEq)]
pub enum Part {
    /// All of it, for some heads. No states.
    Whole,
    /// Of one head, what each chunk's reads add to the gradient of the state before them: one state for each. Where all read
    /// after the last step, also the gradients of the queries.
    Reads,
    /// Of one head, all but that, given the gradients of the states after each chunk.
    Given,
}

/// Some heads of a row.
pub struct Heads<'a, 'b, T: Real> {
    pub memory: &'a Memory,
    pub sizes: Sizes,
    pub inputs: &'a Views<'a, T>,
    pub grad: View<'a, T>,
    /// Gradient of the memory and the calcium after the last step, of all heads, or nothing.
    pub after: (&'a [T], &'a [T]),
    /// The heads' states.
    pub kept: &'a [T],
    /// Which row, and the first of the heads.
    pub place: [usize; 2],
    pub part: Part,
    pub states: &'a mut [T],
    /// Which chunks of steps, or in [`Part::Reads`] where all read after the last step, of reads.
    pub range: Range<usize>,
    pub found: Found<'a, 'b, T>,
    pub scratch: &'a mut [T],
}

impl<T: Real> WithSimd for Heads<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { memory, sizes, inputs, grad, after, kept, place, part, states, range, found, scratch } = self;
        let Sizes { heads, shared, steps, m, d, chunk, group, c_pad, m_pad, d_pad, .. } = sizes;
        let [query, key, value] = [0, 1, 2].map(|i| inputs[i].as_ref().expect("query, key and value"));
        // The first of the query heads.
        let query_place = [place[0], place[1] * shared];
        let floor = memory.calcium_floor.map(T::from_f64);
        let delta = memory.plasticity == Plasticity::Delta;
        let decays = inputs[3].is_some();

        let mut scratch = Scratch(scratch);
        let dh_all = scratch.take(group * m * d_pad);
        let dg_all = scratch.take(group * m_pad);
        let [q_all, dq_all] = [(); 2].map(|()| scratch.take(group * shared * c_pad * m_pad));
        let [k_all, dk_all] = [(); 2].map(|()| scratch.take(group * c_pad * m_pad));
        let dr_all = scratch.take(group * shared * c_pad * d_pad);
        let [x_all, du_all] = [(); 2].map(|()| scratch.take(group * c_pad * d_pad));
        let [q_slopes, k_slopes] = [(); 2].map(|()| scratch.take(c_pad * m_pad));
        let [q_inverses, k_inverses] = [(); 2].map(|()| scratch.take(c_pad));
        let [h_transposed, dh_transposed] = [(); 2].map(|()| scratch.take(d * m_pad));
        let dk_read = scratch.take(c_pad * m_pad);
        let k_transposed = scratch.take(m * c_pad);
        let u = scratch.take(c_pad * d_pad);
        let u_transposed = scratch.take(d * c_pad);
        let [scores, d_scores, d_overlap] = [(); 3].map(|()| scratch.take(c_pad * c_pad));
        let [strength, n, dn, by_log, row_sums] = [(); 5].map(|()| scratch.take(c_pad));
        let added = scratch.take(m_pad);
        let mut log = vec![0.0; c_pad];
        let mut decay = Decay::new(&sizes, &mut scratch, &mut log);
        let mut correction = Correction::new(&sizes, &mut scratch);
        strength.fill(T::ONE);
        dn.fill(T::ZERO);
        let [wide, read_wide] = [group, group * shared].map(|heads| [heads, c_pad, m_pad]);
        let [tall, read_tall] = [group, group * shared].map(|heads| [heads, c_pad, d_pad]);
        // All queries of a key head in one product: rows between those of two heads are 0.
        let stacked = (shared - 1) * c_pad;

        dh_all.fill(T::ZERO);
        dg_all.fill(T::ZERO);
        for g in 0..group {
            let head = place[0] * heads + place[1] + g;
            if !after.0.is_empty() {
                for (i, row) in dh_all[g * m * d_pad..][..m * d_pad].chunks_exact_mut(d_pad).enumerate() {
                    copy::<T, S>(&mut row[..d], &after.0[(head * m + i) * d..][..d]);
                }
            }
            if !after.1.is_empty() {
                copy::<T, S>(&mut dg_all[g * m_pad..][..m], &after.1[head * m..][..m]);
            }
        }

        let first = range.start * chunk;
        // What a chunk adds to the gradient of a state is summed first, then added: the same bits, whether or not the chunks
        // are each on their own.
        if !memory.causal && part != Part::Given {
            let (first, end) =
                if part == Part::Whole { (0, sizes.reads) } else { (first, sizes.reads.min(range.end * chunk)) };
            for start in (first..end).step_by(chunk) {
                let span = [start, chunk.min(sizes.reads - start)];
                let count = span[1];
                load_heads(simd, query, query_place, span, q_all, read_wide);
                load_heads(simd, &grad, query_place, span, dr_all, read_tall);
                for head in 0..group {
                    let last = &kept[(head + 1) * sizes.kept() - sizes.state()..][..sizes.state()];
                    let (h, g) = last.split_at(m * d_pad);
                    let q_heads = &mut q_all[head * shared * c_pad * m_pad..][..shared * c_pad * m_pad];
                    let dr_heads = &mut dr_all[head * shared * c_pad * d_pad..][..shared * c_pad * d_pad];
                    let (dh, dg, into) = match part {
                        Part::Reads => {
                            let own = &mut states[(start - first) / chunk * sizes.state()..][..sizes.state()];
                            let (dh, dg) = own.split_at_mut(m * d_pad);
                            dg.fill(T::ZERO);
                            (dh, dg, Into::Set)
                        }
                        _ => {
                            let dh = &mut dh_all[head * m * d_pad..][..m * d_pad];
                            (dh, &mut dg_all[head * m_pad..][..m_pad], Into::Add)
                        }
                    };
                    transpose_padded(m, d, (h, d_pad), (h_transposed, m_pad));
                    added.fill(T::ZERO);
                    for reader in 0..shared {
                        let q = &mut q_heads[reader * c_pad * m_pad..][..c_pad * m_pad];
                        let dr = &mut dr_heads[reader * c_pad * d_pad..][..c_pad * d_pad];
                        let dq = &mut dq_all[(head * shared + reader) * c_pad * m_pad..][..c_pad * m_pad];
                        map_with_slopes(simd, memory, q, q_slopes, q_inverses, m_pad, m, count);
                        if let Some(floor) = floor {
                            for i in 0..count {
                                n[i] = dot(simd, &q[i * m_pad..][..m_pad], g);
                                scale(&mut dr[i * d_pad..][..d_pad], T::ONE / n[i].max(floor));
                            }
                        }
                        let left = Left::plain(dr, d_pad);
                        product(simd, [count, m_pad, d], left, (h_transposed, m_pad), (dq, m_pad), Into::Set);
                        if let Some(floor) = floor {
                            for i in 0..count {
                                let along = dot(simd, &q[i * m_pad..][..m_pad], &dq[i * m_pad..][..m_pad]);
                                dn[i] = slope_of_normalizer(along, n[i], floor);
                            }
                        }
                        for i in 0..count {
                            let row = &mut dq[i * m_pad..][..m_pad];
                            if floor.is_some() {
                                add_scaled(simd, row, dn[i], g);
                                add_scaled(simd, added, dn[i], &q[i * m_pad..][..m_pad]);
                            }
                            let (phi, slopes) = (&q[i * m_pad..][..m_pad], &q_slopes[i * m_pad..][..m_pad]);
                            map_backward(simd, memory, phi, slopes, q_inverses[i], row, m);
                        }
                    }
                    let left = Left::transposed(q_heads, m_pad);
                    product(simd, [m, d_pad, stacked + count], left, (dr_heads, d_pad), (dh, d_pad), into);
                    plus(simd, dg, added);
                }
                store_heads(dq_all, read_wide, &mut found.dq[start - first..][..count], m);
            }
        }

        let only_reads = part == Part::Reads;
        let scored = !only_reads || floor.is_some();
        for c in if memory.causal || !only_reads { range.clone() } else { 0..0 }.rev() {
            let start = c * chunk;
            let span = [start, chunk.min(steps - start)];
            let count = span[1];
            if scored {
                load_heads(simd, key, place, span, k_all, wide);
                load_heads(simd, value, place, span, x_all, tall);
            }
            if memory.causal {
                load_heads(simd, query, query_place, span, q_all, read_wide);
                load_heads(simd, &grad, query_place, span, dr_all, read_tall);
            }
            for head in 0..group {
                let place = [place[0], place[1] + head];
                let q_heads = &mut q_all[head * shared * c_pad * m_pad..][..shared * c_pad * m_pad];
                let dr_heads = &mut dr_all[head * shared * c_pad * d_pad..][..shared * c_pad * d_pad];
                let k = &mut k_all[head * c_pad * m_pad..][..c_pad * m_pad];
                let dk_written = &mut dk_all[head * c_pad * m_pad..][..c_pad * m_pad];
                let x = &mut x_all[head * c_pad * d_pad..][..c_pad * d_pad];
                let du = &mut du_all[head * c_pad * d_pad..][..c_pad * d_pad];
                let (dh, dg) = match part {
                    Part::Whole => {
                        let dh = &mut dh_all[head * m * d_pad..][..m * d_pad];
                        (dh, &mut dg_all[head * m_pad..][..m_pad])
                    }
                    Part::Reads | Part::Given => {
                        states[(c - range.start) * sizes.state()..][..sizes.state()].split_at_mut(m * d_pad)
                    }
                };
                let own = &kept[head * sizes.kept() + c * sizes.state()..][..2 * sizes.state()];
                let (now, next) = own.split_at(sizes.state());
                let (h, g) = now.split_at(m * d_pad);

                // As in the forward pass.
                if let Some(view) = &inputs[3] {
                    decay.load(simd, view, place, span);
                }
                if let Some(view) = &inputs[4] {
                    load_numbers(view, place, span, strength);
                }
                if scored {
                    map_with_slopes(simd, memory, k, k_slopes, k_inverses, m_pad, m, count);
                    if memory.causal || delta {
                        transpose(c_pad, m, (k, m_pad), (k_transposed, c_pad));
                    }
                    // X, what is offered, and U, what is written.
                    if delta {
                        product(simd, [chunk, d_pad, m], Left::plain(k, m_pad), (h, d_pad), (u, d_pad), Into::Set);
                        for i in 0..chunk {
                            add_scaled(
                                simd,
                                &mut x[i * d_pad..][..d_pad],
                                -decay.from_start[i],
                                &u[i * d_pad..][..d_pad],
                            );
                        }
                        correction.load(simd, &sizes, k, k_transposed, decay.between, strength);
                    }
                    copy::<T, S>(u, x);
                    if inputs[4].is_some() {
                        for (row, &by) in u.chunks_exact_mut(d_pad).zip(&*strength) {
                            scale(row, by);
                        }
                    }
                    if delta {
                        correction.solve(simd, &sizes, u);
                    }
                    transpose_padded(m, d, (h, d_pad), (h_transposed, m_pad));
                }

                let mut by_whole = T::ZERO;
                // Through the writes, U to H after the chunk.
                if !only_reads {
                    transpose_padded(m, d, (dh, d_pad), (dh_transposed, m_pad));
                    product(simd, [chunk, d_pad, m], Left::plain(k, m_pad), (dh, d_pad), (du, d_pad), Into::Set);
                    let left = Left::plain(u, d_pad);
                    product(simd, [chunk, m_pad, d], left, (dh_transposed, m_pad), (dk_written, m_pad), Into::Set);
                    if floor.is_some() {
                        for i in 0..chunk {
                            add_scaled(simd, &mut dk_written[i * m_pad..][..m_pad], strength[i], dg);
                        }
                    }
                    if decays {
                        for i in 0..chunk {
                            scale(&mut du[i * d_pad..][..d_pad], decay.to_end[i]);
                            scale(&mut dk_written[i * m_pad..][..m_pad], decay.to_end[i]);
                        }
                    }
                    // What β has of the calcium: the part of its gradient that does not come by U.
                    if floor.is_some() {
                        for i in 0..chunk {
                            row_sums[i] = decay.to_end[i] * dot(simd, &k[i * m_pad..][..m_pad], dg);
                        }
                    }
                    if decays {
                        by_whole = dot(simd, dh, &next[..m * d_pad]) + dot(simd, dg, &next[m * d_pad..]);
                    }
                    if decays && part == Part::Whole {
                        leak(dh, decay.whole, decay.lost);
                        leak(dg, decay.whole, decay.lost);
                    }
                }

                // Through the reads.
                by_log.fill(T::ZERO);
                added.fill(T::ZERO);
                for reader in if memory.causal { 0..shared } else { 0..0 } {
                    let q = &mut q_heads[reader * c_pad * m_pad..][..c_pad * m_pad];
                    let dr = &mut dr_heads[reader * c_pad * d_pad..][..c_pad * d_pad];
                    let dq = &mut dq_all[(head * shared + reader) * c_pad * m_pad..][..c_pad * m_pad];
                    map_with_slopes(simd, memory, q, q_slopes, q_inverses, m_pad, m, count);
                    if scored {
                        let left = Left::plain(q, m_pad);
                        lower_of_product(simd, [chunk, m], left, (k_transposed, c_pad), (scores, c_pad));
                        times_lower(scores, decay.between, chunk, c_pad);
                        if let Some(floor) = floor {
                            normalizers(simd, &sizes, scores, strength, q, decay.from_start, g, n);
                            for i in 0..count {
                                scale(&mut dr[i * d_pad..][..d_pad], T::ONE / n[i].max(floor));
                            }
                        }
                        transpose(c_pad, d, (u, d_pad), (u_transposed, c_pad));
                        let left = Left::plain(dr, d_pad);
                        lower_of_product(simd, [chunk, d], left, (u_transposed, c_pad), (d_scores, c_pad));
                        product(simd, [chunk, m_pad, d], left, (h_transposed, m_pad), (dq, m_pad), Into::Set);
                        if let Some(floor) = floor {
                            for i in 0..chunk {
                                let whole = ..(i / BLOCK + 1) * BLOCK;
                                let d_scores = &mut d_scores[i * c_pad..][..c_pad];
                                let dq = &mut dq[i * m_pad..][..m_pad];
                                let within = dot(simd, &scores[i * c_pad..][whole], &d_scores[whole]);
                                let before = decay.from_start[i] * dot(simd, &q[i * m_pad..][..m_pad], dq);
                                dn[i] = slope_of_normalizer(within + before, n[i], floor);
                                add_scaled(simd, &mut d_scores[whole], dn[i], strength);
                                add_scaled(simd, dq, dn[i], g);
                            }
                        }
                    }
                    if !only_reads {
                        times_lower(d_scores, decay.between, chunk, c_pad);
                        if decays {
                            for (row, &by) in dq.chunks_exact_mut(m_pad).zip(&*decay.from_start) {
                                scale(row, by);
                            }
                        }
                        lower_times(simd, [chunk, m_pad], (d_scores, c_pad), (k, m_pad), (dq, m_pad), Into::Add);
                        let to = (&mut *dk_written, m_pad);
                        lower_transposed_times(simd, [chunk, m_pad], (d_scores, c_pad), (q, m_pad), to, Into::Add);
                        let to = (&mut *du, d_pad);
                        lower_transposed_times(simd, [chunk, d_pad], (scores, c_pad), (dr, d_pad), to, Into::Add);
                        if floor.is_some() {
                            for i in 0..chunk {
                                add_scaled(simd, row_sums, dn[i], &scores[i * c_pad..][..(i / BLOCK + 1) * BLOCK]);
                            }
                        }
                        if decays {
                            for i in 0..chunk {
                                by_log[i] += dot(simd, &q[i * m_pad..][..m_pad], &dq[i * m_pad..][..m_pad]);
                            }
                        }
                        for i in 0..count {
                            let row = &mut dq[i * m_pad..][..m_pad];
                            let (phi, slopes) = (&q[i * m_pad..][..m_pad], &q_slopes[i * m_pad..][..m_pad]);
                            map_backward(simd, memory, phi, slopes, q_inverses[i], row, m);
                        }
                    }
                    if part != Part::Given {
                        if decays {
                            for (row, &by) in q.chunks_exact_mut(m_pad).zip(&*decay.from_start) {
                                scale(row, by);
                            }
                        }
                        if floor.is_some() {
                            for i in 0..chunk {
                                add_scaled(simd, added, dn[i], &q[i * m_pad..][..m_pad]);
                            }
                        }
                    }
                }
                if memory.causal && part != Part::Given {
                    let (into, left) =
                        (if only_reads { Into::Set } else { Into::Add }, Left::transposed(q_heads, m_pad));
                    product(simd, [m, d_pad, stacked + chunk], left, (dr_heads, d_pad), (dh, d_pad), into);
                    if only_reads {
                        copy::<T, S>(dg, added);
                    } else {
                        plus(simd, dg, added);
                    }
                }

                if only_reads {
                    continue;
                }
                // Through the correction.
                if delta {
                    correction.solve_transposed(simd, &sizes, du);
                    if !memory.causal {
                        transpose(c_pad, d, (u, d_pad), (u_transposed, c_pad));
                    }
                    let left = Left::plain(du, d_pad);
                    lower_of_product(simd, [chunk, d], left, (u_transposed, c_pad), (d_overlap, c_pad));
                    for i in 0..chunk {
                        let end = (i / BLOCK + 1) * BLOCK;
                        let row = &mut d_overlap[i * c_pad..][..end];
                        // dA = −dR Uᵀ; β's part of it is what A is without β.
                        let by_strength = -dot(simd, row, &correction.overlap[i * c_pad..][..end]);
                        let offered = dot(simd, &du[i * d_pad..][..d_pad], &x[i * d_pad..][..d_pad]);
                        row_sums[i] = by_strength + offered;
                        let by = -strength[i];
                        for (x, &kept) in row[..i].iter_mut().zip(&decay.between[i * c_pad..]) {
                            *x *= by * kept;
                        }
                        row[i..].fill(T::ZERO);
                    }
                    for (row, &by) in du.chunks_exact_mut(d_pad).zip(&*strength) {
                        scale(row, by);
                    }
                    // `du` is dV now, and −from_start dV, in `u`, the gradient of what was recalled.
                    copy::<T, S>(u, du);
                    for (row, &by) in u.chunks_exact_mut(d_pad).zip(&*decay.from_start) {
                        scale(row, -by);
                    }
                    let left = Left::plain(u, d_pad);
                    product(simd, [chunk, m_pad, d], left, (h_transposed, m_pad), (dk_read, m_pad), Into::Set);
                    lower_times(simd, [chunk, m_pad], (d_overlap, c_pad), (k, m_pad), (dk_read, m_pad), Into::Add);
                    let to = (&mut *dk_written, m_pad);
                    lower_transposed_times(simd, [chunk, m_pad], (d_overlap, c_pad), (k, m_pad), to, Into::Add);
                    product(simd, [m, d_pad, chunk], Left::transposed(k, m_pad), (u, d_pad), (dh, d_pad), Into::Add);
                } else {
                    for i in 0..chunk {
                        let offered = dot(simd, &du[i * d_pad..][..d_pad], &x[i * d_pad..][..d_pad]);
                        row_sums[i] = if floor.is_some() { row_sums[i] + offered } else { offered };
                    }
                    if inputs[4].is_some() {
                        for (row, &by) in du.chunks_exact_mut(d_pad).zip(&*strength) {
                            scale(row, by);
                        }
                    }
                }
                copy::<T, S>(&mut found.d_strength[head * steps + start - first..][..count], &row_sums[..count]);

                if decays {
                    for i in 0..chunk {
                        let key = &k[i * m_pad..][..m_pad];
                        by_log[i] -= dot(simd, key, &dk_written[i * m_pad..][..m_pad]);
                        if delta {
                            by_log[i] += dot(simd, key, &dk_read[i * m_pad..][..m_pad]);
                        }
                    }
                    // The gradient of log a_t is that of every b_i with i ≥ t.
                    let mut sum = by_whole.to_f64();
                    for i in (0..count).rev() {
                        sum += by_log[i].to_f64();
                        found.d_decay[head * steps + start - first + i] = T::from_f64(sum);
                    }
                }
                for i in 0..count {
                    let row = &mut dk_written[i * m_pad..][..m_pad];
                    if delta {
                        add_scaled(simd, row, T::ONE, &dk_read[i * m_pad..][..m_pad]);
                    }
                    let (phi, slopes) = (&k[i * m_pad..][..m_pad], &k_slopes[i * m_pad..][..m_pad]);
                    map_backward(simd, memory, phi, slopes, k_inverses[i], row, m);
                }
            }
            if only_reads {
                continue;
            }
            if memory.causal {
                store_heads(dq_all, read_wide, &mut found.dq[start - first..][..count], m);
            }
            store_heads(dk_all, wide, &mut found.dk[start - first..][..count], m);
            store_heads(du_all, tall, &mut found.dv[start - first..][..count], d);
        }

        if part != Part::Whole {
            return;
        }
        for (to, row) in found.d_memory.chunks_exact_mut(d).zip(dh_all.chunks_exact(d_pad)) {
            copy::<T, S>(to, &row[..d]);
        }
        for (to, row) in found.d_calcium.chunks_exact_mut(m).zip(dg_all.chunks_exact(m_pad)) {
            copy::<T, S>(to, &row[..m]);
        }
    }
}

/// The gradient of a normaliser n: `−(dy · y) / n`, or 0 at its floor. With r the reads before it and `dr = dy / n`, `dy · y`
/// is `along = dr · r`, which what is at hand gives: neither y nor r is needed.
#[inline(always)]
fn slope_of_normalizer<T: Real>(along: T, n: T, floor: T) -> T {
    if n > floor { -along / n } else { T::ZERO }
}

/// The transpose, its rows filled up with 0.
#[inline(always)]
fn transpose_padded<T: Real>(rows: usize, columns: usize, from: (&[T], usize), (to, to_ld): (&mut [T], usize)) {
    transpose(rows, columns, from, (to, to_ld));
    for row in to.chunks_exact_mut(to_ld) {
        row[rows..].fill(T::ZERO);
    }
}
