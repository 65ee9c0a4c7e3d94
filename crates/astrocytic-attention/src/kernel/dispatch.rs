//! What operations with kernels ask of tensors of any backend.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, DispatchTensor, DispatchTensorKind, ExtensionType};

/// A tensor that an operation can do without.
#[derive(Debug, Clone, ExtensionType)]
pub(crate) enum OptionalTensor<B: Backend> {
    Given(FloatTensor<B>),
    Absent,
}

impl<B: Backend> OptionalTensor<B> {
    pub fn new(tensor: Option<FloatTensor<B>>) -> Self {
        tensor.map_or(Self::Absent, Self::Given)
    }

    pub fn into_option(self) -> Option<FloatTensor<B>> {
        match self {
            Self::Given(tensor) => Some(tensor),
            Self::Absent => None,
        }
    }

    pub fn map<C: Backend>(self, f: impl FnOnce(FloatTensor<B>) -> FloatTensor<C>) -> OptionalTensor<C> {
        OptionalTensor::new(self.into_option().map(f))
    }

    pub fn as_option(&self) -> Option<&FloatTensor<B>> {
        match self {
            Self::Given(tensor) => Some(tensor),
            Self::Absent => None,
        }
    }
}

/// Whether a tensor lies in the machine's own memory, where kernels of the processor read it.
pub(crate) fn is_on_host(tensor: &DispatchTensor) -> bool {
    match without_autodiff(&tensor.kind) {
        #[cfg(feature = "flex")]
        DispatchTensorKind::Flex(_) => true,
        #[cfg(feature = "ndarray")]
        DispatchTensorKind::NdArray(_) => true,
        _ => false,
    }
}

/// Whether a tensor lives on a GPU, on a runtime of CubeCL.
pub(crate) fn is_on_gpu(tensor: &DispatchTensor) -> bool {
    match without_autodiff(&tensor.kind) {
        #[cfg(feature = "wgpu")]
        DispatchTensorKind::Cube(_) => true,
        _ => false,
    }
}

fn without_autodiff(kind: &DispatchTensorKind) -> &DispatchTensorKind {
    match kind {
        #[cfg(feature = "autodiff")]
        DispatchTensorKind::Autodiff(inner) => inner,
        kind => kind,
    }
}
