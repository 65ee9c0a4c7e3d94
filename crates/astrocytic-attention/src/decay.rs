//! Decay: the leak of synapse and calcium, log a ≤ 0 for each head and step.

use burn::config::Config;
use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor, TensorData, activation::softplus};

use crate::tensor::{full_dtype, full_precision};

/// How fast the memory leaks.
#[derive(Config, Debug, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecayConfig {
    /// a = 1: nothing is forgotten.
    None,
    /// `a_h = 1 − 2^{−5−h}`: a fixed time constant for each head (RetNet, arXiv 2307.08621, eq. 8).
    Fixed,
    /// `log a_h = −softplus(θ_h)`: learned for each head, starting at [`DecayConfig::Fixed`].
    Learned,
    /// `log a_t = −softplus(x_t w + b) · exp(A)`: from the input, for each head and step (Mamba-2, arXiv 2405.21060;
    /// Gated DeltaNet, arXiv 2412.06464).
    Gated,
}

impl DecayConfig {
    /// Makes the decay of `heads` heads for inputs of size `d_model`.
    pub fn init(&self, d_model: usize, heads: usize, device: &Device) -> Decay {
        let rates: Vec<f64> = (0..heads).map(|h| -(-(-5.0 - h as f64).exp2()).ln_1p()).collect();
        let vector = |values: Vec<f64>| Param::from_tensor(Tensor::from_data(TensorData::new(values, [heads]), device));
        let mut decay = Decay { rate: None, gate: None, fixed: Vec::new() };
        match self {
            Self::None => {}
            Self::Fixed => decay.fixed = rates,
            Self::Learned => decay.rate = Some(vector(rates.into_iter().map(inverse_softplus).collect())),
            Self::Gated => {
                // Rates of 1 to 16 across heads and time steps of 0.001 to 0.1, as Mamba-2 draws them,
                // but evenly spaced: the start does not depend on a random draw.
                let place = |h: usize| if heads == 1 { 0.5 } else { h as f64 / (heads - 1) as f64 };
                let log_rates = (0..heads).map(|h| (1.0 + 15.0 * place(h)).ln()).collect();
                let steps = (0..heads).map(|h| inverse_softplus(0.1 * 0.01f64.powf(place(h))));
                let mut gate = LinearConfig::new(d_model, heads).init(device);
                gate.bias = Some(vector(steps.collect()));
                decay.rate = Some(vector(log_rates));
                decay.gate = Some(gate);
            }
        }
        decay
    }
}

/// Decay of every head. Made by [`DecayConfig::init`].
#[derive(Module, Debug)]
pub struct Decay {
    /// θ of a learned decay or A of a gated one, `[heads]`.
    pub rate: Option<Param<Tensor<1>>>,
    /// w and b of a gated decay.
    pub gate: Option<Linear>,
    fixed: Vec<f64>,
}

impl Decay {
    /// log a, or `None` where nothing decays.
    ///
    /// # Shapes
    /// - x, what keys are made of: `[batch, steps, d_model]`
    /// - returns `[batch, heads, steps]`
    pub fn forward(&self, x: &Tensor<3>) -> Option<Tensor<3>> {
        let [batch, steps, _] = x.dims();
        let per_head = |rates: Tensor<1>| {
            let heads = rates.dims()[0];
            rates.reshape([1, heads, 1]).expand([batch, heads, steps])
        };
        match (&self.gate, &self.rate) {
            (Some(gate), Some(rate)) => {
                let step = softplus(full_precision(gate.forward(x.clone())), 1.0).swap_dims(1, 2);
                Some(-(step * per_head(full_precision(rate.val()).exp())))
            }
            (_, Some(rate)) => Some(-per_head(softplus(full_precision(rate.val()), 1.0))),
            _ if !self.fixed.is_empty() => {
                let data = TensorData::new(self.fixed.clone(), [self.fixed.len()]);
                Some(-per_head(Tensor::from_data(data, (&x.device(), full_dtype(x.dtype())))))
            }
            _ => None,
        }
    }
}

pub(crate) fn inverse_softplus(y: f64) -> f64 {
    y.exp_m1().ln()
}
