//! Decay from the input between a head's own pace and none (RG-LRU of Griffin, arXiv 2402.19427, eq. 3–4).

use burn::tensor::{
    Tensor,
    activation::{sigmoid, softplus},
};

use super::law::{Law, Rates, inverse_softplus, place};
use crate::reference;

/// c: how much sharper the recurrence gate is than the rate.
const SHARPNESS: f64 = 8.0;
/// −log a of the fastest head at the start, its gate fully open.
const FASTEST: f64 = 0.1;

/// `log a_t = −8 softplus(Λ) · sigmoid(z_t)`: no step forgets faster than `a = sigmoid(−Λ)⁸`.
///
/// It starts with a of 0.9 to 0.999 across heads, as Griffin draws them, but evenly spaced, and with half-open gates.
#[derive(Debug)]
pub(super) struct Griffin;

impl Law for Griffin {
    fn rates(&self, heads: usize) -> Rates {
        let leak = |h: usize| FASTEST * 0.01f64.powf(place(h, heads));
        Rates::Trained((0..heads).map(|h| inverse_softplus(leak(h) / SHARPNESS)).collect())
    }

    fn biases(&self, heads: usize) -> Option<Vec<f64>> {
        Some(vec![0.0; heads])
    }

    fn open(&self, leak: f64) -> Option<[f64; 2]> {
        let gate = leak / FASTEST;
        Some([inverse_softplus(FASTEST / SHARPNESS), (gate / (1.0 - gate)).ln()])
    }

    fn forward(&self, z: Option<Tensor<3>>, rate: Option<Tensor<3>>) -> Tensor<3> {
        let gate = sigmoid(z.expect("Griffin's decay has a gate"));
        let rate = softplus(rate.expect("Griffin's decay has rates"), 1.0).mul_scalar(-SHARPNESS);
        rate.expand(gate.dims()) * gate
    }

    fn reference(&self, _head: usize, z: f64, rate: f64) -> f64 {
        -SHARPNESS * reference::softplus(rate) * reference::sigmoid(z)
    }

    fn reference_vjp(&self, _head: usize, z: f64, rate: f64, d_log_decay: f64) -> [f64; 2] {
        let d = -SHARPNESS * d_log_decay;
        let d_z = reference::sigmoid_vjp(z, d * reference::softplus(rate));
        [d_z, reference::softplus_vjp(rate, d * reference::sigmoid(z))]
    }
}
