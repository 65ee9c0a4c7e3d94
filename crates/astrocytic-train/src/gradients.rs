//! What is done to all gradients of a model together.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

/// Scales all gradients so that their joint norm is at most `largest`; returns the norm before. Burn's clipping is a
/// norm for each tensor.
pub fn clip<M: Module>(model: &M, grads: &mut GradientsParams, largest: f64) -> f64 {
    let mut squares = Squares { grads, sum: 0.0 };
    model.visit(&mut squares);
    let norm = squares.sum.sqrt();
    if norm > largest {
        model.visit(&mut Scale { grads, by: largest / norm });
    }
    norm
}

struct Squares<'a> {
    grads: &'a GradientsParams,
    sum: f64,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = self.grads.get::<D>(param.id) {
            self.sum += f64::from(grad.square().sum().into_scalar::<f32>());
        }
    }
}

/// Multiplies all gradients.
pub(crate) struct Scale<'a> {
    pub(crate) grads: &'a mut GradientsParams,
    pub(crate) by: f64,
}

impl ModuleVisitor for Scale<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = self.grads.remove::<D>(param.id) {
            self.grads.register(param.id, grad.mul_scalar(self.by));
        }
    }
}
