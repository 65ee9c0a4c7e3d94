//! Decay: the leak of synapse and calcium, log a ≤ 0 for each head and step.
//!
//! Each decay is a file of its own. A new one is such a file, a variant of [`DecayConfig`] with its
//! line in `law`, a row of the tests' list of variants, and a row of the book.

mod fixed;
mod gated;
mod griffin;
mod law;
mod learned;

use burn::config::Config;
use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor, TensorData};

use crate::constant::constant;
use crate::tensor::{full_dtype, full_precision};
use law::{Law, Rates};

pub(crate) use law::place;

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
    /// `log a_t = −softplus(x_t w + b) · exp(A)`: from the input, for each head and step (Mamba-2,
    /// arXiv 2405.21060; Gated DeltaNet, arXiv 2412.06464).
    Gated,
    /// `log a_t = −8 softplus(Λ) · sigmoid(x_t w + b)`: from the input, between a learned pace of
    /// each head and none (RG-LRU of Griffin, arXiv 2402.19427, eq. 3–4).
    Griffin,
}

impl DecayConfig {
    /// The decay itself. Nothing else tells one variant from another.
    fn law(&self) -> Option<Box<dyn Law>> {
        Some(match self {
            Self::None => return None,
            Self::Fixed => Box::new(fixed::Fixed),
            Self::Learned => Box::new(learned::Learned),
            Self::Gated => Box::new(gated::Gated),
            Self::Griffin => Box::new(griffin::Griffin),
        })
    }

    /// Whether it depends on the input.
    pub fn is_gated(&self) -> bool {
        self.law().is_some_and(|law| law.biases(1).is_some())
    }

    /// Rate and bias with which a gate whose weights are 0 leaves `−log a = leak`.
    pub(crate) fn open(&self, leak: f64) -> Option<[f64; 2]> {
        self.law()?.open(leak)
    }

    /// Makes the decay of `heads` heads for inputs of size `d_model`.
    pub fn init(&self, d_model: usize, heads: usize, device: &Device) -> Decay {
        let vector = |values: Vec<f64>| Param::from_tensor(Tensor::from_data(TensorData::new(values, [heads]), device));
        let law = self.law();
        let (rate, constant) = match law.as_ref().map_or(Rates::Nothing, |law| law.rates(heads)) {
            Rates::Nothing => (None, Vec::new()),
            Rates::Constant(rates) => (None, rates),
            Rates::Trained(rates) => (Some(vector(rates)), Vec::new()),
        };
        let gate = law.and_then(|law| law.biases(heads)).map(|biases| {
            let gate = LinearConfig::new(d_model, heads).init(device);
            Linear { bias: Some(vector(biases)), ..gate }
        });
        Decay { rate, gate, constant, config: *self }
    }

    /// log a of one head at one step in plain f64: the reference that tests hold [`Decay::forward`]
    /// to.
    ///
    /// `z` is `x w + b` and `rate` the head's, each 0 where there is none that is trained.
    pub fn reference(&self, head: usize, z: f64, rate: f64) -> f64 {
        self.law().map_or(0.0, |law| law.reference(head, z, rate))
    }

    /// Gradients of [`reference`](Self::reference) by z and the rate, for the gradient of some loss
    /// by log a.
    pub fn reference_vjp(&self, head: usize, z: f64, rate: f64, d_log_decay: f64) -> [f64; 2] {
        self.law().map_or([0.0; 2], |law| law.reference_vjp(head, z, rate, d_log_decay))
    }
}

/// Decay of every head. Made by [`DecayConfig::init`].
#[derive(Module, Debug)]
pub struct Decay {
    /// What is trained of each head, θ of a learned decay or A of a gated one, `[heads]`.
    pub rate: Option<Param<Tensor<1>>>,
    /// w and b of a decay that depends on the input.
    pub gate: Option<Linear>,
    constant: Vec<f64>,
    #[module(skip)]
    config: DecayConfig,
}

impl Decay {
    /// Sets rates and biases to those with which a gate whose weights are 0 leaves
    /// `−log a = leak`, one leak for each head. A decay without a gate stays as it is.
    pub(crate) fn start_at(&mut self, leaks: &[f64]) {
        let opened: Option<Vec<_>> = leaks.iter().map(|&leak| self.config.open(leak)).collect();
        let (Some(opened), Some(rate), Some(gate)) = (opened, &mut self.rate, &mut self.gate) else { return };
        let device = rate.val().device();
        let vector = |i: usize| {
            let values: Vec<f64> = opened.iter().map(|rate_and_bias| rate_and_bias[i]).collect();
            Param::from_tensor(Tensor::from_data(TensorData::new(values, [leaks.len()]), &device))
        };
        (*rate, gate.bias) = (vector(0), Some(vector(1)));
    }

    /// log a, or `None` where nothing decays.
    ///
    /// # Shapes
    /// - x, what keys are made of: `[batch, steps, d_model]`
    /// - returns `[batch, heads, steps]`
    pub fn forward(&self, x: &Tensor<3>) -> Option<Tensor<3>> {
        let law = self.config.law()?;
        let [batch, steps, _] = x.dims();
        let z = self.gate.as_ref().map(|gate| full_precision(gate.forward(x.clone())).swap_dims(1, 2));
        let constant = || constant(self.constant.clone(), [self.constant.len()], &x.device(), full_dtype(x.dtype()));
        let rate = match &self.rate {
            Some(rate) => Some(full_precision(rate.val())),
            None => (!self.constant.is_empty()).then(constant),
        };
        let log_decay = law.forward(z, rate.map(|rate: Tensor<1>| rate.unsqueeze_dim::<2>(0).unsqueeze_dim(2)));
        let heads = log_decay.dims()[1];
        Some(log_decay.expand([batch, heads, steps]))
    }
}
