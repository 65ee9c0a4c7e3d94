//! Feature maps that work element by element: `φ(x)_i = f(x_i)`, so that m = d and a kernel applies them on the way.

use std::fmt::Debug;

use burn::tensor::Tensor;

use super::map::{Map, Positive, Side};
use crate::kernel::element_wise::{ElementWise, Feature};

/// What a feature map says beside the kernel's function [`ElementWise`].
pub(super) trait ElementWiseMap: ElementWise + Debug {
    /// What is never negative.
    const POSITIVE: Positive;
    /// Floating-point operations for one number.
    const FLOPS: f64;

    /// f in plain f64: the reference.
    fn value(x: f64) -> f64;

    /// f′ in plain f64.
    fn slope(x: f64) -> f64;
}

impl<F: ElementWiseMap> Map for F {
    fn features(&self, d: usize) -> usize {
        d
    }

    fn positive(&self) -> Positive {
        F::POSITIVE
    }

    fn flops(&self, d: usize) -> f64 {
        F::FLOPS * d as f64
    }

    fn element_wise(&self) -> Option<Feature> {
        Some(Feature::of::<F>())
    }

    fn forward(&self, x: Tensor<4>, _projection: Option<Tensor<4>>, _side: Side) -> Tensor<4> {
        F::map(x)
    }

    fn reference(&self, x: &[f64], _projection: &[f64], _side: Side) -> Vec<f64> {
        x.iter().map(|&x| F::value(x)).collect()
    }

    fn reference_vjp(&self, x: &[f64], _projection: &[f64], _side: Side, d_y: &[f64]) -> (Vec<f64>, Vec<f64>) {
        (x.iter().zip(d_y).map(|(&x, d_y)| d_y * F::slope(x)).collect(), Vec::new())
    }
}
