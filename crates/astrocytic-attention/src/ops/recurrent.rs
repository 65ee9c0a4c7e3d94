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

/// `e^x − 1 = 2t / (1 − t)` with `t = tanh(x/2)`, exact also for small x ≤ 0.
fn exp_less_one(x: Tensor<3>) -> Tensor<3> {
    let t = x.mul_scalar(0.5).tanh();
    t.clone().mul_scalar(2.0) / (-t + 1.0)
}

/// One write: steps = 1 in every tensor.
fn step(writes: Writes, memory: Tensor<4>, plasticity: Plasticity) -> Tensor<4> {
    let memory = match &writes.log_decay {
        // H + (a − 1) H: a itself, rounded near 1, would be off the same way at every step.
        Some(log_decay) => memory.clone() + memory * exp_less_one(log_decay.clone()).unsqueeze_dim(3),
        None => memory,
    };
    let novel = match plasticity {
        Plasticity::Hebbian => writes.value.clone(),
        Plasticity::Delta => writes.value.clone() - writes.key.clone().matmul(memory.clone()),
    };
    memory + writes.scaled_key().transpose().matmul(novel)
}
