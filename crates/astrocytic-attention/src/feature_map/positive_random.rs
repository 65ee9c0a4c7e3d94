//! Positive random features of the softmax kernel (FAVOR+, arXiv 2009.14794, lemma 1).

use burn::tensor::Tensor;

use super::Side;

/// Largest exponent of a key's feature.
///
/// It is at most `‖ω‖²/2`, which heads of 128 and more take beyond f32 (88.7). A stabiliser over steps would not be causal, and
/// one constant for all would leave ordinary keys nothing. 60 is met only by a key that lies along one direction with
/// eleven standard deviations, and leaves room for the sum of 10¹² of them.
const LARGEST_EXPONENT: f64 = 60.0;

/// `exp(min(Ωx' − ‖x'‖²/2, 60)) / √m` with `x' = x / d^¼`, whose inner products have the mean `exp(q·k / √d)`.
///
/// Keys longer than about `‖x'‖² = 80` fire nothing. Queries are scaled by their own largest feature, which the normaliser
/// divides out. Ω is `[1, heads, m, d]`.
pub(super) fn map(x: Tensor<4>, omega: Tensor<4>, side: Side) -> Tensor<4> {
    let [_, _, m, d] = omega.dims();
    let x = x.mul_scalar((d as f64).powf(-0.25));
    let exponent = x.clone().matmul(omega.transpose()) - x.square().sum_dim(3).mul_scalar(0.5);
    let exponent = match side {
        Side::Key => exponent.clamp_max(LARGEST_EXPONENT),
        Side::Query => exponent.clone() - exponent.max_dim(3),
    };
    exponent.exp().mul_scalar((m as f64).powf(-0.5))
}
