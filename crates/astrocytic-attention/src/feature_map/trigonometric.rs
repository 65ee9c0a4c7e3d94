//! Trigonometric random features of the Gaussian kernel (RFA, arXiv 2103.02143, eq. 3).

use burn::tensor::Tensor;

use super::l2_normalize;

/// `[cos Ωx̂, sin Ωx̂] / √(m/2)` with `x̂ = x / ‖x‖`; Ω `[1, heads, m/2, d]`.
pub(super) fn map(x: Tensor<4>, omega: Tensor<4>) -> Tensor<4> {
    let directions = omega.dims()[2] as f64;
    let angle = l2_normalize(x).matmul(omega.transpose());
    Tensor::cat(vec![angle.clone().cos(), angle.sin()], 3).mul_scalar(directions.powf(-0.5))
}
