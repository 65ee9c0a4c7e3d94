//! The cells of an experiment: points of the grid on tuning seeds, all of them or those that a
//! search asks for, then the best of each arm and size on final seeds.

use anyhow::{Result, anyhow, bail};

use crate::arms::ModelConfig;
use crate::experiment::cells::Cells;
use crate::experiment::config::{ExperimentConfig, Run};
use crate::experiment::data::Data;
use crate::experiment::search::{self, Axes};
use crate::results::{Cell, Line, Phase, Status, Trial};

/// The tuning runs to be made now, each after the name of its training: all of the grid; or where
/// it is searched those that every arm tries next, sizes one after the other.
pub(super) fn tuning_cells(
    config: &ExperimentConfig,
    models: &[ModelConfig],
    lines: &[Line],
) -> Result<Vec<(String, Cell)>> {
    let mut cells = Vec::new();
    for (name, size, trial, model) in tuning_points(config, models, lines)? {
        for seed in config.seeds_of_tuning() {
            cells.push(named(config, Phase::Tune, name, model, Run { size, seed, trial })?);
        }
    }
    Ok(cells)
}

type Point<'a> = (&'a str, u64, Trial, &'a ModelConfig);

fn tuning_points<'a>(
    config: &'a ExperimentConfig,
    models: &'a [ModelConfig],
    lines: &[Line],
) -> Result<Vec<Point<'a>>> {
    let mut points = Vec::new();
    if config.tuning_trials > 0 {
        for (name, model) in config.arms.iter().zip(models) {
            if let Some((size, trials)) = searched(config, name, lines)? {
                points.extend(trials.into_iter().map(|trial| (name.as_str(), size, trial, model)));
            }
        }
        return Ok(points);
    }
    for &size in &config.sizes {
        for (name, model) in config.arms.iter().zip(models) {
            if config.arm(name)?.is_trained() {
                points.extend(config.trials().into_iter().map(|trial| (name.as_str(), size, trial, model)));
            }
        }
    }
    Ok(points)
}

/// The size at which an arm's search stands and what it tries there next; `None` once it has ended
/// at all of them. At each size it begins with the best of the size before.
fn searched(config: &ExperimentConfig, name: &str, lines: &[Line]) -> Result<Option<(u64, Vec<Trial>)>> {
    if !config.arm(name)?.is_trained() || config.seeds_of_tuning().is_empty() {
        return Ok(None);
    }
    let axes = axes(config);
    let mut start = axes.middle();
    for &size in &config.sizes {
        let tried = tried(config, name, size, lines);
        let next = search::next(&axes, start, &tried, config.tuning_trials as usize);
        if !next.is_empty() {
            return Ok(Some((size, next)));
        }
        start = search::best(&tried).unwrap_or(start);
    }
    Ok(None)
}

fn axes(config: &ExperimentConfig) -> Axes {
    Axes::new(&config.learning_rates, &config.weight_decays, &config.schedules)
}

/// How many tuning runs there are, or with a search may be.
pub(crate) fn most_tuning_runs(config: &ExperimentConfig) -> Result<usize> {
    let points = if config.tuning_trials > 0 { config.tuning_trials as usize } else { config.trials().len() };
    let of_arm = points * config.sizes.len() * config.seeds_of_tuning().count();
    let mut runs = 0;
    for name in &config.arms {
        runs += if config.arm(name)?.is_trained() { of_arm } else { 0 };
    }
    Ok(runs)
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
            let trial = chosen_trial(config, name, size, lines)?;
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
    Ok(done(tuning_cells(config, models, lines)?) && done(final_cells(config, models, lines)?))
}

/// A cell after the name of its training.
fn named(config: &ExperimentConfig, phase: Phase, name: &str, model: &ModelConfig, run: Run) -> Result<(String, Cell)> {
    let cell = config.cell(phase, &config.arm(name)?, model, run)?;
    Ok((config.training_name(&cell, model)?, cell))
}

/// The point with the lowest mean tuning loss; where nothing is tuned the middle of the grid.
fn chosen_trial(config: &ExperimentConfig, name: &str, size: u64, lines: &[Line]) -> Result<Trial> {
    if !config.arm(name)?.is_trained() {
        return Ok(axes(config).middle());
    }
    match config.trials()[..] {
        [only] => Ok(only),
        _ => search::best(&tried(config, name, size, lines))
            .ok_or_else(|| anyhow!("no tuning run of {name} at {size} tokens is stored")),
    }
}

/// Points of which every tuning seed was run, with their mean tuning losses; a diverged run counts
/// as infinite.
fn tried(config: &ExperimentConfig, name: &str, size: u64, lines: &[Line]) -> Vec<(Trial, f64)> {
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
    losses.retain(|(_, found)| found.len() >= config.seeds_of_tuning().count());
    // The same sum in whatever order the runs ended.
    let mean = |mut losses: Vec<f64>| {
        losses.sort_by(f64::total_cmp);
        losses.iter().sum::<f64>() / losses.len() as f64
    };
    losses.into_iter().map(|(trial, losses)| (trial, mean(losses))).collect()
}

/// A size beyond the corpus becomes the whole of it, once.
///
/// # Errors
/// For an arm that is given more than its size where the corpus does not have it.
pub(crate) fn cap_sizes(config: &mut ExperimentConfig, data: &Data) -> Result<()> {
    let available = data.available();
    config.sizes.iter_mut().for_each(|size| *size = (*size).min(available));
    config.sizes.dedup();
    for name in &config.arms {
        let arm = config.arm(name)?;
        let most = config.sizes.iter().map(|&size| arm.given(size, 0).0).max().unwrap_or(0);
        if most > available {
            let units = data.units();
            bail!(
                "arms.{name}.data: it is given {most} {units} at the largest size; the training split has {available}"
            );
        }
    }
    Ok(())
}

/// What [`cap_sizes`] does to sizes, in words; `None` where it does nothing.
pub(crate) fn note_of_caps(given: &ExperimentConfig, data: &Data) -> Option<String> {
    let available = data.available();
    let beyond: Vec<String> = given.sizes.iter().filter(|&&size| size > available).map(ToString::to_string).collect();
    let note = || {
        format!(
            "sizes: the training split has {available} {}, so {} became {available}",
            data.units(),
            beyond.join(", ")
        )
    };
    (!beyond.is_empty()).then(note)
}
