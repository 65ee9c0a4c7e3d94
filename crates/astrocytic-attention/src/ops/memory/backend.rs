//! The memory as an operation of a backend, on that backend's tensors. Kernels come in here.
//!
//! A backend with a kernel implements [`MemoryBackend`]. A backend without one takes the defaults,
//! and the caller composes the memory from Burn's operations. One place records the gradient for all
//! backends.

// Burn 0.22 deprecates its ndarray backend. It keeps its kernels until Burn drops it.
#![allow(deprecated)]
// Only the processor's kernels and autodiff use these items.
#![cfg_attr(not(all(feature = "host-kernels", feature = "autodiff")), allow(dead_code, unused_variables))]

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, ExtensionType, backend_extension};

use super::spec::MemorySpec;
use crate::kernel::dispatch::OptionalTensor;

/// The tensors of [`MemoryInputs`](super::MemoryInputs), and the state before the first step if
/// there is one.
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
    /// All that are not absent.
    pub fn given(&self) -> impl Iterator<Item = &FloatTensor<B>> {
        let optional = [&self.log_decay, &self.strength, &self.memory, &self.calcium];
        [&self.query, &self.key, &self.value].into_iter().chain(optional.into_iter().filter_map(|x| x.as_option()))
    }
}

/// The results, or their gradients.
#[derive(Debug, Clone, ExtensionType)]
pub(crate) struct MemoryOutputs<B: Backend> {
    /// `[batch, steps_q, heads, d_v]`.
    pub reads: FloatTensor<B>,
    /// H after the last step, `[batch, key heads, m, d_v]`, if wanted.
    #[extension_type]
    pub memory: OptionalTensor<B>,
    /// g after the last step, `[batch, key heads, m]`, if wanted and reads are divided by it.
    #[extension_type]
    pub calcium: OptionalTensor<B>,
}

impl<B: Backend> MemoryOutputs<B> {
    /// Reads without a state.
    pub fn of_reads(reads: FloatTensor<B>) -> Self {
        Self { reads, memory: OptionalTensor::Absent, calcium: OptionalTensor::Absent }
    }
}

/// What a forward pass saves for the backward pass of the same backend.
#[derive(Debug, Clone, ExtensionType)]
pub(crate) enum MemorySaved<B: Backend> {
    Nothing,
    Saved {
        /// In a layout that the kernel reads.
        #[extension_type]
        inputs: MemoryTensors<B>,
        /// In the kernel's own layout.
        states: FloatTensor<B>,
    },
}

/// What a forward pass returns beside the reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    /// The state after the last step.
    pub state: bool,
    /// What the backward pass needs.
    pub saved: bool,
}

/// One value for each input: whether its gradient is wanted, or the gradient itself.
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

/// The gradient of each input that is given and whose gradient is wanted.
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
    /// Writes the memory and reads it. What it saves is for [`Self::memory_backward`].
    ///
    /// `None` says that the backend has no kernel for these inputs. The caller then composes the
    /// memory from Burn's operations.
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
