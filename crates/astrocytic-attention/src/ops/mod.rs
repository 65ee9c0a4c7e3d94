//! The memory of tripartite synapses: what is written at each step and what a query reads.
//!
//! Three forms of one recurrence (attention.md section 3), so that the slow, obvious one stands beside the fast one:
//! `recurrent` is the definition step by step, `parallel` the T×T matrix, `chunkwise` what training runs.
//! Every tensor of them is `[batch, heads, steps, size]`; heads of queries may be a multiple of those of keys (grouped
//! queries), and each key head is then written once and read by the query heads of its group, which lie side by side.
//!
//! No form lets a later step change an earlier read, not even where it is infinite or not a number.
//!
//! [`Attend`] is all of it as one operation, from queries, keys and values to normalised reads: on flex and ndarray a
//! kernel of its own, elsewhere composed of the forms. Beside it stand the other operations of a transformer block that
//! have kernels: [`softmax_attention`], [`rms_norm`], [`gated_silu`], [`cross_entropy`].

mod attend;
mod chunkwise;
mod cross_entropy;
mod faults;
mod gated_silu;
mod kept;
mod parallel;
mod recurrent;
mod rms_norm;
mod softmax;
mod triangular;

use burn::config::Config;
use burn::tensor::Tensor;

use crate::softmax::share_heads;

pub(crate) use attend::with_calcium;
pub use attend::{Attend, Attended, Feature, Remembered};
pub use cross_entropy::cross_entropy;
pub(crate) use faults::FORGOTTEN;
pub use gated_silu::gated_silu;
pub use rms_norm::rms_norm;
pub use softmax::softmax_attention;
pub(crate) use softmax::times_seen;

/// How a synapse changes when it is written.
#[derive(Config, Debug, Copy, PartialEq, Eq)]
pub enum Plasticity {
    /// `H ← a H + β φ(k) vᵀ`: what fires together wires together.
    Hebbian,
    /// `H ← a (I − β φ(k) φ(k)ᵀ) H + β φ(k) vᵀ`: writes only what the memory does not yet predict
    /// (DeltaNet, arXiv 2406.06484; with decay Gated DeltaNet, arXiv 2412.06464). Needs `‖φ(k)‖ = 1`.
    Delta,
}

/// Which form of the recurrence to run. All give the same answer.
#[derive(Config, Debug, Copy, PartialEq, Eq)]
pub enum Form {
    /// One step after another, O(1) memory per step: generation.
    Recurrent,
    /// The T×T matrix: the readable reference.
    Parallel,
    /// Chunks of this many steps: linear in T, for training. (Kernels make no more than 128 of it: the same answer.)
    Chunkwise(usize),
}

/// What is written at each step of a sequence.
#[derive(Debug, Clone)]
pub struct Writes {
    /// φ(k), `[batch, key heads, steps, m]`.
    pub key: Tensor<4>,
    /// v, `[batch, key heads, steps, d_v]`.
    pub value: Tensor<4>,
    /// log a ≤ 0, `[batch, key heads, steps]`; `None` is no decay.
    pub log_decay: Option<Tensor<3>>,
    /// Write strength β in [0, 2], `[batch, key heads, steps]`; `None` is 1.
    pub strength: Option<Tensor<3>>,
}

impl Writes {
    fn narrow(&self, start: usize, length: usize) -> Self {
        let steps3 = |t: &Tensor<3>| t.clone().narrow(2, start, length);
        Self {
            key: self.key.clone().narrow(2, start, length),
            value: self.value.clone().narrow(2, start, length),
            log_decay: self.log_decay.as_ref().map(steps3),
            strength: self.strength.as_ref().map(steps3),
        }
    }

    /// β φ(k).
    fn scaled_key(&self) -> Tensor<4> {
        match &self.strength {
            Some(strength) => self.key.clone() * strength.clone().unsqueeze_dim(3),
            None => self.key.clone(),
        }
    }

    /// β v.
    fn scaled_value(&self) -> Tensor<4> {
        match &self.strength {
            Some(strength) => self.value.clone() * strength.clone().unsqueeze_dim(3),
            None => self.value.clone(),
        }
    }

    /// H = 0, `[batch, key heads, m, d_v]`.
    pub fn empty_memory(&self) -> Tensor<4> {
        let [batch, heads, _, m] = self.key.dims();
        let d_v = self.value.dims()[3];
        Tensor::zeros([batch, heads, m, d_v], (&self.key.device(), self.key.dtype()))
    }
}

/// Causal attention over a memory: `y_t = H_tᵀ φ(q_t)`, not yet normalised.
///
/// # Shapes
/// - query φ(q): `[batch, heads, steps, m]`
/// - memory H before the first step: `[batch, key heads, m, d_v]`
/// - returns the reads `[batch, heads, steps, d_v]` and H after the last step.
pub fn causal(
    query: Tensor<4>,
    writes: Writes,
    memory: Tensor<4>,
    plasticity: Plasticity,
    form: Form,
) -> (Tensor<4>, Tensor<4>) {
    if form == Form::Recurrent {
        return recurrent::causal(query, writes, memory, plasticity);
    }
    let heads = query.dims()[1];
    let (writes, faults) = faults::part(writes);
    let (reads, memory) = match form {
        Form::Chunkwise(size) => chunkwise::causal(query, writes, memory, plasticity, size),
        _ => parallel::causal(query, writes, memory, plasticity),
    };
    (reads + share_heads(faults.clone().cumsum(2), heads), memory + faults.sum_dim(2))
}

/// The write phase alone: H after the last step. A bidirectional layer then reads every query from it.
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

/// What every query reads from one memory: `[batch, heads, steps, m]` and `[batch, key heads, m, d_v]` to
/// `[batch, heads, steps, d_v]`.
pub fn read(query: Tensor<4>, memory: Tensor<4>) -> Tensor<4> {
    let ([batch, heads, steps, _], [_, key_heads, _, d]) = (query.dims(), memory.dims());
    fold(query, key_heads).matmul(memory).reshape([batch, heads, steps, d])
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
    let (writes, faults) = faults::part(writes.clone());
    let (trace, calcium) = match form {
        Form::Chunkwise(size) => chunkwise::calcium_trace(&writes, calcium, size),
        _ => parallel::calcium_trace(&writes, calcium),
    };
    (trace + faults.clone().cumsum(2), calcium + faults.sum_dim(2).squeeze_dim(3))
}

/// The attention weights, `[batch, heads, queries, steps]`: `y = weights · v + what is read of the memory before`, read as the
/// steps go (`causal`) or after the last.
///
/// # Shapes
/// - query φ(q): `[batch, heads, queries, m]`, with `causal` one for each step
pub fn weights(query: Tensor<4>, writes: &Writes, plasticity: Plasticity, causal: bool) -> Tensor<4> {
    if !causal {
        return parallel::weights(query, writes, plasticity, false);
    }
    let heads = query.dims()[1];
    let (writes, faults) = faults::part(writes.clone());
    parallel::weights(query, &writes, plasticity, true) + share_heads(faults.cumsum(2), heads)
}

/// The queries of a group one after another: `[batch, heads, steps, m]` to `[batch, key heads, group · steps, m]`.
fn fold(query: Tensor<4>, key_heads: usize) -> Tensor<4> {
    let [batch, heads, steps, m] = query.dims();
    query.reshape([batch, key_heads, heads / key_heads * steps, m])
}
