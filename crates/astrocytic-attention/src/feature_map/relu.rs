//! `max(x, 0)`, the cheapest map whose features are never negative.

use burn::tensor::{Tensor, activation::relu};

use super::element_wise::ElementWiseMap;
use super::map::Positive;
use crate::kernel::element_wise::ElementWise;
#[cfg(feature = "host-kernels")]
use crate::kernel::real::Real;

/// `max(x, 0)`, with the slope 0 at 0.
#[derive(Debug)]
pub(super) struct Relu;

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

impl ElementWiseMap for Relu {
    const POSITIVE: Positive = Positive::Features;
    const FLOPS: f64 = 4.0;

    fn value(x: f64) -> f64 {
        x.max(0.0)
    }

    fn slope(x: f64) -> f64 {
        if x > 0.0 { 1.0 } else { 0.0 }
    }
}
