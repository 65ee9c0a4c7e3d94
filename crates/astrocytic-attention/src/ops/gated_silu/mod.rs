//! `x · silu(gate)` as one operation: the middle of a SwiGLU layer (arXiv 2002.05202) and an output gate.

#[cfg(feature = "host-kernels")]
mod host;

use burn::tensor::Tensor;
use burn::tensor::activation::silu;

/// `x · silu(gate)`, element by element, for tensors of one shape.
pub fn gated_silu<const D: usize>(x: Tensor<D>, gate: Tensor<D>) -> Tensor<D> {
    #[cfg(feature = "host-kernels")]
    {
        if let Some(gated) = host::run(&x, &gate) {
            return gated;
        }
    }
    x * silu(gate)
}
