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
