//! Operations on all gradients of a model together.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

/// Scales all gradients so that their joint norm is at most `largest`; returns the norm before.
/// (Burn's clipping is a norm for each tensor.) The device sums the squares of each gradient, and
/// all sums are read at once.
pub fn clip<M: Module>(model: &M, grads: &mut GradientsParams, largest: f64) -> f64 {
    let mut squares = Squares { grads, sums: Vec::new() };
    model.visit(&mut squares);
    let sums = squares.sums;
    if sums.is_empty() {
        return 0.0;
    }
    let norm = Tensor::cat(sums, 0).into_data().iter::<f64>().sum::<f64>().sqrt();
    if norm > largest {
        model.visit(&mut Scale { grads, by: largest / norm });
    }
    norm
}

struct Squares<'a> {
    grads: &'a GradientsParams,
    /// Of each gradient, `[1]`.
    sums: Vec<Tensor<1>>,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = self.grads.get::<D>(param.id) {
            self.sums.push(grad.square().sum());
        }
    }
}

/// Multiplies all gradients.
pub struct Scale<'a> {
    /// The gradients.
    pub grads: &'a mut GradientsParams,
    /// The factor.
    pub by: f64,
}

impl ModuleVisitor for Scale<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = self.grads.remove::<D>(param.id) {
            self.grads.register(param.id, grad.mul_scalar(self.by));
        }
    }
}
