//! A time constant for each head that is trained.

use burn::tensor::{Tensor, activation::softplus};

use super::fixed::Fixed;
use super::law::{Law, Rates, inverse_softplus};
use crate::reference;

/// `log a_h = −softplus(θ_h)`, which starts at the fixed decay.
#[derive(Debug)]
pub(super) struct Learned;

impl Law for Learned {
    fn rates(&self, heads: usize) -> Rates {
        Rates::Trained(Fixed::leaks(heads).into_iter().map(inverse_softplus).collect())
    }

    fn forward(&self, _z: Option<Tensor<3>>, rate: Option<Tensor<3>>) -> Tensor<3> {
        -softplus(rate.expect("a learned decay has rates"), 1.0)
    }

    fn reference(&self, _head: usize, _z: f64, rate: f64) -> f64 {
        -reference::softplus(rate)
    }

    fn reference_vjp(&self, _head: usize, _z: f64, rate: f64, d_log_decay: f64) -> [f64; 2] {
        [0.0, -reference::softplus_vjp(rate, d_log_decay)]
    }
}
