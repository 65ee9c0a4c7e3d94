//! The recurrence as it is defined (attention.md section 2), a step at a time.

use burn::tensor::Tensor;

use super::{Plasticity, Writes};

/// See [`super::causal`].
pub(super) fn causal(
    query: Tensor<4>,
    writes: Writes,
    mut memory: Tensor<4>,
    plasticity: Plasticity,
) -> (Tensor<4>, Tensor<4>) {
    let steps = query.dims()[2];
    let mut reads = Vec::with_capacity(steps);
    for t in 0..steps {
        memory = step(writes.narrow(t, 1), memory, plasticity);
        reads.push(query.clone().narrow(2, t, 1).matmul(memory.clone()));
    }
    (Tensor::cat(reads, 2), memory)
}

/// One write: steps = 1 in every tensor.
fn step(writes: Writes, memory: Tensor<4>, plasticity: Plasticity) -> Tensor<4> {
    let memory = match &writes.log_decay {
        Some(log_decay) => memory * log_decay.clone().exp().unsqueeze_dim(3),
        None => memory,
    };
    let novel = match plasticity {
        Plasticity::Hebbian => writes.value.clone(),
        Plasticity::Delta => writes.value.clone() - writes.key.clone().matmul(memory.clone()),
    };
    memory + writes.scaled_key().transpose().matmul(novel)
}
