//! A stage of a conversion: some parameters trained against some loss, kept at every checkpoint, and gone on with after an
//! interruption to the same bits.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, anyhow, bail};
use astrocytic_train::checkpoint::Checkpoint;
use astrocytic_train::config::TrainingConfig;
use astrocytic_train::gradients::clip;
use astrocytic_train::optimizer::{optimizer, schedule};
use astrocytic_train::standing::Standing;
use burn::module::{Module, Param, ParamId};
use burn::optim::GradientsParams;
use burn::store::ModuleSnapshot;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::progress::Progress;

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
        }
    }
}

/// Trains the parameters of `model` (on an autodiff device, all others frozen) that `loss` depends on; `loss` is given the
/// model and the step.
///
/// # Errors
/// For a loss that is not finite, or a checkpoint that cannot be read or written.
pub(super) fn run<M: Module + ModuleSnapshot>(
    mut model: M,
    name: &str,
    config: &StageConfig,
    folder: &Path,
    mut loss: impl FnMut(&M, u64) -> Tensor<1>,
) -> Result<M> {
    let checkpoint = Checkpoint::new(&folder.join(name));
    let training = config.training(config.steps);
    training.validate()?;
    let mut standing = Standing { step: 0, best_step: 0, best_loss: f64::NAN, since_best: 0, seconds: 0.0 };
    let mut moments = None;
    if let Some(stored) = checkpoint.load(&model)? {
        (model, standing, moments) = (stored.model, stored.standing, Some(stored.optimizer));
    }
    let mut optimizer = optimizer(&model, WEIGHT_DECAY);
    if let Some(moments) = moments {
        let broken = "the checkpoint's optimizer.bpk is broken; remove the folder to start anew";
        optimizer = optimizer.from_bytes(moments).map_err(|e| anyhow!("{broken}: {e}"))?;
    }
    let mut schedule = schedule(&training)?;
    for _ in 0..standing.step {
        schedule.step();
    }
    let progress = Progress::steps(config.steps);
    progress.skip(standing.step);
    while standing.step < config.steps {
        let started = Instant::now();
        let value = loss(&model, standing.step);
        let number = f64::from(value.clone().into_scalar::<f32>());
        let mut grads = GradientsParams::from_grads(value.backward(), &model);
        let norm = clip(&model, &mut grads, training.clip);
        if !norm.is_finite() || !number.is_finite() {
            bail!("{name}: the loss is no longer finite at step {}; use a lower learning rate", standing.step);
        }
        model = optimizer.step(schedule.step(), model, grads);
        standing.step += 1;
        standing.seconds += started.elapsed().as_secs_f64();
        progress.advance(1, format!("{name}: loss {number:.4}"));
        if standing.step.is_multiple_of(CHECKPOINT_EVERY) || standing.step == config.steps {
            let bytes = optimizer.into_bytes().map_err(|e| anyhow!("checkpoint: {e}"))?;
            checkpoint.save(&model, &model.valid(), &bytes, &standing)?;
        }
    }
    progress.finish();
    Ok(model)
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
