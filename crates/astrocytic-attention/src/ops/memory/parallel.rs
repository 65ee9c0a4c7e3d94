//! The quadratic form: the whole T×T matrix at once. The reference that a reader can check by eye.

use burn::tensor::Tensor;

use super::between::{between, log_between};
use super::spec::Plasticity;
use super::triangular::unit_lower_inverse;
use super::writes::{Writes, read};

/// See [`super::forms::causal`].
pub(super) fn causal(
    query: Tensor<4>,
    writes: Writes,
    memory: Tensor<4>,
    plasticity: Plasticity,
) -> (Tensor<4>, Tensor<4>) {
    let steps = query.dims()[2];
    let decay = decay_between(&writes);
    let since_start = decay_since_start(&writes);
    let recalled = writes.key.clone().matmul(memory.clone()) * since_start.clone();
    let novel = match plasticity {
        Plasticity::Hebbian => writes.scaled_value(),
        Plasticity::Delta => {
            let corrected = Writes { value: writes.value.clone() - recalled, ..writes.clone() };
            corrections(&writes, decay.clone()).matmul(corrected.scaled_value())
        }
    };
    // Not a factor of 0 alone: a product with a later step may be infinite.
    let scores = scores(query.clone(), &writes, decay.clone()).tril(0);
    let reads = of_groups(read(query, memory.clone()), since_start.clone(), |reads, decay| reads * decay);
    let reads = read(scores, novel.clone()) + reads;
    let to_end = decay.narrow(2, steps - 1, 1).swap_dims(2, 3);
    let memory = memory * since_start.narrow(2, steps - 1, 1) + (writes.key * to_end).transpose().matmul(novel);
    (reads, memory)
}

/// See [`super::forms::weights`].
pub(super) fn weights(query: Tensor<4>, writes: &Writes, plasticity: Plasticity, causal: bool) -> Tensor<4> {
    let [_, _, steps, _] = writes.key.dims();
    let decay = decay_between(writes);
    let for_reads = if causal { decay.clone() } else { decay.clone().narrow(2, steps - 1, 1) };
    let scores = scores(query, writes, for_reads);
    let scores = if causal { scores.tril(0) } else { scores };
    let scores = match plasticity {
        Plasticity::Hebbian => scores,
        Plasticity::Delta => read(scores, corrections(writes, decay)),
    };
    match &writes.strength {
        Some(strength) => of_groups(scores, strength.clone().unsqueeze_dim(2), |scores, by| scores * by),
        None => scores,
    }
}

/// `φq_i · φk_j` times the decay between their steps, `[batch, heads, queries, steps]`.
fn scores(query: Tensor<4>, writes: &Writes, decay: Tensor<4>) -> Tensor<4> {
    let scores = read(query, writes.key.clone().transpose());
    of_groups(scores, decay, |scores, decay| scores * decay)
}

/// An operation on what belongs to query heads and to key heads: `[batch, heads, ·, ·]` and `[batch, key heads, ·, ·]`.
fn of_groups(
    of_heads: Tensor<4>,
    of_key_heads: Tensor<4>,
    run: impl FnOnce(Tensor<5>, Tensor<5>) -> Tensor<5>,
) -> Tensor<4> {
    let ([batch, heads, rows, columns], key_heads) = (of_heads.dims(), of_key_heads.dims()[1]);
    let grouped = of_heads.reshape([batch, key_heads, heads / key_heads, rows, columns]);
    run(grouped, of_key_heads.unsqueeze_dim(2)).reshape([batch, heads, rows, columns])
}

/// `(I + A)⁻¹` with `A_ij = β_i (φk_i · φk_j) decay_ij`, j < i.
fn corrections(writes: &Writes, decay: Tensor<4>) -> Tensor<4> {
    let overlap = writes.scaled_key().matmul(writes.key.clone().transpose()) * decay;
    unit_lower_inverse(overlap.tril(-1))
}

/// `[batch, heads, steps, steps]`, 0 above the diagonal.
fn decay_between(writes: &Writes) -> Tensor<4> {
    let [batch, heads, steps, _] = writes.key.dims();
    between(match &writes.log_decay {
        Some(log_decay) => log_between(log_decay),
        None => Tensor::zeros([batch, heads, steps, steps], (&writes.key.device(), writes.key.dtype())),
    })
}

/// Decay from before the first step to each, `[batch, heads, steps, 1]`.
fn decay_since_start(writes: &Writes) -> Tensor<4> {
    let [batch, heads, steps, _] = writes.key.dims();
    match &writes.log_decay {
        Some(log_decay) => log_decay.clone().cumsum(2).exp(),
        None => Tensor::ones([batch, heads, steps], (&writes.key.device(), writes.key.dtype())),
    }
    .unsqueeze_dim(3)
}

/// See [`super::forms::calcium_trace`].
pub(super) fn calcium_trace(writes: &Writes, calcium: Tensor<3>) -> (Tensor<4>, Tensor<3>) {
    let steps = writes.key.dims()[2];
    let before = decay_since_start(writes) * calcium.unsqueeze_dim(2);
    let trace = decay_between(writes).matmul(writes.scaled_key()) + before;
    let last = trace.clone().narrow(2, steps - 1, 1).squeeze_dim(2);
    (trace, last)
}
