//! What a training step of an arm costs on this machine.

use std::time::{Duration, Instant};

use anyhow::Result;
use astrocytic_data::Batches;
use astrocytic_train::config::TrainingConfig;
use astrocytic_train::learner::Learner;
use astrocytic_train::seed::derive_seed;
use astrocytic_train::token_objective::TokenObjective;
use astrocytic_train::trainable::Trainable;

use crate::arms::ModelConfig;
use crate::experiment::config::{ExperimentConfig, Run};
use crate::experiment::data::Data;
use crate::experiment::energy::Meter;
use crate::results::Phase;

/// A step's cost.
pub(crate) struct StepCost {
    pub(crate) seconds: f64,
    /// By the machine's counters, where it has them.
    pub(crate) joules: Option<f64>,
}

/// Takes steps of an arm on one thread, as a worker does, for at least so long, and at least four
/// after a first.
///
/// # Errors
/// For an arm or a device that is none, and data that are too few.
pub(crate) fn step_cost(
    config: &ExperimentConfig,
    data: &Data,
    name: &str,
    device: &str,
    least: Duration,
) -> Result<StepCost> {
    let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    one_thread.install(|| measure(config, data, name, device, least))
}

fn measure(config: &ExperimentConfig, data: &Data, name: &str, device: &str, least: Duration) -> Result<StepCost> {
    let arm = config.arm(name)?;
    let model = arm.model(data.sizes(config))?;
    let run = Run { size: config.sizes[0], seed: 0, trial: config.trials()[0] };
    let cell = config.cell(Phase::Tune, &arm, &model, run)?;
    let batches = data.batches(config, run.size, 0, arm.is_carried())?;
    let (seed, autodiff) = (derive_seed(0, "weights", 0), astrocytic_train::device::parse(device)?.autodiff());
    let training = config.training(&cell, arm.is_carried());
    match model {
        ModelConfig::Decoder(model) => take(model.init_seeded(seed, &autodiff), &training, &batches, device, least),
        ModelConfig::Encoder(model) => take(model.init_seeded(seed, &autodiff)?, &training, &batches, device, least),
    }
}

fn take<M: Trainable>(
    model: M,
    training: &TrainingConfig,
    batches: &Batches,
    device: &str,
    least: Duration,
) -> Result<StepCost> {
    let mut objective = TokenObjective::new(batches, training);
    let mut learner = Learner::new(model, training)?.step(&mut objective).0;
    let mut meter = Meter::new(device);
    let started = Instant::now();
    let mut steps = 0;
    while steps < 4 || started.elapsed() < least {
        steps += 1;
        learner = learner.step(&mut objective).0;
    }
    let joules = meter.as_mut().and_then(Meter::joules);
    let each = |all: f64| all / steps as f64;
    Ok(StepCost { seconds: each(started.elapsed().as_secs_f64()), joules: joules.map(each) })
}
