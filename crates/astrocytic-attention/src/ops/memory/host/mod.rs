//! Attention over a memory as one operation: feature map, writes, reads and calcium, a chunk at a time
//! (attention.md section 3). A thread takes some heads of a row at a time: as many as leave work for the others, because
//! memory is read fastest in the order in which it lies, and heads lie side by side. Where heads are fewer than threads,
//! Hebbian writes let the chunks of a head go side by side too.
//!
//! Memory is linear in the steps: the backward pass keeps the inputs, the reads and the state before each chunk, and
//! recomputes the rest.

mod backward;
mod chunk;
mod forward;
mod split;

use rayon::prelude::*;

use super::feature::Feature;
use super::spec::{LARGEST_CHUNK, Plasticity};
use crate::kernel::heads::rows_of_heads;
use crate::kernel::host::{Output, View};
use crate::kernel::product::{BLOCK, transpose};
use crate::kernel::real::Real;
use crate::kernel::scratch::{Fresh, put, with_scratch};
use crate::kernel::{INPUTS, Kernel, LITTLE, Pass, Views};

/// The operation. Inputs, all but the first three optional:
///
/// 0. query `[batch, steps_q, heads, m]`, 1. key `[batch, steps, key heads, m]`, 2. value `[batch, steps, key heads, d]`
/// 3. log decay and 4. write strength, `[batch, steps, key heads]`
/// 5. memory before the first step `[batch, key heads, m, d]`, and 6. calcium before it `[batch, key heads, m]`
///
/// Each key head is written once, and read by the query heads that share it, which lie side by side.
///
/// The result is the reads `[batch, steps_q, heads, d]`, or with `state` one row of numbers: the reads, the memory after
/// the last step and, with a floor, the calcium.
///
/// What is not finite reaches no read before its step. It may reach gradients of its chunk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    pub plasticity: Plasticity,
    pub feature: Feature,
    /// Keys and queries are brought to length 1 after the feature map; with what floor under the squared length.
    pub unit: Option<f64>,
    /// Reads are divided by the calcium, which is at least this.
    pub calcium_floor: Option<f64>,
    /// Whether each step reads what came up to it, or all read what there is after the last.
    pub causal: bool,
    pub chunk: usize,
    pub state: bool,
}

/// Sizes of a call.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    batch: usize,
    /// Key heads.
    heads: usize,
    /// Query heads that share a key head.
    shared: usize,
    steps: usize,
    reads: usize,
    m: usize,
    d: usize,
    /// Steps in a chunk.
    chunk: usize,
    chunks: usize,
    /// Key heads in a task.
    group: usize,
    /// Chunk, m and d in whole registers, whatever the machine's are.
    c_pad: usize,
    m_pad: usize,
    d_pad: usize,
}

impl Sizes {
    fn new<T>(memory: &Memory, inputs: &Views<T>) -> Self {
        let [query, key, value] = [0, 1, 2].map(|i| inputs[i].as_ref().expect("query, key and value").shape());
        let [batch, steps, heads, m] = key;
        let chunk = memory.chunk.min(LARGEST_CHUNK).min(steps);
        let pad = |n: usize| n.next_multiple_of(BLOCK);
        Self {
            batch,
            heads,
            shared: query[2] / heads,
            steps,
            reads: query[1],
            m,
            d: value[3],
            chunk,
            chunks: steps.div_ceil(chunk),
            group: group(batch, heads, steps.max(query[1]) * query[2] * m * value[3]),
            c_pad: pad(chunk),
            m_pad: pad(m),
            d_pad: pad(value[3]),
        }
    }

    /// The row of a task, and the first of its key heads.
    fn place(&self, task: usize) -> [usize; 2] {
        let head = task * self.group;
        [head / self.heads, head % self.heads]
    }

    /// Numbers in a state as kernels keep it: memory in rows of whole registers, then calcium.
    fn state(&self) -> usize {
        self.m * self.d_pad + self.m_pad
    }

    /// States kept for a head: before each chunk and after the last.
    fn kept(&self) -> usize {
        (self.chunks + 1) * self.state()
    }
}

/// The most heads, a divisor of all, that still leave two tasks for each thread; all where rows divide evenly among threads
/// or are little work. No result depends on it.
fn group(batch: usize, heads: usize, work: usize) -> usize {
    let threads = rayon::current_num_threads();
    let whole_rows = work < LITTLE || batch.is_multiple_of(threads);
    let wanted = if whole_rows { 1 } else { (2 * threads).div_ceil(batch) };
    let groups = (1..=heads).find(|&groups| groups >= wanted && heads.is_multiple_of(groups)).unwrap_or(heads);
    heads / groups
}

impl Kernel for Memory {
    #[expect(unsafe_code, reason = "results are written into memory that was not cleared")]
    fn forward<T: Real>(&self, inputs: &Views<T>, keep: bool) -> (Output<T>, Vec<T>) {
        let sizes = Sizes::new(self, inputs);
        let Sizes { batch, heads, shared, reads, m, d, group, .. } = sizes;
        let shape = [batch, reads, heads * shared, d];
        let count = shape.iter().product();
        let last = if self.state { batch * heads * m * d } else { 0 };
        let last_calcium = if self.state && self.calcium_floor.is_some() { batch * heads * m } else { 0 };
        let mut data = Fresh::new(count + last + last_calcium);
        let split = split::parts(self, &sizes);
        // Of each head all states, or where nothing is kept the present one alone.
        let states = if keep || split > 1 { sizes.kept() } else { sizes.state() };
        let mut kept = vec![T::ZERO; batch * heads * states];

        let (own, rest) = data.places().split_at_mut(count);
        let mut rows = rows_of_heads(own, [batch, reads, heads / group, group * shared * d]);
        if split > 1 {
            split::forward(self, sizes, inputs, split, &mut rows, &mut kept);
        } else {
            let tasks: Vec<_> = rows.iter_mut().zip(kept.chunks_mut(group * states)).enumerate().collect();
            let (part, range) = (forward::Part::Whole { keep }, 0..sizes.chunks);
            tasks.into_par_iter().for_each(|(task, (reads, states))| {
                let (place, range) = (sizes.place(task), range.clone());
                with_scratch(forward::scratch(&sizes), |scratch| {
                    let heads =
                        forward::Heads { memory: self, sizes, inputs, place, part, range, reads, states, scratch };
                    pulp::Arch::new().dispatch(heads);
                });
            });
        }

        if self.state {
            let (memory, calcium) = rest[..last + last_calcium].split_at_mut(last);
            for (head, states) in kept.chunks(states).enumerate() {
                let state = &states[states.len() - sizes.state()..];
                for i in 0..m {
                    put(&mut memory[(head * m + i) * d..][..d], &state[i * sizes.d_pad..][..d]);
                }
                if !calcium.is_empty() {
                    put(&mut calcium[head * m..][..m], &state[m * sizes.d_pad..][..m]);
                }
            }
        }
        // SAFETY: every row belongs to one task, which stores the reads of each of its steps and heads; the states are put
        // behind them, head by head.
        let data = unsafe { data.written(count + last + last_calcium) };
        let shape = if self.state { vec![data.len()] } else { shape.to_vec() };
        (Output { data, shape }, if keep { kept } else { Vec::new() })
    }

    #[expect(unsafe_code, reason = "results are written into memory that was not cleared")]
    fn backward<T: Real>(&self, pass: &Pass<T>, wanted: [bool; INPUTS]) -> [Option<Output<T>>; INPUTS] {
        let sizes = Sizes::new(self, &pass.inputs);
        let Sizes { batch, heads, shared, steps, reads, m, d, group, .. } = sizes;
        let read_shape = [batch, reads, heads * shared, d];
        let zeros = |shape: &[usize]| vec![T::ZERO; shape.iter().product()];
        let shapes: [Vec<usize>; INPUTS] = [
            vec![batch, reads, heads * shared, m],
            vec![batch, steps, heads, m],
            vec![batch, steps, heads, d],
            vec![batch, heads, steps],
            vec![batch, heads, steps],
            vec![batch, heads, m, d],
            vec![batch, heads, m],
        ];
        let mut wide = [0, 1, 2].map(|i| Fresh::new(shapes[i].iter().product()));
        let mut small = [3, 4, 5, 6].map(|i| zeros(&shapes[i]));
        let count = read_shape.iter().product::<usize>();
        // Gradient of the state after the last step.
        let after = if self.state { &pass.grad.all()[count..] } else { &[] };
        let after = after.split_at(if self.state { batch * heads * m * d } else { 0 });
        let [dq, dk, dv] = wide.each_mut().map(Fresh::places);
        let [d_decay, d_strength, d_memory, d_calcium] = &mut small;
        let groups = heads / group;
        let mut rows = [
            rows_of_heads(dq, [batch, reads, groups, group * shared * m]),
            rows_of_heads(dk, [batch, steps, groups, group * m]),
            rows_of_heads(dv, [batch, steps, groups, group * d]),
        ];
        let [dq, dk, dv] = rows.each_mut().map(|rows| rows.iter_mut());
        let numbers = d_decay.chunks_mut(group * steps).zip(d_strength.chunks_mut(group * steps));
        let states = d_memory.chunks_mut(group * m * d).zip(d_calcium.chunks_mut(group * m));
        let found = dq.zip(dk).zip(dv).zip(numbers).zip(states);
        let found = found.map(|((((dq, dk), dv), (d_decay, d_strength)), (d_memory, d_calcium))| backward::Found {
            dq,
            dk,
            dv,
            d_decay,
            d_strength,
            d_memory,
            d_calcium,
        });
        let tasks: Vec<_> = found.enumerate().collect();
        let split = split::parts(self, &sizes);
        let grad = if self.state { View::contiguous(&pass.grad.all()[..count], read_shape) } else { pass.grad };
        tasks.into_par_iter().for_each(|(task, found)| {
            let (inputs, place) = (&pass.inputs, sizes.place(task));
            let kept = &pass.kept[task * group * sizes.kept()..][..group * sizes.kept()];
            if split > 1 {
                split::backward(self, sizes, inputs, grad, after, kept, place, split, found);
                return;
            }
            let (part, states, range) = (backward::Part::Whole, &mut [][..], 0..sizes.chunks);
            with_scratch(backward::scratch(&sizes), |scratch| {
                pulp::Arch::new().dispatch(backward::Heads {
                    memory: self,
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
        });
        // SAFETY: every row belongs to one task, which stores the gradients of each of its steps and heads.
        let [dq, dk, dv] = {
            let mut counts = shapes.iter().map(|shape| shape.iter().product());
            wide.map(|data| unsafe { data.written(counts.next().expect("as many shapes")) })
        };
        let [d_decay, d_strength, d_memory, d_calcium] = small;
        let found = [dq, dk, dv, d_decay, d_strength, d_memory, d_calcium];
        let mut given = pass.inputs.iter().map(Option::is_some).zip(wanted);
        let mut shapes = shapes.into_iter();
        let steps_first =
            |i: usize, data: Vec<T>| if i == 3 || i == 4 { swap(data, [batch, heads, steps]) } else { data };
        let mut place = 0..;
        found.map(|data| {
            let (i, shape) = (place.next()?, shapes.next()?);
            let shape = if i == 3 || i == 4 { vec![batch, steps, heads] } else { shape };
            let (given, wanted) = given.next()?;
            (given && wanted).then(|| Output { data: steps_first(i, data), shape })
        })
    }
}

/// `[a, b, c]` to `[a, c, b]`.
fn swap<T: Real>(data: Vec<T>, [a, b, c]: [usize; 3]) -> Vec<T> {
    let mut swapped = vec![T::ZERO; data.len()];
    for i in 0..a {
        let part = i * b * c..(i + 1) * b * c;
        transpose(b, c, (&data[part.clone()], c), (&mut swapped[part], b));
    }
    swapped
}
