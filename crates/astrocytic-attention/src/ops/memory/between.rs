//! What is left at one step of a write at another: products of decays, as sums of their logarithms.

use burn::tensor::{Bool, Tensor};

/// `Σ_{j<s≤i} log a_s` for j ≤ i, 0 above the diagonal.
///
/// Each column is summed by itself: a difference of two long sums would lose the digits of what lies between them.
///
/// # Shapes
/// - log_decay: `[·, ·, steps]`
/// - returns `[·, ·, steps, steps]`
pub(super) fn log_between(log_decay: &Tensor<3>) -> Tensor<4> {
    let [a, b, steps] = log_decay.dims();
    log_decay.clone().unsqueeze_dim::<4>(3).expand([a, b, steps, steps]).tril(-1).cumsum(2)
}

/// `exp` of [`log_between`] for j ≤ i, else 0. The mask comes before exp, so that no exponent is positive.
pub(super) fn between(log_between: Tensor<4>) -> Tensor<4> {
    let shape = log_between.dims();
    let future = Tensor::<2, Bool>::tril_mask([shape[2], shape[3]], 0, &log_between.device()).unsqueeze::<4>();
    log_between.mask_fill(future.expand(shape), f32::NEG_INFINITY).exp()
}
