//! A time constant for each head that stays as it is (RetNet, arXiv 2307.08621, eq. 8).

use burn::tensor::Tensor;

use super::law::{Law, Rates};

/// `a_h = 1 − 2^{−5−h}`.
#[derive(Debug)]
pub(super) struct Fixed;

impl Fixed {
    /// −log a of each head.
    pub(super) fn leaks(heads: usize) -> Vec<f64> {
        (0..heads).map(|h| -(-(-5.0 - h as f64).exp2()).ln_1p()).collect()
    }
}

impl Law for Fixed {
    fn rates(&self, heads: usize) -> Rates {
        Rates::Constant(Self::leaks(heads))
    }

    fn forward(&self, _z: Option<Tensor<3>>, rate: Option<Tensor<3>>) -> Tensor<3> {
        -rate.expect("a fixed decay has rates")
    }

    fn reference(&self, head: usize, _z: f64, _rate: f64) -> f64 {
        (1.0 - 0.5f64.powi(5 + head as i32)).ln()
    }

    fn reference_vjp(&self, _head: usize, _z: f64, _rate: f64, _d_log_decay: f64) -> [f64; 2] {
        [0.0; 2]
    }
}
