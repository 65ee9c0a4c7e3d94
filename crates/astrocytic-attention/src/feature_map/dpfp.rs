//! The deterministic parameter-free projection (arXiv 2102.11174, eq. 37).

use burn::tensor::{Tensor, activation::relu};

/// `r ⊙ roll(r, j)` for j = 1…ν with `r = relu([x, −x])`.
pub(super) fn map(x: Tensor<4>, nu: usize) -> Tensor<4> {
    let r = relu(Tensor::cat(vec![x.clone(), -x], 3));
    let width = r.dims()[3];
    let rolled = |j: usize| {
        if j == 0 {
            return r.clone().square();
        }
        let tail = r.clone().narrow(3, width - j, j);
        let head = r.clone().narrow(3, 0, width - j);
        r.clone() * Tensor::cat(vec![tail, head], 3)
    };
    Tensor::cat((1..=nu).map(|j| rolled(j % width)).collect(), 3)
}
