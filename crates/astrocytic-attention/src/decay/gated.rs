//! Decay from the input, for each head and step (Mamba-2, arXiv 2405.21060; Gated DeltaNet, arXiv 2412.06464).

use burn::tensor::{Tensor, activation::softplus};

use super::law::{Law, Rates, inverse_softplus, place};
use crate::reference;

/// `log a_t = −softplus(z_t) · e^A`.
///
/// It starts with rates e^A of 1 to 16 across heads and time steps softplus(b) of 0.1 to 0.001, as Mamba-2 draws them, but
/// evenly spaced: the start does not depend on a random draw.
#[derive(Debug)]
pub(super) struct Gated;

impl Law for Gated {
    fn rates(&self, heads: usize) -> Rates {
        Rates::Trained((0..heads).map(|h| (1.0 + 15.0 * place(h, heads)).ln()).collect())
    }

    fn biases(&self, heads: usize) -> Option<Vec<f64>> {
        Some((0..heads).map(|h| inverse_softplus(0.1 * 0.01f64.powf(place(h, heads)))).collect())
    }

    fn open(&self, leak: f64) -> Option<[f64; 2]> {
        Some([0.0, inverse_softplus(leak)])
    }

    fn forward(&self, z: Option<Tensor<3>>, rate: Option<Tensor<3>>) -> Tensor<3> {
        let z = z.expect("a gated decay has a gate");
        let rate = rate.expect("a gated decay has rates").exp().expand(z.dims());
        -(softplus(z, 1.0) * rate)
    }

    fn reference(&self, _head: usize, z: f64, rate: f64) -> f64 {
        -reference::softplus(z) * rate.exp()
    }

    fn reference_vjp(&self, head: usize, z: f64, rate: f64, d_log_decay: f64) -> [f64; 2] {
        let d_z = -reference::softplus_vjp(z, d_log_decay) * rate.exp();
        [d_z, self.reference(head, z, rate) * d_log_decay]
    }
}
