//! The training loop: AdamW, warm-up and cosine, clipping, early stopping, exact resumption.
//!
//! It is not burn-train's `Learner`: a comparison needs the same batches in the same order for every arm, an evaluation
//! that counts every token once, and a run that resumes to the same bits, all of which its data loaders (re-seeded when
//! they are built, their order not in the checkpoint) leave open. Optimizer and schedule are Burn's.

use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use astrocytic_data::{Batch, Batches, EvaluationWindows};
use astrocytic_models::DecoderCache;
use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::optim::ModuleOptimizer;
use burn::tensor::Device;

use crate::checkpoint::Checkpoint;
use crate::config::TrainingConfig;
use crate::evaluate;
use crate::gradients::clip;
use crate::optimizer::{optimizer, schedule};
use crate::parallel;
use crate::seed::derive_seed;
use crate::standing::Standing;
use crate::trainable::Trainable;

/// What the observer of a run is told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Event {
    /// Training begins, or goes on from a checkpoint.
    Begun {
        /// Steps taken before.
        step: u64,
    },
    /// A step was taken.
    Step {
        /// Steps so far.
        step: u64,
        /// Training tokens per second so far.
        tokens_per_second: f64,
    },
    /// The model was evaluated.
    Evaluation {
        /// Steps so far.
        step: u64,
        /// Tokens seen so far.
        tokens: u64,
        /// Mean training loss since the last evaluation.
        train_loss: f64,
        /// Loss on the tuning split.
        tuning_loss: f64,
    },
}

/// How a run ended.
pub struct Outcome<M> {
    /// The weights with the lowest tuning loss, without autodiff.
    pub model: M,
    /// Where it stood at the end.
    pub standing: Standing,
    /// Whether the loss stayed finite.
    pub diverged: bool,
    /// Training tokens per second of training steps.
    pub tokens_per_second: f64,
}

/// Trains `model` (on an autodiff device) and returns the weights that did best on the tuning split. The devices `others` take
/// their shares of each batch; a model that carries something from batch to batch stays on one.
///
/// With a `checkpoint`, the run's state is kept there at every evaluation and a run that finds one goes on from it.
///
/// # Errors
/// For rates that cannot be, a checkpoint that cannot be read or written, and those of `observe`, which end the run.
pub fn train<M: Trainable>(
    mut model: M,
    others: &[Device],
    config: &TrainingConfig,
    batches: &Batches,
    tuning: &EvaluationWindows,
    checkpoint: Option<&Checkpoint>,
    observe: &mut dyn FnMut(Event) -> Result<()>,
) -> Result<Outcome<M>> {
    config.validate()?;
    let device = model.device();
    let tokens_per_step = batches.tokens_per_step();
    let mut standing = Standing { step: 0, best_step: 0, best_loss: f64::INFINITY, since_best: 0, seconds: 0.0 };
    let mut best = model.valid();
    let mut moments = None;
    if let Some(stored) = checkpoint.map(|c| c.load(&model)).transpose()?.flatten() {
        (model, best, standing) = (stored.model, stored.best, stored.standing);
        moments = Some(stored.optimizer);
    }
    observe(Event::Begun { step: standing.step })?;
    let mut learner = Learner::new(model, config, standing.step)?;
    learner.others = others.to_vec();
    if let Some(moments) = moments {
        let broken = "the checkpoint's optimizer.bpk is broken; remove the folder `checkpoint` to start anew";
        learner.optimizer = learner.optimizer.from_bytes(moments).map_err(|e| anyhow!("{broken}: {e}"))?;
    }

    let mut losses = Vec::new();
    let mut diverged = false;
    let stops = |s: &Standing| config.patience > 0 && s.since_best >= config.patience;
    while standing.step < config.steps && !stops(&standing) && !diverged {
        let started = Instant::now();
        let loss;
        (learner, loss) = learner.step(&batches.batch(standing.step));
        let Some(loss) = loss else {
            diverged = true;
            break;
        };
        losses.push(loss);
        standing.step += 1;
        standing.seconds += started.elapsed().as_secs_f64();
        let tokens_per_second = standing.step as f64 * tokens_per_step / standing.seconds;
        observe(Event::Step { step: standing.step, tokens_per_second })?;

        if standing.step.is_multiple_of(config.evaluate_every) || standing.step == config.steps {
            let valid = learner.model.valid();
            let tuning_loss = evaluate::mean(&evaluate::documents(&valid, tuning, &device.clone().inner()));
            diverged = !tuning_loss.is_finite();
            if tuning_loss < standing.best_loss || standing.best_loss.is_nan() && !diverged {
                standing = Standing { best_step: standing.step, best_loss: tuning_loss, since_best: 0, ..standing };
                best = valid;
            } else {
                standing.since_best += 1;
            }
            let train_loss = losses.iter().sum::<f64>() / losses.len() as f64;
            losses.clear();
            let tokens = (standing.step as f64 * tokens_per_step).round() as u64;
            observe(Event::Evaluation { step: standing.step, tokens, train_loss, tuning_loss })?;
            // A run that goes on from here has nothing in mind either.
            learner.cache = None;
            // And it must find again that it diverged.
            if let Some(checkpoint) = checkpoint.filter(|_| !diverged) {
                let optimizer = learner.optimizer.into_bytes().map_err(|e| anyhow!("checkpoint: {e}"))?;
                checkpoint.save(&learner.model, &best, &optimizer, &standing).context("saving the checkpoint")?;
            }
        }
    }
    let tokens_per_second = standing.step as f64 * tokens_per_step / standing.seconds;
    Ok(Outcome { model: best, standing, diverged, tokens_per_second })
}

/// A model on an autodiff device with what changes it.
pub struct Learner<M> {
    /// The model.
    pub model: M,
    optimizer: ModuleOptimizer,
    schedule: ModuleLrScheduler,
    clip: f64,
    seed: u64,
    step: u64,
    carry: Option<usize>,
    /// Devices besides the model's.
    others: Vec<Device>,
    /// What is carried to the next batch.
    cache: Option<DecoderCache>,
}

impl<M: Trainable> Learner<M> {
    /// A learner that has taken `step` steps.
    ///
    /// # Errors
    /// For rates that cannot be.
    pub fn new(model: M, config: &TrainingConfig, step: u64) -> Result<Self> {
        // Made for the model that is trained: a stored one brings the identities of its parameters.
        let optimizer = optimizer(&model, config.weight_decay);
        let mut schedule = schedule(config)?;
        for _ in 0..step {
            schedule.step();
        }
        let TrainingConfig { clip, seed, carry, .. } = *config;
        Ok(Self { model, optimizer, schedule, clip, seed, step, carry, others: Vec::new(), cache: None })
    }

    /// One step on a batch, and the loss before it; `None` and no step where loss or gradient are not finite. The model is
    /// moved, so that its parameters are nobody else's and change in place.
    pub fn step(mut self, batch: &Batch) -> (Self, Option<f64>) {
        let mut cache = self.carry.and_then(|_| {
            let before = self.cache.take().filter(|_| !batch.begins);
            before.or_else(|| self.model.empty_cache(batch.rows))
        });
        let seed = derive_seed(self.seed, "dropout", self.step);
        let (value, mut grads) = match self.others.as_slice() {
            [] => self.model.gradients(batch, cache.as_mut(), seed),
            others => parallel::gradients(&self.model, others, batch, seed),
        };
        self.cache = cache.zip(self.carry).map(|(cache, most)| cache.truncate(most));
        let norm = clip(&self.model, &mut grads, self.clip);
        if !norm.is_finite() || !value.is_finite() {
            return (self, None);
        }
        self.model = self.optimizer.step(self.schedule.step(), self.model, grads);
        self.step += 1;
        (self, Some(value))
    }
}
