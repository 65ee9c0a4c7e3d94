//! A training run in a folder.

use std::path::Path;

use anyhow::{Result, bail};
use astrocytic_data::write_atomically;
use astrocytic_models::memory::{MemoryConfig, MemoryKind};
use astrocytic_models::{Decoder, save};
use astrocytic_train::checkpoint::Checkpoint;
use astrocytic_train::config::TrainingConfig;
use astrocytic_train::device;
use astrocytic_train::observer::{Observer, Unit};
use astrocytic_train::seed::derive_seed;
use astrocytic_train::token_objective::TokenObjective;
use astrocytic_train::train::{Outcome, train};
use burn::tensor::Device;

use super::config::SessionConfig;
use super::record::Record;
use super::result::{RememberedResult, SessionResult};
use crate::arms::{ModelConfig, as_options, parameters};
use crate::experiment::config::ExperimentConfig;
use crate::experiment::data::Data;
use crate::experiment::reading::{Reading, test_losses};
use crate::learning::{self, Learning};
use crate::provenance::identity::{self, Input, Place};
use crate::results::CorpusFacts;

/// Trains, or goes on training, and saves the best model with its tokenizer in `folder`. The model
/// is on the first device, and the others take their shares of each batch. A memory of what is read
/// gets its rate and is saved beside the model.
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
    let [first, others @ ..] = devices else { bail!("name a device") };
    let place = place(config, folder, devices)?;
    let experiment = config.experiment()?;
    config.validate_arm(devices.len())?;
    let training = config.training(&experiment)?;
    let data = Data::prepare(&experiment, place.has_begun().then_some(folder))?;
    data.notes().iter().for_each(|note| observer.note(note));
    let facts = data.facts(&experiment);
    let model = config.arm()?.decoder(data.sizes(&experiment))?;
    let tokens = config.tokens.unwrap_or_else(|| data.available());
    let carried = training.carry.is_some();
    let batches = data.batches(&experiment, tokens, config.seed, carried)?;
    let tuning = data.tuning_windows(&experiment, carried)?;
    let text = Input { name: config.corpus.clone(), sha256: facts.sha256.clone() };
    let _alone = place.begin([("--corpus", vec![text])])?;
    data.save_tokenizer(folder)?;
    let parameters = parameters(&ModelConfig::Decoder(model.clone()))?;

    let session = Session { folder, experiment, training, data, facts, observer };
    let model = model.init_seeded(derive_seed(config.seed, "weights", 0), &first.clone().autodiff());
    let others = others.iter().map(|other| other.clone().autodiff()).collect();
    let objective = TokenObjective::new(&batches, &session.training).with_held_out(&tuning).with_devices(others);
    let tokens_per_step = batches.tokens_per_step();
    let outcome = session.train(model, objective, tokens_per_step)?;
    let test_loss = session.test_loss(&outcome.model, first)?;
    save(&outcome.model, folder)?;
    let memory = memory.map(|kind| session.remembered(kind, &outcome.model, first)).transpose()?;
    if let Some(memory) = &memory {
        memory.config.save(folder)?;
    }
    let result = SessionResult {
        parameters,
        steps: outcome.standing.step,
        best_step: outcome.standing.best_step,
        tuning_loss: outcome.standing.best_loss,
        test_loss,
        bits_per_byte: session.bits_per_byte(test_loss),
        entropy: session.facts.entropy,
        tokens_per_second: outcome.standing.tokens_per_second(tokens_per_step),
        memory,
        notes: session.facts.notes,
    };
    write_atomically(&folder.join("result.json"), &serde_json::to_vec_pretty(&result)?)?;
    Ok(result)
}

/// A run, its data read.
struct Session<'a> {
    folder: &'a Path,
    experiment: ExperimentConfig,
    training: TrainingConfig,
    data: Data,
    facts: CorpusFacts,
    observer: &'a dyn Observer,
}

impl Session<'_> {
    /// Trains, or goes on training.
    fn train(&self, model: Decoder, mut objective: TokenObjective, tokens_per_step: f64) -> Result<Outcome<Decoder>> {
        let mut record = Record::open(self.folder, tokens_per_step, self.observer)?;
        let checkpoint = Checkpoint::new(self.folder);
        self.observer.begin(Unit::Steps, self.training.steps);
        let outcome = train(model, &self.training, &mut objective, Some(&checkpoint), &mut |event| record.add(event))?;
        self.observer.finish();
        if outcome.diverged {
            bail!("the loss is no longer finite after {} steps; try a lower --learning-rate", outcome.standing.step);
        }
        Ok(outcome)
    }

    fn test_loss(&self, model: &Decoder, device: &Device) -> Result<f64> {
        let reading = if self.training.carry.is_some() { Reading::Carried } else { Reading::Anew };
        Ok(test_losses(&self.data, &self.experiment, model, &[reading], device)?[0].loss)
    }

    /// The losses with a memory of what is read, at the rate that is best on the tuning split.
    fn remembered(&self, kind: MemoryKind, model: &Decoder, device: &Device) -> Result<RememberedResult> {
        let learning = Learning { learns: kind, through_documents: false };
        let tuning = self.data.tuning_windows(&self.experiment, false)?;
        let (rate, tuning_loss) = learning::best_rate(model, &tuning, learning, device);
        let reading = Reading::Learning(learning, rate);
        let test_loss = test_losses(&self.data, &self.experiment, model, &[reading], device)?[0].loss;
        let config = MemoryConfig { kind, rate };
        Ok(RememberedResult { config, tuning_loss, test_loss, bits_per_byte: self.bits_per_byte(test_loss) })
    }

    /// A loss in nats per token as bits per byte of test text.
    fn bits_per_byte(&self, loss: f64) -> f64 {
        loss / self.facts.bytes_per_token / std::f64::consts::LN_2
    }
}

/// Where the run is to be: its text counts by what is in it, everything else as it is asked for.
fn place(config: &SessionConfig, folder: &Path, devices: &[Device]) -> Result<Place> {
    let is_option = |field: &str| !["corpus", "definitions"].contains(&field);
    let name = |field: &str| is_option(field).then(|| format!("--{}", field.replace('_', "-")));
    let mut options = identity::options(config, name)?;
    options.extend(as_options(&config.definitions));
    let devices: Vec<String> = devices.iter().map(device::name).collect();
    options.insert("--device".into(), devices.join(",").into());
    Place::new(folder, "session.json", "run", options)
}
