//! Swapping the attention of a trained decoder: convert, transfer, recover, measure.

mod layers;
mod measure;
mod page;
mod preset;
mod recover;
mod rows;
mod stage;
mod transfer;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};
use astrocytic_attention::{Attention, AttentionConfig};
use astrocytic_data::{Cache, Corpus, Document, write_atomically};
use astrocytic_models::pretrained::{self, PretrainedConfig};
use astrocytic_models::{Decoder, is_saved, load, save};
use burn::module::Module;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use tokenizers::Tokenizer;

pub use layers::LayerChoice;
pub use measure::{LayerError, Speed};
pub use preset::{PRESETS, Preset, preset};
pub use rows::{RowBatch, Rows};
pub use stage::StageConfig;
pub use transfer::Match;

use crate::progress::Progress;
use crate::train::derive_seed;

/// Positions at which generation is timed.
const POSITIONS: [usize; 2] = [256, 4096];

/// What to convert, into what, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SwapConfig {
    /// The model's file or folder.
    pub model: PathBuf,
    /// Layers to swap.
    pub layers: LayerChoice,
    /// Name of the attention that takes their place.
    pub preset: String,
    /// Steps of a softmax window beside the memory; 0 is none.
    pub window: usize,
    /// A text's tokens instead of what the model itself samples.
    pub corpus: Option<String>,
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

/// What came of it. Losses are in nats per token, on rows that nothing was trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SwapReport {
    /// What was asked for.
    pub config: SwapConfig,
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

/// Converts, trains, measures and reports. The folder gets the converted model (`model.safetensors`, `config.json`,
/// `tokenizer.json`), `swap.json` and `report.html`; an interrupted run goes on where it was.
///
/// # Errors
/// One line for a model, a layer, a preset or a text that will not do, and for a folder that cannot be written.
pub fn run(config: &SwapConfig, folder: &Path, device: &Device) -> Result<SwapReport> {
    let started = Instant::now();
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    keep_config(config, folder)?;
    let Source { model: original, tokenizer, begin } = open(&config.model, device)?;
    if let Some(most) = original.config().positions.filter(|&most| config.context > most) {
        bail!("context {} is more than the model's {most} positions; ask for fewer", config.context);
    }
    let layer_count = original.blocks.len();
    let layers = config.layers.of(layer_count)?;
    let attention = {
        let Some(Attention::Softmax(layer)) = layers.first().map(|&layer| &original.blocks[layer].attention) else {
            bail!("there is nothing to swap");
        };
        |preset_name: &str, memory: bool| -> Result<AttentionConfig> {
            let config = preset(preset_name, layer.config(), config.window)?.with_memory(memory);
            config.validate()?;
            Ok(AttentionConfig::Astrocytic(config))
        }
    };
    let asked = attention(&config.preset, true)?;

    let (training, held_out) = match &config.corpus {
        None => sampled(&original, begin, config)?,
        Some(corpus) => of_corpus(corpus, tokenizer.as_ref(), config)?,
    };
    let swap = |attention: &AttentionConfig| -> Result<Decoder> {
        device.seed(derive_seed(config.seed, "swap", 0));
        let mut model = original.clone();
        for &layer in &layers {
            model.swap(layer, attention)?;
        }
        stage::materialize(&model);
        Ok(model)
    };
    let training_device = device.clone();
    let transfer = |model: Decoder, name: &str| {
        let folder = folder.join(name);
        transfer::run(
            &original,
            model,
            &layers,
            &training,
            config.matched,
            config.batch,
            &config.transfer,
            config.seed,
            &training_device,
            &folder,
        )
    };
    let recover = |model: Decoder, name: &str| {
        let folder = folder.join(name);
        recover::run(
            &original,
            model,
            &layers,
            &training,
            config.adapters,
            config.batch,
            &config.recovery,
            config.seed,
            &training_device,
            "recovery",
            &folder,
        )
    };
    let loss = |model: &Decoder| measure::loss(model, &held_out, device);
    let errors = |model: &Decoder| measure::layers(&original, model, &layers, &held_out, device);

    let original_loss = loss(&original);
    let converted = swap(&asked)?;
    let (converted_loss, converted_errors) = (loss(&converted), errors(&converted));
    eprintln!("original {original_loss:.4}, converted {converted_loss:.4} nats per token");
    let transferred = transfer(converted, "swapped")?;
    let (after_transfer_loss, after_transfer) = (loss(&transferred), errors(&transferred));
    eprintln!("after transfer {after_transfer_loss:.4}");
    let recovered = recover(transferred, "swapped")?;
    let (after_recovery_loss, after_recovery) = (loss(&recovered), errors(&recovered));
    eprintln!("after recovery {after_recovery_loss:.4}");
    save(&recovered, folder)?;
    if let Some(tokenizer) = &tokenizer {
        let text = tokenizer.to_string(true).map_err(|e| anyhow!("tokenizer: {e}"))?;
        write_atomically(&folder.join("tokenizer.json"), text.as_bytes())?;
    }

    let without = swap(&AttentionConfig::Off)?;
    let no_attention_loss = loss(&without);
    let controls = config.controls && config.recovery.steps > 0;
    let no_attention_recovered_loss =
        controls.then(|| recover(without, "no-attention").map(|model| loss(&model))).transpose()?;
    let (mut window_only_loss, mut window_only_recovered_loss) = (None, None);
    if config.window > 0 {
        window_only_loss = Some(loss(&without_memories(&recovered)?));
        if controls {
            let window_only = transfer(swap(&attention(&config.preset, false)?)?, "window-only")?;
            window_only_recovered_loss = Some(loss(&recover(window_only, "window-only")?));
        }
    }

    // A model with learned positions ends with them.
    let most = original.config().positions.map_or(usize::MAX, |most| most.saturating_sub(64));
    let positions: Vec<usize> = POSITIONS.iter().copied().filter(|&position| position <= most).collect();
    let original_speed = measure::speed(&original, &positions, device);
    let speed = measure::speed(&recovered, &positions, device);
    let first = |speed: &[Speed]| speed.first().map_or(f64::NAN, |speed| speed.tokens_per_s);
    let mut report = SwapReport {
        config: config.clone(),
        layers: layers.clone(),
        model_layers: layer_count,
        parameters: [original.num_params(), recovered.num_params()],
        original_loss,
        converted_loss,
        after_transfer_loss,
        after_recovery_loss,
        window_only_loss,
        window_only_recovered_loss,
        no_attention_loss,
        no_attention_recovered_loss,
        converted: converted_errors,
        after_transfer,
        after_recovery,
        tokens_per_s: first(&speed),
        original_tokens_per_s: first(&original_speed),
        original_speed,
        speed,
        seconds: started.elapsed().as_secs_f64(),
        commit: crate::machine::commit().into(),
        machine: crate::machine::describe(),
        report: "report.html".into(),
    };
    let mut json = serde_json::to_vec_pretty(&report)?;
    json.push(b'\n');
    write_atomically(&folder.join("swap.json"), &json)?;
    let maps =
        layers.iter().map(|&layer| measure::maps(&original, &recovered, layer, &held_out, page::MAP_STEPS, device));
    let page = page::page(&report, &maps.collect::<Vec<_>>())?;
    write_atomically(&folder.join("report.html"), page.as_bytes())?;
    report.report = folder.join("report.html").display().to_string();
    Ok(report)
}

/// A model to convert.
struct Source {
    model: Decoder,
    tokenizer: Option<Tokenizer>,
    /// The token that texts begin with.
    begin: Option<u32>,
}

/// Opens what `train` wrote, or a pretrained file.
fn open(path: &Path, device: &Device) -> Result<Source> {
    if is_saved(path) {
        let model = load(path, device)?;
        let tokenizer = astrocytic_data::Tokenizer::load(&path.join("tokenizer.json"))?;
        let begin = Some(tokenizer.end_id());
        return Ok(Source { model, tokenizer: Some(tokenizer.into_inner()), begin });
    }
    let source = pretrained::open(path)?;
    let begin = match &source.config {
        PretrainedConfig::Llama(llama) => llama.bos,
        PretrainedConfig::Gpt2(gpt2) => gpt2.bos,
        _ => None,
    };
    let tokenizer = source.tokenizer.clone();
    Ok(Source { model: Decoder::from_pretrained(source, device)?, tokenizer, begin })
}

/// The same model, memories switched off.
fn without_memories(model: &Decoder) -> Result<Decoder> {
    let mut model = model.clone();
    for block in &mut model.blocks {
        if let Attention::Astrocytic(layer) = &mut block.attention {
            layer.forget_memory();
        }
    }
    Ok(model)
}

/// Rows that the model samples: to train on, and others to measure on.
fn sampled(original: &Decoder, begin: Option<u32>, config: &SwapConfig) -> Result<(Rows, Rows)> {
    let Some(begin) = begin else {
        bail!("{}: the model names no token to begin with; give a --corpus", config.model.display());
    };
    let progress = Progress::rows((config.rows + config.held_out) as u64);
    let sample = |purpose: &str, count| {
        Rows::sample(original, begin, [count, config.context], derive_seed(config.seed, purpose, 0), &progress)
    };
    let rows = (sample("training rows", config.rows), sample("held-out rows", config.held_out));
    progress.finish();
    Ok(rows)
}

/// Rows of a corpus: of its training split, and of its test split.
fn of_corpus(corpus: &str, tokenizer: Option<&Tokenizer>, config: &SwapConfig) -> Result<(Rows, Rows)> {
    let Some(tokenizer) = tokenizer else {
        bail!("{}: the model has no tokenizer beside it, which a corpus needs", config.model.display());
    };
    let corpus = Corpus::load(corpus, &Cache::default_folder()?)?;
    let rows = |documents: &[Document], count: usize| -> Result<Rows> {
        let mut tokens = Vec::new();
        for document in documents {
            if tokens.len() > count * config.context {
                break;
            }
            let encoded = tokenizer.encode(document.text.as_str(), true).map_err(|e| anyhow!("tokenizer: {e}"))?;
            tokens.extend_from_slice(encoded.get_ids());
        }
        Rows::of_text(&tokens, [count, config.context])
    };
    let training = rows(&corpus.train, config.rows).context("the training split")?;
    Ok((training, rows(&corpus.test, config.held_out).context("the test split")?))
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
