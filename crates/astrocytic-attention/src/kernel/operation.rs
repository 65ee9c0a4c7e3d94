//! Operations with a forward and a backward pass of their own, as kernels of the processor.
//!
//! A [`Kernel`] is a pair of functions on views. [`run`] calls it for tensors of the flex and
//! ndarray backends, and records its backward pass on an autodiff device. For other tensors it
//! returns `None`, and the caller composes the result from Burn's operations. The memory has a
//! backend trait instead (`ops/memory/backend.rs`), because a GPU can have a kernel of it too.

// Burn 0.22 deprecates its ndarray backend. It keeps its kernels until Burn drops it.
#![allow(deprecated)]

use std::fmt::Debug;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, DispatchTensor, ExtensionType, TensorMetadata, backend_extension};
use burn::tensor::{DType, Tensor};

use super::dispatch::{OptionalTensor, is_on_host};
use super::host::{Host, Output, View, readable};
use super::real::Real;
use crate::debug::kernels_are_off;

/// Most tensors that a kernel takes.
const MOST: usize = 3;

/// An operation and its gradient on views of tensors.
pub(crate) trait Kernel: Debug + Clone + Send + Sync + 'static {
    /// The inputs by name, made by [`inputs!`](crate::kernel::operation::inputs).
    type Inputs<X>: Inputs<X>;

    /// The result and, if `save` asks for it, what the backward pass needs beside inputs and
    /// result.
    fn forward<T: Real>(&self, inputs: Self::Inputs<View<T>>, save: bool) -> (Output<T>, Vec<T>);

    /// The gradient of each input, given that of the output. It may omit what is not wanted.
    fn backward<T: Real>(&self, pass: &Pass<Self, T>) -> Self::Inputs<Option<Output<T>>>;
}

/// A struct with a field for each input, all of one type.
pub(crate) trait Inputs<X> {
    /// From the values of the fields, in their order.
    fn from_iter(each: impl Iterator<Item = X>) -> Self;
    /// The values of the fields, in their order.
    fn into_vec(self) -> Vec<X>;
}

/// Declares the inputs of a kernel: a struct that is generic over what stands for a tensor (a
/// tensor, a view, a gradient, whether the gradient is wanted).
macro_rules! inputs {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident),* $(,)? }) => {
        $(#[$doc])*
        pub(crate) struct $name<X> {
            $($(#[$field_doc])* pub $field: X,)*
        }

        impl<X> $crate::kernel::operation::Inputs<X> for $name<X> {
            fn from_iter(mut each: impl Iterator<Item = X>) -> Self {
                Self { $($field: each.next().expect("one for each input"),)* }
            }

            fn into_vec(self) -> Vec<X> {
                vec![$(self.$field),*]
            }
        }
    };
}
pub(crate) use inputs;

/// What a backward pass knows.
pub(crate) struct Pass<'a, K: Kernel, T> {
    pub inputs: K::Inputs<View<'a, T>>,
    pub output: View<'a, T>,
    pub saved: &'a [T],
    pub grad: View<'a, T>,
    /// Which gradients are wanted.
    pub wanted: K::Inputs<bool>,
}

/// A tensor of any rank as an input.
pub(crate) struct Input(DispatchTensor);

impl<const D: usize> From<Tensor<D>> for Input {
    fn from(tensor: Tensor<D>) -> Self {
        Self(tensor.into_dispatch())
    }
}

/// Whether a kernel can read the tensor: its backend and precision have some, and they are on.
pub(crate) fn has_kernels(tensor: &DispatchTensor) -> bool {
    !kernels_are_off() && matches!(tensor.dtype(), DType::F32 | DType::F64) && is_on_host(tensor)
}

/// Runs a kernel. Returns `None` if the inputs' backend or precision has no kernels, or if kernels
/// are switched off.
pub(crate) fn run<K: Kernel, const D: usize>(kernel: K, inputs: K::Inputs<Input>) -> Option<Tensor<D>> {
    let inputs = inputs.into_vec();
    let dtype = inputs.first()?.0.dtype();
    if !inputs.iter().all(|input| input.0.dtype() == dtype && has_kernels(&input.0)) {
        return None;
    }
    let mut inputs = inputs.into_iter().map(|input| input.0);
    let mut next = || OptionalTensor::new(inputs.next());
    let inputs = Slots { first: next(), second: next(), third: next() };
    Some(Tensor::from_dispatch(<Dispatch as OperationBackend>::run_kernel(kernel, inputs)))
}

/// The inputs of a kernel on their way through Burn's dispatch, which passes structs but no lists.
#[derive(ExtensionType)]
pub(crate) struct Slots<B: Backend> {
    #[extension_type]
    first: OptionalTensor<B>,
    #[extension_type]
    second: OptionalTensor<B>,
    #[extension_type]
    third: OptionalTensor<B>,
}

type Tensors<B> = Vec<FloatTensor<B>>;

impl<B: Backend> Slots<B> {
    fn into_tensors(self) -> Tensors<B> {
        [self.first, self.second, self.third].into_iter().filter_map(OptionalTensor::into_option).collect()
    }
}

/// Backends that run kernels.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Autodiff: cfg(feature = "autodiff"),
)]
pub(crate) trait OperationBackend: Backend {
    fn run_kernel<K: Kernel>(kernel: K, #[extension_type] inputs: Slots<Self>) -> FloatTensor<Self>;
}

#[cfg(feature = "flex")]
impl OperationBackend for burn::backend::Flex {
    fn run_kernel<K: Kernel>(kernel: K, inputs: Slots<Self>) -> FloatTensor<Self> {
        forward::<Self, K>(&kernel, &all_readable::<Self>(inputs.into_tensors()), false).0
    }
}

#[cfg(feature = "ndarray")]
impl OperationBackend for burn::backend::NdArray {
    fn run_kernel<K: Kernel>(kernel: K, inputs: Slots<Self>) -> FloatTensor<Self> {
        forward::<Self, K>(&kernel, &all_readable::<Self>(inputs.into_tensors()), false).0
    }
}

fn all_readable<B: Host>(inputs: Tensors<B>) -> Tensors<B> {
    inputs.into_iter().map(readable::<B>).collect()
}

fn views<B: Host, K: Kernel, T: Real>(inputs: &Tensors<B>) -> K::Inputs<View<'_, T>> {
    K::Inputs::from_iter(inputs.iter().map(|tensor| B::view(tensor).expect("readable")))
}

/// The result and, where asked for, what the backward pass needs.
fn forward<B: Host, K: Kernel>(
    kernel: &K,
    inputs: &Tensors<B>,
    save: bool,
) -> (FloatTensor<B>, Option<FloatTensor<B>>) {
    match inputs[0].dtype() {
        DType::F64 => forward_as::<B, K, f64>(kernel, inputs, save),
        _ => forward_as::<B, K, f32>(kernel, inputs, save),
    }
}

fn forward_as<B: Host, K: Kernel, T: Real>(
    kernel: &K,
    inputs: &Tensors<B>,
    save: bool,
) -> (FloatTensor<B>, Option<FloatTensor<B>>) {
    let device = inputs[0].device();
    let (output, saved) = kernel.forward(views::<B, K, T>(inputs), save);
    let saved = save.then(|| {
        let shape = vec![saved.len()];
        B::tensor(Output { data: saved, shape }, &device)
    });
    (B::tensor(output, &device), saved)
}

#[cfg(feature = "autodiff")]
mod autodiff {
    use std::marker::PhantomData;

    use burn::backend::autodiff::checkpoint::base::Checkpointer;
    use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
    use burn::backend::autodiff::grads::Gradients;
    use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
    use burn::backend::{Autodiff, AutodiffBackend};

    use super::*;

    #[derive(Debug, Clone)]
    struct Call<B: Backend, K> {
        kernel: K,
        inputs: Tensors<B>,
        output: FloatTensor<B>,
        saved: FloatTensor<B>,
    }

    #[derive(Debug)]
    struct Step<K>(PhantomData<K>);

    impl<B: Host, C: CheckpointStrategy> OperationBackend for Autodiff<B, C> {
        fn run_kernel<K: Kernel>(kernel: K, inputs: Slots<Self>) -> FloatTensor<Self> {
            let inputs = inputs.into_tensors();
            // A step has a fixed number of parents: a constant stands for an input that is not
            // there.
            let constant = Self::from_inner(inputs[0].clone().into_parts().0);
            let nodes: [_; MOST] = std::array::from_fn(|i| inputs.get(i).unwrap_or(&constant).node());
            let inputs = all_readable::<B>(inputs.into_iter().map(|input| input.into_parts().0).collect());
            match Step::<K>(PhantomData).prepare::<C>(nodes).compute_bound().stateful() {
                OpsKind::Tracked(prep) => {
                    let (output, saved) = forward::<B, K>(&kernel, &inputs, true);
                    let saved = saved.expect("asked for");
                    prep.finish(Call::<B, K> { kernel, inputs, output: output.clone(), saved }, output)
                }
                OpsKind::UnTracked(prep) => prep.finish(forward::<B, K>(&kernel, &inputs, false).0),
            }
        }
    }

    impl<B: Host, K: Kernel> Backward<B, MOST> for Step<K> {
        type State = Call<B, K>;

        fn backward(self, ops: Ops<Self::State, MOST>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
            let grad = readable::<B>(grads.consume::<B>(&ops.node));
            let wanted: Vec<bool> = ops.parents.iter().map(Option::is_some).collect();
            let gradients = match grad.dtype() {
                DType::F64 => backward_as::<B, K, f64>(&ops.state, &grad, wanted),
                _ => backward_as::<B, K, f32>(&ops.state, &grad, wanted),
            };
            for (parent, gradient) in ops.parents.into_iter().zip(gradients) {
                if let (Some(parent), Some(gradient)) = (parent, gradient) {
                    grads.register::<B>(parent.id, gradient);
                }
            }
        }
    }

    /// The gradient of each input that wants one.
    fn backward_as<B: Host, K: Kernel, T: Real>(
        call: &Call<B, K>,
        grad: &FloatTensor<B>,
        wanted: Vec<bool>,
    ) -> Vec<Option<FloatTensor<B>>> {
        let view = |tensor| B::view::<T>(tensor).expect("readable");
        let device = grad.device();
        let pass = Pass::<K, T> {
            inputs: views::<B, K, T>(&call.inputs),
            output: view(&call.output),
            saved: view(&call.saved).numbers(),
            grad: view(grad),
            wanted: K::Inputs::from_iter(wanted.iter().copied()),
        };
        let gradients = call.kernel.backward(&pass).into_vec().into_iter().zip(wanted);
        gradients.map(|(gradient, wanted)| gradient.filter(|_| wanted).map(|g| B::tensor(g, &device))).collect()
    }
}
