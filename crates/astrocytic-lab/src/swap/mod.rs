//! Swapping the attention of a trained model: convert, transfer, recover, measure.

mod decoder;
mod encoder;
mod layers;
mod measure;
pub(crate) mod model;
mod page;
mod preset;
mod recover;
mod rows;
pub(crate) mod source;
mod stage;
pub(crate) mod transfer;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use astrocytic_attention::{Attention, AttentionConfig};
use astrocytic_data::write_atomically;
use astrocytic_models::draw_parameters;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use tokenizers::{Tokenizer, TruncationParams};

pub use encoder::{EncoderReport, Probe};
pub use layers::LayerChoice;
pub use measure::{LayerError, Speed};
pub use model::{Inputs, Swappable};
pub use preset::{PRESETS, Preset, default_preset, preset};
pub use rows::{RowBatch, Rows};
pub use stage::StageConfig;
pub use transfer::Match;

use crate::train::derive_seed;
use source::Source;

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
    /// Tokens a second in generation at the first position: the converted model, and the original.
    pub tokens_per_s: f64,
    /// The original's.
    pub original_tokens_per_s: f64,
    /// Seconds of the whole.
    pub seconds: f64,
    /// Commit of the program.
    pub commit: String,
    /// The machine.
    pub machine: String,
    /// Where the page is.
    pub report: String,
}

/// Converts, trains, measures and reports. The folder gets the converted model (a decoder's `model.safetensors` and
/// `config.json`), `tokenizer.json`, `swap.json` and `report.html`; an interrupted run goes on where it was.
///
/// # Errors
/// One line for a model, a layer, a preset or a text that will not do, and for a folder that cannot be written.
pub fn run(config: &SwapConfig, folder: &Path, device: &Device) -> Result<Report> {
    let source = source::open(&config.model, device)?;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    keep_config(config, folder)?;
    match source {
        Source::Decoder { model, tokenizer, begin, notes } => {
            let report = decoder::run(config, *model, tokenizer, begin, notes, folder, device)?;
            Ok(Report::Decoder(Box::new(report)))
        }
        Source::Encoder { model, tokenizer, notes } => {
            Ok(Report::Encoder(Box::new(encoder::run(config, *model, tokenizer, notes, folder, device)?)))
        }
    }
}

/// The original with its layers swapped.
fn swap<M: Swappable>(
    original: &M,
    layers: &[usize],
    attention: &AttentionConfig,
    seed: u64,
    device: &Device,
) -> Result<M> {
    device.seed(derive_seed(seed, "swap", 0));
    let mut model = original.clone();
    for &layer in layers {
        model.swap_layer(layer, attention)?;
    }
    draw_parameters(&model);
    Ok(model)
}

/// The attention that takes the place of a layer, and its name.
fn attention_for(config: &SwapConfig, layer: &Attention, memory: bool) -> Result<(AttentionConfig, String)> {
    let Attention::Softmax(layer) = layer else {
        bail!("{}: its attention is swapped already", config.model.display())
    };
    let name = config.preset.clone().unwrap_or_else(|| default_preset(layer.config()).into());
    let asked = preset(&name, layer.config(), config.window)?.with_memory(memory);
    asked.validate()?;
    Ok((AttentionConfig::Astrocytic(asked), name))
}

/// The tokenizer without padding, cutting texts to so many tokens or not at all: files may bring settings of their own.
fn plain(mut tokenizer: Tokenizer, longest: Option<usize>) -> Result<Tokenizer> {
    let cut = longest.map(|max_length| TruncationParams { max_length, ..Default::default() });
    tokenizer.with_padding(None).with_truncation(cut).map_err(|e| anyhow!("tokenizer: {e}"))?;
    Ok(tokenizer)
}

/// Refuses a text with a token that the model has no embedding of.
fn refuse_beyond(tokens: &[u32], tokenizer: &Tokenizer, vocabulary: usize) -> Result<()> {
    match tokens.iter().find(|&&token| token as usize >= vocabulary) {
        Some(&token) => bail!(
            "a text has the token {:?}, {token}, which is beyond the model's {vocabulary}; take it out of the text",
            tokenizer.id_to_token(token).unwrap_or_default()
        ),
        None => Ok(()),
    }
}

fn save_tokenizer(tokenizer: &Tokenizer, folder: &Path) -> Result<()> {
    let text = tokenizer.to_string(true).map_err(|e| anyhow!("tokenizer: {e}"))?;
    Ok(write_atomically(&folder.join("tokenizer.json"), text.as_bytes())?)
}

/// Shows notes, and keeps them for the report.
fn note(found: &[String], notes: &mut Vec<String>) {
    found.iter().for_each(|note| eprintln!("note: {note}"));
    notes.extend_from_slice(found);
}

/// Writes `swap.json`.
fn save_report(report: &impl Serialize, folder: &Path) -> Result<()> {
    let mut json = serde_json::to_vec_pretty(report)?;
    json.push(b'\n');
    Ok(write_atomically(&folder.join("swap.json"), &json)?)
}

/// Refuses to go on with another conversion's files.
fn keep_config(config: &SwapConfig, folder: &Path) -> Result<()> {
    let path = folder.join("conversion.json");
    let text = serde_json::to_string_pretty(config)? + "\n";
    match std::fs::read_to_string(&path) {
        Ok(stored) if stored == text => Ok(()),
        Ok(_) => bail!("{} holds another conversion; choose another folder with --out, or remove it", folder.display()),
        Err(_) => Ok(write_atomically(&path, text.as_bytes())?),
    }
}
