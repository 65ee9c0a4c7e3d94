//! Swapping the attention of a trained model: convert, transfer, recover, measure.

mod decoder;
mod encoder;
mod measure;
mod page;
mod recover;
mod rows;
mod stage;
pub(crate) mod transfer;

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use astrocytic_attention::{Attention, AttentionConfig};
use astrocytic_data::labelled::LabelledPath;
use astrocytic_data::{Tokenizer, sha256_of, write_atomically};
use astrocytic_models::conversion::{LayerChoice, Swappable, default_preset, preset};
use astrocytic_models::draw_parameters;
use astrocytic_train::device;
use astrocytic_train::seed::derive_seed;
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

pub use encoder::{EncoderReport, Probe};
pub use measure::{LayerError, Speed};
pub use rows::{RowBatch, Rows};
pub use stage::StageConfig;
pub use transfer::Match;

use crate::provenance::identity::{self, Input, Options, Place, hex};
use crate::source::{self, Source};

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

/// Converts, trains, measures and reports. The folder gets the converted model (a decoder's `model.safetensors` and
/// `config.json`), `tokenizer.json`, `swap.json` and `report.html`; an interrupted run goes on where it was.
///
/// # Errors
/// One line for a model, a layer, a preset or a text that will not do, and for a folder that cannot be written.
pub fn run(config: &SwapConfig, folder: &Path, device: &Device) -> Result<Report> {
    for path in [&config.model, folder] {
        if path.to_str().is_none() {
            bail!("{}: the path is not UTF-8; rename it", path.display());
        }
    }
    [&config.transfer, &config.recovery].into_iter().try_for_each(StageConfig::validate)?;
    let place = Place::new(folder, "conversion.json", "conversion", config.options(device)?)?;
    match source::open(&config.model, device)? {
        Source::Decoder(source) => {
            let of = digest(&source.model, &(source.model.config(), &source.boundaries), source.tokenizer.as_ref())?;
            let place = Conversion { place, of };
            Ok(Report::Decoder(Box::new(decoder::run(config, *source, &place, device)?)))
        }
        Source::Encoder(source) => {
            let of = digest(&source.model, source.model.config(), source.tokenizer.as_ref())?;
            let place = Conversion { place, of };
            Ok(Report::Encoder(Box::new(encoder::run(config, *source, &place, device)?)))
        }
    }
}

/// The folder of a conversion.
struct Conversion {
    place: Place,
    /// The model's SHA-256.
    of: String,
}

impl Conversion {
    /// Claims the folder, once everything was read that can be refused; `text` is of the corpus's tokens.
    fn begin(&self, config: &SwapConfig, text: Sha256) -> Result<File> {
        let mut inputs =
            vec![("--model", vec![Input { name: config.model.display().to_string(), sha256: self.of.clone() }])];
        if let Some(corpus) = &config.corpus {
            inputs.push(("--corpus", vec![Input { name: corpus.clone(), sha256: hex(text) }]));
        }
        let probe = |path: &PathBuf| {
            let file = LabelledPath::from(path.to_string_lossy().as_ref()).path;
            let sha256 = sha256_of(&file).with_context(|| format!("cannot read {}", file.display()))?;
            Ok(Input { name: path.display().to_string(), sha256 })
        };
        inputs.push(("--probe", config.probes.iter().map(probe).collect::<Result<_>>()?));
        self.place.begin(inputs)
    }
}

impl SwapConfig {
    /// What a result depends on besides contents, by the names on the command line.
    fn options(&self, device: &Device) -> Result<Options> {
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

/// SHA-256 of a model as it was read, whatever files it came in: its configuration, parameters and tokenizer.
fn digest(model: &impl Module, config: &impl Serialize, tokenizer: Option<&Tokenizer>) -> Result<String> {
    let tokenizer = tokenizer.map(Tokenizer::to_json).transpose()?;
    let mut parameters = Parameters(Sha256::new_with_prefix(serde_json::to_vec(&(config, tokenizer))?));
    model.visit(&mut parameters);
    Ok(hex(parameters.0))
}

struct Parameters(Sha256);

impl Parameters {
    fn add(&mut self, data: &TensorData) {
        data.shape().iter().for_each(|size| self.0.update((*size as u64).to_le_bytes()));
        self.0.update(data.as_bytes());
    }
}

impl ModuleVisitor for Parameters {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.add(&param.val().into_data());
    }

    fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
        self.add(&param.val().into_data());
    }

    fn visit_bool<const D: usize>(&mut self, param: &Param<Tensor<D, Bool>>) {
        self.add(&param.val().into_data());
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
    let Some(layer) = layer.plain_config() else {
        bail!("{}: a layer without attention has nothing to swap", config.model.display())
    };
    let name = config.preset.clone().unwrap_or_else(|| default_preset(&layer).into());
    let asked = preset(&name, &layer, config.window)?.with_memory(memory);
    asked.validate()?;
    Ok((AttentionConfig::Astrocytic(asked), name))
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
