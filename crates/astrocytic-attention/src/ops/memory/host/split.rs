//! The chunks of a head side by side, where heads are fewer than threads: all chunks write, each into a state of zeros; a
//! scan adds what came before; all chunks read. The backward pass likewise, from the end. Every sum is the one of the pass
//! from chunk to chunk, so no bit depends on which of the two ran.
//!
//! With the delta rule what a chunk writes depends on the state before it: its chunks stay one after another.

use std::mem::MaybeUninit;
use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::super::spec::Plasticity;
use super::chunk::{kept_and_lost, leak, log_of};
use super::{Memory, Sizes, backward, forward};
use crate::kernel::host::View;
use crate::kernel::real::{Real, copy, plus};
use crate::kernel::scratch::with_scratch;
use crate::kernel::{LITTLE, Views};

/// Into how many parts the chunks of each head go: 1 where heads are enough work for the threads.
pub fn parts(memory: &Memory, sizes: &Sizes) -> usize {
    let (threads, all) = (rayon::current_num_threads(), sizes.batch * sizes.heads);
    let work = sizes.steps.max(sizes.reads) * all * sizes.m * sizes.d;
    if memory.plasticity == Plasticity::Delta || all >= threads || work < LITTLE {
        return 1;
    }
    sizes.chunks.min((2 * threads).div_ceil(all))
}

/// The forward pass: `rows` are the reads of each head, `kept` all states of each.
pub fn forward<T: Real>(
    memory: &Memory,
    sizes: Sizes,
    inputs: &Views<T>,
    parts: usize,
    rows: &mut [Vec<&mut [MaybeUninit<T>]>],
    kept: &mut [T],
) {
    let Sizes { chunk, chunks, .. } = sizes;
    let (size, per) = (sizes.state(), chunks.div_ceil(parts));
    rows.par_iter_mut().zip(kept.par_chunks_mut(sizes.kept())).enumerate().for_each(|(task, (rows, states))| {
        let place = sizes.place(task);
        let run = |part, range, reads: &mut [&mut [MaybeUninit<T>]], states: &mut [T]| {
            with_scratch(forward::scratch(&sizes), |scratch| {
                pulp::Arch::new().dispatch(forward::Heads {
                    memory,
                    sizes,
                    inputs,
                    place,
                    part,
                    range,
                    reads,
                    states,
                    scratch,
                });
            });
        };
        let (before, written) = states.split_at_mut(size);
        forward::begin(&sizes, inputs, place, before);
        written.par_chunks_mut(per * size).enumerate().for_each(|(i, states)| {
            run(forward::Part::Writes, range(i, per, chunks), &mut [], states);
        });
        pulp::Arch::new().dispatch(Scan { sizes, decay: inputs[3].as_ref(), place, states, reverse: false });
        if memory.causal {
            let before = states[..chunks * size].par_chunks_mut(per * size);
            rows.par_chunks_mut(per * chunk).zip(before).enumerate().for_each(|(i, (rows, states))| {
                run(forward::Part::Reads, range(i, per, chunks), rows, states);
            });
        } else {
            let count = sizes.reads.div_ceil(chunk);
            let (per, last) = (count.div_ceil(parts), &states[chunks * size..]);
            rows.par_chunks_mut(per * chunk).enumerate().for_each(|(i, rows)| {
                run(forward::Part::Reads, range(i, per, count), rows, &mut last.to_vec());
            });
        }
    });
}

/// The backward pass of one head: `kept` are its states.
#[expect(clippy::too_many_arguments, reason = "what a task of the backward pass is made of")]
pub fn backward<T: Real>(
    memory: &Memory,
    sizes: Sizes,
    inputs: &Views<T>,
    grad: View<T>,
    after: (&[T], &[T]),
    kept: &[T],
    place: [usize; 2],
    parts: usize,
    found: backward::Found<T>,
) {
    let Sizes { heads, m, d, d_pad, chunk, chunks, .. } = sizes;
    let (size, per, head) = (sizes.state(), chunks.div_ceil(parts), place[0] * heads + place[1]);
    let run = |part, range, states: &mut [T], found: backward::Found<T>| {
        with_scratch(backward::scratch(&sizes), |scratch| {
            let after = (&[][..], &[][..]);
            pulp::Arch::new().dispatch(backward::Heads {
                memory,
                sizes,
                inputs,
                grad,
                after,
                kept,
                place,
                part,
                states,
                range,
                found,
                scratch,
            });
        });
    };
    // The gradients of the state before each chunk and after the last.
    let mut states = vec![T::ZERO; sizes.kept()];
    let (before, last) = states.split_at_mut(chunks * size);
    if !after.0.is_empty() {
        for (i, row) in last[..m * d_pad].chunks_exact_mut(d_pad).enumerate() {
            row[..d].copy_from_slice(&after.0[(head * m + i) * d..][..d]);
        }
    }
    if !after.1.is_empty() {
        last[m * d_pad..][..m].copy_from_slice(&after.1[head * m..][..m]);
    }
    if memory.causal {
        before.par_chunks_mut(per * size).enumerate().for_each(|(i, states)| {
            run(backward::Part::Reads, range(i, per, chunks), states, nowhere());
        });
    } else {
        // The sum of nothing, to the sign of zero: chunks are not read on their own.
        before.fill(T::from_f64(-0.0));
        let count = sizes.reads.div_ceil(chunk);
        let per = count.div_ceil(parts);
        let mut read = vec![T::ZERO; count * size];
        let tasks = read.par_chunks_mut(per * size).zip(found.dq.par_chunks_mut(per * chunk));
        tasks.enumerate().for_each(|(i, (states, dq))| {
            run(backward::Part::Reads, range(i, per, count), states, backward::Found { dq, ..nowhere() });
        });
        for read in read.chunks(size) {
            last.iter_mut().zip(read).for_each(|(sum, &x)| *sum += x);
        }
    }
    pulp::Arch::new().dispatch(Scan { sizes, decay: inputs[3].as_ref(), place, states: &mut states, reverse: true });

    for (to, row) in found.d_memory.chunks_exact_mut(d).zip(states.chunks_exact(d_pad)) {
        to.copy_from_slice(&row[..d]);
    }
    found.d_calcium.copy_from_slice(&states[m * d_pad..][..m]);
    let steps = per * chunk;
    let mut dq = found.dq.chunks_mut(if memory.causal { steps } else { usize::MAX });
    let rows = found.dk.chunks_mut(steps).zip(found.dv.chunks_mut(steps));
    let numbers = found.d_decay.chunks_mut(steps).zip(found.d_strength.chunks_mut(steps));
    let tasks = rows.zip(numbers).map(|((dk, dv), (d_decay, d_strength))| {
        let dq = dq.next().unwrap_or_default();
        backward::Found { dq, dk, dv, d_decay, d_strength, ..nowhere() }
    });
    let tasks: Vec<_> = states[size..].chunks_mut(per * size).zip(tasks).enumerate().collect();
    tasks.into_par_iter().for_each(|(i, (states, found))| {
        run(backward::Part::Given, range(i, per, chunks), states, found);
    });
}

/// The chunks of a part.
fn range(part: usize, per: usize, chunks: usize) -> Range<usize> {
    part * per..((part + 1) * per).min(chunks)
}

/// No place for gradients.
fn nowhere<'a, 'b, T>() -> backward::Found<'a, 'b, T> {
    backward::Found {
        dq: &mut [],
        dk: &mut [],
        dv: &mut [],
        d_decay: &mut [],
        d_strength: &mut [],
        d_memory: &mut [],
        d_calcium: &mut [],
    }
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
                let (kept, lost) = kept_and_lost::<T, S>(log);
                leak(&mut carried, kept, lost);
            }
            plus(simd, to, &carried);
        }
    }
}
