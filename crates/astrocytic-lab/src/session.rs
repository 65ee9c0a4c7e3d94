//! Training one model from the command line: corpus to saved model, resumable.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};
use astrocytic_data::tasks::Task;
use astrocytic_data::{Tokenizer, TokenizerKind, write_atomically};
use astrocytic_models::{Decoder, save};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::arms::{Beyond, ModelConfig, arm, parameters};
use crate::checkpoint::Checkpoint;
use crate::data::{Data, Reading};
use crate::experiment::{Budget, ExperimentConfig};
use crate::progress::Progress;
use crate::tensorboard::EventFile;
use crate::train::{Event, TrainingConfig, derive_seed, train};

/// Everything that one training run depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionConfig {
    /// Name of a corpus, "generated", or path of a text file.
    pub corpus: String,
    /// Tokenizer, trained on the training split.
    pub tokenizer: TokenizerKind,
    /// Name of the arm.
    pub arm: String,
    /// Width of the stream.
    pub d_model: usize,
    /// Blocks.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Dropout.
    pub dropout: f64,
    /// Tokens of context.
    pub context: usize,
    /// Sequences in a batch.
    pub batch: usize,
    /// Unique training tokens; `None` is all.
    pub tokens: Option<u64>,
    /// Optimizer steps at most.
    pub steps: u64,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// Steps between evaluations and checkpoints.
    pub evaluate_every: u64,
    /// Evaluations without improvement that end the run; 0 never.
    pub patience: u64,
    /// Seed.
    pub seed: u64,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionResult {
    /// Trained parameters.
    pub parameters: u64,
    /// Steps taken.
    pub steps: u64,
    /// Step whose weights were kept.
    pub best_step: u64,
    /// Loss on the tuning split, nats per token.
    pub tuning_loss: f64,
    /// Loss on the test split, nats per token.
    pub test_loss: f64,
    /// The same in bits per byte of text.
    pub bits_per_byte: f64,
    /// Entropy of the source on the test split, nats per token, where it is known.
    pub entropy: Option<f64>,
    /// Training throughput.
    pub tokens_per_second: f64,
    /// What was guessed in reading the text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A training run in a folder.
pub struct Session;

impl Session {
    /// Trains, or goes on training, and saves the best model with its tokenizer in `folder`. The model is on the first device,
    /// and the others take their shares of each batch.
    ///
    /// # Errors
    /// For bad options, a folder with another run, or files that cannot be written.
    pub fn run(config: &SessionConfig, folder: &Path, devices: &[Device]) -> Result<SessionResult> {
        let [device, others @ ..] = devices else { bail!("name a device") };
        if Task::of_corpus(&config.corpus)?.is_some() {
            bail!("corpus {}: `train` makes language models; a task is run by `compare`", config.corpus);
        }
        let stored = stored_run(config, folder)?;
        let experiment = ExperimentConfig {
            tokenizer: config.tokenizer,
            d_model: config.d_model,
            layers: config.layers,
            heads: config.heads,
            dropout: config.dropout,
            context: config.context,
            batch: config.batch,
            sizes: vec![config.tokens.unwrap_or(config.context as u64 + 1)],
            ..Budget::Full.config(&config.corpus)?
        };
        experiment.validate()?;
        if arm(&config.arm)?.is_encoder() {
            bail!("arm {}: an encoder, where a language model is needed", config.arm);
        }
        if let Beyond::Learned(_) = arm(&config.arm)?.beyond {
            bail!("arm {}: it learns in tests of `compare`; train the arm that it is made of", config.arm);
        }
        if arm(&config.arm)?.given(2, 0) != (2, 0) {
            bail!("arm {}: it tests the measurement of `compare`; train \"vanilla\"", config.arm);
        }
        let carried = arm(&config.arm)?.is_carried();
        if carried && !others.is_empty() {
            bail!("arm {}: it carries its memory from batch to batch; train it on one device", config.arm);
        }
        if config.batch < devices.len() {
            bail!("--batch {}: fewer sequences than the {} devices", config.batch, devices.len());
        }
        let training = TrainingConfig {
            learning_rate: config.learning_rate,
            weight_decay: config.weight_decay,
            steps: config.steps,
            warmup: experiment.warmup,
            clip: experiment.clip,
            evaluate_every: config.evaluate_every,
            patience: config.patience,
            seed: config.seed,
            carry: carried.then(|| experiment.carried_tokens()),
        };
        training.validate()?;
        let data = Data::prepare(&experiment, stored.as_ref().map(|_| folder))?;
        data.notes().iter().for_each(|note| eprintln!("note: {note}"));
        let model = arm(&config.arm)?.decoder(data.sizes(&experiment))?;
        let tokens = config.tokens.unwrap_or_else(|| data.available());
        let batches = data.batches(&experiment, tokens, config.seed, carried)?;
        let tuning = data.tuning_windows(&experiment, carried)?;
        let run = StoredRun { config: config.clone(), sha256: data.sha256() };
        if stored.is_some_and(|stored| stored.sha256 != run.sha256) {
            bail!("{} holds a run on another text of this name; give another --out", folder.display());
        }
        let _alone = lock(folder)?;
        let path = folder.join("session.json");
        write_atomically(&path, &serde_json::to_vec_pretty(&run)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
        data.save_tokenizer(folder)?;
        let (parameters, facts) = (parameters(&ModelConfig::Decoder(model.clone()))?, data.facts(&experiment));

        let device = device.clone().autodiff();
        let others: Vec<Device> = others.iter().map(|other| other.clone().autodiff()).collect();
        let model = model.init_seeded(derive_seed(config.seed, "weights", 0), &device);
        let checkpoint = Checkpoint::new(folder);
        let lines_path = folder.join("lines.jsonl");
        let mut lines = std::fs::OpenOptions::new().create(true).append(true).open(&lines_path)?;
        let progress = Progress::steps(config.steps);
        let mut reached = 0;
        let mut message = String::new();
        let mut events = None;
        let outcome =
            train(model, &others, &training, &batches, &tuning, Some(&checkpoint), &mut |event| match event {
                Event::Begun { step } => {
                    progress.skip(step);
                    reached = step;
                    events = Some(EventFile::begin(&folder.join("tensorboard"), step)?);
                    keep_lines(&lines_path, step).with_context(|| format!("cannot write {}", lines_path.display()))
                }
                Event::Step { step, tokens_per_second } => {
                    progress.advance(step - reached, format!("{tokens_per_second:.0} tokens/s{message}"));
                    reached = step;
                    Ok(())
                }
                Event::Evaluation { step, tokens, train_loss, tuning_loss } => {
                    if let Some(events) = &mut events {
                        events.write(step, &[("loss/train", train_loss), ("loss/tuning", tuning_loss)])?;
                    }
                    message = format!(", training loss {train_loss:.3}, tuning loss {tuning_loss:.3}");
                    let line = serde_json::json!({
                        "step": step, "tokens": tokens, "train_loss": train_loss, "tuning_loss": tuning_loss
                    });
                    writeln!(lines, "{line}").with_context(|| format!("cannot write {}", lines_path.display()))
                }
            })?;
        progress.finish();
        if outcome.diverged {
            bail!("the loss is no longer finite after {} steps; try a lower --learning-rate", outcome.standing.step);
        }
        let reading = if carried { Reading::Carried } else { Reading::Anew };
        let test_loss = data.test_losses(&experiment, &outcome.model, &[reading], &device.inner())?[0].loss;
        save(&outcome.model, folder)?;
        let result = SessionResult {
            parameters,
            steps: outcome.standing.step,
            best_step: outcome.standing.best_step,
            tuning_loss: outcome.standing.best_loss,
            test_loss,
            bits_per_byte: test_loss / facts.bytes_per_token / std::f64::consts::LN_2,
            entropy: facts.entropy,
            tokens_per_second: outcome.tokens_per_second,
            notes: facts.notes,
        };
        write_atomically(&folder.join("result.json"), &serde_json::to_vec_pretty(&result)?)?;
        Ok(result)
    }
}

/// Keeps a second run out of the folder until it is dropped.
fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(".lock");
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    match file.try_lock() {
        Err(std::fs::TryLockError::WouldBlock) => bail!("another run is at work in {}; wait for it", folder.display()),
        // A file system without locks is no reason not to run.
        _ => Ok(file),
    }
}

/// Loads a model and its tokenizer from a folder that [`Session::run`] or a swap wrote.
///
/// # Errors
/// For files that are missing or broken, or do not belong together.
pub fn load(folder: &Path, device: &Device) -> Result<(Decoder, Tokenizer)> {
    let model = astrocytic_models::load(folder, device).context("loading the model; `astrocytic train` makes one")?;
    let tokenizer = Tokenizer::load(&folder.join("tokenizer.json"))?;
    let tokenizer = tokenizer.for_model(model.config().vocabulary).with_context(|| folder.display().to_string())?;
    Ok((model, tokenizer))
}

/// Cuts evaluations after the checkpoint's step, which will be made again.
fn keep_lines(path: &Path, last: u64) -> std::io::Result<()> {
    let text = std::fs::read_to_string(path)?;
    let step = |line: &str| serde_json::from_str::<serde_json::Value>(line).ok()?["step"].as_u64();
    let kept = text.split_inclusive('\n').take_while(|line| step(line).is_some_and(|step| step <= last));
    let length: usize = kept.map(str::len).sum();
    std::fs::OpenOptions::new().write(true).open(path)?.set_len(length as u64)
}

/// `session.json`: what the folder's run depends on.
#[derive(Serialize, Deserialize)]
struct StoredRun {
    config: SessionConfig,
    /// Of the tokens.
    sha256: String,
}

/// The run that has begun in the folder, if it is this one.
fn stored_run(config: &SessionConfig, folder: &Path) -> Result<Option<StoredRun>> {
    if folder.join("experiment.json").exists() {
        bail!("{} holds a comparison; give another --out", folder.display());
    }
    let path = folder.join("session.json");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let stored: StoredRun = serde_json::from_str(&text)
        .with_context(|| format!("{}: broken; give another --out, or remove the folder", path.display()))?;
    // Through JSON as the stored one, which may cost a number its last digit.
    let given: SessionConfig = serde_json::from_str(&serde_json::to_string(config)?)?;
    if stored.config != given {
        bail!("{} holds a run with other options; give another --out, or remove it", folder.display());
    }
    Ok(Some(stored))
}
