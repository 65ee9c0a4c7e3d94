//! The backward pass over some heads of a row: chunks in reverse, carrying the gradient of the
//! state.
//!
//! A log decay b_i stands in every product as a factor e^{b_i} of what reads at step i and e^{−b_j}
//! of what was written at step j. So its gradient is `q_i · dq_i` and `k_i · dk_i`, the latter with
//! a minus sign for that part of dk in which the key was written: no other sum over pairs of steps
//! is needed.

mod after_last;
mod buffers;
mod reads;
mod writes;

use std::mem::MaybeUninit;
use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::super::spec::{CALCIUM_FLOOR, MemorySpec, Plasticity};
use super::sizes::Sizes;
use super::views::Views;
use crate::kernel::heads::{load_heads, load_numbers, store_heads};
use crate::kernel::host::View;
use crate::kernel::product::transpose;
use crate::kernel::real::{Real, copy};
use buffers::Buffers;

pub use buffers::scratch;

/// Where the gradients go: of the steps of the chunks.
pub struct Gradients<'a, 'b, T> {
    pub query: &'a mut [&'b mut [MaybeUninit<T>]],
    pub key: &'a mut [&'b mut [MaybeUninit<T>]],
    pub value: &'a mut [&'b mut [MaybeUninit<T>]],
    /// One number a step, head by head; as the strength.
    pub log_decay: &'a mut [T],
    pub strength: &'a mut [T],
    /// Of the state before the first step, where the work is the whole.
    pub memory: &'a mut [T],
    pub calcium: &'a mut [T],
}

impl<T> Gradients<'_, '_, T> {
    /// No place for gradients.
    pub fn nowhere() -> Self {
        Self {
            query: &mut [],
            key: &mut [],
            value: &mut [],
            log_decay: &mut [],
            strength: &mut [],
            memory: &mut [],
            calcium: &mut [],
        }
    }
}

/// Which part of the work, and what the states are.
#[derive(Clone, Copy, PartialEq)]
pub enum Work {
    /// All of it, for some heads. No states.
    Whole,
    /// Of one head, what each chunk's reads add to the gradient of the state before them: one state
    /// for each. Where all read after the last step, also the gradients of the queries.
    Reads,
    /// Of one head, all but that, given the gradients of the states after each chunk.
    Given,
}

/// Some heads of a row.
pub struct Task<'a, 'b, T: Real> {
    pub spec: &'a MemorySpec,
    pub sizes: Sizes,
    pub inputs: &'a Views<'a, T>,
    /// Gradient of the reads.
    pub grad: View<'a, T>,
    /// Gradient of the memory and the calcium after the last step, of all heads, or nothing.
    pub after: (&'a [T], &'a [T]),
    /// The heads' states, as the forward pass saved them.
    pub saved: &'a [T],
    /// Which row, and the first of the heads.
    pub place: [usize; 2],
    pub work: Work,
    pub states: &'a mut [T],
    /// Which chunks of steps, or in [`Work::Reads`] where all read after the last step, of reads.
    pub range: Range<usize>,
    pub gradients: Gradients<'a, 'b, T>,
    pub scratch: &'a mut [T],
}

impl<T: Real> WithSimd for Task<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (range, causal, work) = (self.range.clone(), self.spec.causal, self.work);
        let mut pass = Pass::new(simd, self);
        pass.begin();
        if !causal && work != Work::Given {
            pass.reads_after_last();
        }
        if causal || work != Work::Reads {
            for c in range.rev() {
                pass.chunk(c);
            }
        }
        if work == Work::Whole {
            pass.store_state();
        }
    }
}

/// A task at work.
struct Pass<'a, 'b, T: Real, S> {
    simd: S,
    spec: &'a MemorySpec,
    sizes: Sizes,
    inputs: &'a Views<'a, T>,
    grad: View<'a, T>,
    after: (&'a [T], &'a [T]),
    saved: &'a [T],
    place: [usize; 2],
    work: Work,
    range: Range<usize>,
    gradients: Gradients<'a, 'b, T>,
    /// Least normaliser, where reads are divided by the calcium.
    floor: Option<T>,
    delta: bool,
    decays: bool,
    /// Gradients of the states, those that the task was given or its own.
    states: States<'a, T>,
    buffers: Buffers<'a, T>,
}

/// Gradients of the memory and of the calcium.
struct States<'a, T> {
    work: Work,
    sizes: Sizes,
    /// The first of the chunks.
    first: usize,
    /// One for each head, carried from chunk to chunk: memory head by head, then calcium.
    carried: (&'a mut [T], &'a mut [T]),
    /// One for each chunk.
    given: &'a mut [T],
}

impl<T: Real> States<'_, T> {
    /// Those of a head at a chunk.
    #[inline(always)]
    fn at(&mut self, head: usize, c: usize) -> (&mut [T], &mut [T]) {
        let Sizes { m, m_pad, d_pad, .. } = self.sizes;
        match self.work {
            Work::Whole => {
                (&mut self.carried.0[head * m * d_pad..][..m * d_pad], &mut self.carried.1[head * m_pad..][..m_pad])
            }
            Work::Reads | Work::Given => self.sizes.parts_mut(&mut self.given[(c - self.first) * self.sizes.state()..]),
        }
    }
}

impl<'a, 'b, T: Real, S: Simd> Pass<'a, 'b, T, S> {
    #[inline(always)]
    fn new(simd: S, task: Task<'a, 'b, T>) -> Self {
        let Task { spec, sizes, inputs, grad, after, saved, place, work, states: given, range, gradients, scratch } =
            task;
        let (buffers, carried) = Buffers::new(&sizes, scratch);
        Self {
            simd,
            spec,
            sizes,
            inputs,
            grad,
            after,
            saved,
            place,
            work,
            gradients,
            floor: spec.calcium.then(|| T::from_f64(CALCIUM_FLOOR)),
            delta: spec.plasticity == Plasticity::Delta,
            decays: inputs.log_decay.is_some(),
            states: States { work, sizes, first: range.start, carried, given },
            range,
            buffers,
        }
    }

    /// The first of the query heads.
    #[inline(always)]
    fn query_place(&self) -> [usize; 2] {
        [self.place[0], self.place[1] * self.sizes.shared]
    }

    /// Whether scores are needed: for the gradients of keys and values, or for the normalisers of
    /// the reads.
    #[inline(always)]
    fn scored(&self) -> bool {
        self.work != Work::Reads || self.floor.is_some()
    }

    /// Of each head the states before and after a chunk.
    #[inline(always)]
    fn saved_states(&self, head: usize, c: usize) -> [(&'a [T], &'a [T]); 2] {
        let size = self.sizes.state();
        let before = &self.saved[head * self.sizes.states() + c * size..][..2 * size];
        [self.sizes.parts(before), self.sizes.parts(&before[size..])]
    }

    /// The gradient of the state after the last step.
    #[inline(always)]
    fn begin(&mut self) {
        let Sizes { heads, m, d, group, m_pad, d_pad, .. } = self.sizes;
        let (memory, calcium) = (&mut *self.states.carried.0, &mut *self.states.carried.1);
        memory.fill(T::ZERO);
        calcium.fill(T::ZERO);
        for g in 0..group {
            let head = self.place[0] * heads + self.place[1] + g;
            if !self.after.0.is_empty() {
                for (i, row) in memory[g * m * d_pad..][..m * d_pad].chunks_exact_mut(d_pad).enumerate() {
                    copy::<T, S>(&mut row[..d], &self.after.0[(head * m + i) * d..][..d]);
                }
            }
            if !self.after.1.is_empty() {
                copy::<T, S>(&mut calcium[g * m_pad..][..m], &self.after.1[head * m..][..m]);
            }
        }
    }

    #[inline(always)]
    fn chunk(&mut self, c: usize) {
        let Sizes { steps, m, d, chunk, group, shared, c_pad, m_pad, d_pad, .. } = self.sizes;
        let (simd, causal) = (self.simd, self.spec.causal);
        let [wide, read_wide] = [group, group * shared].map(|heads| [heads, c_pad, m_pad]);
        let [tall, read_tall] = [group, group * shared].map(|heads| [heads, c_pad, d_pad]);
        let span = self.sizes.span(c, steps);
        if self.scored() {
            load_heads(simd, &self.inputs.key, self.place, span, self.buffers.k, wide);
            load_heads(simd, &self.inputs.value, self.place, span, self.buffers.x, tall);
        }
        if causal {
            let place = self.query_place();
            load_heads(simd, &self.inputs.query, place, span, self.buffers.q, read_wide);
            load_heads(simd, &self.grad, place, span, self.buffers.dr, read_tall);
        }
        for head in 0..group {
            self.head(head, c, span);
        }
        if self.work == Work::Reads {
            return;
        }
        let (first, buffers) = (span[0] - self.range.start * chunk, &self.buffers);
        if causal {
            store_heads(buffers.dq, read_wide, &mut self.gradients.query[first..][..span[1]], m);
        }
        store_heads(buffers.dk, wide, &mut self.gradients.key[first..][..span[1]], m);
        store_heads(buffers.du, tall, &mut self.gradients.value[first..][..span[1]], d);
    }

    /// One head's chunk, its phases in order.
    #[inline(always)]
    fn head(&mut self, head: usize, c: usize, span: [usize; 2]) {
        let count = span[1];
        self.load(head, span);
        if self.scored() {
            self.recompute(head, c, count);
        }
        let mut by_whole = T::ZERO;
        if self.work != Work::Reads {
            by_whole = self.through_state(head, c);
        }
        self.buffers.by_log.fill(T::ZERO);
        self.buffers.added.fill(T::ZERO);
        if self.spec.causal {
            for reader in 0..self.sizes.shared {
                self.through_read(head, reader, c, count);
            }
            if self.work != Work::Given {
                self.reads_to_state(head, c);
            }
        }
        if self.work == Work::Reads {
            return;
        }
        if self.delta {
            self.through_correction(head, c);
        } else {
            self.through_strength(head);
        }
        self.store_numbers(head, by_whole, span);
        self.finish_keys(head, count);
    }

    /// Decay and strength of a head's steps.
    #[inline(always)]
    fn load(&mut self, head: usize, span: [usize; 2]) {
        let place = [self.place[0], self.place[1] + head];
        if let Some(view) = &self.inputs.log_decay {
            self.buffers.decay.load(self.simd, view, place, span);
        }
        if let Some(view) = &self.inputs.strength {
            load_numbers(view, place, span, self.buffers.strength);
        }
    }

    /// The gradient of the state before the first step.
    #[inline(always)]
    fn store_state(&mut self) {
        let Sizes { m, d, m_pad, d_pad, .. } = self.sizes;
        let (memory, calcium) = &self.states.carried;
        for (to, row) in self.gradients.memory.chunks_exact_mut(d).zip(memory.chunks_exact(d_pad)) {
            copy::<T, S>(to, &row[..d]);
        }
        for (to, row) in self.gradients.calcium.chunks_exact_mut(m).zip(calcium.chunks_exact(m_pad)) {
            copy::<T, S>(to, &row[..m]);
        }
    }
}

/// The gradient of a normaliser n: `−(dy · y) / n`, or 0 at its floor. With r the reads before it
/// and `dr = dy / n`, `dy · y` equals `along = dr · r`. The caller works out `along` without y or r.
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
