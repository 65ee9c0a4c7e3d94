//! Sizes of the benchmarks' models.

use serde::{Deserialize, Serialize};

/// Sizes of a model to train or to generate with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelSizes {
    /// Blocks.
    pub layers: usize,
    /// Width.
    pub d_model: usize,
    /// Heads.
    pub heads: usize,
    /// Hidden width of a peer's feed-forward layers; ours follow from equal parameters.
    pub d_hidden: usize,
    /// Tokens known.
    pub vocabulary: usize,
}

/// The small model of the benchmarks.
pub const SMALL: ModelSizes = ModelSizes { layers: 4, d_model: 128, heads: 4, d_hidden: 344, vocabulary: 512 };
