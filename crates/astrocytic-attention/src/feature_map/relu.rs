//! `max(x, 0)`, the cheapest map whose features are never negative.

use super::element_wise::ElementWise;
use super::map::Positive;
use crate::ops::Feature;

/// `max(x, 0)`, with the slope 0 at 0.
#[derive(Debug)]
pub(super) struct Relu;

impl ElementWise for Relu {
    const POSITIVE: Positive = Positive::Features;
    const FLOPS: f64 = 4.0;
    const KERNEL: Feature = Feature::Relu;

    fn value(x: f64) -> f64 {
        x.max(0.0)
    }

    fn slope(x: f64) -> f64 {
        if x > 0.0 { 1.0 } else { 0.0 }
    }
}
