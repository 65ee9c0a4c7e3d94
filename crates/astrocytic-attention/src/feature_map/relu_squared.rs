//! The squared rectifier (Primer, arXiv 2109.08668, section 3).

use burn::tensor::{Tensor, activation::relu};

use super::element_wise::ElementWiseMap;
use super::map::Positive;
use crate::kernel::element_wise::ElementWise;
#[cfg(feature = "host-kernels")]
use crate::kernel::real::Real;

/// `max(x, 0)²`: as sparse as the rectifier, and with more weight on what agrees most.
#[derive(Debug)]
pub(super) struct ReluSquared;

impl ElementWise for ReluSquared {
    fn map(x: Tensor<4>) -> Tensor<4> {
        relu(x).square()
    }

    #[cfg(feature = "host-kernels")]
    #[inline(always)]
    fn value_and_slope<T: Real, S: pulp::Simd>(x: T) -> (T, T) {
        let positive = if x <= T::ZERO { T::ZERO } else { x };
        (positive * positive, positive + positive)
    }
}

impl ElementWiseMap for ReluSquared {
    const POSITIVE: Positive = Positive::Features;
    const FLOPS: f64 = 5.0;

    fn value(x: f64) -> f64 {
        if x > 0.0 { x * x } else { 0.0 }
    }

    fn slope(x: f64) -> f64 {
        if x > 0.0 { 2.0 * x } else { 0.0 }
    }
}
