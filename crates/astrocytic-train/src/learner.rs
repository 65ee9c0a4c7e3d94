//! A model with what changes it: an optimizer, a schedule of its rate, and a bound on its
//! gradients.

use anyhow::{Result, anyhow};
use astrocytic_models::gradients::clip;
use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::tensor::Bytes;

use crate::config::TrainingConfig;
use crate::objective::Objective;
use crate::optimizer::{optimizer, schedule};

/// A model on an autodiff device with what changes it.
pub struct Learner<M> {
    model: M,
    optimizer: ModuleOptimizer,
    schedule: ModuleLrScheduler,
    /// Largest joint norm of the gradients.
    clip: Option<f64>,
    /// Steps taken.
    step: u64,
}

impl<M: Module> Learner<M> {
    /// A learner with AdamW, a schedule and a bound on the gradients as the configuration has them.
    ///
    /// # Errors
    /// For rates that cannot be.
    pub fn new(model: M, config: &TrainingConfig) -> Result<Self> {
        let optimizer = optimizer(&model, config.weight_decay);
        Ok(Self { model, optimizer, schedule: schedule(config)?, clip: Some(config.clip), step: 0 })
    }

    /// A learner with an optimizer and a schedule of one's own, and no bound on the gradients.
    pub fn with_optimizer(model: M, optimizer: ModuleOptimizer, schedule: impl Into<ModuleLrScheduler>) -> Self {
        Self { model, optimizer, schedule: schedule.into(), clip: None, step: 0 }
    }

    /// A learner that has taken `step` steps; `moments` are its optimizer's.
    ///
    /// # Errors
    /// For rates that cannot be, and moments that are broken.
    pub(crate) fn resume(model: M, config: &TrainingConfig, step: u64, moments: Bytes) -> Result<Self> {
        // Made for the stored model, which brings the identities of its parameters.
        let mut learner = Self::new(model, config)?;
        let broken = "the checkpoint's optimizer.bpk is broken; remove the folder `checkpoint` to start anew";
        learner.optimizer = learner.optimizer.from_bytes(moments).map_err(|e| anyhow!("{broken}: {e}"))?;
        for _ in 0..step {
            learner.schedule.step();
        }
        learner.step = step;
        Ok(learner)
    }

    /// The model as it is now.
    pub fn model(&self) -> &M {
        &self.model
    }

    /// The optimizer's moments.
    ///
    /// # Errors
    /// Where they cannot be written as bytes.
    pub(crate) fn moments(&self) -> Result<Bytes> {
        self.optimizer.into_bytes().map_err(|e| anyhow!("checkpoint: {e}"))
    }

    /// One step, and the loss before it; `None` and no step where loss or gradient are not finite.
    /// The model is moved, so that its parameters are nobody else's and change in place.
    pub fn step(mut self, objective: &mut impl Objective<M>) -> (Self, Option<f64>) {
        let (loss, mut gradients) = objective.gradients(&self.model, self.step);
        let norm = self.clip.map_or(0.0, |largest| clip(&self.model, &mut gradients, largest));
        if !norm.is_finite() || !loss.is_finite() {
            return (self, None);
        }
        self.model = self.optimizer.step(self.schedule.step(), self.model, gradients);
        self.step += 1;
        (self, Some(loss))
    }
}
