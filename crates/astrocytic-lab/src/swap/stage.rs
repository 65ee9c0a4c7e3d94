//! A stage of a conversion: some parameters trained against some loss, kept at every checkpoint,
//! and gone on with after an interruption to the same bits.

use std::path::Path;

use anyhow::{Result, bail};
use astrocytic_train::checkpoint::Checkpoint;
use astrocytic_train::config::TrainingConfig;
use astrocytic_train::objective::Loss;
use astrocytic_train::observer::{Observer, Unit};
use astrocytic_train::train::{Event, train};
use burn::module::{Module, Param, ParamId};
use burn::store::ModuleSnapshot;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Steps between checkpoints.
const CHECKPOINT_EVERY: u64 = 200;
/// Weight decay: what is trained starts from something trained.
const WEIGHT_DECAY: f64 = 0.0;

/// How long and how fast a stage trains; 0 steps leave it out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StageConfig {
    /// Optimizer steps.
    pub steps: u64,
    /// Peak learning rate.
    pub learning_rate: f64,
}

impl StageConfig {
    /// Refuses what makes no sense, before anything has begun.
    pub(super) fn validate(&self) -> Result<()> {
        // A stage that is left out has no steps.
        self.training(self.steps.max(1)).validate()
    }

    fn training(&self, steps: u64) -> TrainingConfig {
        TrainingConfig {
            learning_rate: self.learning_rate,
            weight_decay: WEIGHT_DECAY,
            steps,
            warmup: 0.05,
            clip: 1.0,
            evaluate_every: CHECKPOINT_EVERY,
            patience: 0,
            seed: 0,
            carry: None,
            stop_at_accuracy: None,
        }
    }
}

/// A stage to run, and where.
#[derive(Clone, Copy)]
pub(crate) struct Stage<'a> {
    /// How long and how fast it trains.
    pub(crate) config: &'a StageConfig,
    /// Folder of the model that is converted; a stage has a folder in it.
    pub(crate) folder: &'a Path,
    /// Told how it goes.
    pub(crate) observer: &'a dyn Observer,
}

/// Trains the parameters of `model` (on an autodiff device, all others frozen) that `loss` depends
/// on; `loss` is given the model and the step. Returns the trained model without autodiff.
///
/// # Errors
/// For a loss that is not finite, or a checkpoint that cannot be read or written.
pub(super) fn run<M: Module + ModuleSnapshot>(
    model: M,
    name: &str,
    stage: Stage,
    loss: impl FnMut(&M, u64) -> Tensor<1>,
) -> Result<M> {
    let Stage { config, folder, observer } = stage;
    let checkpoint = Checkpoint::new(&folder.join(name));
    observer.begin(Unit::Steps, config.steps);
    let outcome = train(model, &config.training(config.steps), &mut Loss(loss), Some(&checkpoint), &mut |event| {
        match event {
            Event::Damaged { damage } => observer.note(&format!("{damage}; going on from the one before")),
            Event::Begun { step } => observer.skip(step),
            Event::Step { loss, .. } => observer.advance(1, format!("{name}: loss {loss:.4}")),
            Event::Evaluation { .. } => {}
        }
        Ok(())
    })?;
    observer.finish();
    if outcome.diverged {
        let step = outcome.standing.step;
        bail!("{name}: the loss is no longer finite at step {step}; use a lower learning rate");
    }
    Ok(outcome.model)
}

/// The identities of a module's parameters.
pub(super) fn parameters<M: Module>(module: &M) -> Vec<ParamId> {
    struct Ids(Vec<ParamId>);
    impl burn::module::ModuleVisitor for Ids {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.push(param.id);
        }
    }
    let mut ids = Ids(Vec::new());
    module.visit(&mut ids);
    ids.0
}
