//! Small functions of tensors that operations and layers share.

use burn::tensor::{DType, FloatDType, Int, Tensor};

/// Smallest squared length that a vector is divided by.
pub(crate) const NORM_FLOOR: f64 = 1e-6;

/// Half precision made full: sums over many steps are kept in f32 or wider.
pub(crate) fn full_precision<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    match full_dtype(x.dtype()) {
        full if full == x.dtype() => x,
        full => x.cast(full),
    }
}

/// What sums over many steps are kept in for inputs of this type.
pub(crate) fn full_dtype(dtype: DType) -> DType {
    match dtype {
        DType::F16 | DType::BF16 => DType::F32,
        other => other,
    }
}

/// Whole numbers in the precision that `like` is computed in. (`float()` would give the device's
/// default, and bf16 has no whole numbers of its own above 256.)
pub(crate) fn real<const D: usize, const E: usize>(places: Tensor<D, Int>, like: &Tensor<E>) -> Tensor<D> {
    places.cast(FloatDType::from(full_dtype(like.dtype())))
}

/// A copy of a part of something larger, which a view would keep in memory for as long as the part.
pub(crate) fn contiguous<const D: usize>(part: Tensor<D>) -> Tensor<D> {
    part.mul_scalar(1.0)
}

/// Each key head for all the query heads of its group.
///
/// # Shapes
/// - x: `[batch, key heads, steps, d]`
/// - returns `[batch, heads, steps, d]`
pub(crate) fn share_heads(x: Tensor<4>, heads: usize) -> Tensor<4> {
    let [batch, key_heads, steps, width] = x.dims();
    let group = heads / key_heads;
    if group == 1 {
        return x;
    }
    let shared = x.unsqueeze_dim::<5>(2).expand([batch, key_heads, group, steps, width]);
    shared.reshape([batch, heads, steps, width])
}

/// `x / √(Σ x² + 1e-6)` over the last axis; zero stays zero.
pub fn l2_normalize(x: Tensor<4>) -> Tensor<4> {
    let length = (x.clone().square().sum_dim(3) + NORM_FLOOR).sqrt();
    x / length
}
