//! The chunks of a head side by side, where heads are fewer than threads: all chunks write, each into a state of zeros; a
//! scan adds what came before; all chunks read. The backward pass likewise, from the end. Every sum is the one of the pass
//! from chunk to chunk, so no bit depends on which of the two ran.
//!
//! With the delta rule what a chunk writes depends on the state before it: its chunks stay one after another.

use std::mem::MaybeUninit;
use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::super::spec::{MemorySpec, Plasticity};
use super::backward::{self, Gradients};
use super::decay::{Leak, log_of};
use super::forward;
use super::sizes::Sizes;
use super::views::Views;
use crate::kernel::LITTLE;
use crate::kernel::host::View;
use crate::kernel::real::{Real, copy, plus};
use crate::kernel::scratch::with_scratch;

/// Into how many parts the chunks of each head go: 1 where heads are enough work for the threads.
pub fn parts(spec: &MemorySpec, sizes: &Sizes) -> usize {
    let (threads, all) = (rayon::current_num_threads(), sizes.batch * sizes.heads);
    let work = sizes.steps.max(sizes.reads) * all * sizes.m * sizes.d;
    if spec.plasticity == Plasticity::Delta || all >= threads || work < LITTLE {
        return 1;
    }
    sizes.chunks.min((2 * threads).div_ceil(all))
}

/// A forward pass in parts.
pub struct Forward<'a, T> {
    pub spec: &'a MemorySpec,
    pub sizes: Sizes,
    pub inputs: &'a Views<'a, T>,
    pub parts: usize,
}

impl<T: Real> Forward<'_, T> {
    /// `rows` are the reads of each head, `states` all states of each.
    pub fn run(&self, rows: &mut [Vec<&mut [MaybeUninit<T>]>], states: &mut [T]) {
        let heads = rows.par_iter_mut().zip(states.par_chunks_mut(self.sizes.states())).enumerate();
        heads.for_each(|(head, (rows, states))| self.head(self.sizes.place(head), rows, states));
    }

    fn head(&self, place: [usize; 2], rows: &mut [&mut [MaybeUninit<T>]], states: &mut [T]) {
        let Sizes { chunk, chunks, reads, .. } = self.sizes;
        let (size, per) = (self.sizes.state(), chunks.div_ceil(self.parts));
        let (before, written) = states.split_at_mut(size);
        forward::begin(&self.sizes, self.inputs, place, before);
        written.par_chunks_mut(per * size).enumerate().for_each(|(i, states)| {
            self.part(forward::Work::Writes, place, range(i, per, chunks), &mut [], states);
        });
        let decay = self.inputs.log_decay.as_ref();
        pulp::Arch::new().dispatch(Scan { sizes: self.sizes, decay, place, states, reverse: false });
        if self.spec.causal {
            let before = states[..chunks * size].par_chunks_mut(per * size);
            rows.par_chunks_mut(per * chunk).zip(before).enumerate().for_each(|(i, (rows, states))| {
                self.part(forward::Work::Reads, place, range(i, per, chunks), rows, states);
            });
        } else {
            let count = reads.div_ceil(chunk);
            let (per, last) = (count.div_ceil(self.parts), &states[chunks * size..]);
            rows.par_chunks_mut(per * chunk).enumerate().for_each(|(i, rows)| {
                self.part(forward::Work::Reads, place, range(i, per, count), rows, &mut last.to_vec());
            });
        }
    }

    fn part(
        &self,
        work: forward::Work,
        place: [usize; 2],
        range: Range<usize>,
        reads: &mut [&mut [MaybeUninit<T>]],
        states: &mut [T],
    ) {
        let Self { spec, sizes, inputs, .. } = *self;
        with_scratch(forward::scratch(&sizes), |scratch| {
            let task = forward::Task { spec, sizes, inputs, place, work, range, reads, states, scratch };
            pulp::Arch::new().dispatch(task);
        });
    }
}

/// The backward pass of one head in parts.
pub struct Backward<'a, T> {
    pub spec: &'a MemorySpec,
    pub sizes: Sizes,
    pub inputs: &'a Views<'a, T>,
    pub grad: View<'a, T>,
    /// Gradient of the memory and the calcium after the last step, of all heads, or nothing.
    pub after: (&'a [T], &'a [T]),
    /// The head's states.
    pub saved: &'a [T],
    pub place: [usize; 2],
    pub parts: usize,
}

impl<T: Real> Backward<'_, T> {
    pub fn run(&self, mut gradients: Gradients<T>) {
        let Sizes { m, d, d_pad, .. } = self.sizes;
        let mut states = self.last_state();
        self.reads(&mut states, &mut gradients);
        let decay = self.inputs.log_decay.as_ref();
        let (sizes, place) = (self.sizes, self.place);
        pulp::Arch::new().dispatch(Scan { sizes, decay, place, states: &mut states, reverse: true });
        for (to, row) in gradients.memory.chunks_exact_mut(d).zip(states.chunks_exact(d_pad)) {
            to.copy_from_slice(&row[..d]);
        }
        gradients.calcium.copy_from_slice(&states[m * d_pad..][..m]);
        self.rest(&mut states, gradients);
    }

    /// Room for the gradients of the state before each chunk and after the last, which is what is known of them.
    fn last_state(&self) -> Vec<T> {
        let Sizes { heads, m, d, d_pad, chunks, .. } = self.sizes;
        let head = self.place[0] * heads + self.place[1];
        let mut states = vec![T::ZERO; self.sizes.states()];
        let last = &mut states[chunks * self.sizes.state()..];
        if !self.after.0.is_empty() {
            for (i, row) in last[..m * d_pad].chunks_exact_mut(d_pad).enumerate() {
                row[..d].copy_from_slice(&self.after.0[(head * m + i) * d..][..d]);
            }
        }
        if !self.after.1.is_empty() {
            last[m * d_pad..][..m].copy_from_slice(&self.after.1[head * m..][..m]);
        }
        states
    }

    /// What the reads add to the gradients of the states that they read.
    fn reads(&self, states: &mut [T], gradients: &mut Gradients<T>) {
        let Sizes { chunk, chunks, reads, .. } = self.sizes;
        let (size, per) = (self.sizes.state(), chunks.div_ceil(self.parts));
        let (before, last) = states.split_at_mut(chunks * size);
        if self.spec.causal {
            before.par_chunks_mut(per * size).enumerate().for_each(|(i, states)| {
                self.part(backward::Work::Reads, range(i, per, chunks), states, Gradients::nowhere());
            });
            return;
        }
        // The sum of nothing, to the sign of zero: chunks are not read on their own.
        before.fill(T::from_f64(-0.0));
        let count = reads.div_ceil(chunk);
        let per = count.div_ceil(self.parts);
        let mut read = vec![T::ZERO; count * size];
        let tasks = read.par_chunks_mut(per * size).zip(gradients.query.par_chunks_mut(per * chunk));
        tasks.enumerate().for_each(|(i, (states, query))| {
            let gradients = Gradients { query, ..Gradients::nowhere() };
            self.part(backward::Work::Reads, range(i, per, count), states, gradients);
        });
        for read in read.chunks(size) {
            last.iter_mut().zip(read).for_each(|(sum, &x)| *sum += x);
        }
    }

    /// All but that, given the gradient of the state after each chunk.
    fn rest(&self, states: &mut [T], gradients: Gradients<T>) {
        let Sizes { chunk, chunks, .. } = self.sizes;
        let (size, per) = (self.sizes.state(), chunks.div_ceil(self.parts));
        let steps = per * chunk;
        let mut query = gradients.query.chunks_mut(if self.spec.causal { steps } else { usize::MAX });
        let rows = gradients.key.chunks_mut(steps).zip(gradients.value.chunks_mut(steps));
        let numbers = gradients.log_decay.chunks_mut(steps).zip(gradients.strength.chunks_mut(steps));
        let tasks = rows.zip(numbers).map(|((key, value), (log_decay, strength))| {
            let query = query.next().unwrap_or_default();
            Gradients { query, key, value, log_decay, strength, ..Gradients::nowhere() }
        });
        let tasks: Vec<_> = states[size..].chunks_mut(per * size).zip(tasks).enumerate().collect();
        tasks.into_par_iter().for_each(|(i, (states, gradients))| {
            self.part(backward::Work::Given, range(i, per, chunks), states, gradients);
        });
    }

    fn part(&self, work: backward::Work, range: Range<usize>, states: &mut [T], gradients: Gradients<T>) {
        let Self { spec, sizes, inputs, grad, saved, place, .. } = *self;
        with_scratch(backward::scratch(&sizes), |scratch| {
            let after = (&[][..], &[][..]);
            pulp::Arch::new().dispatch(backward::Task {
                spec,
                sizes,
                inputs,
                grad,
                after,
                saved,
                place,
                work,
                states,
                range,
                gradients,
                scratch,
            });
        });
    }
}

/// The chunks of a part.
fn range(part: usize, per: usize, chunks: usize) -> Range<usize> {
    part * per..((part + 1) * per).min(chunks)
}

/// Adds to what each chunk wrote on its own what came before it: from the first state on, or of gradients from the last.
struct Scan<'a, T> {
    sizes: Sizes,
    decay: Option<&'a View<'a, T>>,
    place: [usize; 2],
    states: &'a mut [T],
    reverse: bool,
}

impl<T: Real> WithSimd for Scan<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { sizes: Sizes { steps, chunk, chunks, .. }, decay, place: [b, h], states, reverse } = self;
        let size = states.len() / (chunks + 1);
        let mut carried = vec![T::ZERO; size];
        for i in 0..chunks {
            let c = if reverse { chunks - 1 - i } else { i };
            let (low, high) = states[c * size..][..2 * size].split_at_mut(size);
            let (from, to) = if reverse { (high, low) } else { (low, high) };
            copy::<T, S>(&mut carried, from);
            if let Some(view) = decay {
                let end = steps.min((c + 1) * chunk);
                let log = (c * chunk..end).map(|step| log_of(view.row(b, step, h)[0])).sum();
                Leak::new::<S>(log).apply(&mut carried);
            }
            plus(simd, to, &carried);
        }
    }
}
