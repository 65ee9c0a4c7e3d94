//! A gradient put in by hand, so that nothing but the op's own backward pass is timed.

// Burn means to drop ndarray; as long as it is there it is measured.
#![allow(deprecated)]

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::{Shape, Tensor};

/// A 0 whose `backward` gives x the gradient `cotangent`.
pub(super) fn pull_back(x: Tensor<4>, cotangent: Tensor<4>) -> Tensor<1> {
    Tensor::from_dispatch(<Dispatch as PullBack>::pull_back(x.into_dispatch(), cotangent.into_dispatch()))
}

#[backend_extension(Flex, NdArray, Cube: cfg(feature = "wgpu"), Autodiff)]
pub(crate) trait PullBack: Backend {
    /// 0.
    fn pull_back(x: FloatTensor<Self>, cotangent: FloatTensor<Self>) -> FloatTensor<Self> {
        let _ = cotangent;
        Self::float_zeros(Shape::new([1]), &x.device(), x.dtype().into())
    }
}

impl PullBack for burn::backend::Flex {}

impl PullBack for burn::backend::NdArray {}
#[cfg(feature = "wgpu")]
impl PullBack for burn::backend::Cube {}

#[derive(Debug)]
struct Step;

impl<B: PullBack, C: CheckpointStrategy> PullBack for Autodiff<B, C> {
    fn pull_back(x: FloatTensor<Self>, cotangent: FloatTensor<Self>) -> FloatTensor<Self> {
        let (x, node) = x.into_parts();
        let cotangent = cotangent.into_parts().0;
        let zero = B::pull_back(x, cotangent.clone());
        match Step.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(cotangent, zero),
            OpsKind::UnTracked(prep) => prep.finish(zero),
        }
    }
}

impl<B: Backend> Backward<B, 1> for Step {
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        grads.consume::<B>(&ops.node);
        let [parent] = ops.parents;
        if let Some(parent) = parent {
            grads.register::<B>(parent.id, ops.state);
        }
    }
}
