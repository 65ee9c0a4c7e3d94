//! The processor's kernel of the memory: feature map, writes, reads and calcium, a chunk at a time
//! (attention.md section 3).
//!
//! A thread takes some heads of a row at a time: as many as leave work for the others, because
//! memory is read fastest in the order in which it lies, and heads lie side by side. Where heads
//! are fewer than threads, Hebbian writes let the chunks of a head go side by side too.
//!
//! Memory is linear in the steps: the backward pass needs the inputs and the state before each
//! chunk, and recomputes the rest. What is not finite reaches no read before its step. It may reach
//! gradients of its chunk.

// Burn 0.22 deprecates its ndarray backend. It keeps its kernels until Burn drops it.
#![allow(deprecated)]

mod backward;
mod correction;
mod decay;
mod features;
mod forward;
mod scores;
mod sizes;
mod split;
mod views;

use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use burn::tensor::DType;
use rayon::prelude::*;

use super::backend::{EachInput, MemoryBackend, MemoryGradients, MemoryOutputs, MemorySaved, MemoryTensors, Wanted};
use super::spec::MemorySpec;
use crate::kernel::dispatch::OptionalTensor;
use crate::kernel::heads::rows_of_heads;
use crate::kernel::host::{Host, Output, View, readable};
use crate::kernel::product::transpose;
use crate::kernel::real::Real;
use crate::kernel::scratch::{Fresh, with_scratch, write};
use backward::Gradients;
use sizes::Sizes;
use views::{Views, readable_inputs};

#[cfg(feature = "flex")]
impl MemoryBackend for burn::backend::Flex {
    fn memory_forward(
        spec: MemorySpec,
        inputs: MemoryTensors<Self>,
        wanted: Wanted,
    ) -> Option<(MemoryOutputs<Self>, MemorySaved<Self>)> {
        forward(&spec, inputs, wanted)
    }

    fn memory_backward(
        spec: MemorySpec,
        saved: MemorySaved<Self>,
        gradients: MemoryOutputs<Self>,
        wanted: EachInput<bool>,
    ) -> MemoryGradients<Self> {
        backward(&spec, saved, gradients, wanted)
    }
}

#[cfg(feature = "ndarray")]
impl MemoryBackend for burn::backend::NdArray {
    fn memory_forward(
        spec: MemorySpec,
        inputs: MemoryTensors<Self>,
        wanted: Wanted,
    ) -> Option<(MemoryOutputs<Self>, MemorySaved<Self>)> {
        forward(&spec, inputs, wanted)
    }

    fn memory_backward(
        spec: MemorySpec,
        saved: MemorySaved<Self>,
        gradients: MemoryOutputs<Self>,
        wanted: EachInput<bool>,
    ) -> MemoryGradients<Self> {
        backward(&spec, saved, gradients, wanted)
    }
}

/// See [`MemoryBackend::memory_forward`]. `None` for half precision, or tensors of different
/// precisions.
fn forward<B: Host>(
    spec: &MemorySpec,
    inputs: MemoryTensors<B>,
    wanted: Wanted,
) -> Option<(MemoryOutputs<B>, MemorySaved<B>)> {
    let dtype = inputs.query.dtype();
    if inputs.given().any(|input| input.dtype() != dtype) {
        return None;
    }
    match dtype {
        DType::F32 => Some(forward_as::<B, f32>(spec, readable_inputs(inputs), wanted)),
        DType::F64 => Some(forward_as::<B, f64>(spec, readable_inputs(inputs), wanted)),
        _ => None,
    }
}

fn forward_as<B: Host, T: Real>(
    spec: &MemorySpec,
    inputs: MemoryTensors<B>,
    wanted: Wanted,
) -> (MemoryOutputs<B>, MemorySaved<B>) {
    let device = inputs.query.device();
    let (reads, states, sizes) = run_forward::<T>(spec, &Views::new(&inputs), wanted);
    let state = wanted.state.then(|| last_state(&sizes, spec.calcium, &states));
    let (memory, calcium) = state.map_or((None, None), |(memory, calcium)| (Some(memory), calcium));
    let optional = |output: Option<Output<T>>| OptionalTensor::new(output.map(|output| B::tensor(output, &device)));
    let outputs =
        MemoryOutputs { reads: B::tensor(reads, &device), memory: optional(memory), calcium: optional(calcium) };
    let saved = if wanted.saved {
        let shape = vec![states.len()];
        MemorySaved::Saved { inputs, states: B::tensor(Output { data: states, shape }, &device) }
    } else {
        MemorySaved::Nothing
    };
    (outputs, saved)
}

/// The reads and of each head, head by head, all states if they are saved, else at least the last.
#[expect(unsafe_code, reason = "results are written into memory that was not cleared")]
fn run_forward<T: Real>(spec: &MemorySpec, inputs: &Views<T>, wanted: Wanted) -> (Output<T>, Vec<T>, Sizes) {
    let sizes = Sizes::new(spec, inputs);
    let Sizes { batch, heads, shared, reads, d, group, .. } = sizes;
    let shape = [batch, reads, heads * shared, d];
    let count = shape.iter().product();
    let mut data = Fresh::new(count);
    let parts = split::parts(spec, &sizes);
    let of_head = if wanted.saved || parts > 1 { sizes.states() } else { sizes.state() };
    let mut states = vec![T::ZERO; batch * heads * of_head];
    let mut rows = rows_of_heads(&mut data.places()[..count], [batch, reads, heads / group, group * shared * d]);
    if parts > 1 {
        split::Forward { spec, sizes, inputs, parts }.run(&mut rows, &mut states);
    } else {
        let tasks: Vec<_> = rows.iter_mut().zip(states.chunks_mut(group * of_head)).enumerate().collect();
        let work = forward::Work::Whole { save: wanted.saved };
        tasks.into_par_iter().for_each(|(task, (reads, states))| {
            let (place, range) = (sizes.place(task), 0..sizes.chunks);
            with_scratch(forward::scratch(&sizes), |scratch| {
                let task = forward::Task { spec, sizes, inputs, place, work, range, reads, states, scratch };
                pulp::Arch::new().dispatch(task);
            });
        });
    }
    // SAFETY: every row belongs to one task, which stores the reads of each of its steps and heads.
    let data = unsafe { data.written(count) };
    (Output { data, shape: shape.to_vec() }, states, sizes)
}

/// The memory and, where there is one, the calcium after the last step.
#[expect(unsafe_code, reason = "results are written into memory that was not cleared")]
fn last_state<T: Real>(sizes: &Sizes, calcium: bool, states: &[T]) -> (Output<T>, Option<Output<T>>) {
    let Sizes { batch, heads, m, d, d_pad, .. } = *sizes;
    let of_head = states.len() / (batch * heads);
    let last = || states.chunks(of_head).map(|states| sizes.parts(&states[of_head - sizes.state()..]));
    let count = batch * heads * m * d;
    let mut memory = Fresh::new(count);
    for (head, (h, _)) in last().enumerate() {
        for (i, row) in h.chunks_exact(d_pad).enumerate() {
            write(&mut memory.places()[(head * m + i) * d..][..d], &row[..d]);
        }
    }
    // SAFETY: each head's memory is m rows of d numbers, all written.
    let memory = Output { data: unsafe { memory.written(count) }, shape: vec![batch, heads, m, d] };
    let calcium = calcium.then(|| {
        let data = last().flat_map(|(_, g)| g[..m].iter().copied()).collect();
        Output { data, shape: vec![batch, heads, m] }
    });
    (memory, calcium)
}

/// See [`MemoryBackend::memory_backward`].
fn backward<B: Host>(
    spec: &MemorySpec,
    saved: MemorySaved<B>,
    gradients: MemoryOutputs<B>,
    wanted: EachInput<bool>,
) -> MemoryGradients<B> {
    let MemorySaved::Saved { inputs, states } = saved else {
        unreachable!("the forward pass saves what the backward pass needs")
    };
    let gradients = MemoryOutputs {
        reads: readable::<B>(gradients.reads),
        memory: gradients.memory.map(B::contiguous),
        calcium: gradients.calcium.map(B::contiguous),
    };
    match states.dtype() {
        DType::F64 => backward_as::<B, f64>(spec, &inputs, &states, &gradients, wanted),
        _ => backward_as::<B, f32>(spec, &inputs, &states, &gradients, wanted),
    }
}

fn backward_as<B: Host, T: Real>(
    spec: &MemorySpec,
    inputs: &MemoryTensors<B>,
    states: &FloatTensor<B>,
    gradients: &MemoryOutputs<B>,
    wanted: EachInput<bool>,
) -> MemoryGradients<B> {
    let (device, inputs) = (states.device(), Views::<T>::new(inputs));
    let view = |tensor| B::view::<T>(tensor).expect("readable");
    let outputs = run_backward(&Backward {
        spec,
        sizes: Sizes::new(spec, &inputs),
        inputs: &inputs,
        states: view(states).numbers(),
        grad: view(&gradients.reads),
        after: (numbers::<B, T>(&gradients.memory), numbers::<B, T>(&gradients.calcium)),
    });
    let mut asked = wanted.into_array().into_iter().zip(inputs.given().into_array());
    let outputs = outputs.map(|output| {
        let asked = asked.next().is_some_and(|(wanted, given)| wanted && given);
        OptionalTensor::new(asked.then(|| B::tensor(output, &device)))
    });
    let EachInput { query, key, value, log_decay, strength, memory, calcium } = outputs;
    MemoryGradients { query, key, value, log_decay, strength, memory, calcium }
}

/// The numbers of a contiguous tensor, none where there is none.
fn numbers<B: Host, T: Real>(tensor: &OptionalTensor<B>) -> &[T] {
    tensor.as_option().map_or(&[], |tensor| B::view::<T>(tensor).expect("contiguous").numbers())
}

/// What a backward pass knows.
struct Backward<'a, T> {
    spec: &'a MemorySpec,
    sizes: Sizes,
    inputs: &'a Views<'a, T>,
    states: &'a [T],
    grad: View<'a, T>,
    after: (&'a [T], &'a [T]),
}

#[expect(unsafe_code, reason = "results are written into memory that was not cleared")]
fn run_backward<T: Real>(pass: &Backward<T>) -> EachInput<Output<T>> {
    let Sizes { batch, heads, shared, steps, reads, m, d, group, .. } = pass.sizes;
    let wide = [[batch, reads, heads * shared, m], [batch, steps, heads, m], [batch, steps, heads, d]];
    let mut rows = wide.map(|shape| Fresh::new(shape.iter().product()));
    let [mut log_decay, mut strength] = [(); 2].map(|()| vec![T::ZERO; batch * heads * steps]);
    let (mut memory, mut calcium) = (vec![T::ZERO; batch * heads * m * d], vec![T::ZERO; batch * heads * m]);
    {
        let [query, key, value] = rows.each_mut().map(Fresh::places);
        let groups = heads / group;
        let mut query = rows_of_heads(query, [batch, reads, groups, group * shared * m]);
        let mut key = rows_of_heads(key, [batch, steps, groups, group * m]);
        let mut value = rows_of_heads(value, [batch, steps, groups, group * d]);
        let rows = query.iter_mut().zip(&mut key).zip(&mut value);
        let numbers = log_decay.chunks_mut(group * steps).zip(strength.chunks_mut(group * steps));
        let states = memory.chunks_mut(group * m * d).zip(calcium.chunks_mut(group * m));
        let tasks = rows.zip(numbers).zip(states);
        let tasks = tasks.map(|((((query, key), value), (log_decay, strength)), (memory, calcium))| Gradients {
            query,
            key,
            value,
            log_decay,
            strength,
            memory,
            calcium,
        });
        let tasks: Vec<_> = tasks.enumerate().collect();
        let parts = split::parts(pass.spec, &pass.sizes);
        tasks.into_par_iter().for_each(|(task, gradients)| pass.task(task, parts, gradients));
    }
    // SAFETY: every row belongs to one task, which stores the gradients of each of its steps and
    // heads.
    let mut counts = wide.iter().map(|shape| shape.iter().product());
    let rows = rows.map(|data| unsafe { data.written(counts.next().expect("as many shapes")) });
    let mut shapes = wide.into_iter();
    let [query, key, value] = rows.map(|data| Output { data, shape: shapes.next().expect("as many shapes").to_vec() });
    let numbers = |data| Output { data: steps_first(data, [batch, heads, steps]), shape: vec![batch, steps, heads] };
    EachInput {
        query,
        key,
        value,
        log_decay: numbers(log_decay),
        strength: numbers(strength),
        memory: Output { data: memory, shape: vec![batch, heads, m, d] },
        calcium: Output { data: calcium, shape: vec![batch, heads, m] },
    }
}

impl<T: Real> Backward<'_, T> {
    fn task(&self, task: usize, parts: usize, gradients: Gradients<T>) {
        let Self { spec, sizes, inputs, grad, after, .. } = *self;
        let (of_task, place) = (sizes.group * sizes.states(), sizes.place(task));
        let saved = &self.states[task * of_task..][..of_task];
        if parts > 1 {
            split::Backward { spec, sizes, inputs, grad, after, saved, place, parts }.run(gradients);
            return;
        }
        let (work, states, range) = (backward::Work::Whole, &mut [][..], 0..sizes.chunks);
        with_scratch(backward::scratch(&sizes), |scratch| {
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

/// `[batch, heads, steps]` to `[batch, steps, heads]`.
fn steps_first<T: Real>(data: Vec<T>, [batch, heads, steps]: [usize; 3]) -> Vec<T> {
    let mut turned = vec![T::ZERO; data.len()];
    for (from, to) in data.chunks(heads * steps).zip(turned.chunks_mut(heads * steps)).take(batch) {
        transpose(heads, steps, (from, steps), (to, heads));
    }
    turned
}
