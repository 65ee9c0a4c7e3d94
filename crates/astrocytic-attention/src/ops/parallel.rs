//! The quadratic form: the whole T×T matrix at once. The reference that a reader can check by eye.

use burn::tensor::{Bool, Tensor};

use super::triangular::unit_lower_inverse;
use super::{Plasticity, Writes};

/// See [`super::causal`].
pub(super) fn causal(
    query: Tensor<4>,
    writes: Writes,
    memory: Tensor<4>,
    plasticity: Plasticity,
) -> (Tensor<4>, Tensor<4>) {
    let [batch, heads, steps, _] = query.dims();
    let kept = log_kept(&writes, steps).exp(); // [batch, heads, steps, steps]
    // Decay from before the first step to step i: column 0 times the first step's own decay.
    let since_start = match &writes.log_decay {
        Some(log_decay) => log_decay.clone().cumsum(2).exp(),
        None => Tensor::ones([batch, heads, steps], (&query.device(), query.dtype())),
    }
    .unsqueeze_dim::<4>(3);

    let recalled = writes.key.clone().matmul(memory.clone()) * since_start.clone();
    let novel = match plasticity {
        Plasticity::Hebbian => writes.scaled_value(),
        Plasticity::Delta => {
            let corrected = Writes { value: writes.value.clone() - recalled, ..writes.clone() };
            corrections(&writes, kept.clone()).matmul(corrected.scaled_value())
        }
    };
    let scores = query.clone().matmul(writes.key.clone().transpose()) * kept.clone();
    let reads = scores.matmul(novel.clone()) + query.matmul(memory.clone()) * since_start.clone();
    let kept_to_end = kept.narrow(2, steps - 1, 1).swap_dims(2, 3);
    let memory = memory * since_start.narrow(2, steps - 1, 1) + (writes.key * kept_to_end).transpose().matmul(novel);
    (reads, memory)
}

/// The attention weights, `[batch, heads, queries, steps]`: `y = weights · v` for an empty memory, read as the steps go
/// (`causal`) or after the last.
pub fn weights(query: Tensor<4>, writes: &Writes, plasticity: Plasticity, causal: bool) -> Tensor<4> {
    let [_, _, steps, _] = writes.key.dims();
    let kept = log_kept(writes, steps).exp();
    let kept_for_read = if causal { kept.clone() } else { kept.clone().narrow(2, steps - 1, 1) };
    let scores = query.matmul(writes.key.clone().transpose()) * kept_for_read;
    let scores = match plasticity {
        Plasticity::Hebbian => scores,
        Plasticity::Delta => scores.matmul(corrections(writes, kept)),
    };
    match &writes.strength {
        Some(strength) => scores * strength.clone().unsqueeze_dim(2),
        None => scores,
    }
}

/// `(I + A)⁻¹` with `A_ij = β_i (φk_i · φk_j) kept_ij`, j < i.
fn corrections(writes: &Writes, kept: Tensor<4>) -> Tensor<4> {
    let overlap = writes.scaled_key().matmul(writes.key.clone().transpose()) * kept;
    unit_lower_inverse(overlap.tril(-1))
}

/// `Σ_{j<s≤i} log a_s` for j ≤ i, −∞ above the diagonal, `[batch, heads, steps, steps]`.
///
/// Each column is summed by itself, so that long sequences lose no digits to a difference of large sums.
fn log_kept(writes: &Writes, steps: usize) -> Tensor<4> {
    let [batch, heads, _, _] = writes.key.dims();
    let device = writes.key.device();
    let log_kept = match &writes.log_decay {
        Some(log_decay) => {
            log_decay.clone().unsqueeze_dim::<4>(3).expand([batch, heads, steps, steps]).tril(-1).cumsum(2)
        }
        None => Tensor::zeros([batch, heads, steps, steps], (&device, writes.key.dtype())),
    };
    let future = Tensor::<2, Bool>::tril_mask([steps, steps], 0, &device).unsqueeze::<4>();
    log_kept.mask_fill(future.expand([batch, heads, steps, steps]), f32::NEG_INFINITY)
}
