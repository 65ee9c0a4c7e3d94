//! `elu(x) + 1` (arXiv 2006.16236, eq. 7).

use burn::tensor::{Tensor, activation::relu};

use super::element_wise::ElementWise;
use super::map::Positive;
use crate::ops::Feature;

/// `exp(min(x, 0)) + max(x, 0)`.
#[derive(Debug)]
pub(super) struct Elu;

/// The same function without a branch, several times faster in flex than a masked elu.
pub(crate) fn map(x: Tensor<4>) -> Tensor<4> {
    // min(x, 0) = x − max(x, 0)
    let positive = relu(x.clone());
    (x - positive.clone()).exp() + positive
}

impl ElementWise for Elu {
    const POSITIVE: Positive = Positive::Features;
    const FLOPS: f64 = 4.0;
    const KERNEL: Feature = Feature::Elu;

    fn value(x: f64) -> f64 {
        x.min(0.0).exp() + x.max(0.0)
    }

    fn slope(x: f64) -> f64 {
        x.min(0.0).exp()
    }
}
