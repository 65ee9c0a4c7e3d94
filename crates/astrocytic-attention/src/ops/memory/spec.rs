//! What a memory is given, and what it gives back.

use burn::config::Config;
use burn::tensor::Tensor;

use super::writes::Writes;
use crate::kernel::element_wise::Feature;

/// Smallest normaliser, and smallest calcium under an exponent: a query that meets no calcium reads about 0. Its square
/// is a normal f32, so that gradients stay finite.
pub const CALCIUM_FLOOR: f64 = 1e-18;

/// Steps in the largest chunk.
pub(crate) const LARGEST_CHUNK: usize = 128;

/// A log decay of which nothing is left, in the place of −∞, which no difference may have.
pub(crate) const FORGOTTEN: f64 = -1e4;

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

/// Which memory, and by which form of the recurrence it runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MemorySpec {
    /// How a write changes the memory.
    pub plasticity: Plasticity,
    /// Feature map φ of keys and queries.
    pub feature: Feature,
    /// Whether features are brought to length 1, as the delta rule wants them.
    pub unit: bool,
    /// Whether reads are divided by the calcium, `φ(q) · g`, floored at [`CALCIUM_FLOOR`].
    pub calcium: bool,
    /// Whether a step reads what came up to it, or all read what there is after the last.
    pub causal: bool,
    /// Which form to run.
    pub form: Form,
}

/// What is written and what reads it.
#[derive(Debug, Clone)]
pub struct MemoryInputs {
    /// q before the feature map, `[batch, steps_q, heads, d]`; each group of `heads / key heads` reads one key head.
    pub query: Tensor<4>,
    /// k before the feature map, `[batch, steps, key heads, d]`.
    pub key: Tensor<4>,
    /// v, `[batch, steps, key heads, d_v]`.
    pub value: Tensor<4>,
    /// log a ≤ 0, `[batch, steps, key heads]`; `None` is no decay.
    pub log_decay: Option<Tensor<3>>,
    /// Write strength β in [0, 2], `[batch, steps, key heads]`; `None` is 1.
    pub strength: Option<Tensor<3>>,
}

impl MemoryInputs {
    /// From tensors `[batch, heads, steps, ·]`.
    pub(crate) fn heads_last(query: Tensor<4>, writes: Writes) -> Self {
        let numbers = |x: Option<Tensor<3>>| x.map(|x| x.swap_dims(1, 2));
        Self {
            query: query.swap_dims(1, 2),
            key: writes.key.swap_dims(1, 2),
            value: writes.value.swap_dims(1, 2),
            log_decay: numbers(writes.log_decay),
            strength: numbers(writes.strength),
        }
    }
}

/// What a memory holds between two calls.
#[derive(Debug, Clone)]
pub struct MemoryState {
    /// H, `[batch, key heads, m, d_v]`.
    pub memory: Tensor<4>,
    /// g, `[batch, key heads, m]`, where reads are divided by it.
    pub calcium: Option<Tensor<3>>,
}
