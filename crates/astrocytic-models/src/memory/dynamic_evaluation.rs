//! All weights go on learning.

use astrocytic_attention::ops::cross_entropy;
use burn::module::Module;
use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::{Device, Int, Tensor, TensorData};

use super::clip::clip;
use crate::decoder::Decoder;

/// Largest norm of a gradient, as in training.
const CLIP: f64 = 1.0;

/// A decoder whose weights all go on learning, by a step of gradient descent after each window: dynamic evaluation in its plain
/// form (Krause et al., arXiv 1709.07432; their scaling by squared gradients and decay to the trained weights are left out).
pub struct DynamicEvaluation {
    trained: Decoder,
    /// `None` before the first step.
    learned: Option<Decoder>,
    optimizer: ModuleOptimizer,
    rate: f64,
    device: Device,
}

impl DynamicEvaluation {
    /// Begins with the trained weights of a model on `device`.
    pub fn new(model: &Decoder, rate: f32, device: &Device) -> Self {
        Self {
            trained: model.clone().train().without_dropout(),
            learned: None,
            optimizer: SgdConfig::new().init(),
            rate: f64::from(rate),
            device: device.clone().autodiff(),
        }
    }

    /// Forgets what was learned.
    pub fn reset(&mut self) {
        self.learned = None;
    }

    /// Predicts the targets, then takes a step on them; returns their mean −ln p before it.
    ///
    /// # Shapes
    /// - tokens of a window: `[steps]`; places in it, each below `steps`: `[targets]`; targets, the tokens that follow these
    ///   places: `[targets]`
    ///
    /// # Panics
    /// For a token that is not in the vocabulary, or a place that is not there.
    pub fn read(&mut self, tokens: &[i32], places: &[i32], targets: &[i32]) -> f64 {
        let inputs = TensorData::new(tokens.to_vec(), [1, tokens.len()]);
        let inputs = Tensor::<2, Int>::from_data(inputs, &self.device);
        let model = self.learned.take().unwrap_or_else(|| self.trained.clone());
        let loss = cross_entropy(model.forward_at(inputs, places, None), targets);
        let mean = f64::from(loss.clone().into_scalar::<f32>());
        let mut gradients = GradientsParams::from_grads(loss.backward(), &model);
        clip(&model, &mut gradients, CLIP);
        self.learned = Some(self.optimizer.step(self.rate, model, gradients));
        mean
    }
}
