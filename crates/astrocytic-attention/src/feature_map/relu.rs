//! `max(x, 0)`.

use burn::tensor::{Tensor, activation::relu};

use crate::kernel::element_wise::ElementWise;
#[cfg(feature = "host-kernels")]
use crate::kernel::real::Real;

/// `max(x, 0)`.
pub(crate) struct Relu;

impl ElementWise for Relu {
    fn map(x: Tensor<4>) -> Tensor<4> {
        relu(x)
    }

    #[cfg(feature = "host-kernels")]
    #[inline(always)]
    fn value_and_slope<T: Real, S: pulp::Simd>(x: T) -> (T, T) {
        (if x <= T::ZERO { T::ZERO } else { x }, if x > T::ZERO { T::ONE } else { T::ZERO })
    }
}
