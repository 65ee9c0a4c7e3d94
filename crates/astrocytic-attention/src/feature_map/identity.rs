//! Keys and queries as they are: for the delta rule, or with an RMS norm.

use super::element_wise::ElementWise;
use super::map::Positive;
use crate::ops::Feature;

/// `x`.
#[derive(Debug)]
pub(super) struct Identity;

impl ElementWise for Identity {
    const POSITIVE: Positive = Positive::Nothing;
    const FLOPS: f64 = 0.0;
    const KERNEL: Feature = Feature::Identity;

    fn value(x: f64) -> f64 {
        x
    }

    fn slope(_x: f64) -> f64 {
        1.0
    }
}
