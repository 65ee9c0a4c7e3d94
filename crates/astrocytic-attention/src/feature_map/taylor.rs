//! The second-order Taylor expansion of exp (Based, arXiv 2402.18668, section 4), each pair of
//! components once.

use burn::tensor::Tensor;

use super::map::{Map, Positive, Side};
use crate::constant::constant;
use crate::reference::scale;

/// `[1, x', x'_i x'_j for i < j, x'_i² / √2]` with `x' = x / d^¼`, so that
/// `φ(q)·φ(k) = 1 + s + s²/2` for `s = q·k/√d`; the pairs row by row of their triangle.
#[derive(Debug)]
pub(super) struct Taylor;

impl Map for Taylor {
    fn features(&self, d: usize) -> usize {
        1 + d + d * (d + 1) / 2
    }

    fn positive(&self) -> Positive {
        Positive::Kernel
    }

    fn flops(&self, d: usize) -> f64 {
        2.0 * (self.features(d) * d) as f64
    }

    fn imitates_softmax(&self) -> bool {
        true
    }

    fn forward(&self, x: Tensor<4>, _projection: Option<Tensor<4>>, _side: Side) -> Tensor<4> {
        let [batch, heads, steps, d] = x.dims();
        let count = pairs(d).count();
        // Products with matrices of zeros and ones pick the components: exact, and so is the
        // backward pass.
        let (mut first, mut second) = (vec![0f64; d * count], vec![0f64; d * count]);
        for (pair, (i, j)) in pairs(d).enumerate() {
            first[i * count + pair] = weight(i, j);
            second[j * count + pair] = 1.0;
        }
        let options = (&x.device(), x.dtype());
        let x = x.mul_scalar((d as f64).powf(-0.25)).reshape([batch * heads * steps, d]);
        let pick = |matrix: Vec<f64>| x.clone().matmul(constant(matrix, [d, count], options.0, options.1));
        let products = pick(first) * pick(second);
        let one = Tensor::ones([batch * heads * steps, 1], options);
        Tensor::cat(vec![one, x, products], 1).reshape([batch, heads, steps, 1 + d + count])
    }

    fn reference(&self, x: &[f64], _projection: &[f64], _side: Side) -> Vec<f64> {
        let x = scale(x, (x.len() as f64).powf(-0.25));
        let products: Vec<f64> = pairs(x.len()).map(|(i, j)| weight(i, j) * x[i] * x[j]).collect();
        [&[1.0], x.as_slice(), products.as_slice()].concat()
    }

    fn reference_vjp(&self, x: &[f64], _projection: &[f64], _side: Side, d_y: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let d = x.len();
        let shrink = (d as f64).powf(-0.25);
        let scaled = scale(x, shrink);
        let (d_linear, d_products) = d_y[1..].split_at(d);
        let mut d_scaled = d_linear.to_vec();
        for ((i, j), d_product) in pairs(d).zip(d_products) {
            d_scaled[i] += weight(i, j) * d_product * scaled[j];
            d_scaled[j] += weight(i, j) * d_product * scaled[i];
        }
        (scale(&d_scaled, shrink), Vec::new())
    }
}

/// Pairs of d components, each once and with itself.
fn pairs(d: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..d).flat_map(move |i| (i..d).map(move |j| (i, j)))
}

/// The weight of a pair: each stands for two of `x' ⊗ x' / √2`, but one with itself.
fn weight(i: usize, j: usize) -> f64 {
    if i == j { 0.5f64.sqrt() } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::dot;

    #[test]
    fn the_kernel_is_the_series() {
        let (q, k) = ([0.3, -1.2, 0.8, 2.0], [1.1, 0.4, -0.7, 0.5]);
        let s = dot(&q, &k) / 2.0;
        let map = |x: &[f64]| Taylor.reference(x, &[], Side::Key);
        assert!((dot(&map(&q), &map(&k)) - (1.0 + s + s * s / 2.0)).abs() < 1e-12);
    }
}
