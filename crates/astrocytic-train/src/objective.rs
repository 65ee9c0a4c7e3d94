//! What a run learns: something that gives a loss and its gradients for each step.

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

use crate::held_out::HeldOut;

/// Something that a model can learn step by step.
pub trait Objective<M> {
    /// The loss of `model` at a step, and its gradients. What is random depends on the step alone,
    /// so that a run that is resumed draws what it would have drawn.
    fn gradients(&mut self, model: &M, step: u64) -> (f64, GradientsParams);

    /// What `model`, without autodiff, does on held-out data, or `None` where there are none: then
    /// the last weights count as the best.
    ///
    /// The loop calls it just before it stores a checkpoint. An objective must forget here what it
    /// carries from step to step, because a run that resumes from the checkpoint does not have it.
    fn held_out(&mut self, _model: &M) -> Option<HeldOut> {
        None
    }
}

/// The objective of a function that gives a loss, `[1]`, for a model and a step; autodiff works out
/// the gradients.
pub struct Loss<F>(pub F);

impl<M: Module, F: FnMut(&M, u64) -> Tensor<1>> Objective<M> for Loss<F> {
    fn gradients(&mut self, model: &M, step: u64) -> (f64, GradientsParams) {
        let loss = (self.0)(model, step);
        let value = f64::from(loss.clone().into_scalar::<f32>());
        (value, GradientsParams::from_grads(loss.backward(), model))
    }
}
