//! A decoder's conversion, held to its loss.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use astrocytic_attention::{Attention, AttentionConfig};
use astrocytic_data::{Cache, Corpus, Document, Tokenizer, write_atomically};
use astrocytic_models::{Decoder, save};
use astrocytic_train::observer::{Observer, Unit};
use astrocytic_train::seed::derive_seed;
use burn::module::Module;
use burn::tensor::Device;
use sha2::{Digest, Sha256};

use super::config::SwapConfig;
use super::conversion::{Conversion, attention_for, note, swap};
use super::measure::{LayerError, Speed};
use super::report::{SwapReport, save_report};
use super::rows::Rows;
use super::stage::Stage;
use super::{measure, page, recover, transfer};
use crate::provenance::machine;
use crate::source::LanguageModel;

/// Positions at which generation is timed.
const POSITIONS: [usize; 2] = [256, 4096];
/// Rows that the errors of layers are measured on: their matrices of weights are quadratic.
const LAYER_ROWS: usize = 16;

/// Converts, trains, measures and reports.
pub(super) fn run(
    config: &SwapConfig,
    source: LanguageModel,
    place: &Conversion,
    device: &Device,
) -> Result<SwapReport> {
    let started = Instant::now();
    let (original, tokenizer) = (&source.model, source.tokenizer.as_ref());
    let mut notes = source.notes.clone();
    refuse(config, original)?;
    let layers = config.layers.of(original.blocks.len())?;
    let attention = |memory| attention_for(config, &original.blocks[layers[0]].attention, memory);
    let (asked, preset) = attention(true)?;
    // That of the control too, before anything begins.
    let window_only = if config.window > 0 { Some(attention(false)?.0) } else { None };
    let (training, held_out) = match &config.corpus {
        None => sampled(original, source.boundaries.first(), config, place.observer)?,
        Some(corpus) => of_corpus(corpus, tokenizer, config, &mut notes, place.observer)?,
    };
    let (folder, observer) = (place.place.folder(), place.observer);
    let work = Work { config, original, layers: &layers, training, held_out, folder, device, observer };

    let converted = work.swap(&asked)?;
    let mut text = Sha256::new();
    [&work.training, &work.held_out].into_iter().for_each(|rows| rows.digest(&mut text));
    let _alone = place.begin(config, text)?;
    let (recovered, staged) = work.convert(converted)?;
    if let Some(tokenizer) = tokenizer {
        tokenizer.save(&folder.join("tokenizer.json"))?;
    }
    save(&recovered, folder)?;
    let controls = work.controls(&recovered, window_only.as_ref())?;

    let positions = positions(original.config().positions);
    let original_speed = measure::speed(original, &positions, device);
    let speed = measure::speed(&recovered, &positions, device);
    let first = |speed: &[Speed]| speed.first().map(|speed| speed.tokens_per_s);
    let mut report = SwapReport {
        config: config.clone(),
        preset,
        layers: layers.clone(),
        model_layers: original.blocks.len(),
        parameters: [original.num_params(), recovered.num_params()],
        original_loss: staged.original_loss,
        converted_loss: staged.converted.0,
        after_transfer_loss: staged.after_transfer.0,
        after_recovery_loss: staged.after_recovery.0,
        window_only_loss: controls.window_only_loss,
        window_only_recovered_loss: controls.window_only_recovered_loss,
        no_attention_loss: controls.no_attention_loss,
        no_attention_recovered_loss: controls.no_attention_recovered_loss,
        converted: staged.converted.1,
        after_transfer: staged.after_transfer.1,
        after_recovery: staged.after_recovery.1,
        notes,
        tokens_per_s: first(&speed),
        original_tokens_per_s: first(&original_speed),
        original_speed,
        speed,
        seconds: started.elapsed().as_secs_f64(),
        commit: machine::commit().into(),
        machine: machine::describe(),
        report: "report.html".into(),
    };
    save_report(&report, folder)?;
    let page = page::decoder(&report, &work.maps(&recovered))?;
    write_atomically(&folder.join("report.html"), page.as_bytes())?;
    report.report = folder.join("report.html").display().to_string();
    Ok(report)
}

/// Refuses what a decoder cannot do.
fn refuse(config: &SwapConfig, original: &Decoder) -> Result<()> {
    if !config.probes.is_empty() {
        bail!("--probe: {} is a decoder; only an encoder has embeddings to probe", config.model.display());
    }
    if let Some(most) = original.config().positions.filter(|&most| config.context > most) {
        bail!("context {} is more than the model's {most} positions; ask for fewer", config.context);
    }
    Ok(())
}

/// A conversion's model and data.
struct Work<'a> {
    config: &'a SwapConfig,
    original: &'a Decoder,
    layers: &'a [usize],
    training: Rows,
    held_out: Rows,
    folder: &'a Path,
    device: &'a Device,
    observer: &'a dyn Observer,
}

/// Loss, and errors of the swapped layers, after each stage.
struct Staged {
    original_loss: f64,
    converted: (f64, Vec<LayerError>),
    after_transfer: (f64, Vec<LayerError>),
    after_recovery: (f64, Vec<LayerError>),
}

/// Losses of what the converted model is held against.
struct Controls {
    no_attention_loss: f64,
    no_attention_recovered_loss: Option<f64>,
    window_only_loss: Option<f64>,
    window_only_recovered_loss: Option<f64>,
}

impl Work<'_> {
    /// The original with its layers swapped.
    fn swap(&self, attention: &AttentionConfig) -> Result<Decoder> {
        swap(self.original, self.layers, attention, self.config.seed, self.device)
    }

    /// Transfer and recovery, measured before and after each.
    fn convert(&self, converted: Decoder) -> Result<(Decoder, Staged)> {
        let original_loss = self.loss(self.original);
        let before = self.measure(&converted);
        self.observer.say(&format!("original {original_loss:.4}, converted {:.4} nats per token", before.0));
        let transferred = self.transfer(converted, "swapped")?;
        let after_transfer = self.measure(&transferred);
        self.observer.say(&format!("after transfer {:.4}", after_transfer.0));
        let recovered = self.recover(transferred, "swapped")?;
        let after_recovery = self.measure(&recovered);
        self.observer.say(&format!("after recovery {:.4}", after_recovery.0));
        Ok((recovered, Staged { original_loss, converted: before, after_transfer, after_recovery }))
    }

    /// The original without attention, and with the window alone; recovered with the same budget where asked for.
    fn controls(&self, recovered: &Decoder, window_only: Option<&AttentionConfig>) -> Result<Controls> {
        let trained = self.config.controls && self.config.recovery.steps > 0;
        let without = self.swap(&AttentionConfig::Off)?;
        let no_attention_loss = self.loss(&without);
        let recover = |model: Decoder, name: &str| self.recover(model, name).map(|model| self.loss(&model));
        let no_attention_recovered_loss = trained.then(|| recover(without, "no-attention")).transpose()?;
        let window_only_loss = window_only.map(|_| self.loss(&without_memories(recovered)));
        let window_only_recovered_loss = match window_only.filter(|_| trained) {
            Some(attention) => {
                let transferred = self.transfer(self.swap(attention)?, "window-only")?;
                Some(recover(transferred, "window-only")?)
            }
            None => None,
        };
        Ok(Controls { no_attention_loss, no_attention_recovered_loss, window_only_loss, window_only_recovered_loss })
    }

    fn transfer(&self, model: Decoder, name: &str) -> Result<Decoder> {
        let inputs = |step| self.training.inputs(&self.rows(step), self.device);
        let stage = Stage { config: &self.config.transfer, folder: &self.folder.join(name), observer: self.observer };
        transfer::run(self.original, model, self.layers, inputs, self.config.matched, stage)
    }

    fn recover(&self, model: Decoder, name: &str) -> Result<Decoder> {
        let text = self.config.corpus.is_some();
        let loss = |model: &Decoder, step: u64| {
            recover::of_logits(self.original, model, self.training.batch(&self.rows(step), self.device), text)
        };
        let stage = Stage { config: &self.config.recovery, folder: &self.folder.join(name), observer: self.observer };
        recover::run(model, self.layers, self.config.adapters, stage, loss)
    }

    /// The training rows of a step.
    fn rows(&self, step: u64) -> Vec<usize> {
        self.training.of_step(step, self.config.batch, self.config.seed)
    }

    fn loss(&self, model: &Decoder) -> f64 {
        measure::loss(model, &self.held_out, self.device)
    }

    /// Loss and errors of the swapped layers.
    fn measure(&self, model: &Decoder) -> (f64, Vec<LayerError>) {
        let some: Vec<usize> = (0..self.held_out.count().min(LAYER_ROWS)).collect();
        let inputs = self.held_out.inputs(&some, self.device);
        (self.loss(model), measure::layers(self.original, model, self.layers, &inputs))
    }

    /// Attention weights of each swapped layer on one row, the original's and the model's.
    fn maps(&self, model: &Decoder) -> Vec<[Vec<f32>; 2]> {
        let mut row = self.held_out.inputs(&[0], self.device);
        row.tokens = row.tokens.narrow(1, 0, page::MAP_STEPS.min(self.config.context));
        self.layers.iter().map(|&layer| measure::maps(self.original, model, layer, &row)).collect()
    }
}

/// Those at which generation is timed: a model with learned positions ends with them, and what there is of a short one is halved
/// between what is read and what is timed.
fn positions(most: Option<usize>) -> Vec<usize> {
    let most = most.unwrap_or(usize::MAX);
    let fit: Vec<usize> = POSITIONS.into_iter().filter(|position| position + 64 <= most).collect();
    match fit.is_empty() {
        true if most >= measure::FEWEST_POSITIONS => vec![most / 2],
        _ => fit,
    }
}

/// The same model, memories switched off.
fn without_memories(model: &Decoder) -> Decoder {
    let mut model = model.clone();
    for block in &mut model.blocks {
        if let Attention::Astrocytic(layer) = &mut block.attention {
            layer.forget_memory();
        }
    }
    model
}

/// Rows that the model samples: to train on, and others to measure on.
fn sampled(
    original: &Decoder,
    begin: Option<u32>,
    config: &SwapConfig,
    observer: &dyn Observer,
) -> Result<(Rows, Rows)> {
    let Some(begin) = begin else {
        bail!("{}: the model names no token to begin with; give a --corpus", config.model.display());
    };
    observer.begin(Unit::Rows, (config.rows + config.held_out) as u64);
    let sample = |purpose: &str, count| {
        Rows::sample(original, begin, [count, config.context], derive_seed(config.seed, purpose, 0), observer)
    };
    let rows = (sample("training rows", config.rows), sample("held-out rows", config.held_out));
    observer.finish();
    Ok(rows)
}

/// Rows of a corpus: of its training split, and of its test split.
fn of_corpus(
    corpus: &str,
    tokenizer: Option<&Tokenizer>,
    config: &SwapConfig,
    notes: &mut Vec<String>,
    observer: &dyn Observer,
) -> Result<(Rows, Rows)> {
    let Some(tokenizer) = tokenizer else {
        bail!("{}: the model has no tokenizer beside it, which a corpus needs", config.model.display());
    };
    let corpus = Corpus::load(corpus, &Cache::default_folder()?)?;
    note(&corpus.notes, notes, observer);
    let rows = |documents: &[Document], count: usize| -> Result<Rows> {
        let mut tokens = Vec::new();
        for document in documents {
            if tokens.len() > count * config.context {
                break;
            }
            tokens.extend(tokenizer.encode_with_special(&document.text)?);
        }
        Rows::of_text(&tokens, [count, config.context])
    };
    let training = rows(&corpus.train, config.rows).context("the training split")?;
    Ok((training, rows(&corpus.test, config.held_out).context("the test split")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generation_is_timed_at_the_positions_that_there_are() {
        assert_eq!(positions(None), POSITIONS);
        assert_eq!(positions(Some(1_024)), [256]);
        for most in [3, 16, 128, 319] {
            assert_eq!(positions(Some(most)), [most / 2]);
        }
        assert!(positions(Some(2)).is_empty());
    }
}
