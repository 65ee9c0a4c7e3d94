//! What came of a training run: `result.json` in its folder.

use astrocytic_models::memory::MemoryConfig;
use serde::{Deserialize, Serialize};

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionResult {
    /// Trained parameters.
    pub parameters: u64,
    /// Steps taken.
    pub steps: u64,
    /// Step whose weights were kept.
    pub best_step: u64,
    /// Loss on the tuning split, nats per token.
    pub tuning_loss: f64,
    /// Loss on the test split, nats per token.
    pub test_loss: f64,
    /// The same in bits per byte of text.
    pub bits_per_byte: f64,
    /// Entropy of the source on the test split, nats per token, where it is known.
    pub entropy: Option<f64>,
    /// Training throughput.
    pub tokens_per_second: f64,
    /// What the memory of what is read adds, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<RememberedResult>,
    /// What was guessed in reading the text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// The losses of a model that goes on learning from each document that it reads, beginning anew in
/// the next.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RememberedResult {
    /// The memory, with the rate that is best on the tuning split.
    #[serde(flatten)]
    pub config: MemoryConfig,
    /// Loss on the tuning split, nats per token.
    pub tuning_loss: f64,
    /// Loss on the test split, nats per token.
    pub test_loss: f64,
    /// The same in bits per byte of text.
    pub bits_per_byte: f64,
}
