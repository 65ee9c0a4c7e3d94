//! The forward pass.

use std::mem::MaybeUninit;

use pulp::{Simd, WithSimd};

use super::super::Views;
use super::super::product::{BLOCK, Into, Left, lower_of_product, lower_times, product, transpose};
use super::super::real::{Real, add_scaled, dot, scale, times};
use super::chunk::{Correction, Decay, Scratch, leak, load_heads, load_numbers, map, store_heads};
use super::{Memory, Sizes};
use crate::ops::Plasticity;

/// Numbers of scratch that a task takes.
pub fn scratch(sizes: &Sizes) -> usize {
    let Sizes { c_pad: c, m_pad: m, d_pad: d, group, .. } = *sizes;
    group * c * 2 * (m + d) + c * (m + d + c + 2) + Decay::<f32>::scratch(sizes) + Correction::<f32>::scratch(sizes)
}

/// Some heads of a row.
pub struct Heads<'a, 'b, T: Real> {
    pub memory: &'a Memory,
    pub sizes: Sizes,
    pub inputs: &'a Views<'a, T>,
    /// Which, group by group.
    pub task: usize,
    pub reads: Vec<&'b mut [MaybeUninit<T>]>,
    /// For each head all states with `keep`, else the present one.
    pub states: &'b mut [T],
    pub keep: bool,
    pub scratch: &'a mut [T],
}

/// Puts what the memory was before the first step at the start of `state`.
#[inline(always)]
fn begin<T: Real>(sizes: &Sizes, inputs: &Views<T>, [b, h]: [usize; 2], state: &mut [T]) {
    state.fill(T::ZERO);
    let (memory, calcium) = state.split_at_mut(sizes.m * sizes.d_pad);
    if let Some(before) = &inputs[5] {
        for (i, row) in memory.chunks_exact_mut(sizes.d_pad).enumerate() {
            row[..sizes.d].copy_from_slice(before.row(b, h, i));
        }
    }
    if let Some(before) = &inputs[6] {
        for (i, to) in calcium.iter_mut().take(sizes.m).enumerate() {
            *to = before.row(b, h, i)[0];
        }
    }
}

impl<T: Real> WithSimd for Heads<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { memory, sizes, inputs, task, mut reads, states, keep, scratch } = self;
        let Sizes { heads, steps, m, d, chunk, group, c_pad, m_pad, d_pad, .. } = sizes;
        let place = [task * group / heads, task * group % heads];
        let [query, key, value] = [0, 1, 2].map(|i| inputs[i].as_ref().expect("query, key and value"));
        let calcium_floor = memory.calcium_floor.map(T::from_f64);
        let delta = memory.plasticity == Plasticity::Delta;
        let decays = inputs[3].is_some();
        let own = states.len() / group;
        let mut scratch = Scratch(scratch);
        let [q_all, k_all] = [(); 2].map(|()| scratch.take(group * c_pad * m_pad));
        let [u_all, y_all] = [(); 2].map(|()| scratch.take(group * c_pad * d_pad));
        let k_transposed = scratch.take(m_pad * c_pad);
        let recalled = scratch.take(c_pad * d_pad);
        let scores = scratch.take(c_pad * c_pad);
        let [strength, n] = [(); 2].map(|()| scratch.take(c_pad));
        let mut log = vec![0.0; c_pad];
        let mut decay = Decay::new(&sizes, &mut scratch, &mut log);
        let mut correction = Correction::new(&sizes, &mut scratch);
        strength.fill(T::ONE);
        let (wide, tall) = ([group, c_pad, m_pad], [group, c_pad, d_pad]);

        for (g, states) in states.chunks_exact_mut(own).enumerate() {
            begin(&sizes, inputs, [place[0], place[1] + g], &mut states[..sizes.state()]);
        }
        for c in 0..sizes.chunks {
            let start = c * chunk;
            let span = [start, chunk.min(steps - start)];
            let count = span[1];
            load_heads(simd, key, place, span, k_all, wide);
            load_heads(simd, value, place, span, u_all, tall);
            if memory.causal {
                load_heads(simd, query, place, span, q_all, wide);
            }
            for g in 0..group {
                let place = [place[0], place[1] + g];
                let q = &mut q_all[g * c_pad * m_pad..][..c_pad * m_pad];
                let k = &mut k_all[g * c_pad * m_pad..][..c_pad * m_pad];
                let u = &mut u_all[g * c_pad * d_pad..][..c_pad * d_pad];
                let y = &mut y_all[g * c_pad * d_pad..][..c_pad * d_pad];
                let states = &mut states[g * own..][..own];
                map(simd, memory, k, m_pad, m, count);
                if let Some(view) = &inputs[3] {
                    decay.load(simd, view, place, span);
                }
                if let Some(view) = &inputs[4] {
                    load_numbers(view, place, span, strength);
                }
                // The state before the chunk, and where that after it goes.
                let after = if keep {
                    let (before, after) = states[c * sizes.state()..].split_at_mut(sizes.state());
                    after[..sizes.state()].copy_from_slice(before);
                    &mut after[..sizes.state()]
                } else {
                    &mut *states
                };
                let (h_next, g_next) = after.split_at_mut(m * d_pad);

                if memory.causal || delta {
                    transpose(c_pad, m, (k, m_pad), (k_transposed, c_pad));
                }
                if delta {
                    let left = Left::plain(k, m_pad);
                    product(simd, [chunk, d_pad, m], left, (h_next, d_pad), (recalled, d_pad), Into::Set);
                    for i in 0..chunk {
                        add_scaled(simd, &mut u[i * d_pad..][..d_pad], -decay.from_start[i], &recalled[i * d_pad..]);
                    }
                    correction.load(simd, &sizes, k, k_transposed, decay.between, strength);
                }
                if inputs[4].is_some() {
                    for (row, &by) in u.chunks_exact_mut(d_pad).zip(&*strength) {
                        scale(row, by);
                    }
                }
                if delta {
                    correction.solve(simd, &sizes, u);
                }

                if memory.causal {
                    map(simd, memory, q, m_pad, m, count);
                    let left = Left::plain(q, m_pad);
                    lower_of_product(simd, [chunk, m], left, (k_transposed, c_pad), (scores, c_pad));
                    times_lower(scores, decay.between, chunk, c_pad);
                    product(simd, [chunk, d_pad, m], left, (h_next, d_pad), (y, d_pad), Into::Set);
                    if decays {
                        for (row, &by) in y.chunks_exact_mut(d_pad).zip(&*decay.from_start) {
                            scale(row, by);
                        }
                    }
                    lower_times(simd, [chunk, d_pad], (scores, c_pad), (u, d_pad), (y, d_pad), Into::Add);
                    if let Some(floor) = calcium_floor {
                        normalizers(simd, &sizes, scores, strength, q, decay.from_start, g_next, n);
                        for i in 0..count {
                            scale(&mut y[i * d_pad..][..d_pad], T::ONE / n[i].max(floor));
                        }
                    }
                }

                if decays {
                    leak(h_next, decay.whole, decay.lost);
                    leak(g_next, decay.whole, decay.lost);
                    for (row, &by) in k.chunks_exact_mut(m_pad).zip(&*decay.to_end) {
                        scale(row, by);
                    }
                }
                let left = Left::transposed(k, m_pad);
                product(simd, [m, d_pad, chunk], left, (u, d_pad), (h_next, d_pad), Into::Add);
                if calcium_floor.is_some() {
                    for i in 0..count {
                        add_scaled(simd, g_next, strength[i], &k[i * m_pad..][..m_pad]);
                    }
                }
            }
            if memory.causal {
                store_heads(y_all, tall, &mut reads[start..start + count], d);
            }
        }

        if !memory.causal {
            for start in (0..sizes.reads).step_by(chunk) {
                let count = chunk.min(sizes.reads - start);
                load_heads(simd, query, place, [start, count], q_all, wide);
                for g in 0..group {
                    let q = &mut q_all[g * c_pad * m_pad..][..c_pad * m_pad];
                    let y = &mut y_all[g * c_pad * d_pad..][..c_pad * d_pad];
                    let last = &states[(g + 1) * own - sizes.state()..][..sizes.state()];
                    let (h_last, g_last) = last.split_at(m * d_pad);
                    map(simd, memory, q, m_pad, m, count);
                    product(simd, [count, d_pad, m], Left::plain(q, m_pad), (h_last, d_pad), (y, d_pad), Into::Set);
                    if let Some(floor) = calcium_floor {
                        for i in 0..count {
                            let n = dot(simd, &q[i * m_pad..][..m_pad], g_last).max(floor);
                            scale(&mut y[i * d_pad..][..d_pad], T::ONE / n);
                        }
                    }
                }
                store_heads(y_all, tall, &mut reads[start..start + count], d);
            }
        }
    }
}

/// Scores times what is left between their steps, which is 0 above the diagonal, up to the block that was computed.
#[inline(always)]
pub fn times_lower<T: Real>(scores: &mut [T], between: &[T], chunk: usize, width: usize) {
    for i in 0..chunk {
        let end = (i / BLOCK + 1) * BLOCK;
        times(&mut scores[i * width..][..end], &between[i * width..][..end]);
    }
}

/// `n_i = Σ_j scores_ij β_j + from_start_i (q_i · g)`.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
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
