//! Operations with a forward and a backward pass of their own, as kernels on the machine's processor.
//!
//! A [`Kernel`] is a pair of functions on slices. [`run`] calls it for tensors of the flex and ndarray backends, records
//! its backward pass on an autodiff device, and says so where a tensor lives elsewhere: the caller then composes the
//! operation of Burn's. Results do not depend on the number of threads: no sum runs across tasks, or where one does its
//! parts are cut by shape alone and added in order.

// Burn means to drop ndarray; as long as it is there it has kernels.
#![allow(deprecated)]

pub(crate) mod heads;
pub(crate) mod host;
pub(crate) mod product;
pub(crate) mod real;
pub(crate) mod scratch;

use std::fmt::Debug;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, DispatchTensorKind, ExtensionType, TensorMetadata, backend_extension};
use burn::tensor::{DType, Tensor};

use crate::debug::kernels_are_off;
use host::{Host, Output, View};
use real::Real;

/// Work, in multiplications, that is not worth a second thread: to wake one takes as long.
pub(crate) const LITTLE: usize = 1 << 16;

/// Most tensors that a kernel takes.
pub(crate) const INPUTS: usize = 7;

/// An operation and its gradient on slices.
pub(crate) trait Kernel: Debug + Clone + Send + Sync + 'static {
    /// The result and, where `keep` asks for it, what the backward pass needs beside inputs and result.
    fn forward<T: Real>(&self, inputs: &Views<T>, keep: bool) -> (Output<T>, Vec<T>);

    /// The gradient of each input, for that of the output. Those not `wanted` may be left out.
    fn backward<T: Real>(&self, pass: &Pass<T>, wanted: [bool; INPUTS]) -> [Option<Output<T>>; INPUTS];
}

/// A kernel's inputs; `None` is one that it can do without.
pub(crate) type Views<'a, T> = [Option<View<'a, T>>; INPUTS];

/// What a backward pass knows.
pub(crate) struct Pass<'a, T> {
    pub inputs: Views<'a, T>,
    pub output: View<'a, T>,
    pub kept: &'a [T],
    pub grad: View<'a, T>,
}

/// Runs a kernel, or returns `None` where its inputs live on a backend or in a precision that has no kernels, or kernels are
/// switched off.
pub(crate) fn run<K: Kernel, const D: usize>(kernel: K, inputs: [Option<DispatchInput>; INPUTS]) -> Option<Tensor<D>> {
    if kernels_are_off() {
        return None;
    }
    let mut dtypes = inputs.iter().flatten().map(|input| input.1.dtype());
    let first = dtypes.next();
    let one_dtype = dtypes.all(|dtype| Some(dtype) == first);
    (one_dtype && inputs.iter().flatten().all(|input| input.0)).then(|| {
        let slot = |input: Option<DispatchInput>| input.map_or(Slot::Empty, |input| Slot::Full(input.1));
        let [a, b, c, d, e, f, g] = inputs.map(slot);
        Tensor::from_dispatch(<Dispatch as Fused>::fused(kernel, Inputs(a, b, c, d, e, f, g)))
    })
}

/// A tensor of any rank as an input, with whether kernels can read it.
pub(crate) struct DispatchInput(bool, burn::backend::DispatchTensor);

impl<const D: usize> From<Tensor<D>> for DispatchInput {
    fn from(tensor: Tensor<D>) -> Self {
        let real = matches!(tensor.dtype(), DType::F32 | DType::F64);
        let tensor = tensor.into_dispatch();
        let on_host = |kind: &DispatchTensorKind| match kind {
            #[cfg(feature = "flex")]
            DispatchTensorKind::Flex(_) => true,
            #[cfg(feature = "ndarray")]
            DispatchTensorKind::NdArray(_) => true,
            _ => false,
        };
        let on_host = match &tensor.kind {
            #[cfg(feature = "autodiff")]
            DispatchTensorKind::Autodiff(inner) => on_host(inner),
            kind => on_host(kind),
        };
        Self(real && on_host, tensor)
    }
}

/// An input or none.
#[derive(ExtensionType)]
pub(crate) enum Slot<B: Backend> {
    Full(FloatTensor<B>),
    Empty,
}

/// The inputs of a kernel.
#[derive(ExtensionType)]
pub(crate) struct Inputs<B: Backend>(
    #[extension_type] Slot<B>,
    #[extension_type] Slot<B>,
    #[extension_type] Slot<B>,
    #[extension_type] Slot<B>,
    #[extension_type] Slot<B>,
    #[extension_type] Slot<B>,
    #[extension_type] Slot<B>,
);

impl<B: Backend> Inputs<B> {
    fn into_array(self) -> [Option<FloatTensor<B>>; INPUTS] {
        let Self(a, b, c, d, e, f, g) = self;
        [a, b, c, d, e, f, g].map(|slot| match slot {
            Slot::Full(tensor) => Some(tensor),
            Slot::Empty => None,
        })
    }
}

/// Burn's extension point: backends that run kernels.
#[backend_extension(Flex: cfg(feature = "flex"), NdArray: cfg(feature = "ndarray"), Autodiff: cfg(feature = "autodiff"))]
pub(crate) trait Fused: Backend {
    /// The kernel's result for these inputs.
    fn fused<K: Kernel>(kernel: K, #[extension_type] inputs: Inputs<Self>) -> FloatTensor<Self>;
}

#[cfg(feature = "flex")]
impl Fused for burn::backend::Flex {
    fn fused<K: Kernel>(kernel: K, inputs: Inputs<Self>) -> FloatTensor<Self> {
        forward::<Self, K>(&kernel, &readable::<Self>(inputs.into_array()), false).0
    }
}

#[cfg(feature = "ndarray")]
impl Fused for burn::backend::NdArray {
    fn fused<K: Kernel>(kernel: K, inputs: Inputs<Self>) -> FloatTensor<Self> {
        forward::<Self, K>(&kernel, &readable::<Self>(inputs.into_array()), false).0
    }
}

type Tensors<B> = [Option<FloatTensor<B>>; INPUTS];

/// Inputs whose layout kernels can read.
fn readable<B: Host>(inputs: Tensors<B>) -> Tensors<B> {
    inputs.map(|input| input.map(readable_one::<B>))
}

fn readable_one<B: Host>(tensor: FloatTensor<B>) -> FloatTensor<B> {
    let fits = match tensor.dtype() {
        DType::F64 => B::view::<f64>(&tensor).is_some(),
        _ => B::view::<f32>(&tensor).is_some(),
    };
    if fits { tensor } else { B::contiguous(tensor) }
}

fn views<B: Host, T: Real>(inputs: &Tensors<B>) -> Views<'_, T> {
    inputs.each_ref().map(|input| input.as_ref().map(|tensor| B::view(tensor).expect("readable")))
}

fn forward<B: Host, K: Kernel>(
    kernel: &K,
    inputs: &Tensors<B>,
    keep: bool,
) -> (FloatTensor<B>, Option<FloatTensor<B>>) {
    let first = inputs.iter().flatten().next().expect("a kernel has an input");
    match first.dtype() {
        DType::F64 => forward_as::<B, K, f64>(kernel, inputs, keep, &first.device()),
        _ => forward_as::<B, K, f32>(kernel, inputs, keep, &first.device()),
    }
}

fn forward_as<B: Host, K: Kernel, T: Real>(
    kernel: &K,
    inputs: &Tensors<B>,
    keep: bool,
    device: &B::Device,
) -> (FloatTensor<B>, Option<FloatTensor<B>>) {
    let (output, kept) = kernel.forward(&views::<B, T>(inputs), keep);
    let kept = keep.then(|| {
        let shape = vec![kept.len()];
        B::tensor(Output { data: kept, shape }, device)
    });
    (B::tensor(output, device), kept)
}

#[cfg(feature = "autodiff")]
mod autodiff {
    use burn::backend::autodiff::checkpoint::base::Checkpointer;
    use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
    use burn::backend::autodiff::grads::Gradients;
    use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
    use burn::backend::{Autodiff, AutodiffBackend};

    use super::*;

    #[derive(Debug, Clone)]
    struct Kept<B: Backend, K> {
        kernel: K,
        inputs: Tensors<B>,
        output: FloatTensor<B>,
        kept: FloatTensor<B>,
    }

    #[derive(Debug)]
    struct Step<K>(std::marker::PhantomData<K>);

    impl<B: Host, C: CheckpointStrategy> Fused for Autodiff<B, C> {
        fn fused<K: Kernel>(kernel: K, inputs: Inputs<Self>) -> FloatTensor<Self> {
            let inputs = inputs.into_array();
            let first = inputs.iter().flatten().next().expect("a kernel has an input").clone().into_parts().0;
            // A step has a fixed number of parents: a constant stands for an input that is not there.
            let constant = || Self::from_inner(first.clone());
            let nodes = inputs.each_ref().map(|input| input.as_ref().map_or_else(|| constant().node(), |x| x.node()));
            let inputs = readable::<B>(inputs.map(|input| input.map(|x| x.into_parts().0)));
            match Step::<K>(std::marker::PhantomData).prepare::<C>(nodes).compute_bound().stateful() {
                OpsKind::Tracked(prep) => {
                    let (output, kept) = forward::<B, K>(&kernel, &inputs, true);
                    let kept = kept.expect("asked for");
                    prep.finish(Kept::<B, K> { kernel, inputs, output: output.clone(), kept }, output)
                }
                OpsKind::UnTracked(prep) => prep.finish(forward::<B, K>(&kernel, &inputs, false).0),
            }
        }
    }

    impl<B: Host, K: Kernel> Backward<B, INPUTS> for Step<K> {
        type State = Kept<B, K>;

        fn backward(self, ops: Ops<Self::State, INPUTS>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
            let grad = readable_one::<B>(grads.consume::<B>(&ops.node));
            let wanted = std::array::from_fn(|i| ops.parents[i].is_some() && ops.state.inputs[i].is_some());
            let found = match grad.dtype() {
                DType::F64 => backward_as::<B, K, f64>(&ops.state, &grad, wanted),
                _ => backward_as::<B, K, f32>(&ops.state, &grad, wanted),
            };
            for (parent, found) in ops.parents.into_iter().zip(found) {
                if let (Some(parent), Some(found)) = (parent, found) {
                    grads.register::<B>(parent.id, found);
                }
            }
        }
    }

    fn backward_as<B: Host, K: Kernel, T: Real>(
        state: &Kept<B, K>,
        grad: &FloatTensor<B>,
        wanted: [bool; INPUTS],
    ) -> Tensors<B> {
        let view = |tensor| B::view::<T>(tensor).expect("readable");
        let pass = Pass {
            inputs: views::<B, T>(&state.inputs),
            output: view(&state.output),
            kept: view(&state.kept).all(),
            grad: view(grad),
        };
        let device = grad.device();
        let found = state.kernel.backward(&pass, wanted);
        let mut found = found.into_iter().zip(wanted);
        std::array::from_fn(|_| {
            let (found, wanted) = found.next()?;
            found.filter(|_| wanted).map(|found| B::tensor(found, &device))
        })
    }
}
