//! The recurrence by any of its three forms.
//!
//! Every tensor is `[batch, heads, steps, size]`; heads of queries may be a multiple of those of
//! keys (grouped queries), and each key head is then written once and read by the query heads of
//! its group, which lie side by side.
//!
//! No form lets a later step change an earlier read, not even where it is infinite or not a number.

use burn::tensor::Tensor;

use super::sparse_reads::{after_last_writes, at_each_write, writes_per_read};
use super::spec::{Form, Plasticity};
use super::writes::Writes;
use super::{chunkwise, faults, parallel, recurrent};
use crate::tensor::share_heads;

/// Causal attention over a memory: `y_t = H_tᵀ φ(q_t)`, not yet normalised.
///
/// # Shapes
/// - query φ(q): `[batch, heads, steps, m]`, where there may be several writes to each query, which
///   then reads after the last of its own
/// - memory H before the first step: `[batch, key heads, m, d_v]`
/// - returns the reads `[batch, heads, steps, d_v]` and H after the last step.
pub fn causal(
    query: Tensor<4>,
    writes: Writes,
    memory: Tensor<4>,
    plasticity: Plasticity,
    form: Form,
) -> (Tensor<4>, Tensor<4>) {
    let times = writes_per_read(query.dims()[2], writes.key.dims()[2]);
    // A single query, as in generation, has no chunk.
    if form == Form::Recurrent || query.dims()[2] == 1 {
        return recurrent::causal(query, writes, memory, plasticity, times);
    }
    let heads = query.dims()[1];
    let query = at_each_write(query, times);
    let (writes, faults) = faults::separate(writes);
    let (reads, memory) = match form {
        Form::Chunkwise(size) => chunkwise::causal(query, writes, memory, plasticity, size),
        _ => parallel::causal(query, writes, memory, plasticity),
    };
    let reads = reads + share_heads(faults.clone().cumsum(2), heads);
    (after_last_writes(reads, times), memory + faults.sum_dim(2))
}

/// The write phase alone: H after the last step. A bidirectional layer then reads every query from
/// it.
///
/// # Shapes
/// - memory H before the first step: `[batch, key heads, m, d_v]`, as the result.
pub fn write(writes: Writes, memory: Tensor<4>, plasticity: Plasticity, form: Form) -> Tensor<4> {
    if plasticity == Plasticity::Hebbian && writes.log_decay.is_none() {
        return memory + writes.scaled_key().transpose().matmul(writes.value);
    }
    let query = writes.key.zeros_like();
    causal(query, writes, memory, plasticity, form).1
}

/// The calcium after every step, `g_t = a_t g_{t-1} + β_t φ(k_t)`, for normalisers that bend it.
///
/// # Shapes
/// - calcium before the first step: `[batch, key heads, m]`
/// - returns the trace `[batch, key heads, steps, m]` and the calcium after the last step.
pub fn calcium_trace(writes: &Writes, calcium: Tensor<3>, form: Form) -> (Tensor<4>, Tensor<3>) {
    if form == Form::Recurrent {
        return recurrent::calcium_trace(writes, calcium);
    }
    let (writes, faults) = faults::separate(writes.clone());
    let (trace, calcium) = match form {
        Form::Chunkwise(size) => chunkwise::calcium_trace(&writes, calcium, size),
        _ => parallel::calcium_trace(&writes, calcium),
    };
    (trace + faults.clone().cumsum(2), calcium + faults.sum_dim(2).squeeze_dim(3))
}

/// The attention weights, `[batch, heads, queries, steps]`: `y = weights · v + what is read of the
/// memory before`, read as the steps go (`causal`) or after the last.
///
/// # Shapes
/// - query φ(q): `[batch, heads, queries, m]`, with `causal` as in [`causal`](self::causal)
pub fn weights(query: Tensor<4>, writes: &Writes, plasticity: Plasticity, causal: bool) -> Tensor<4> {
    if !causal {
        return parallel::weights(query, writes, plasticity, false);
    }
    let heads = query.dims()[1];
    let times = writes_per_read(query.dims()[2], writes.key.dims()[2]);
    let (writes, faults) = faults::separate(writes.clone());
    let weights = parallel::weights(at_each_write(query, times), &writes, plasticity, true);
    after_last_writes(weights + share_heads(faults.cumsum(2), heads), times)
}

/// Runs a memory whose calcium is one more column of it, a value that is always 1: reads, `φ(q) ·
/// g`, memory and calcium.
pub(crate) fn with_calcium(
    query: Tensor<4>,
    mut writes: Writes,
    memory: Tensor<4>,
    calcium: Tensor<3>,
    run: impl FnOnce(Tensor<4>, Writes, Tensor<4>) -> (Tensor<4>, Tensor<4>),
) -> (Tensor<4>, Tensor<4>, Tensor<4>, Tensor<3>) {
    let [batch, heads, steps, d] = writes.value.dims();
    let one = Tensor::ones([batch, heads, steps, 1], (&writes.value.device(), writes.value.dtype()));
    writes.value = Tensor::cat(vec![writes.value, one], 3);
    let memory = Tensor::cat(vec![memory, calcium.unsqueeze_dim(3)], 3);
    let (reads, memory) = run(query, writes, memory);
    let n = reads.clone().narrow(3, d, 1);
    (reads.narrow(3, 0, d), n, memory.clone().narrow(3, 0, d), memory.narrow(3, d, 1).squeeze_dim(3))
}
