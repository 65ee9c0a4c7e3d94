//! `x · sigmoid(x)` (as Gated DeltaNet uses it, arXiv 2412.06464).

use burn::tensor::{Tensor, activation::silu};

use super::element_wise::ElementWiseMap;
use super::map::Positive;
use crate::kernel::element_wise::ElementWise;
#[cfg(feature = "host-kernels")]
use crate::kernel::real::{Real, sigmoid};
use crate::reference;

/// `x · sigmoid(x)`.
#[derive(Debug)]
pub(super) struct Silu;

impl ElementWise for Silu {
    fn map(x: Tensor<4>) -> Tensor<4> {
        silu(x)
    }

    #[cfg(feature = "host-kernels")]
    #[inline(always)]
    fn value_and_slope<T: Real, S: pulp::Simd>(x: T) -> (T, T) {
        let s = sigmoid::<T, S>(x);
        (x * s, s * (T::ONE + x * (T::ONE - s)))
    }
}

impl ElementWiseMap for Silu {
    const POSITIVE: Positive = Positive::Nothing;
    const FLOPS: f64 = 4.0;

    fn value(x: f64) -> f64 {
        reference::silu(x)
    }

    fn slope(x: f64) -> f64 {
        reference::silu_vjp(x, 1.0)
    }
}
