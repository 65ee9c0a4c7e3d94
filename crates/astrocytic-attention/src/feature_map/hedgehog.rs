//! A learned map that imitates softmax's spikes (Hedgehog, arXiv 2402.04347, section 4.2).

use burn::tensor::{Device, Tensor, activation::softmax};

use super::map::{Map, Positive, Side};
use super::projection::Projection;
use crate::reference::{dot, mirror, mirror_vjp, outer, product, product_transposed, scale, times};

/// Softmax over `[xW, −xW]`, W `[d, d]`, which starts as the identity.
#[derive(Debug)]
pub(super) struct Hedgehog;

impl Map for Hedgehog {
    fn features(&self, d: usize) -> usize {
        2 * d
    }

    fn positive(&self) -> Positive {
        Positive::Features
    }

    fn flops(&self, d: usize) -> f64 {
        let d = d as f64;
        2.0 * d * d + 8.0 * d
    }

    fn projection(&self, heads: usize, _key_heads: usize, d: usize, device: &Device) -> Option<Projection> {
        let eye = Tensor::<2>::eye(d, device).unsqueeze::<3>();
        Some(Projection::trained(eye.repeat_dim(0, heads)))
    }

    fn forward(&self, x: Tensor<4>, projection: Option<Tensor<4>>, _side: Side) -> Tensor<4> {
        let z = x.matmul(projection.expect("Hedgehog has a matrix"));
        softmax(Tensor::cat(vec![z.clone(), -z], 3), 3)
    }

    fn reference(&self, x: &[f64], w: &[f64], _side: Side) -> Vec<f64> {
        let z = mirror(&product_transposed(w, x));
        let largest = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let e: Vec<f64> = z.iter().map(|z| (z - largest).exp()).collect();
        scale(&e, 1.0 / e.iter().sum::<f64>())
    }

    fn reference_vjp(&self, x: &[f64], w: &[f64], side: Side, d_y: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let y = self.reference(x, w, side);
        let mean = dot(&y, d_y);
        let centred: Vec<f64> = d_y.iter().map(|d_y| d_y - mean).collect();
        let d_z = mirror_vjp(&times(&y, &centred));
        (product(w, &d_z), outer(x, &d_z))
    }
}
