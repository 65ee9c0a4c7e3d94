//! Training one model from the command line: corpus to saved model, resumable.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};
use astrocytic_data::tasks::Task;
use astrocytic_data::{TokenizerKind, write_atomically};
use astrocytic_models::memory::{MemoryConfig, MemoryKind};
use astrocytic_models::{Decoder, save};
use astrocytic_train::checkpoint::Checkpoint;
use astrocytic_train::config::TrainingConfig;
use astrocytic_train::device;
use astrocytic_train::observer::{Observer, Unit};
use astrocytic_train::seed::derive_seed;
use astrocytic_train::token_objective::TokenObjective;
use astrocytic_train::train::{Event, train};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::arms::{Beyond, ModelConfig, arm, parameters};
use crate::experiment::budget::Budget;
use crate::experiment::config::ExperimentConfig;
use crate::experiment::data::Data;
use crate::experiment::reading::{Reading, test_losses};
use crate::learning::{self, Learning};
use crate::provenance::identity::{self, Input, Place};
use crate::report::tensorboard::EventFile;

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
    /// What the memory of what is read adds, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<RememberedResult>,
    /// What was guessed in reading the text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// The losses of a model that goes on learning from each document that it reads, beginning anew in the next.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RememberedResult {
    /// The memory, with the rate that is best on the tuning split.
    #[serde(flatten)]
    pub config: MemoryConfig,
    /// Loss on the tuning split, nats per token.
    pub tuning_loss: f64,
    /// Loss on the test split, nats per token.
    pub test_loss: f64,
    /// The same in bits per byte of text.
    pub bits_per_byte: f64,
}

/// A training run in a folder.
pub struct Session;

impl Session {
    /// Trains, or goes on training, and saves the best model with its tokenizer in `folder`. The model is on the first device,
    /// and the others take their shares of each batch. A memory of what is read gets its rate and is saved beside the model.
    ///
    /// # Errors
    /// For bad options, a folder with another run, or files that cannot be written.
    pub fn run(
        config: &SessionConfig,
        folder: &Path,
        devices: &[Device],
        memory: Option<MemoryKind>,
        observer: &dyn Observer,
    ) -> Result<SessionResult> {
        let [device, others @ ..] = devices else { bail!("name a device") };
        let place = place(config, folder, devices)?;
        if Task::of_corpus(&config.corpus)?.is_some() {
            bail!("corpus {}: `train` makes language models; a task is run by `compare`", config.corpus);
        }
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
        let data = Data::prepare(&experiment, place.has_begun().then_some(folder))?;
        data.notes().iter().for_each(|note| observer.note(note));
        let model = arm(&config.arm)?.decoder(data.sizes(&experiment))?;
        let tokens = config.tokens.unwrap_or_else(|| data.available());
        let batches = data.batches(&experiment, tokens, config.seed, carried)?;
        let tuning = data.tuning_windows(&experiment, carried)?;
        let text = Input { name: config.corpus.clone(), sha256: data.sha256() };
        let _alone = place.begin([("--corpus", vec![text])])?;
        data.save_tokenizer(folder)?;
        let (parameters, facts) = (parameters(&ModelConfig::Decoder(model.clone()))?, data.facts(&experiment));

        let device = device.clone().autodiff();
        let others: Vec<Device> = others.iter().map(|other| other.clone().autodiff()).collect();
        let model = model.init_seeded(derive_seed(config.seed, "weights", 0), &device);
        let checkpoint = Checkpoint::new(folder);
        let lines_path = folder.join("lines.jsonl");
        let mut lines = std::fs::OpenOptions::new().create(true).append(true).open(&lines_path)?;
        observer.begin(Unit::Steps, config.steps);
        let mut reached = 0;
        let mut message = String::new();
        let mut events = None;
        let tokens_per_step = batches.tokens_per_step();
        let mut objective = TokenObjective::new(&batches, &training).with_held_out(&tuning).with_devices(others);
        let outcome = train(model, &training, &mut objective, Some(&checkpoint), &mut |event| match event {
            Event::Damaged { damage } => {
                observer.note(&format!("{damage}; going on from the one before"));
                Ok(())
            }
            Event::Begun { step } => {
                observer.skip(step);
                reached = step;
                events = Some(EventFile::begin(&folder.join("tensorboard"), step)?);
                keep_lines(&lines_path, step).with_context(|| format!("cannot write {}", lines_path.display()))
            }
            Event::Step { step, seconds, .. } => {
                let tokens_per_second = step as f64 * tokens_per_step / seconds;
                observer.advance(step - reached, format!("{tokens_per_second:.0} tokens/s{message}"));
                reached = step;
                Ok(())
            }
            Event::Evaluation { step, train_loss, tuning_loss } => {
                let tokens = (step as f64 * tokens_per_step).round() as u64;
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
        observer.finish();
        if outcome.diverged {
            bail!("the loss is no longer finite after {} steps; try a lower --learning-rate", outcome.standing.step);
        }
        let reading = if carried { Reading::Carried } else { Reading::Anew };
        let device = device.inner();
        let test_loss = test_losses(&data, &experiment, &outcome.model, &[reading], &device)?[0].loss;
        save(&outcome.model, folder)?;
        let remembered = |kind| {
            let remembered = remembered(kind, &data, &experiment, &outcome.model, &device)?;
            remembered.config.save(folder)?;
            anyhow::Ok(remembered)
        };
        let memory = memory.map(remembered).transpose()?;
        let result = SessionResult {
            parameters,
            steps: outcome.standing.step,
            best_step: outcome.standing.best_step,
            tuning_loss: outcome.standing.best_loss,
            test_loss,
            bits_per_byte: test_loss / facts.bytes_per_token / std::f64::consts::LN_2,
            entropy: facts.entropy,
            tokens_per_second: outcome.standing.tokens_per_second(tokens_per_step),
            memory,
            notes: facts.notes,
        };
        write_atomically(&folder.join("result.json"), &serde_json::to_vec_pretty(&result)?)?;
        Ok(result)
    }
}

/// The losses with a memory of what is read, at the rate that is best on the tuning split.
fn remembered(
    kind: MemoryKind,
    data: &Data,
    experiment: &ExperimentConfig,
    model: &Decoder,
    device: &Device,
) -> Result<RememberedResult> {
    let learning = Learning { learns: kind, through_documents: false };
    let (rate, tuning_loss) = learning::best_rate(model, &data.tuning_windows(experiment, false)?, learning, device);
    let reading = Reading::Learning(learning, rate);
    let test_loss = test_losses(data, experiment, model, &[reading], device)?[0].loss;
    Ok(RememberedResult {
        config: MemoryConfig { kind, rate },
        tuning_loss,
        test_loss,
        bits_per_byte: test_loss / data.facts(experiment).bytes_per_token / std::f64::consts::LN_2,
    })
}

/// Where the run is to be: its text counts by what is in it, everything else as it is asked for.
fn place(config: &SessionConfig, folder: &Path, devices: &[Device]) -> Result<Place> {
    let name = |field: &str| (field != "corpus").then(|| format!("--{}", field.replace('_', "-")));
    let mut options = identity::options(config, name)?;
    let devices: Vec<String> = devices.iter().map(device::name).collect();
    options.insert("--device".into(), devices.join(",").into());
    Place::new(folder, "session.json", "run", options)
}

/// Cuts evaluations after the checkpoint's step, which will be made again.
fn keep_lines(path: &Path, last: u64) -> std::io::Result<()> {
    let text = std::fs::read_to_string(path)?;
    let step = |line: &str| serde_json::from_str::<serde_json::Value>(line).ok()?["step"].as_u64();
    let kept = text.split_inclusive('\n').take_while(|line| step(line).is_some_and(|step| step <= last));
    let length: usize = kept.map(str::len).sum();
    std::fs::OpenOptions::new().write(true).open(path)?.set_len(length as u64)
}
