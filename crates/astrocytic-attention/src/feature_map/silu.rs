//! `x · sigmoid(x)`, as Gated DeltaNet has it (arXiv 2412.06464).

use super::element_wise::ElementWise;
use super::map::Positive;
use crate::ops::Feature;
use crate::reference::{silu, silu_vjp};

/// `x · sigmoid(x)`.
#[derive(Debug)]
pub(super) struct Silu;

impl ElementWise for Silu {
    const POSITIVE: Positive = Positive::Nothing;
    const FLOPS: f64 = 4.0;
    const KERNEL: Feature = Feature::Silu;

    fn value(x: f64) -> f64 {
        silu(x)
    }

    fn slope(x: f64) -> f64 {
        silu_vjp(x, 1.0)
    }
}
