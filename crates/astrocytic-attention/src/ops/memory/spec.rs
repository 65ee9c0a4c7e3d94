//! What kind of memory it is, and by which form of the recurrence it runs.

use burn::config::Config;

/// Smallest normaliser, and smallest calcium under an exponent: a query that meets no calcium reads about 0. Its square is
/// a normal f32, so that gradients stay finite.
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
