//! Where a run stands.

use serde::{Deserialize, Serialize};

/// Where a run stands, stored with every checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// Steps taken.
    pub step: u64,
    /// Step of the weights that are kept: those of the lowest held-out loss or, where answers are
    /// counted, of the highest held-out accuracy; 0 before there are any.
    pub best_step: u64,
    /// Their held-out loss, nats per token; not finite before there is one.
    #[serde(deserialize_with = "crate::number::null_is_nan")]
    pub best_loss: f64,
    /// Their held-out accuracy, where answers are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_accuracy: Option<f64>,
    /// Evaluations since then.
    pub since_best: u64,
    /// Seconds spent in training steps.
    pub seconds: f64,
}

impl Default for Standing {
    fn default() -> Self {
        Self { step: 0, best_step: 0, best_loss: f64::INFINITY, best_accuracy: None, since_best: 0, seconds: 0.0 }
    }
}

impl Standing {
    /// Tokens, of which a step reads so many, per second of training steps.
    pub fn tokens_per_second(&self, tokens_per_step: f64) -> f64 {
        self.step as f64 * tokens_per_step / self.seconds
    }
}
