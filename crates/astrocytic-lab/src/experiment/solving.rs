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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arms::Sizes;
    use crate::experiment::budget::Budget;
    use crate::results::{Status, TestLoss};

    fn config() -> ExperimentConfig {
        ExperimentConfig {
            arms: ["vanilla", "tripartite"].map(String::from).into(),
            sizes: vec![64, 128, 256, 512, 1_024, 2_048, 4_096, 8_192, 16_384],
            seeds: 10,
            tuning_seeds: 2,
            tuning_trials: 5,
            learning_rates: vec![1e-3, 3e-3, 8e-3],
            schedules: vec![300],
            weight_decays: vec![0.1],
            solved_at: 0.99,
            ..Budget::Quick.config("mqar:16x2").unwrap()
        }
    }

    fn models(config: &ExperimentConfig) -> Vec<ModelConfig> {
        let sizes =
            Sizes { vocabulary: 50, d_model: 32, layers: 1, heads: 2, dropout: 0.0, context: 16, feed_forward: false };
        config.arms.iter().map(|name| config.arm(name).unwrap().model(sizes).unwrap()).collect()
    }

    /// A run of an arm that solves the task from 512 examples on, with a rate that is high enough, or
    /// never.
    fn result(cell: Cell) -> Line {
        let solves = cell.arm == "tripartite" && cell.size >= 512 && cell.trial.learning_rate > 5e-3;
        let accuracy = if solves { 1.0 } else { 0.5 + cell.trial.learning_rate.min(0.1) };
        Line::Result {
            status: Status::Finished,
            best_step: 1,
            steps: 1,
            tuning_loss: 1.0,
            tuning_accuracy: Some(accuracy),
            // It says the contrary: it must steer nothing.
            test: Some(TestLoss {
                loss: 1.0,
                documents: vec![],
                accuracy: Some(1.0 - accuracy),
                longer: vec![],
                classes: vec![],
                without_carry: None,
                plasticity: None,
            }),
            tokens_per_second: 1.0,
            seconds: 1.0,
            peak_bytes: None,
            commit: String::new(),
            cell,
        }
    }

    fn open(config: &ExperimentConfig, lines: &[Line]) -> Vec<Cell> {
        let found = cells_of_searched_sizes(config, 0.99, &models(config), lines).unwrap();
        let is_done = |cell: &Cell| lines.iter().any(|line| line.cell().id == cell.id);
        found.into_iter().map(|(_, cell)| cell).filter(|cell| !is_done(cell)).collect()
    }

    /// Everything that is run, in rounds of at most so many.
    fn run(config: &ExperimentConfig, at_once: usize) -> Vec<Line> {
        let mut lines = Vec::new();
        for _ in 0..1_000 {
            let round = open(config, &lines);
            if round.is_empty() {
                return lines;
            }
            lines.extend(round.into_iter().rev().take(at_once).map(result));
        }
        panic!("no end");
    }

    fn finals(lines: &[Line], arm: &str) -> Vec<(u64, u64, f64)> {
        let own = lines.iter().map(Line::cell).filter(|cell| cell.arm == arm && cell.phase == Phase::Final);
        let mut found: Vec<_> = own.map(|cell| (cell.size, cell.seed, cell.trial.learning_rate)).collect();
        found.sort_by_key(|(size, seed, _)| (*size, *seed));
        found
    }

    #[test]
    fn arms_are_tuned_where_they_are_run_and_run_where_the_answer_changes() {
        let config = config();
        let lines = run(&config, usize::MAX);
        // Unsolved at the largest size: all seeds there, and a few at sizes far below.
        let vanilla = finals(&lines, "vanilla");
        let count = |size: u64| vanilla.iter().filter(|run| run.0 == size).count();
        assert!(vanilla.len() == 16 && [16_384, 2_048, 256].map(count) == [10, 3, 3], "{vanilla:?}");
        // The largest size, 512, 128, 256 with three seeds, then all seeds at 256 and 512.
        let tripartite = finals(&lines, "tripartite");
        let count = |size: u64| tripartite.iter().filter(|run| run.0 == size).count();
        assert_eq!([16_384, 512, 128, 256, 1_024].map(count), [3, 10, 3, 10, 0]);
        // The search of the rates ends at once where the best point of a size nearby solves the task.
        let tuned = |size: u64| {
            let is_it = |cell: &&Cell| cell.arm == "tripartite" && cell.size == size && cell.phase == Phase::Tune;
            lines.iter().map(Line::cell).filter(is_it).count()
        };
        assert_eq!(tuned(512), 2);
        assert!(tuned(16_384) > 2 && tuned(16_384) <= 10 && tuned(256) == 10, "{} {}", tuned(16_384), tuned(256));
        assert!(tripartite.iter().filter(|run| run.0 >= 512).all(|run| run.2 == 8e-3), "{tripartite:?}");
    }

    #[test]
    fn the_same_is_run_however_often_it_is_interrupted() {
        let config = config();
        let ids = |at_once: usize| {
            let mut ids: Vec<String> = run(&config, at_once).iter().map(|line| line.cell().id.clone()).collect();
            ids.sort();
            ids
        };
        assert_eq!(ids(usize::MAX), ids(1));
        assert_eq!(ids(usize::MAX), ids(3));
        // A grid of one point is not tuned.
        let single = ExperimentConfig {
            learning_rates: vec![8e-3],
            weight_decays: vec![0.1],
            schedules: vec![100],
            tuning_trials: 0,
            ..config
        };
        assert!(run(&single, usize::MAX).iter().all(|line| line.cell().phase == Phase::Final));
    }
}
