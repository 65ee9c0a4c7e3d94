//! A document's share of a loss.

use serde::{Deserialize, Serialize};

/// A document's share of the test loss: a unit of the statistics.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DocumentLoss {
    /// Sum of −ln p over the document's tokens.
    #[serde(deserialize_with = "crate::number::null_is_nan")]
    pub nats: f64,
    /// Number of tokens predicted.
    pub tokens: u64,
}
