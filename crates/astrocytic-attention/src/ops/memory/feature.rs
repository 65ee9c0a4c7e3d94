//! Feature maps that work element by element.

use burn::tensor::Tensor;

use crate::feature_map::elu;

/// A feature map φ that works element by element, so that a kernel applies it on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// `x`
    Identity,
    /// `elu(x) + 1`
    Elu,
    /// `max(x, 0)`
    Relu,
    /// `x · sigmoid(x)`
    Silu,
}

impl Feature {
    /// φ(x), element by element.
    pub fn map(self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Identity => x,
            Self::Elu => elu::map(x),
            Self::Relu => burn::tensor::activation::relu(x),
            Self::Silu => burn::tensor::activation::silu(x),
        }
    }
}
