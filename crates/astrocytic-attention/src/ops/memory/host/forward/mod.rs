//! The forward pass over some heads of a row, a chunk at a time.

mod reads;

use std::mem::MaybeUninit;
use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::super::spec::{CALCIUM_FLOOR, MemorySpec, Plasticity};
use super::correction::Correction;
use super::decay::Decay;
use super::features::map;
use super::sizes::Sizes;
use super::views::Views;
use crate::kernel::heads::{load_heads, load_numbers, store_heads};
use crate::kernel::product::{Into, Left, product, transpose};
use crate::kernel::real::{Real, add_scaled, plus, scale};
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
pub struct Task<'a, 'b, T: Real> {
    pub spec: &'a MemorySpec,
    pub sizes: Sizes,
    pub inputs: &'a Views<'a, T>,
    /// Which row, and the first of the heads.
    pub place: [usize; 2],
    pub work: Work,
    /// Which chunks of steps, or of reads where all read after the last step.
    pub range: Range<usize>,
    /// The rows of the reads from the first chunk on.
    pub reads: &'a mut [&'b mut [MaybeUninit<T>]],
    pub states: &'a mut [T],
    pub scratch: &'a mut [T],
}

/// Which part of the work, and what the states are.
#[derive(Clone, Copy, PartialEq)]
pub enum Work {
    /// All of it. All states of each head if they are saved for the backward pass, else only the current one.
    Whole { save: bool },
    /// Of one head, what each chunk adds to the state: one state for each.
    Writes,
    /// Of one head, the reads alone: the state before each chunk, or where all read after the last step the last one.
    Reads,
}

/// Writes what the memory was before the first step to the start of `state`.
#[inline(always)]
pub fn begin<T: Real>(sizes: &Sizes, inputs: &Views<T>, [b, h]: [usize; 2], state: &mut [T]) {
    state.fill(T::ZERO);
    let (memory, calcium) = state.split_at_mut(sizes.m * sizes.d_pad);
    if let Some(before) = &inputs.memory {
        for (i, row) in memory.chunks_exact_mut(sizes.d_pad).enumerate() {
            row[..sizes.d].copy_from_slice(before.row(b, h, i));
        }
    }
    if let Some(before) = &inputs.calcium {
        for (i, to) in calcium.iter_mut().take(sizes.m).enumerate() {
            *to = before.row(b, h, i)[0];
        }
    }
}

impl<T: Real> WithSimd for Task<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (range, causal, work) = (self.range.clone(), self.spec.causal, self.work);
        let mut pass = Pass::new(simd, self);
        pass.begin();
        if causal || work != Work::Reads {
            for c in range {
                pass.chunk(c);
            }
        }
        if !causal && work != Work::Writes {
            pass.read_after_last();
        }
    }
}

/// A task at work. Buffers of all heads lie head by head, those of one head are used again for the next.
struct Pass<'a, 'b, T: Real, S> {
    simd: S,
    spec: &'a MemorySpec,
    sizes: Sizes,
    inputs: &'a Views<'a, T>,
    place: [usize; 2],
    work: Work,
    range: Range<usize>,
    reads: &'a mut [&'b mut [MaybeUninit<T>]],
    states: &'a mut [T],
    /// Least normaliser, where reads are divided by the calcium.
    floor: Option<T>,
    delta: bool,

    /// φ(q), of all query heads.
    q: &'a mut [T],
    /// Reads, of all query heads.
    y: &'a mut [T],
    /// φ(k), of all heads.
    k: &'a mut [T],
    /// First v, then U, what is written, of all heads.
    u: &'a mut [T],
    k_transposed: &'a mut [T],
    recalled: &'a mut [T],
    scores: &'a mut [T],
    strength: &'a mut [T],
    n: &'a mut [T],
    added: &'a mut [T],
    decay: Decay<'a, T>,
    correction: Correction<'a, T>,
}

impl<'a, 'b, T: Real, S: Simd> Pass<'a, 'b, T, S> {
    #[inline(always)]
    fn new(simd: S, task: Task<'a, 'b, T>) -> Self {
        let Task { spec, sizes, inputs, place, work, range, reads, states, scratch } = task;
        let Sizes { group, shared, c_pad, m_pad, d_pad, .. } = sizes;
        let mut scratch = Scratch(scratch);
        let [q, k] = [group * shared, group].map(|heads| scratch.take(heads * c_pad * m_pad));
        let [y, u] = [group * shared, group].map(|heads| scratch.take(heads * c_pad * d_pad));
        let k_transposed = scratch.take(m_pad * c_pad);
        let recalled = scratch.take(c_pad * d_pad);
        let scores = scratch.take(c_pad * c_pad);
        let [strength, n] = [(); 2].map(|()| scratch.take(c_pad));
        let added = scratch.take(m_pad);
        let decay = Decay::new(&sizes, &mut scratch);
        let correction = Correction::new(&sizes, &mut scratch);
        strength.fill(T::ONE);
        added.fill(T::ZERO);
        let floor = spec.calcium.then(|| T::from_f64(CALCIUM_FLOOR));
        let delta = spec.plasticity == Plasticity::Delta;
        Self {
            simd,
            spec,
            sizes,
            inputs,
            place,
            work,
            range,
            reads,
            states,
            floor,
            delta,
            q,
            y,
            k,
            u,
            k_transposed,
            recalled,
            scores,
            strength,
            n,
            added,
            decay,
            correction,
        }
    }

    /// The first of the query heads.
    #[inline(always)]
    fn query_place(&self) -> [usize; 2] {
        [self.place[0], self.place[1] * self.sizes.shared]
    }

    /// Whether steps read as they go.
    #[inline(always)]
    fn reading(&self) -> bool {
        self.spec.causal && self.work != Work::Writes
    }

    #[inline(always)]
    fn begin(&mut self) {
        if let Work::Whole { .. } = self.work {
            let of_head = self.states.len() / self.sizes.group;
            for (g, states) in self.states.chunks_exact_mut(of_head).enumerate() {
                let place = [self.place[0], self.place[1] + g];
                begin(&self.sizes, self.inputs, place, &mut states[..self.sizes.state()]);
            }
        }
    }

    #[inline(always)]
    fn chunk(&mut self, c: usize) {
        let Sizes { steps, d, chunk, group, shared, c_pad, m_pad, d_pad, .. } = self.sizes;
        let span = self.sizes.span(c, steps);
        load_heads(self.simd, &self.inputs.key, self.place, span, self.k, [group, c_pad, m_pad]);
        load_heads(self.simd, &self.inputs.value, self.place, span, self.u, [group, c_pad, d_pad]);
        if self.reading() {
            let shape = [group * shared, c_pad, m_pad];
            load_heads(self.simd, &self.inputs.query, self.query_place(), span, self.q, shape);
        }
        for head in 0..group {
            self.load(head, span);
            let state = self.state_after(head, c);
            self.correct(head, state);
            if self.reading() {
                for reader in head * shared..(head + 1) * shared {
                    self.read(head, reader, state, span[1]);
                }
            }
            if self.work != Work::Reads {
                self.write(head, state, span[1]);
            }
        }
        if self.reading() {
            let rows = &mut self.reads[span[0] - self.range.start * chunk..][..span[1]];
            store_heads(self.y, [group * shared, c_pad, d_pad], rows, d);
        }
    }

    /// Keys, decay and strength of a head's steps.
    #[inline(always)]
    fn load(&mut self, head: usize, span: [usize; 2]) {
        let Sizes { m, m_pad, c_pad, .. } = self.sizes;
        let (place, transposed) = ([self.place[0], self.place[1] + head], self.reading() || self.delta);
        let k = &mut self.k[head * self.sizes.wide()..][..self.sizes.wide()];
        map(self.simd, self.spec, k, m_pad, m, span[1]);
        if let Some(view) = &self.inputs.log_decay {
            self.decay.load(self.simd, view, place, span);
        }
        if let Some(view) = &self.inputs.strength {
            load_numbers(view, place, span, self.strength);
        }
        if transposed {
            transpose(c_pad, m, (k, m_pad), (self.k_transposed, c_pad));
        }
    }

    /// Where in `states` that of a head after the chunk goes. Until then it holds the one before.
    #[inline(always)]
    fn state_after(&mut self, head: usize, c: usize) -> usize {
        let (first, size) = (head * (self.states.len() / self.sizes.group), self.sizes.state());
        match self.work {
            Work::Whole { save: true } => {
                let before = first + c * size;
                self.states.copy_within(before..before + size, before + size);
                before + size
            }
            Work::Whole { save: false } => first,
            Work::Writes | Work::Reads => first + (c - self.range.start) * size,
        }
    }

    /// From v to U, what is written.
    #[inline(always)]
    fn correct(&mut self, head: usize, state: usize) {
        let Sizes { m, chunk, m_pad, d_pad, .. } = self.sizes;
        let k = &self.k[head * self.sizes.wide()..][..self.sizes.wide()];
        let u = &mut self.u[head * self.sizes.tall()..][..self.sizes.tall()];
        if self.delta {
            let (h, _) = self.sizes.parts(&self.states[state..]);
            let (left, shape) = (Left::plain(k, m_pad), [chunk, d_pad, m]);
            product(self.simd, shape, left, (h, d_pad), (self.recalled, d_pad), Into::Set);
            for i in 0..chunk {
                let recalled = &self.recalled[i * d_pad..];
                add_scaled(self.simd, &mut u[i * d_pad..][..d_pad], -self.decay.from_start[i], recalled);
            }
            let transposed = &*self.k_transposed;
            self.correction.load(self.simd, &self.sizes, k, transposed, self.decay.between, self.strength);
        }
        if self.inputs.strength.is_some() {
            for (row, &by) in u.chunks_exact_mut(d_pad).zip(&*self.strength) {
                scale(row, by);
            }
        }
        if self.delta {
            self.correction.solve(self.simd, &self.sizes, u);
        }
    }

    /// First what the chunk adds, then the sum: the same bits, whether or not the chunks are each on their own.
    #[inline(always)]
    fn write(&mut self, head: usize, state: usize, count: usize) {
        let Sizes { m, chunk, m_pad, d_pad, .. } = self.sizes;
        let simd = self.simd;
        let k = &mut self.k[head * self.sizes.wide()..][..self.sizes.wide()];
        let u = &self.u[head * self.sizes.tall()..][..self.sizes.tall()];
        let (h, g) = self.sizes.parts_mut(&mut self.states[state..]);
        let decays = self.inputs.log_decay.is_some();
        if decays {
            for (row, &by) in k.chunks_exact_mut(m_pad).zip(&*self.decay.to_end) {
                scale(row, by);
            }
        }
        if self.spec.calcium {
            self.added.fill(T::ZERO);
            for (row, &by) in k.chunks_exact(m_pad).zip(&self.strength[..count]) {
                add_scaled(simd, self.added, by, row);
            }
        }
        let left = Left::transposed(k, m_pad);
        if self.work == Work::Writes {
            product(simd, [m, d_pad, chunk], left, (u, d_pad), (h, d_pad), Into::Set);
            g.copy_from_slice(self.added);
        } else {
            if decays {
                self.decay.whole.apply(h);
                self.decay.whole.apply(g);
            }
            product(simd, [m, d_pad, chunk], left, (u, d_pad), (h, d_pad), Into::Add);
            plus(simd, g, self.added);
        }
    }
}
