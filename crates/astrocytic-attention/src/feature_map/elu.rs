//! `elu(x) + 1` (arXiv 2006.16236, eq. 7).

use burn::tensor::{Tensor, activation::relu};

/// `exp(min(x, 0)) + max(x, 0)`: the same function without a branch, several times faster in flex than a masked elu.
pub(crate) fn map(x: Tensor<4>) -> Tensor<4> {
    // min(x, 0) = x − max(x, 0)
    let positive = relu(x.clone());
    (x - positive.clone()).exp() + positive
}
