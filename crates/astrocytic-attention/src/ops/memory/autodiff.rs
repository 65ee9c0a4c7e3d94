//! The gradient of the memory, recorded once for every backend that has a kernel of it.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, Backend, TensorMetadata};
use burn::tensor::{Shape, Slice};

use super::backend::{EachInput, MemoryBackend, MemoryGradients, MemoryOutputs, MemorySaved, MemoryTensors, Wanted};
use super::spec::MemorySpec;
use crate::kernel::dispatch::OptionalTensor;

/// What the backward pass of one call needs.
#[derive(Debug, Clone)]
struct Call<B: Backend> {
    spec: MemorySpec,
    saved: MemorySaved<B>,
    packing: Option<Packing>,
}

/// A step of the graph has one gradient: those of several outputs stand in it one after another.
#[derive(Debug, Clone)]
struct Packing {
    reads: Shape,
    memory: Shape,
    calcium: Option<Shape>,
}

impl Packing {
    fn new<B: Backend>(outputs: &MemoryOutputs<B>) -> Option<Self> {
        let memory = outputs.memory.as_option()?.shape();
        let calcium = outputs.calcium.as_option().map(|calcium| calcium.shape());
        Some(Self { reads: outputs.reads.shape(), memory, calcium })
    }

    /// The place of each output's gradient: reads, memory, calcium.
    fn places(&self) -> [Place; 3] {
        let counts = [Some(&self.reads), Some(&self.memory), self.calcium.as_ref()];
        let counts = counts.map(|shape| shape.map_or(0, |shape| shape.num_elements()));
        let all = counts.iter().sum();
        let mut start = 0;
        counts.map(|count| {
            start += count;
            Place { start: start - count, count, all }
        })
    }

    fn unpack<B: Backend>(&self, packed: FloatTensor<B>) -> MemoryOutputs<B> {
        let [reads, memory, calcium] = self.places();
        let at = |place: Place, shape: &Shape| {
            let part = B::float_slice(packed.clone(), &[Slice::from(place.start..place.start + place.count)]);
            B::float_reshape(part, shape.clone())
        };
        MemoryOutputs {
            reads: at(reads, &self.reads),
            memory: OptionalTensor::Given(at(memory, &self.memory)),
            calcium: OptionalTensor::new(self.calcium.as_ref().map(|shape| at(calcium, shape))),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Place {
    start: usize,
    count: usize,
    all: usize,
}

#[derive(Debug)]
struct Step;

impl<B: MemoryBackend> Backward<B, 7> for Step {
    type State = Call<B>;

    fn backward(self, ops: Ops<Self::State, 7>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let Call { spec, saved, packing } = ops.state;
        let gradient = grads.consume::<B>(&ops.node);
        let gradients = match packing {
            Some(packing) => packing.unpack(gradient),
            None => MemoryOutputs { reads: gradient, memory: OptionalTensor::Absent, calcium: OptionalTensor::Absent },
        };
        let wanted = EachInput::from_array(ops.parents.each_ref().map(Option::is_some));
        let MemoryGradients { query, key, value, log_decay, strength, memory, calcium } =
            B::memory_backward(spec, saved, gradients, wanted);
        let gradients = [query, key, value, log_decay, strength, memory, calcium];
        for (parent, gradient) in ops.parents.into_iter().zip(gradients) {
            if let (Some(parent), Some(gradient)) = (parent, gradient.into_option()) {
                grads.register::<B>(parent.id, gradient);
            }
        }
    }
}

/// One of several outputs: its gradient goes to its place in that of the whole.
#[derive(Debug)]
struct OneOf;

impl<B: Backend> Backward<B, 1> for OneOf {
    type State = Place;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let Place { start, count, all } = ops.state;
        let [Some(parent)] = ops.parents else { return };
        let (device, dtype) = (gradient.device(), gradient.dtype());
        let zeros = B::float_zeros(Shape::new([all]), &device, dtype.into());
        let flat = B::float_reshape(gradient, Shape::new([count]));
        let packed = B::float_slice_assign(zeros, &[Slice::from(start..start + count)], flat);
        grads.register::<B>(parent.id, packed);
    }
}

impl<B: MemoryBackend, C: CheckpointStrategy> MemoryBackend for Autodiff<B, C> {
    fn memory_forward(
        spec: MemorySpec,
        inputs: MemoryTensors<Self>,
        wanted: Wanted,
    ) -> Option<(MemoryOutputs<Self>, MemorySaved<Self>)> {
        // A step has a fixed number of parents: a constant stands for an input that is not there.
        let absent = Self::from_inner(inputs.query.clone().into_parts().0);
        let node = |input: &OptionalTensor<Self>| input.as_option().unwrap_or(&absent).node();
        let [log_decay, strength, memory, calcium] =
            [&inputs.log_decay, &inputs.strength, &inputs.memory, &inputs.calcium].map(node);
        let [query, key, value] = [&inputs.query, &inputs.key, &inputs.value].map(|input| input.node());
        let nodes = [query, key, value, log_decay, strength, memory, calcium];

        let inner = |tensor: FloatTensor<Self>| tensor.into_parts().0;
        let inputs = MemoryTensors::<B> {
            query: inner(inputs.query),
            key: inner(inputs.key),
            value: inner(inputs.value),
            log_decay: inputs.log_decay.map(inner),
            strength: inputs.strength.map(inner),
            memory: inputs.memory.map(inner),
            calcium: inputs.calcium.map(inner),
        };
        let outputs = match Step.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::UnTracked(step) => {
                let (outputs, _) = B::memory_forward(spec, inputs, Wanted { saved: false, ..wanted })?;
                let MemoryOutputs { reads, memory, calcium } = outputs;
                MemoryOutputs {
                    reads: step.finish(reads),
                    memory: memory.map(Self::from_inner),
                    calcium: calcium.map(Self::from_inner),
                }
            }
            OpsKind::Tracked(step) => {
                let (outputs, saved) = B::memory_forward(spec, inputs, Wanted { saved: true, ..wanted })?;
                let packing = Packing::new(&outputs);
                let whole = step.finish(Call { spec, saved, packing: packing.clone() }, outputs.reads.clone());
                match packing {
                    None => {
                        MemoryOutputs { reads: whole, memory: OptionalTensor::Absent, calcium: OptionalTensor::Absent }
                    }
                    Some(packing) => {
                        let [reads, memory, calcium] = packing.places();
                        let one_of = |place: Place, output: FloatTensor<B>| match OneOf
                            .prepare::<C>([whole.node()])
                            .compute_bound()
                            .stateful()
                        {
                            OpsKind::Tracked(step) => step.finish(place, output),
                            OpsKind::UnTracked(step) => step.finish(output),
                        };
                        MemoryOutputs {
                            reads: one_of(reads, outputs.reads),
                            memory: outputs.memory.map(|output| one_of(memory, output)),
                            calcium: outputs.calcium.map(|output| one_of(calcium, output)),
                        }
                    }
                }
            }
        };
        Some((outputs, MemorySaved::Nothing))
    }
}
