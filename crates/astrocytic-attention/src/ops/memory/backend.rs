//! The memory on a backend's own tensors: the door by which kernels come in.
//!
//! A backend that has a kernel implements [`MemoryBackend`]; one that has none takes its default, and the operation is
//! composed of Burn's. The gradient is recorded once, for all of them.

// Burn means to drop ndarray; as long as it is there it has kernels.
#![allow(deprecated)]

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, ExtensionType, backend_extension};

use super::spec::MemorySpec;
use crate::kernel::dispatch::OptionalTensor;

/// The inputs of [`MemoryInputs`](super::MemoryInputs) and, where there was one, the state before the first step.
#[derive(Debug, Clone, ExtensionType)]
pub(crate) struct MemoryTensors<B: Backend> {
    pub query: FloatTensor<B>,
    pub key: FloatTensor<B>,
    pub value: FloatTensor<B>,
    #[extension_type]
    pub log_decay: OptionalTensor<B>,
    #[extension_type]
    pub strength: OptionalTensor<B>,
    #[extension_type]
    pub memory: OptionalTensor<B>,
    #[extension_type]
    pub calcium: OptionalTensor<B>,
}

impl<B: Backend> MemoryTensors<B> {
    /// Those that are given.
    pub fn given(&self) -> impl Iterator<Item = &FloatTensor<B>> {
        let optional = [&self.log_decay, &self.strength, &self.memory, &self.calcium];
        [&self.query, &self.key, &self.value].into_iter().chain(optional.into_iter().filter_map(|x| x.as_option()))
    }
}

/// Results, or their gradients.
#[derive(Debug, Clone, ExtensionType)]
pub(crate) struct MemoryOutputs<B: Backend> {
    /// `[batch, steps_q, heads, d_v]`.
    pub reads: FloatTensor<B>,
    /// After the last step, `[batch, key heads, m, d_v]`, where wanted.
    #[extension_type]
    pub memory: OptionalTensor<B>,
    /// After the last step, `[batch, key heads, m]`, where wanted and there is one.
    #[extension_type]
    pub calcium: OptionalTensor<B>,
}

/// What a forward pass leaves for the backward pass of the same backend.
#[derive(Debug, Clone, ExtensionType)]
pub(crate) enum MemorySaved<B: Backend> {
    Nothing,
    Saved {
        /// As kernels read them.
        #[extension_type]
        inputs: MemoryTensors<B>,
        /// In the kernel's own layout.
        states: FloatTensor<B>,
    },
}

/// What a forward pass is to give beside the reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    /// The state after the last step.
    pub state: bool,
    /// What the backward pass needs.
    pub saved: bool,
}

/// Something for each input of the operation: what it is, or whether its gradient is wanted, or the gradient.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EachInput<X> {
    pub query: X,
    pub key: X,
    pub value: X,
    pub log_decay: X,
    pub strength: X,
    pub memory: X,
    pub calcium: X,
}

impl<X> EachInput<X> {
    pub fn from_array([query, key, value, log_decay, strength, memory, calcium]: [X; 7]) -> Self {
        Self { query, key, value, log_decay, strength, memory, calcium }
    }

    pub fn into_array(self) -> [X; 7] {
        [self.query, self.key, self.value, self.log_decay, self.strength, self.memory, self.calcium]
    }

    pub fn map<Y>(self, f: impl FnMut(X) -> Y) -> EachInput<Y> {
        EachInput::from_array(self.into_array().map(f))
    }
}

/// The gradient of each input, where wanted and given.
#[derive(ExtensionType)]
pub(crate) struct MemoryGradients<B: Backend> {
    #[extension_type]
    pub query: OptionalTensor<B>,
    #[extension_type]
    pub key: OptionalTensor<B>,
    #[extension_type]
    pub value: OptionalTensor<B>,
    #[extension_type]
    pub log_decay: OptionalTensor<B>,
    #[extension_type]
    pub strength: OptionalTensor<B>,
    #[extension_type]
    pub memory: OptionalTensor<B>,
    #[extension_type]
    pub calcium: OptionalTensor<B>,
}

/// Backends that run the memory as one operation.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(feature = "wgpu"),
    Fusion: cfg(feature = "fusion"),
    Autodiff: cfg(feature = "autodiff"),
)]
pub(crate) trait MemoryBackend: Backend {
    /// Reads and writes; what it saves goes to [`Self::memory_backward`]. `None` where the backend has no kernel for it:
    /// the caller composes the operation.
    #[fusion(default)]
    fn memory_forward(
        spec: MemorySpec,
        #[extension_type] inputs: MemoryTensors<Self>,
        wanted: Wanted,
    ) -> Option<(MemoryOutputs<Self>, MemorySaved<Self>)> {
        let _ = (spec, inputs, wanted);
        None
    }

    /// The gradients of the inputs, given those of the outputs.
    #[fusion(default)]
    fn memory_backward(
        spec: MemorySpec,
        #[extension_type] saved: MemorySaved<Self>,
        #[extension_type] gradients: MemoryOutputs<Self>,
        wanted: EachInput<bool>,
    ) -> MemoryGradients<Self> {
        let _ = (spec, saved, gradients, wanted);
        unreachable!("a backend without a forward pass saves nothing to go backward from")
    }
}

#[cfg(all(feature = "wgpu", not(feature = "fusion")))]
impl MemoryBackend for burn::backend::Cube {}

#[cfg(all(feature = "wgpu", feature = "fusion"))]
impl MemoryBackend for burn::backend::wgpu::CubeBackend {}

#[cfg(feature = "autodiff")]
mod autodiff {
    use burn::backend::autodiff::checkpoint::base::Checkpointer;
    use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
    use burn::backend::autodiff::grads::Gradients;
    use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
    use burn::backend::{Autodiff, AutodiffBackend, TensorMetadata};
    use burn::tensor::{Shape, Slice};

    use super::*;

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
                None => {
                    MemoryOutputs { reads: gradient, memory: OptionalTensor::Absent, calcium: OptionalTensor::Absent }
                }
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
                        None => MemoryOutputs {
                            reads: whole,
                            memory: OptionalTensor::Absent,
                            calcium: OptionalTensor::Absent,
                        },
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
}
