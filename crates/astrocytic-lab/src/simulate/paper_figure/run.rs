//! The model opened, and what it reads.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, anyhow, bail};
use astrocytic_attention::ops::cross_entropy;
use astrocytic_models::conversion::{Inputs, Swappable};
use astrocytic_train::observer::{Observer, Unit};
use astrocytic_train::source::{self, EmbeddingModel, LanguageModel, Source};
use burn::tensor::{Device, Int, Tensor, TensorData};

use super::learned::learned;
use super::page::page;
use super::report::{PaperFigureConfig, PaperFigureReport};
use super::study::{Study, run};
use crate::swap::Rows;

/// What an encoder reads: the beginning of Moby-Dick (in the public domain).
const TEXT: &str = "Call me Ishmael. Some years ago—never mind how long precisely—having little or no money in my purse, and nothing \
particular to interest me on shore, I thought I would sail about a little and see the watery part of the world. It is a way I have \
of driving off the spleen and regulating the circulation. Whenever I find myself growing grim about the mouth; whenever it is a \
damp, drizzly November in my soul; whenever I find myself involuntarily pausing before coffin warehouses, and bringing up the rear \
of every funeral I meet; and especially whenever my hypos get such an upper hand of me, that it requires a strong moral principle \
to prevent me from deliberately stepping into the street, and methodically knocking people's hats off—then, I account it high time \
to get to sea as soon as I can. This is my substitute for pistol and ball.";
/// Rows that a decoder samples and reads, and rows that learned maps are trained on.
const ROWS: usize = 4;
const TRAINING_ROWS: usize = 256;
/// Rows of a step of that training.
const BATCH: usize = 8;
/// Largest number of features: more take too long.
const MOST_FEATURES: usize = 1 << 20;

/// Measures every map, and writes a page.
///
/// # Errors
/// For a model that cannot be had or is not softmax throughout, numbers of features or steps that
/// make no sense, or a folder that cannot be written.
pub fn paper_figure(
    config: &PaperFigureConfig,
    folder: &Path,
    device: &Device,
    observer: &dyn Observer,
) -> Result<PaperFigureReport> {
    if config.features.is_empty() || config.features.iter().any(|m| !(1..=MOST_FEATURES).contains(m)) {
        bail!("--features: numbers from 1 to {MOST_FEATURES}, got {:?}", config.features);
    }
    if !(8..=1024).contains(&config.steps) {
        bail!("--steps {} must be between 8 and 1024", config.steps);
    }
    let started = Instant::now();
    let asked = Asked { config, folder, device, observer, started };
    match source::open(&config.model, device, observer)? {
        Source::Decoder(source) => asked.of_decoder(&source),
        Source::Encoder(source) => asked.of_encoder(&source),
    }
}

/// What is asked, and of what device.
struct Asked<'a> {
    config: &'a PaperFigureConfig,
    folder: &'a Path,
    device: &'a Device,
    observer: &'a dyn Observer,
    started: Instant,
}

impl Asked<'_> {
    /// Of a decoder, reading what it samples.
    fn of_decoder(&self, source: &LanguageModel) -> Result<PaperFigureReport> {
        let Self { config, device, observer, .. } = *self;
        let LanguageModel { model, boundaries, .. } = source;
        let begin = boundaries.first().ok_or_else(|| anyhow!("the model has no token that texts begin with"))?;
        if let Some(most) = model.config().positions.filter(|&most| config.steps > most) {
            bail!("--steps {} is more than the model's {most} positions", config.steps);
        }
        let count = ROWS + if config.transfer_steps > 0 { TRAINING_ROWS } else { 0 };
        observer.begin(Unit::Rows, count as u64);
        let rows = Rows::sample(model, begin, [count, config.steps], config.seed, observer);
        observer.finish();
        let some: Vec<usize> = (0..ROWS).collect();
        let batch = rows.batch(&some, device);
        let loss = |x: Tensor<3>| {
            let logits = model.logits(x);
            let [rows, steps, vocabulary] = logits.dims();
            f64::from(cross_entropy(logits.reshape([rows * steps, vocabulary]), &batch.targets).into_scalar::<f32>())
        };
        let training = |step| {
            let some: Vec<usize> = rows_of(step, TRAINING_ROWS).iter().map(|row| ROWS + row).collect();
            rows.inputs(&some, device)
        };
        let inputs = rows.inputs(&some, device);
        let study = Study { model, inputs, loss: &loss, causal: true, of: "nats per token", observer };
        self.measure(&study, config, &training)
    }

    /// Of an encoder, reading a text.
    fn of_encoder(&self, source: &EmbeddingModel) -> Result<PaperFigureReport> {
        let Self { config, device, observer, .. } = *self;
        let EmbeddingModel { model, tokenizer, .. } = source;
        let tokenizer = tokenizer.as_ref().ok_or_else(|| anyhow!("the model comes without its tokenizer"))?;
        let ids = tokenizer.encode_with_special(TEXT)?;
        let ids: Vec<i32> = ids.into_iter().take(config.steps).map(|id| id as i32).collect();
        let steps = ids.len();
        let tokens = Tensor::<2, Int>::from_data(TensorData::new(ids, [1, steps]), device);
        let inputs = Inputs { tokens, padded: None };
        let none = Tensor::<2, Int>::zeros([1, steps], device).bool();
        let original =
            run(model, &inputs, &mut |layer, x| model.blocks()[layer].attention.forward(inputs.attention(x)).context);
        let embedding = model.pool(original, &none);
        let loss = |x: Tensor<3>| {
            let found = model.pool(x, &none);
            let dot = |a: &Tensor<2>, b: &Tensor<2>| f64::from((a.clone() * b.clone()).sum().into_scalar::<f32>());
            1.0 - dot(&found, &embedding) / (dot(&found, &found) * dot(&embedding, &embedding)).sqrt()
        };
        let of = "1 − cosine with the original";
        let study = Study { model, inputs: inputs.clone(), loss: &loss, causal: false, of, observer };
        // A learned map would learn this one text by heart.
        let config = PaperFigureConfig { transfer_steps: 0, ..config.clone() };
        self.measure(&study, &config, &|_| inputs.clone())
    }

    /// Measures every map, and writes the page; `training` are the inputs of a step of learned
    /// maps.
    fn measure<M: Swappable>(
        &self,
        study: &Study<M>,
        config: &PaperFigureConfig,
        training: &dyn Fn(u64) -> Inputs,
    ) -> Result<PaperFigureReport> {
        let layers = study.layers()?;
        let mut maps = study.maps(config, &layers);
        if config.transfer_steps > 0 {
            maps.push(learned(study, config.transfer_steps, training, &layers)?);
        }
        let [original_loss, no_attention_loss] = study.ends();
        let report =
            PaperFigureReport { config: config.clone(), loss: study.of, original_loss, no_attention_loss, maps };
        page(&report, study, &layers)?.write(self.folder, self.started.elapsed(), &report)?;
        Ok(report)
    }
}

/// Rows of a step of training, one after the other.
fn rows_of(step: u64, count: usize) -> Vec<usize> {
    (0..BATCH).map(|i| (step as usize * BATCH + i) % count).collect()
}
