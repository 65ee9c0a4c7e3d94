//! Positive random features of the softmax kernel (FAVOR+, arXiv 2009.14794, lemma 1).

use burn::tensor::{Device, Tensor};

use super::map::{MOST_RANDOM_FEATURES, Map, Positive, Side};
use super::projection::Projection;
use super::random_matrix;
use crate::reference::{add, dot, outer, product, product_transposed, scale, times};

/// Largest exponent of a key's feature.
///
/// It is at most `‖ω‖²/2`, which heads of 128 and more take beyond f32 (88.7). A stabiliser over
/// steps would not be causal, and one constant for all would leave ordinary keys nothing. 60 is met
/// only by a key that lies along one direction with eleven standard deviations, and leaves room for
/// the sum of 10¹² of them.
const LARGEST_EXPONENT: f64 = 60.0;

/// `exp(min(Ωx' − ‖x'‖²/2, 60)) / √m` with `x' = x / d^¼`, whose inner products have the mean
/// `exp(q·k / √d)`; Ω `[m, d]`.
///
/// Keys longer than about `‖x'‖² = 80` fire nothing. Queries are scaled by their own largest
/// feature, which the normaliser divides out.
#[derive(Debug)]
pub(super) struct PositiveRandom {
    pub features: usize,
    pub seed: u64,
}

impl Map for PositiveRandom {
    fn features(&self, _d: usize) -> usize {
        self.features
    }

    fn positive(&self) -> Positive {
        Positive::Features
    }

    fn flops(&self, d: usize) -> f64 {
        let (m, d) = (self.features as f64, d as f64);
        2.0 * m * d + 2.0 * d + 3.0 * m
    }

    fn validate(&self) -> Result<(), String> {
        match self.features {
            1..=MOST_RANDOM_FEATURES => Ok(()),
            features => {
                Err(format!("feature_map: positive-random features = {features} must be 1 to {MOST_RANDOM_FEATURES}"))
            }
        }
    }

    fn projection(&self, heads: usize, key_heads: usize, d: usize, device: &Device) -> Option<Projection> {
        Some(Projection::buffer(random_matrix::directions(self.seed, heads, key_heads, self.features, d, device)))
    }

    fn forward(&self, x: Tensor<4>, projection: Option<Tensor<4>>, side: Side) -> Tensor<4> {
        let omega = projection.expect("random features have directions");
        let [_, _, m, d] = omega.dims();
        let x = x.mul_scalar((d as f64).powf(-0.25));
        let exponent = x.clone().matmul(omega.transpose()) - x.square().sum_dim(3).mul_scalar(0.5);
        let exponent = match side {
            Side::Key => exponent.clamp_max(LARGEST_EXPONENT),
            Side::Query => exponent.clone() - exponent.max_dim(3),
        };
        exponent.exp().mul_scalar((m as f64).powf(-0.5))
    }

    fn reference(&self, x: &[f64], omega: &[f64], side: Side) -> Vec<f64> {
        let x = scale(x, (x.len() as f64).powf(-0.25));
        let half = dot(&x, &x) / 2.0;
        let e: Vec<f64> = product(omega, &x).iter().map(|e| e - half).collect();
        let largest = e[argmax(&e)];
        let bounded = |e: f64| if side == Side::Query { e - largest } else { e.min(LARGEST_EXPONENT) };
        e.iter().map(|&e_i| bounded(e_i).exp() / (e.len() as f64).sqrt()).collect()
    }

    fn reference_vjp(&self, x: &[f64], omega: &[f64], side: Side, d_y: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let y = self.reference(x, omega, side);
        let mut d_e = times(&y, d_y);
        match side {
            Side::Query => d_e[argmax(&y)] -= dot(&y, d_y),
            // At the bound nothing moves.
            Side::Key => {
                let most = LARGEST_EXPONENT.exp() / (y.len() as f64).sqrt();
                d_e.iter_mut().zip(&y).filter(|(_, y_i)| **y_i >= most).for_each(|(d_e_i, _)| *d_e_i = 0.0);
            }
        }
        let shrink = (x.len() as f64).powf(-0.25);
        let scaled = scale(x, shrink);
        let mut d_scaled = product_transposed(omega, &d_e);
        add(&mut d_scaled, -d_e.iter().sum::<f64>(), &scaled);
        (scale(&d_scaled, shrink), outer(&d_e, &scaled))
    }
}

fn argmax(x: &[f64]) -> usize {
    (1..x.len()).fold(0, |best, i| if x[i] > x[best] { i } else { best })
}
