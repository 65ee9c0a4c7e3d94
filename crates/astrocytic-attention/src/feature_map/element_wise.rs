//! Feature maps that work element by element: `φ(x)_i = f(x_i)`, so that a kernel applies them on the way.

use std::fmt::Debug;

use burn::tensor::Tensor;

use super::map::{Map, Positive, Side};
use crate::ops::Feature;

/// One function of one number.
pub(crate) trait ElementWise: Debug {
    /// What is never negative.
    const POSITIVE: Positive;
    /// Floating-point operations for one number.
    const FLOPS: f64;
    /// The kernels' name for it.
    const KERNEL: Feature;

    /// f in plain f64: the reference.
    fn value(x: f64) -> f64;

    /// f′ in plain f64.
    fn slope(x: f64) -> f64;
}

impl<E: ElementWise> Map for E {
    fn features(&self, d: usize) -> usize {
        d
    }

    fn positive(&self) -> Positive {
        E::POSITIVE
    }

    fn flops(&self, d: usize) -> f64 {
        E::FLOPS * d as f64
    }

    fn element_wise(&self) -> Option<Feature> {
        Some(E::KERNEL)
    }

    fn forward(&self, x: Tensor<4>, _projection: Option<Tensor<4>>, _side: Side) -> Tensor<4> {
        E::KERNEL.map(x)
    }

    fn reference(&self, x: &[f64], _projection: &[f64], _side: Side) -> Vec<f64> {
        x.iter().map(|&x| E::value(x)).collect()
    }

    fn reference_vjp(&self, x: &[f64], _projection: &[f64], _side: Side, d_y: &[f64]) -> (Vec<f64>, Vec<f64>) {
        (x.iter().zip(d_y).map(|(&x, d_y)| d_y * E::slope(x)).collect(), Vec::new())
    }
}
