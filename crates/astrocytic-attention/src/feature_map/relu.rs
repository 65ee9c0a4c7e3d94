//! `max(x, 0)`.

use burn::tensor::{Tensor, activation::relu};
use pulp::Simd;

use crate::kernel::element_wise::ElementWise;
use crate::kernel::real::Real;

/// `max(x, 0)`.
pub(crate) struct Relu;

impl ElementWise for Relu {
    fn map(x: Tensor<4>) -> Tensor<4> {
        relu(x)
    }

    #[inline(always)]
    fn value_and_slope<T: Real, S: Simd>(x: T) -> (T, T) {
        (if x <= T::ZERO { T::ZERO } else { x }, if x > T::ZERO { T::ONE } else { T::ZERO })
    }
}
