//! The training loop: steps, evaluations, early stopping, checkpoints, exact resumption.
//!
//! Why not burn-train's `Learner`: a comparison needs the same batches in the same order for every
//! arm, an evaluation that counts every token once, and runs that resume to the same bits. Burn's
//! data loaders are seeded anew when they are built, and a checkpoint does not store their order.
//! Optimizer and schedule are Burn's.

use std::time::Instant;

use anyhow::{Context, Result};
use burn::module::Module;
use burn::store::ModuleSnapshot;

use crate::checkpoint::{Checkpoint, Stored};
use crate::config::{Length, TrainingConfig};
use crate::held_out::HeldOut;
use crate::learner::Learner;
use crate::objective::Objective;
use crate::standing::Standing;

/// What the observer of a run is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The last checkpoint is damaged, and the run goes on from the one before it.
    Damaged {
        /// What is wrong with it.
        damage: String,
    },
    /// Training begins, or goes on from a checkpoint.
    Begun {
        /// Steps taken before.
        step: u64,
    },
    /// A step was taken.
    Step {
        /// Steps so far.
        step: u64,
        /// Loss before the step.
        loss: f64,
        /// Seconds of all steps so far.
        seconds: f64,
    },
    /// The model was evaluated.
    Evaluation {
        /// Steps so far.
        step: u64,
        /// Mean training loss since the last evaluation.
        train_loss: f64,
        /// Loss on held-out data.
        tuning_loss: f64,
        /// Share of right answers there, where they are counted.
        accuracy: Option<f64>,
    },
}

/// How a run ended.
pub struct Outcome<M> {
    /// The weights with the lowest held-out loss (where answers are counted, with the most right
    /// ones), or the last where nothing is held out; without autodiff.
    pub model: M,
    /// Where it stood at the end.
    pub standing: Standing,
    /// Whether the loss did not stay finite.
    pub diverged: bool,
}

/// Trains `model` (on an autodiff device) as the configuration says.
///
/// With a `checkpoint`, the run's state is stored there at every evaluation, and a run that finds
/// one goes on from it.
///
/// # Errors
/// For rates that cannot be, a checkpoint that cannot be read or written, and those of `observe`,
/// which end the run.
pub fn train<M: Module + ModuleSnapshot>(
    model: M,
    config: &TrainingConfig,
    objective: &mut impl Objective<M>,
    checkpoint: Option<&Checkpoint>,
    observe: &mut dyn FnMut(Event) -> Result<()>,
) -> Result<Outcome<M>> {
    config.validate()?;
    let run = match checkpoint.map(|checkpoint| checkpoint.load(&model)).transpose()?.flatten() {
        Some(mut stored) => {
            if let Some(damage) = stored.damage.take() {
                observe(Event::Damaged { damage })?;
            }
            Run::resume(stored, config)?
        }
        None => Run::new(Learner::new(model, config)?),
    };
    run.finish(config.length(), objective, checkpoint, observe)
}

/// A training run: what changes, what was best so far, and where it stands.
pub struct Run<M> {
    learner: Learner<M>,
    best: M,
    standing: Standing,
    diverged: bool,
    /// Training losses since the last evaluation.
    losses: Vec<f64>,
}

impl<M: Module + ModuleSnapshot> Run<M> {
    /// A run that begins.
    pub fn new(learner: Learner<M>) -> Self {
        let best = learner.model().valid();
        Self { learner, best, standing: Standing::default(), diverged: false, losses: Vec::new() }
    }

    fn resume(stored: Stored<M>, config: &TrainingConfig) -> Result<Self> {
        let Stored { model, best, optimizer, standing, .. } = stored;
        let learner = Learner::resume(model, config, standing.step, optimizer)?;
        Ok(Self { learner, best, standing, diverged: false, losses: Vec::new() })
    }

    /// Takes all steps, or stops early. A checkpoint, where there is one, is replaced at every
    /// evaluation.
    ///
    /// # Errors
    /// For a checkpoint that cannot be written, and those of `observe`, which end the run.
    pub fn finish(
        mut self,
        length: Length,
        objective: &mut impl Objective<M>,
        checkpoint: Option<&Checkpoint>,
        observe: &mut dyn FnMut(Event) -> Result<()>,
    ) -> Result<Outcome<M>> {
        observe(Event::Begun { step: self.standing.step })?;
        while !self.diverged && !length.is_over(&self.standing) {
            let started = Instant::now();
            let loss;
            (self.learner, loss) = self.learner.step(objective);
            let Some(loss) = loss else {
                self.diverged = true;
                break;
            };
            self.losses.push(loss);
            self.standing.step += 1;
            self.standing.seconds += started.elapsed().as_secs_f64();
            observe(Event::Step { step: self.standing.step, loss, seconds: self.standing.seconds })?;
            if length.is_evaluated_at(self.standing.step) {
                self.evaluate(objective, observe)?;
                // A run that diverged stores nothing: should it be started again, it must find so
                // again.
                if let Some(checkpoint) = checkpoint.filter(|_| !self.diverged) {
                    self.save(checkpoint).context("saving the checkpoint")?;
                }
            }
        }
        Ok(Outcome { model: self.best, standing: self.standing, diverged: self.diverged })
    }

    fn evaluate(
        &mut self,
        objective: &mut impl Objective<M>,
        observe: &mut dyn FnMut(Event) -> Result<()>,
    ) -> Result<()> {
        let valid = self.learner.model().valid();
        let losses = std::mem::take(&mut self.losses);
        let Some(found) = objective.held_out(&valid) else {
            self.best = valid;
            return Ok(());
        };
        let HeldOut { loss: tuning_loss, accuracy } = found;
        self.diverged = !tuning_loss.is_finite();
        if found.is_better_than(&self.standing) {
            let Standing { step, seconds, .. } = self.standing;
            self.standing = Standing {
                step,
                best_step: step,
                best_loss: tuning_loss,
                best_accuracy: accuracy,
                since_best: 0,
                seconds,
            };
            self.best = valid;
        } else {
            self.standing.since_best += 1;
        }
        let train_loss = losses.iter().sum::<f64>() / losses.len() as f64;
        observe(Event::Evaluation { step: self.standing.step, train_loss, tuning_loss, accuracy })
    }

    fn save(&self, checkpoint: &Checkpoint) -> Result<()> {
        checkpoint.save(self.learner.model(), &self.best, &self.learner.moments()?, &self.standing)
    }
}
