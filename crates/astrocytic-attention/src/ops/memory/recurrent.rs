//! The recurrence as it is defined (attention.md section 2), a step at a time.

use burn::tensor::Tensor;

use super::spec::Plasticity;
use super::writes::{Writes, read};

/// log a below which a − 1 would lose the digits of a.
const STRONG: f64 = -0.7;

/// See [`super::forms::causal`]; each query reads after its share of the writes.
pub(super) fn causal(
    query: Tensor<4>,
    writes: Writes,
    mut memory: Tensor<4>,
    plasticity: Plasticity,
    writes_per_read: usize,
) -> (Tensor<4>, Tensor<4>) {
    let steps = query.dims()[2];
    let mut reads = Vec::with_capacity(steps);
    for t in 0..steps {
        for place in t * writes_per_read..(t + 1) * writes_per_read {
            memory = step(writes.narrow(place, 1), memory, plasticity);
        }
        reads.push(read(query.clone().narrow(2, t, 1), memory.clone()));
    }
    (Tensor::cat(reads, 2), memory)
}

/// See [`super::forms::calcium_trace`].
pub(super) fn calcium_trace(writes: &Writes, calcium: Tensor<3>) -> (Tensor<4>, Tensor<3>) {
    let mut calcium = calcium.unsqueeze_dim::<4>(2);
    let mut trace = Vec::new();
    for t in 0..writes.key.dims()[2] {
        let writes = writes.narrow(t, 1);
        calcium = decay(calcium, writes.log_decay.as_ref()) + writes.scaled_key();
        trace.push(calcium.clone());
    }
    (Tensor::cat(trace, 2), calcium.squeeze_dim(2))
}

/// `a · state`. Near 1 as `state + (a − 1) · state`: a itself, rounded, would be off the same way
/// at every step.
fn decay(state: Tensor<4>, log_decay: Option<&Tensor<3>>) -> Tensor<4> {
    let Some(log_decay) = log_decay else { return state };
    let strong = log_decay.clone().lower_scalar(STRONG);
    let whole = log_decay.ones_like().mask_where(strong.clone(), log_decay.clone().exp());
    // a − 1 = 2t / (1 − t) with t = tanh(log a / 2).
    let t = log_decay.clone().mul_scalar(0.5).tanh();
    let rest = (t.clone().mul_scalar(2.0) / (-t + 1.0)).mask_fill(strong, 0.0);
    state.clone() * whole.unsqueeze_dim(3) + state * rest.unsqueeze_dim(3)
}

/// One write: steps = 1 in every tensor.
fn step(writes: Writes, memory: Tensor<4>, plasticity: Plasticity) -> Tensor<4> {
    let memory = decay(memory, writes.log_decay.as_ref());
    let novel = match plasticity {
        Plasticity::Hebbian => writes.value.clone(),
        Plasticity::Delta => writes.value.clone() - writes.key.clone().matmul(memory.clone()),
    };
    memory + writes.scaled_key().transpose().matmul(novel)
}
