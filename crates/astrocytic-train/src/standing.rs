//! Where a run stands.

use serde::{Deserialize, Serialize};

/// Where a run stands, stored with every checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// Steps taken.
    pub step: u64,
    /// Step of the lowest tuning loss.
    pub best_step: u64,
    /// The lowest tuning loss, nats per token; not finite before there is one.
    #[serde(with = "crate::number")]
    pub best_loss: f64,
    /// Evaluations since then.
    pub since_best: u64,
    /// Seconds spent in training steps.
    pub seconds: f64,
}
