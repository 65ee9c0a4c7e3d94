//! What came of a conversion: `swap.json` in its folder.

use std::path::Path;

use anyhow::Result;
use astrocytic_data::write_atomically;
use serde::{Deserialize, Serialize};

use super::config::SwapConfig;
use super::measure::{LayerError, Speed};

/// What came of a conversion.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Report {
    /// Of a decoder.
    Decoder(Box<SwapReport>),
    /// Of an encoder.
    Encoder(Box<EncoderReport>),
}

/// What came of a decoder's conversion. Losses are in nats per token, on rows that nothing was trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SwapReport {
    /// What was asked for.
    pub config: SwapConfig,
    /// The attention that took their place.
    pub preset: String,
    /// Layers that were swapped.
    pub layers: Vec<usize>,
    /// Layers of the model.
    pub model_layers: usize,
    /// Parameters of the original and the converted model.
    pub parameters: [usize; 2],
    /// The original's loss.
    pub original_loss: f64,
    /// After conversion, before any training.
    pub converted_loss: f64,
    /// After attention transfer.
    pub after_transfer_loss: f64,
    /// After recovery.
    pub after_recovery_loss: f64,
    /// The converted model as it came out, its memories switched off and its windows left: what the window alone does.
    /// `None` without a window.
    pub window_only_loss: Option<f64>,
    /// The same conversion without memories from the start, transferred and recovered with the same budget.
    pub window_only_recovered_loss: Option<f64>,
    /// The original without attention in the swapped layers.
    pub no_attention_loss: f64,
    /// The same, recovered with the same budget.
    pub no_attention_recovered_loss: Option<f64>,
    /// Errors of the swapped layers after conversion, transfer and recovery.
    pub converted: Vec<LayerError>,
    /// After transfer.
    pub after_transfer: Vec<LayerError>,
    /// After recovery.
    pub after_recovery: Vec<LayerError>,
    /// What was guessed or left out in reading the model's files and texts.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Generation with the original.
    pub original_speed: Vec<Speed>,
    /// Generation with the converted model.
    pub speed: Vec<Speed>,
    /// Tokens a second in generation at the first position, of the converted model; of one with fewer than three positions there
    /// are none to measure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_s: Option<f64>,
    /// The original's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_tokens_per_s: Option<f64>,
    /// Seconds of the whole.
    pub seconds: f64,
    /// Commit of the program.
    pub commit: String,
    /// The machine.
    pub machine: String,
    /// Where the page is.
    pub report: String,
}

/// What came of an encoder's conversion. Cosines are the mean over held-out texts with the original's embedding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EncoderReport {
    /// What was asked for.
    pub config: SwapConfig,
    /// The attention that took their place.
    pub preset: String,
    /// Layers that were swapped.
    pub layers: Vec<usize>,
    /// Layers of the model.
    pub model_layers: usize,
    /// Parameters of the original and the converted model.
    pub parameters: [usize; 2],
    /// After conversion, before any training.
    pub converted_cosine: f64,
    /// After attention transfer.
    pub after_transfer_cosine: f64,
    /// After recovery.
    pub after_recovery_cosine: f64,
    /// The original without attention in the swapped layers.
    pub no_attention_cosine: f64,
    /// The same, recovered with the same budget.
    pub no_attention_recovered_cosine: Option<f64>,
    /// How the steps of a text become its embedding.
    #[serde(default)]
    pub pooling: String,
    /// What was guessed or left out in reading the model's files and texts.
    #[serde(default)]
    pub notes: Vec<String>,
    /// What is read from the embeddings.
    pub probes: Vec<Probe>,
    /// Errors of the swapped layers after conversion, transfer and recovery.
    pub converted: Vec<LayerError>,
    /// After transfer.
    pub after_transfer: Vec<LayerError>,
    /// After recovery.
    pub after_recovery: Vec<LayerError>,
    /// Seconds of the whole.
    pub seconds: f64,
    /// Commit of the program.
    pub commit: String,
    /// The machine.
    pub machine: String,
    /// Where the page is.
    pub report: String,
}

/// Accuracy of a linear classifier of embeddings, on texts that it was not trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// The texts' file.
    pub name: String,
    /// Texts it is measured on.
    pub texts: usize,
    /// Share of the commonest class among them.
    pub commonest: f64,
    /// With the original's embeddings.
    pub original: f64,
    /// With those after transfer.
    pub after_transfer: f64,
    /// With those after recovery.
    pub after_recovery: f64,
    /// With those of the original without attention, recovered where asked for.
    pub no_attention: f64,
}

/// Writes `swap.json`.
pub(super) fn save_report(report: &impl Serialize, folder: &Path) -> Result<()> {
    let mut json = serde_json::to_vec_pretty(report)?;
    json.push(b'\n');
    Ok(write_atomically(&folder.join("swap.json"), &json)?)
}
