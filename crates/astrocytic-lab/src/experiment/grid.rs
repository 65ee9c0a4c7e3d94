//! The cells of an experiment: points of the grid on tuning seeds, all of them or those that a
//! search asks for, then the best of each arm and size on final seeds.

use anyhow::{Result, anyhow, bail};

use crate::arms::ModelConfig;
use crate::experiment::config::{ExperimentConfig, Run};
use crate::experiment::data::Data;
use crate::experiment::search::{self, Axes, Score};
use crate::results::{Cell, Line, Phase, Status, Trial};
use crate::statistics::most_visits;

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

pub(super) fn axes(config: &ExperimentConfig) -> Axes {
    Axes::new(&config.learning_rates, &config.weight_decays, &config.schedules)
}

/// How many tuning and final runs there are. Where they are searched, how many there may be: points
/// of the grid, and sizes unless seeds disagree about them.
pub(crate) fn most_runs(config: &ExperimentConfig) -> Result<[usize; 2]> {
    let points = if config.tuning_trials > 0 { config.tuning_trials as usize } else { config.trials().len() };
    let [sizes, finals] = most_visits_of_arm(config);
    let tuning = points * sizes * config.seeds_of_tuning().count();
    let mut runs = [0, finals * config.arms.len()];
    for name in &config.arms {
        runs[0] += if config.arm(name)?.is_trained() { tuning } else { 0 };
    }
    Ok(runs)
}

/// Sizes that an arm is run at, and its final runs at all of them.
pub(super) fn most_visits_of_arm(config: &ExperimentConfig) -> [usize; 2] {
    match config.solved_at() {
        Some(_) => most_visits(config.sizes.len(), config.seeds),
        None => [config.sizes.len(), config.sizes.len() * config.seeds as usize],
    }
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

/// A cell after the name of its training.
pub(super) fn named(
    config: &ExperimentConfig,
    phase: Phase,
    name: &str,
    model: &ModelConfig,
    run: Run,
) -> Result<(String, Cell)> {
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

/// Points of which every tuning seed was run, with their mean tuning losses and accuracies; a
/// diverged run counts as infinite, and as wrong throughout. No accuracy is better than the one at
/// which training ends.
pub(super) fn tried(config: &ExperimentConfig, name: &str, size: u64, lines: &[Line]) -> Vec<(Trial, Score)> {
    let mut scores: Vec<(Trial, Vec<Score>)> = Vec::new();
    for line in lines {
        let Line::Result { cell, status, tuning_loss, tuning_accuracy, .. } = line else { continue };
        if cell.phase != Phase::Tune || cell.arm != name || cell.size != size {
            continue;
        }
        let good = *status == Status::Finished && tuning_loss.is_finite();
        let accuracy = tuning_accuracy.filter(|_| good).unwrap_or(0.0);
        let score = Score {
            missing: config.stop_at_accuracy(Phase::Tune).map(|enough| (enough - accuracy).max(0.0)),
            loss: if good { *tuning_loss } else { f64::INFINITY },
        };
        match scores.iter_mut().find(|(other, _)| *other == cell.trial) {
            Some((_, found)) => found.push(score),
            None => scores.push((cell.trial, vec![score])),
        }
    }
    scores.retain(|(_, found)| found.len() >= config.seeds_of_tuning().count());
    scores.into_iter().map(|(trial, found)| (trial, mean_score(&found))).collect()
}

/// The same in whatever order the runs ended.
fn mean_score(scores: &[Score]) -> Score {
    let mean = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values.iter().sum::<f64>() / values.len() as f64
    };
    let missing: Option<Vec<f64>> = scores.iter().map(|score| score.missing).collect();
    Score { missing: missing.map(mean), loss: mean(scores.iter().map(|score| score.loss).collect()) }
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
