//! The forward pass.

use std::mem::MaybeUninit;
use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::super::spec::Plasticity;
use super::chunk::{Correction, Decay, leak, map};
use super::{Memory, Sizes};
use crate::kernel::Views;
use crate::kernel::heads::{load_heads, load_numbers, store_heads};
use crate::kernel::product::{BLOCK, Into, Left, lower_of_product, lower_times, product, transpose};
use crate::kernel::real::{Real, add_scaled, all_finite, dot, plus, scale, times};
use crate::kernel::scratch::Scratch;

/// Numbers of scratch that a task takes.
pub fn scratch(sizes: &Sizes) -> usize {
    let Sizes { c_pad: c, m_pad: m, d_pad: d, group, shared, .. } = *sizes;
    group * (1 + shared) * c * (m + d)
        + c * (m + d + c + 2)
        + m
        + Decay::<f32>::scratch(sizes)
        + Correction::<f32>::scratch(sizes)
}

/// Some heads of a row.
pub struct Heads<'a, 'b, T: Real> {
    pub memory: &'a Memory,
    pub sizes: Sizes,
    pub inputs: &'a Views<'a, T>,
    /// Which row, and the first of the heads.
    pub place: [usize; 2],
    pub part: Part,
    /// Which chunks of steps, or of reads where all read after the last step.
    pub range: Range<usize>,
    /// The rows of the reads from the first chunk on.
    pub reads: &'a mut [&'b mut [MaybeUninit<T>]],
    pub states: &'a mut [T],
    pub scratch: &'a mut [T],
}

/// What of the work, and what the states are.
#[derive(Clone, Copy, PartialEq)]
pub enum Part {
    /// All of it. Of each head the state before each chunk and after the last, or unless they are kept the present one.
    Whole { keep: bool },
    /// Of one head, what each chunk adds to the state: one state for each.
    Writes,
    /// Of one head, the reads alone: the state before each chunk, or where all read after the last step the last one.
    Reads,
}

/// Puts what the memory was before the first step at the start of `state`.
#[inline(always)]
pub fn begin<T: Real>(sizes: &Sizes, inputs: &Views<T>, [b, h]: [usize; 2], state: &mut [T]) {
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
        let Self { memory, sizes, inputs, place, part, range, reads, states, scratch } = self;
        let Sizes { steps, m, d, chunk, group, shared, c_pad, m_pad, d_pad, .. } = sizes;
        let [query, key, value] = [0, 1, 2].map(|i| inputs[i].as_ref().expect("query, key and value"));
        // The first of the query heads.
        let query_place = [place[0], place[1] * shared];
        let calcium_floor = memory.calcium_floor.map(T::from_f64);
        let delta = memory.plasticity == Plasticity::Delta;
        let decays = inputs[3].is_some();
        let own = states.len() / group;
        let reading = memory.causal && part != Part::Writes;
        let writing = part != Part::Reads;
        let mut scratch = Scratch(scratch);
        let [q_all, k_all] = [group * shared, group].map(|heads| scratch.take(heads * c_pad * m_pad));
        let [y_all, u_all] = [group * shared, group].map(|heads| scratch.take(heads * c_pad * d_pad));
        let k_transposed = scratch.take(m_pad * c_pad);
        let recalled = scratch.take(c_pad * d_pad);
        let scores = scratch.take(c_pad * c_pad);
        let [strength, n] = [(); 2].map(|()| scratch.take(c_pad));
        let added = scratch.take(m_pad);
        let mut log = vec![0.0; c_pad];
        let mut decay = Decay::new(&sizes, &mut scratch, &mut log);
        let mut correction = Correction::new(&sizes, &mut scratch);
        strength.fill(T::ONE);
        added.fill(T::ZERO);
        let [wide, read_wide] = [group, group * shared].map(|heads| [heads, c_pad, m_pad]);
        let [tall, read_tall] = [group, group * shared].map(|heads| [heads, c_pad, d_pad]);

        if let Part::Whole { .. } = part {
            for (g, states) in states.chunks_exact_mut(own).enumerate() {
                begin(&sizes, inputs, [place[0], place[1] + g], &mut states[..sizes.state()]);
            }
        }
        let first = range.start * chunk;
        for c in if memory.causal || writing { range.clone() } else { 0..0 } {
            let start = c * chunk;
            let span = [start, chunk.min(steps - start)];
            let count = span[1];
            load_heads(simd, key, place, span, k_all, wide);
            load_heads(simd, value, place, span, u_all, tall);
            if reading {
                load_heads(simd, query, query_place, span, q_all, read_wide);
            }
            for g in 0..group {
                let place = [place[0], place[1] + g];
                let k = &mut k_all[g * c_pad * m_pad..][..c_pad * m_pad];
                let u = &mut u_all[g * c_pad * d_pad..][..c_pad * d_pad];
                let states = &mut states[g * own..][..own];
                map(simd, memory, k, m_pad, m, count);
                if let Some(view) = &inputs[3] {
                    decay.load(simd, view, place, span);
                }
                if let Some(view) = &inputs[4] {
                    load_numbers(view, place, span, strength);
                }
                // The state before the chunk, and where that after it goes.
                let after = match part {
                    Part::Whole { keep: true } => {
                        let (before, after) = states[c * sizes.state()..].split_at_mut(sizes.state());
                        after[..sizes.state()].copy_from_slice(before);
                        &mut after[..sizes.state()]
                    }
                    Part::Whole { keep: false } => &mut *states,
                    Part::Writes | Part::Reads => &mut states[(c - range.start) * sizes.state()..][..sizes.state()],
                };
                let (h_next, g_next) = after.split_at_mut(m * d_pad);

                if reading || delta {
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

                let readers = if reading { g * shared..(g + 1) * shared } else { 0..0 };
                for reader in readers {
                    let q = &mut q_all[reader * c_pad * m_pad..][..c_pad * m_pad];
                    let y = &mut y_all[reader * c_pad * d_pad..][..c_pad * d_pad];
                    map(simd, memory, q, m_pad, m, count);
                    let left = Left::plain(q, m_pad);
                    lower_of_product(simd, [chunk, m], left, (k_transposed, c_pad), (scores, c_pad));
                    times_lower(scores, decay.between, chunk, c_pad);
                    let read = Read { simd, sizes, memory, q, scores, decay: &decay, state: (&*h_next, &*g_next) };
                    read.reads(u, strength, y, n);
                    if !all_finite(&y[..count * d_pad]) || (calcium_floor.is_some() && !all_finite(&n[..count])) {
                        // Blocks of products reach a few steps beyond each, 0 times what is there. So those before the
                        // first that is not finite are read again with nothing from there on: the same sums.
                        let finite = |j: usize| all_finite(&u[j * d_pad..][..d_pad]) && all_finite(&strength[j..=j]);
                        let sound = (0..count).find(|&j| !finite(j)).unwrap_or(count);
                        let (mut u, mut strength) = (u.to_vec(), strength.to_vec());
                        u[sound * d_pad..].fill(T::ZERO);
                        strength[sound..].fill(T::ZERO);
                        let (mut y_sound, mut n_sound) = (vec![T::ZERO; c_pad * d_pad], vec![T::ZERO; c_pad]);
                        read.reads(&u, &strength, &mut y_sound, &mut n_sound);
                        y[..sound * d_pad].copy_from_slice(&y_sound[..sound * d_pad]);
                        n[..sound].copy_from_slice(&n_sound[..sound]);
                    }
                    if let Some(floor) = calcium_floor {
                        for i in 0..count {
                            scale(&mut y[i * d_pad..][..d_pad], T::ONE / n[i].max(floor));
                        }
                    }
                }

                if !writing {
                    continue;
                }
                if decays {
                    for (row, &by) in k.chunks_exact_mut(m_pad).zip(&*decay.to_end) {
                        scale(row, by);
                    }
                }
                // First what the chunk adds, then the sum: the same bits, whether or not the chunks are each on their own.
                let left = Left::transposed(k, m_pad);
                if calcium_floor.is_some() {
                    added.fill(T::ZERO);
                    for i in 0..count {
                        add_scaled(simd, added, strength[i], &k[i * m_pad..][..m_pad]);
                    }
                }
                if part == Part::Writes {
                    product(simd, [m, d_pad, chunk], left, (u, d_pad), (h_next, d_pad), Into::Set);
                    g_next.copy_from_slice(added);
                } else {
                    if decays {
                        leak(h_next, decay.whole, decay.lost);
                        leak(g_next, decay.whole, decay.lost);
                    }
                    product(simd, [m, d_pad, chunk], left, (u, d_pad), (h_next, d_pad), Into::Add);
                    plus(simd, g_next, added);
                }
            }
            if reading {
                store_heads(y_all, read_tall, &mut reads[start - first..][..count], d);
            }
        }

        if !memory.causal && part != Part::Writes {
            let (first, end) = if part == Part::Reads { (first, range.end * chunk) } else { (0, sizes.reads) };
            for start in (first..end.min(sizes.reads)).step_by(chunk) {
                let count = chunk.min(sizes.reads - start);
                load_heads(simd, query, query_place, [start, count], q_all, read_wide);
                for reader in 0..group * shared {
                    let q = &mut q_all[reader * c_pad * m_pad..][..c_pad * m_pad];
                    let y = &mut y_all[reader * c_pad * d_pad..][..c_pad * d_pad];
                    let last = &states[(reader / shared + 1) * own - sizes.state()..][..sizes.state()];
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
                store_heads(y_all, read_tall, &mut reads[start - first..][..count], d);
            }
        }
    }
}

/// What a query head reads in a chunk, before the normaliser.
struct Read<'a, T: Real, S> {
    simd: S,
    sizes: Sizes,
    memory: &'a Memory,
    q: &'a [T],
    scores: &'a [T],
    decay: &'a Decay<'a, T>,
    /// Memory and calcium before the chunk.
    state: (&'a [T], &'a [T]),
}

impl<T: Real, S: Simd> Read<'_, T, S> {
    /// Reads into `y` and, with calcium, normalisers into `n`, of what was written, U and β.
    #[inline(always)]
    fn reads(&self, u: &[T], strength: &[T], y: &mut [T], n: &mut [T]) {
        let Self { simd, ref sizes, memory, q, scores, decay, state: (h, g) } = *self;
        let Sizes { chunk, m, c_pad, m_pad, d_pad, .. } = *sizes;
        product(simd, [chunk, d_pad, m], Left::plain(q, m_pad), (h, d_pad), (y, d_pad), Into::Set);
        for (row, &by) in y.chunks_exact_mut(d_pad).zip(&*decay.from_start) {
            scale(row, by);
        }
        lower_times(simd, [chunk, d_pad], (scores, c_pad), (u, d_pad), (y, d_pad), Into::Add);
        if memory.calcium_floor.is_some() {
            normalizers(simd, sizes, scores, strength, q, decay.from_start, g, n);
        }
    }
}

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
