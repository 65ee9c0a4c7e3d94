//! A learned map that imitates softmax's spikes (Hedgehog, arXiv 2402.04347, section 4.2).

use burn::tensor::{Tensor, activation::softmax};

/// Softmax over `[xW, −xW]`; W `[1, heads, d, d]`.
pub(super) fn map(x: Tensor<4>, w: Tensor<4>) -> Tensor<4> {
    let z = x.matmul(w);
    softmax(Tensor::cat(vec![z.clone(), -z], 3), 3)
}
