//! What to convert, into what, and how.

use std::path::PathBuf;

use anyhow::Result;
use astrocytic_models::conversion::LayerChoice;
use astrocytic_train::device;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::stage::StageConfig;
use super::transfer::Match;
use crate::provenance::identity::{self, Options};

/// What to convert, into what, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SwapConfig {
    /// The model's file or folder.
    pub model: PathBuf,
    /// Layers to swap.
    pub layers: LayerChoice,
    /// Name of the attention that takes their place; `None` takes one by the size of the heads.
    pub preset: Option<String>,
    /// Steps of a softmax window beside the memory; 0 is none.
    pub window: usize,
    /// A text's tokens instead of what the model itself samples.
    pub corpus: Option<String>,
    /// Labelled texts to probe an encoder's embeddings with.
    pub probes: Vec<PathBuf>,
    /// Tokens of a row.
    pub context: usize,
    /// Rows to train on.
    pub rows: usize,
    /// Rows to measure on.
    pub held_out: usize,
    /// Rows of a step.
    pub batch: usize,
    /// What the transfer matches.
    pub matched: Match,
    /// Attention transfer.
    pub transfer: StageConfig,
    /// Recovery.
    pub recovery: StageConfig,
    /// Rank of the adapters of the recovery; 0 trains all weights.
    pub adapters: usize,
    /// Whether the controls are recovered too, with the same budget.
    pub controls: bool,
    /// Seed of rows, order and initial weights.
    pub seed: u64,
}

impl SwapConfig {
    /// What a result depends on besides contents, by the names on the command line.
    pub(super) fn options(&self, device: &Device) -> Result<Options> {
        let options = json!({
            "layers": self.layers.to_string(),
            "preset": self.preset,
            "window": self.window,
            "context": self.context,
            "rows": self.rows,
            "held-out": self.held_out,
            "batch": self.batch,
            "transfer": self.matched,
            "transfer-steps": self.transfer.steps,
            "transfer-rate": self.transfer.learning_rate,
            "recovery-steps": self.recovery.steps,
            "recovery-rate": self.recovery.learning_rate,
            "adapters": self.adapters,
            "untrained-controls": !self.controls,
            "seed": self.seed,
            "device": device::name(device),
        });
        identity::options(&options, |name| Some(format!("--{name}")))
    }
}
