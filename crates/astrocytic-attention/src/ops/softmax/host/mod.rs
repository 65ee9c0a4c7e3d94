//! The processor's kernel of softmax attention, in blocks of queries and keys: memory linear in the steps, the T×T matrix
//! never whole (the online softmax of arXiv 1805.02867, as in FlashAttention, arXiv 2205.14135).

mod backward;
mod forward;
mod sizes;

use burn::tensor::Tensor;
use rayon::prelude::*;

use crate::kernel::LITTLE;
use crate::kernel::heads::rows_of_heads;
use crate::kernel::host::{Output, View};
use crate::kernel::operation::{Kernel, Pass, run as run_kernel};
use crate::kernel::real::Real;
use crate::kernel::scratch::{Fresh, with_scratch};
use sizes::{Sizes, SoftmaxInputs};

/// The reads by the kernel, where there is one for the tensors.
pub(super) fn run(query: &Tensor<4>, key: &Tensor<4>, value: &Tensor<4>, causal: bool) -> Option<Tensor<4>> {
    if query.shape().num_elements() == 0 || key.shape().num_elements() == 0 {
        return None;
    }
    let [query, key, value] = [query, key, value].map(|x| x.clone().into());
    run_kernel(Softmax { causal }, SoftmaxInputs { query, key, value })
}

/// `softmax(q kᵀ / √d) v`. With `causal` the last query sees all keys, the one before it one less, and so on.
#[derive(Debug, Clone, Copy)]
struct Softmax {
    causal: bool,
}

impl Kernel for Softmax {
    type Inputs<X> = SoftmaxInputs<X>;

    #[expect(unsafe_code, reason = "results are written into memory that was not cleared")]
    fn forward<T: Real>(&self, inputs: SoftmaxInputs<View<T>>, _save: bool) -> (Output<T>, Vec<T>) {
        let sizes = Sizes::new(self.causal, &inputs);
        let Sizes { batch, heads, queries, keys, d, .. } = sizes;
        let shape = [batch, queries, heads, d];
        let count = shape.iter().product();
        let mut data = Fresh::new(count);
        // Of each head and query ln Σ e^score, from which the backward pass has the weights again.
        let mut log_sums = vec![T::ZERO; batch * heads * queries];
        let rows = rows_of_heads(&mut data.places()[..count], shape);
        let tasks: Vec<_> = rows.into_iter().zip(log_sums.chunks_mut(queries)).enumerate().collect();
        let arch = pulp::Arch::new();
        let little = batch * heads * queries * keys * d < LITTLE;
        let together = if little { tasks.len() } else { 1 };
        tasks.into_par_iter().with_min_len(together).for_each(|(head, (reads, log_sums))| {
            with_scratch(forward::scratch(&sizes), |scratch| {
                arch.dispatch(forward::Task { sizes, inputs: &inputs, head, reads, log_sums, scratch });
            });
        });
        // SAFETY: every row belongs to one head's task, which writes each of them.
        let data = unsafe { data.written(count) };
        (Output { data, shape: shape.to_vec() }, log_sums)
    }

    #[expect(unsafe_code, reason = "results are written into memory that was not cleared")]
    fn backward<T: Real>(&self, pass: &Pass<Self, T>) -> SoftmaxInputs<Option<Output<T>>> {
        let sizes = Sizes::new(self.causal, &pass.inputs);
        let Sizes { batch, heads, group, queries, keys, d, .. } = sizes;
        let key_heads = heads / group;
        let shapes = [[batch, queries, heads, d], [batch, keys, key_heads, d], [batch, keys, key_heads, d]];
        let mut gradients = shapes.map(|shape| Fresh::new(shape.iter().product()));
        let [dq, dk, dv] = gradients.each_mut().map(Fresh::places);
        let grouped = [batch, queries, key_heads, group * d];
        let rows = rows_of_heads(dq, grouped).into_iter().zip(rows_of_heads(dk, shapes[1]));
        let tasks: Vec<_> = rows.zip(rows_of_heads(dv, shapes[2])).enumerate().collect();
        let arch = pulp::Arch::new();
        tasks.into_par_iter().for_each(|(key_head, ((dq, dk), dv))| {
            let log_sums = &pass.saved[key_head * group * queries..][..group * queries];
            with_scratch(backward::scratch(&sizes), |scratch| {
                let (inputs, output, grad) = (&pass.inputs, pass.output, pass.grad);
                arch.dispatch(backward::Task { sizes, inputs, output, grad, key_head, dq, dk, dv, log_sums, scratch });
            });
        });
        let mut shapes = shapes.into_iter();
        let [query, key, value] = gradients.map(|data| {
            let shape = shapes.next()?;
            // SAFETY: every row belongs to one head's task, which writes each of them.
            let data = unsafe { data.written(shape.iter().product()) };
            Some(Output { data, shape: shape.to_vec() })
        });
        SoftmaxInputs { query, key, value }
    }
}
