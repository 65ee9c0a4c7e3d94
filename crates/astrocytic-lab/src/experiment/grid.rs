//! The cells of an experiment: every point of the grid on tuning seeds, then the best of each arm
//! and size on final seeds.

use anyhow::{Result, anyhow, bail};

use crate::arms::ModelConfig;
use crate::experiment::cells::Cells;
use crate::experiment::config::{ExperimentConfig, Run};
use crate::results::{Cell, Line, Phase, Status, Trial};

/// Every tuning run, after the name of its training.
pub(super) fn tuning_cells(config: &ExperimentConfig, models: &[ModelConfig]) -> Result<Vec<(String, Cell)>> {
    let mut cells = Vec::new();
    for &size in &config.sizes {
        for (name, model) in config.arms.iter().zip(models) {
            for trial in config.trials() {
                for seed in config.seeds_of_tuning() {
                    cells.push(named(config, Phase::Tune, name, model, Run { size, seed, trial })?);
                }
            }
        }
    }
    Ok(cells)
}

/// Final cells with the rates that did best on the tuning split.
pub(super) fn final_cells(
    config: &ExperimentConfig,
    models: &[ModelConfig],
    lines: &[Line],
) -> Result<Vec<(String, Cell)>> {
    let mut cells = Vec::new();
    for &size in &config.sizes {
        for (name, model) in config.arms.iter().zip(models) {
            let trial = match config.trials()[..] {
                [only] => only,
                _ => chosen_trial(name, size, lines)?,
            };
            for seed in config.final_seeds() {
                cells.push(named(config, Phase::Final, name, model, Run { size, seed, trial })?);
            }
        }
    }
    Ok(cells)
}

/// Whether every run of the experiment is done.
pub(super) fn is_complete(
    config: &ExperimentConfig,
    models: &[ModelConfig],
    cells: &Cells,
    lines: &[Line],
) -> Result<bool> {
    let done = |found: Vec<(String, Cell)>| found.iter().all(|(_, cell)| cells.is_done(cell));
    Ok(done(tuning_cells(config, models)?) && done(final_cells(config, models, lines)?))
}

/// A cell after the name of its training.
fn named(config: &ExperimentConfig, phase: Phase, name: &str, model: &ModelConfig, run: Run) -> Result<(String, Cell)> {
    let cell = config.cell(phase, &config.arm(name)?, model, run)?;
    Ok((config.training_name(&cell, model)?, cell))
}

/// The point of the grid with the lowest mean tuning loss; a diverged run counts as infinite.
fn chosen_trial(name: &str, size: u64, lines: &[Line]) -> Result<Trial> {
    let mut losses: Vec<(Trial, Vec<f64>)> = Vec::new();
    for line in lines {
        let Line::Result { cell, status, tuning_loss, .. } = line else { continue };
        if cell.phase != Phase::Tune || cell.arm != name || cell.size != size {
            continue;
        }
        let good = *status == Status::Finished && tuning_loss.is_finite();
        let loss = if good { *tuning_loss } else { f64::INFINITY };
        match losses.iter_mut().find(|(other, _)| *other == cell.trial) {
            Some((_, found)) => found.push(loss),
            None => losses.push((cell.trial, vec![loss])),
        }
    }
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    let best = losses.iter().min_by(|a, b| mean(&a.1).total_cmp(&mean(&b.1)));
    best.map(|(trial, _)| *trial).ok_or_else(|| anyhow!("no tuning run of {name} at {size} tokens is stored"))
}

/// A size beyond the corpus becomes the whole of it, once.
///
/// # Errors
/// For an arm that is given more than its size where the corpus does not have it.
pub(crate) fn cap_sizes(config: &mut ExperimentConfig, available: u64) -> Result<()> {
    config.sizes.iter_mut().for_each(|size| *size = (*size).min(available));
    config.sizes.dedup();
    for name in &config.arms {
        let most =
            config.sizes.iter().map(|&size| Ok(config.arm(name)?.given(size, 0).0)).collect::<Result<Vec<_>>>()?;
        if let Some(most) = most.into_iter().max().filter(|&most| most > available) {
            bail!("sizes: {name} is given {most} at the largest, but the training split has {available}");
        }
    }
    Ok(())
}
