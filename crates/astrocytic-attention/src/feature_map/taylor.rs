//! The second-order Taylor expansion of exp (Based, arXiv 2402.18668, section 4).

use burn::tensor::Tensor;

/// `[1, x', (x' ⊗ x')/√2]` with `x' = x / d^¼`, so that `φ(q)·φ(k) = 1 + s + s²/2` for `s = q·k/√d`.
pub(super) fn map(x: Tensor<4>) -> Tensor<4> {
    let [batch, heads, steps, d] = x.dims();
    let x = x.mul_scalar((d as f64).powf(-0.25));
    let one = Tensor::ones([batch, heads, steps, 1], (&x.device(), x.dtype()));
    let outer = x.clone().unsqueeze_dim::<5>(4) * x.clone().unsqueeze_dim::<5>(3);
    let outer = outer.reshape([batch, heads, steps, d * d]).mul_scalar(0.5f64.sqrt());
    Tensor::cat(vec![one, x, outer], 3)
}
