//! Trigonometric random features of the Gaussian kernel (RFA, arXiv 2103.02143, eq. 3).

use burn::tensor::{Device, Tensor};

use super::map::{MOST_RANDOM_FEATURES, Map, Positive, Side};
use super::projection::Projection;
use super::random_matrix;
use crate::reference::{normalize, normalize_vjp, outer, product, product_transposed};
use crate::tensor::l2_normalize;

/// `[cos Ωx̂, sin Ωx̂] / √(m/2)` with `x̂ = x / ‖x‖`; Ω `[m/2, d]`.
#[derive(Debug)]
pub(super) struct Trigonometric {
    pub features: usize,
    pub seed: u64,
}

impl Map for Trigonometric {
    fn features(&self, _d: usize) -> usize {
        self.features
    }

    /// The estimate of the kernel can be negative.
    fn positive(&self) -> Positive {
        Positive::Nothing
    }

    fn flops(&self, d: usize) -> f64 {
        let (m, d) = (self.features as f64, d as f64);
        m * d + 3.0 * d + 2.0 * m
    }

    fn validate(&self) -> Result<(), String> {
        let features = self.features;
        if (1..=MOST_RANDOM_FEATURES).contains(&features) && features.is_multiple_of(2) {
            return Ok(());
        }
        Err(format!("feature_map: trigonometric features = {features} must be even, 2 to {MOST_RANDOM_FEATURES}"))
    }

    fn projection(&self, heads: usize, key_heads: usize, d: usize, device: &Device) -> Option<Projection> {
        let count = self.features / 2;
        Some(Projection::buffer(random_matrix::directions(self.seed, heads, key_heads, count, d, device)))
    }

    fn forward(&self, x: Tensor<4>, projection: Option<Tensor<4>>, _side: Side) -> Tensor<4> {
        let omega = projection.expect("random features have directions");
        let directions = omega.dims()[2] as f64;
        let angle = l2_normalize(x).matmul(omega.transpose());
        Tensor::cat(vec![angle.clone().cos(), angle.sin()], 3).mul_scalar(directions.powf(-0.5))
    }

    fn reference(&self, x: &[f64], omega: &[f64], _side: Side) -> Vec<f64> {
        let angles = product(omega, &normalize(x));
        let size = (angles.len() as f64).powf(-0.5);
        angles.iter().map(|a| a.cos() * size).chain(angles.iter().map(|a| a.sin() * size)).collect()
    }

    fn reference_vjp(&self, x: &[f64], omega: &[f64], side: Side, d_y: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let y = self.reference(x, omega, side);
        let n = y.len() / 2;
        let d_angles: Vec<f64> = (0..n).map(|i| y[i] * d_y[n + i] - y[n + i] * d_y[i]).collect();
        let d_unit = product_transposed(omega, &d_angles);
        (normalize_vjp(x, &d_unit), outer(&d_angles, &normalize(x)))
    }
}
