//! The deterministic parameter-free projection (arXiv 2102.11174, eq. 37).

use burn::tensor::{Tensor, activation::relu};

use super::map::{Map, Positive, Side};
use crate::reference::{mirror, mirror_vjp};

/// Shifts beyond which a head of 128 has none that is new.
const MOST_NU: usize = 256;

/// `r ⊙ roll(r, j)` for j = 1…ν with `r = relu([x, −x])` and `roll(r, j)_i = r_{i−j}`.
#[derive(Debug)]
pub(super) struct Dpfp {
    pub nu: usize,
}

impl Map for Dpfp {
    fn features(&self, d: usize) -> usize {
        // It is asked before it is checked.
        (2 * d).saturating_mul(self.nu)
    }

    fn positive(&self) -> Positive {
        Positive::Features
    }

    fn flops(&self, d: usize) -> f64 {
        (2 * d + self.features(d)) as f64
    }

    fn validate(&self) -> Result<(), String> {
        match self.nu {
            1..=MOST_NU => Ok(()),
            nu => Err(format!("feature_map: dpfp nu = {nu} must be 1 to {MOST_NU}")),
        }
    }

    fn forward(&self, x: Tensor<4>, _projection: Option<Tensor<4>>, _side: Side) -> Tensor<4> {
        let r = relu(Tensor::cat(vec![x.clone(), -x], 3));
        let width = r.dims()[3];
        let rolled = |j: usize| {
            if j == 0 {
                return r.clone().square();
            }
            let tail = r.clone().narrow(3, width - j, j);
            let head = r.clone().narrow(3, 0, width - j);
            r.clone() * Tensor::cat(vec![tail, head], 3)
        };
        Tensor::cat((1..=self.nu).map(|j| rolled(j % width)).collect(), 3)
    }

    fn reference(&self, x: &[f64], _projection: &[f64], _side: Side) -> Vec<f64> {
        let r: Vec<f64> = mirror(x).iter().map(|x| x.max(0.0)).collect();
        let n = r.len();
        (1..=self.nu).flat_map(|j| (0..n).map(move |i| (i, rolled(i, j, n)))).map(|(i, k)| r[i] * r[k]).collect()
    }

    fn reference_vjp(&self, x: &[f64], _projection: &[f64], _side: Side, d_y: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let r: Vec<f64> = mirror(x).iter().map(|x| x.max(0.0)).collect();
        let n = r.len();
        let mut d_r = vec![0.0; n];
        for j in 1..=self.nu {
            for i in 0..n {
                let (k, d_y) = (rolled(i, j, n), d_y[(j - 1) * n + i]);
                d_r[i] += d_y * r[k];
                d_r[k] += d_y * r[i];
            }
        }
        d_r.iter_mut().zip(&r).filter(|(_, r)| **r == 0.0).for_each(|(d_r, _)| *d_r = 0.0);
        (mirror_vjp(&d_r), Vec::new())
    }
}

/// Where feature i of `roll(r, j)` comes from.
fn rolled(i: usize, j: usize, n: usize) -> usize {
    (i + n - j % n) % n
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rolls() {
        let map = |nu| Dpfp { nu }.reference(&[1.0, -2.0], &[], Side::Key);
        // [1, 0, 0, 2] rolled by one is [2, 1, 0, 0].
        assert_eq!(map(1), [2.0, 0.0, 0.0, 0.0]);
        assert_eq!(map(5)[16..], map(1));
    }
}
