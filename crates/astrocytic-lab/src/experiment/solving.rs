//! The cells of an experiment on a task that is solved or not: each arm is tuned at the sizes that
//! its search visits, one after the other, and final runs there say where it goes on.

use anyhow::{Result, anyhow};

use crate::arms::ModelConfig;
use crate::experiment::config::{ExperimentConfig, Run};
use crate::experiment::grid::{axes, named, tried};
use crate::experiment::search;
use crate::results::{Cell, Line, Phase, Trial};
use crate::solved_runs::solved_by;
use crate::statistics::{Visit, visits};

/// The runs that every arm needs next, and those before them.
pub(super) fn cells_of_searched_sizes(
    config: &ExperimentConfig,
    solved_at: f64,
    models: &[ModelConfig],
    lines: &[Line],
) -> Result<Vec<(String, Cell)>> {
    let seeds: Vec<u64> = config.final_seeds().collect();
    let mut cells = Vec::new();
    for (name, model) in config.arms.iter().zip(models) {
        let solved =
            |size: usize, count: u64| solved_by(lines, name, config.sizes[size], &seeds[..count as usize], solved_at);
        let visits = visits(config.sizes.len(), config.seeds, solved);
        cells.extend(Search { config, name, model, lines }.cells(&visits)?);
    }
    Ok(cells)
}

/// An arm's search of the sizes.
struct Search<'a> {
    config: &'a ExperimentConfig,
    name: &'a str,
    model: &'a ModelConfig,
    lines: &'a [Line],
}

impl Search<'_> {
    /// The final runs of the visits as far as the arm is tuned, and else its next tuning runs.
    fn cells(&self, visits: &[Visit]) -> Result<Vec<(String, Cell)>> {
        let mut chosen: Vec<(usize, Trial)> = Vec::new();
        let mut cells = Vec::new();
        for visit in visits {
            let known = chosen.iter().find(|(size, _)| *size == visit.size).map(|(_, trial)| *trial);
            let size = self.config.sizes[visit.size];
            let trial = match known {
                Some(trial) => trial,
                None => {
                    let open = self.untried(size, nearest(&chosen, visit.size))?;
                    if !open.is_empty() {
                        for trial in open {
                            for seed in self.config.seeds_of_tuning() {
                                cells.push(self.cell(Phase::Tune, Run { size, seed, trial })?);
                            }
                        }
                        break;
                    }
                    let trial = self.chosen(size)?;
                    chosen.push((visit.size, trial));
                    trial
                }
            };
            for seed in self.config.final_seeds().take(visit.seeds as usize) {
                cells.push(self.cell(Phase::Final, Run { size, seed, trial })?);
            }
        }
        Ok(cells)
    }

    /// Points of the grid, or of a search that begins at the best point of another size, that are
    /// tried next at a size; none once it is tuned there.
    fn untried(&self, size: u64, start: Option<Trial>) -> Result<Vec<Trial>> {
        let Self { config, name, lines, .. } = *self;
        if config.seeds_of_tuning().is_empty() {
            return Ok(Vec::new());
        }
        let tried = tried(config, name, size, lines);
        if config.tuning_trials == 0 {
            let is_open = |trial: &Trial| tried.iter().all(|(other, _)| other != trial);
            return Ok(config.trials().into_iter().filter(is_open).collect());
        }
        let axes = axes(config);
        let start = start.unwrap_or_else(|| axes.middle());
        Ok(search::next(&axes, start, &tried, config.tuning_trials as usize))
    }

    /// The point with the highest mean accuracy on the tuning split.
    fn chosen(&self, size: u64) -> Result<Trial> {
        let Self { config, name, lines, .. } = *self;
        match config.trials()[..] {
            [only] => Ok(only),
            _ => search::best(&tried(config, name, size, lines))
                .ok_or_else(|| anyhow!("no tuning run of {name} at {size} examples is stored")),
        }
    }

    fn cell(&self, phase: Phase, run: Run) -> Result<(String, Cell)> {
        named(self.config, phase, self.name, self.model, run)
    }
}

/// The point that was chosen at the nearest size before, the larger one of two.
fn nearest(chosen: &[(usize, Trial)], size: usize) -> Option<Trial> {
    let order = |(other, _): &&(usize, Trial)| (other.abs_diff(size), usize::MAX - other);
    chosen.iter().min_by_key(order).map(|(_, trial)| *trial)
}
