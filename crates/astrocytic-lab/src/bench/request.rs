//! What is to be measured; peers in another language read the same JSON lines.

use serde::{Deserialize, Serialize};

use super::sizes::ModelSizes;

/// What is to be measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Request {
    /// A large matrix product: what the machine can do.
    MatrixPeak,
    /// One call of the attention op, causal, f32.
    Attention {
        /// Whose: a variant of ours, or of a peer's.
        #[serde(rename = "peer")]
        variant: String,
        /// `forward` or `forward_backward`.
        direction: Direction,
        /// Rows.
        batch: usize,
        /// Heads.
        heads: usize,
        /// Size of a head's queries, keys and values.
        head_dim: usize,
        /// Steps T.
        seq_len: usize,
        /// How long to repeat.
        seconds: f64,
    },
    /// A whole training step.
    TrainStep {
        /// An arm of the comparison, or a peer's model of the same shape.
        arm: String,
        /// Rows.
        batch: usize,
        /// Steps T.
        seq_len: usize,
        /// The model's sizes.
        #[serde(flatten)]
        model: ModelSizes,
        /// How long to repeat.
        seconds: f64,
    },
    /// Drawing tokens after a text of some length.
    Generate {
        /// An arm, or a peer's model.
        arm: String,
        /// Length of the text before.
        position: usize,
        /// Tokens to draw.
        tokens: usize,
        /// The model's sizes.
        #[serde(flatten)]
        model: ModelSizes,
    },
    /// Gradients of a small model that reads segments.
    Segments {
        /// How many.
        segments: usize,
        /// By replay; else by backpropagation through time.
        replayed: bool,
        /// How long to repeat.
        seconds: f64,
    },
}

/// Which passes are timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The result alone, without autodiff.
    Forward,
    /// The result and the gradients of q, k and v.
    ForwardBackward,
}
