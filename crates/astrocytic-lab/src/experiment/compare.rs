//! The comparison: tune every arm at every size, run every seed, store every line, write the
//! report.

use std::path::Path;

use anyhow::{Result, bail};
use astrocytic_train::observer::Unit;

use crate::arms::ModelConfig;
use crate::experiment::cells::{self, Cells};
use crate::experiment::config::ExperimentConfig;
use crate::experiment::data::Data;
use crate::experiment::describe::describe;
use crate::experiment::executor::{Execution, Executor};
use crate::experiment::grid::{cap_sizes, most_runs, note_of_caps};
use crate::experiment::job::{Job, Training};
use crate::experiment::reuse::Reuse;
use crate::experiment::rounds::next_cells;
use crate::experiment::stored::{Asked, refuse_another_text, stored_experiment};
use crate::report::{self, Summary};
use crate::results::{Cell, Line, Phase};

/// Runs what `folder` does not yet hold of the experiment and writes the report there.
///
/// # Errors
/// For a configuration that does not hold, a folder with another experiment or that cannot be
/// written, and a worker that fails; lines stored before stay.
pub fn compare(config: &ExperimentConfig, folder: &Path, execution: &Execution) -> Result<Summary> {
    compare_as(config, folder, execution, Asked::ByOptions, &mut || Ok(()))
}

/// The same; `begin` is called once the folder is the experiment's, before anything is run.
pub(crate) fn compare_as(
    config: &ExperimentConfig,
    folder: &Path,
    execution: &Execution,
    asked: Asked,
    begin: &mut dyn FnMut() -> Result<()>,
) -> Result<Summary> {
    match open(config, folder, execution, asked, begin)? {
        Opened::Complete(summary) => Ok(*summary),
        Opened::Begun(comparison) => comparison.run(folder, execution),
    }
}

/// What a folder is once the experiment was claimed.
enum Opened {
    /// It holds every run.
    Complete(Box<Summary>),
    /// Runs are to be made.
    Begun(Box<Comparison>),
}

/// An experiment whose folder is claimed.
struct Comparison {
    /// With sizes that the corpus has, and the corpus as it was called when the experiment began.
    config: ExperimentConfig,
    /// The corpus as it is called now.
    corpus: String,
    /// Of the data.
    sha256: String,
    models: Vec<ModelConfig>,
    /// What earlier experiments hold.
    reuse: Reuse,
}

/// Reads the data, claims the folder for the experiment and describes it there.
fn open(
    given: &ExperimentConfig,
    folder: &Path,
    execution: &Execution,
    asked: Asked,
    begin: &mut dyn FnMut() -> Result<()>,
) -> Result<Opened> {
    given.validate()?;
    execution.must_be_possible(folder)?;
    let stored = stored_experiment(given, folder, &execution.device, asked)?;
    let data = Data::prepare(given, stored.is_some().then_some(folder))?;
    data.notes().iter().chain(&note_of_caps(given, &data)).for_each(|note| execution.observer.note(note));
    let corpus = given.corpus.clone();
    let mut config = given.clone();
    cap_sizes(&mut config, &data)?;
    let models: Vec<ModelConfig> =
        config.arms.iter().map(|name| config.arm(name)?.model(data.sizes(&config))).collect::<Result<_>>()?;
    let sha256 = data.sha256();
    let reuse = Reuse::read(&execution.reuse, &sha256, &execution.device)?;
    let mut experiment = describe(given, &config, &data, &models, execution, stored.is_none())?;

    let _alone = cells::alone(folder)?;
    // Again, now that nobody else can begin: another may have begun meanwhile.
    if let Some(stored) = stored_experiment(given, folder, &execution.device, asked)? {
        refuse_another_text(&stored, folder, &corpus, &data, asked)?;
        config.corpus.clone_from(&stored.corpus.name);
        let mut cells = Cells::new(folder);
        let lines = cells.news()?;
        if next_cells(&config, &models, &cells, &lines)?.is_empty() {
            // Nothing is left for this program to add to, but what arms are called in words.
            let described = stored.clone().described(&experiment);
            if described != stored {
                report::save_experiment(folder, &described)?;
            }
            return Ok(Opened::Complete(Box::new(report::write(folder, &described, &lines)?)));
        }
        experiment = experiment.joined(stored);
    }
    report::save_experiment(folder, &experiment)?;
    begin()?;
    data.save_tokenizer(folder)?;
    Ok(Opened::Begun(Box::new(Comparison { config, corpus, sha256, models, reuse })))
}

impl Comparison {
    /// Has runs run round by round, and writes the report.
    fn run(mut self, folder: &Path, execution: &Execution) -> Result<Summary> {
        let reuse = std::mem::take(&mut self.reuse);
        let config = &self.config;
        let mut cells = Cells::new(folder);
        let mut lines = Lines { stored: cells.news()?, cells, reuse, reused: 0 };
        let [most, finals] = most_runs(config)?;
        execution.observer.begin(Unit::Runs, (most + finals) as u64);
        let done = |lines: &[Line], phase: Phase| {
            lines.iter().filter(|line| matches!(line, Line::Result { cell, .. } if cell.phase == phase)).count()
        };
        execution
            .observer
            .skip([Phase::Tune, Phase::Final].map(|phase| done(&lines.stored, phase) as u64).iter().sum());
        let mut is_tuned = false;
        loop {
            let round = next_cells(config, &self.models, &lines.cells, &lines.stored)?;
            let Some((_, first)) = round.first() else { break };
            // Where sizes are searched, an arm may be tuned again.
            if first.phase == Phase::Final && config.solved_at().is_none() && !is_tuned {
                is_tuned = true;
                // What a search of the grid did not need.
                execution.observer.skip(most.saturating_sub(done(&lines.stored, Phase::Tune)) as u64);
            }
            run_cells(self.job(execution), round, folder, execution, &mut lines)?;
        }
        execution.observer.finish();
        if !execution.reuse.is_empty() {
            execution.observer.say(&format!("{} runs were taken over from earlier results", lines.reused));
        }
        lines.cells.close();
        // As it is stored: another machine may have joined.
        let (experiment, lines) = report::load(folder)?;
        report::write(folder, &experiment, &lines)
    }

    /// A job for workers, without its trainings.
    fn job(&self, execution: &Execution) -> Job {
        Job {
            config: self.config.clone(),
            corpus: self.corpus.clone(),
            sha256: self.sha256.clone(),
            program: execution.program.sha256().into(),
            device: execution.device.clone(),
            trainings: vec![],
            // What earlier experiments hold, only this process knows.
            goes_on: execution.executor == Executor::Local && execution.reuse.is_empty(),
        }
    }
}

/// Has those of the cells run that have no result yet; `lines` get what was stored meanwhile, by
/// whomever.
fn run_cells(
    mut job: Job,
    mut cells: Vec<(String, Cell)>,
    folder: &Path,
    execution: &Execution,
    lines: &mut Lines,
) -> Result<()> {
    execution.observer.skip(lines.take_over(&cells, folder)?);
    cells.retain(|(_, cell)| !lines.cells.is_done(cell));
    if cells.is_empty() {
        return Ok(());
    }
    job.trainings = Training::of(cells.clone());
    execution.run(&job, folder, &mut || {
        for line in lines.cells.news()? {
            if let Some(message) = message(&line) {
                execution.observer.advance(1, message);
            }
            lines.stored.push(line);
        }
        Ok(())
    })?;
    match cells.iter().find(|(_, cell)| !lines.cells.is_done(cell)) {
        None => Ok(()),
        Some((_, cell)) => bail!(
            "the workers ended without a result of the cell {} ({} at {}, seed {}); start again to go on",
            cell.id,
            cell.arm,
            cell.size,
            cell.seed
        ),
    }
}

/// What a result says in a line.
fn message(line: &Line) -> Option<String> {
    let Line::Result { cell, tuning_loss, tuning_accuracy, test, tokens_per_second, .. } = line else { return None };
    let phase = if cell.phase == Phase::Tune { "tuning" } else { "final" };
    let loss = test.as_ref().map_or(*tuning_loss, |test| test.loss);
    // Counted in training, it is what matters.
    let accuracy = tuning_accuracy.map(|tuning| test.as_ref().and_then(|test| test.accuracy).unwrap_or(tuning));
    let accuracy = accuracy.map_or(String::new(), |accuracy| format!("accuracy {:.1} %, ", 100.0 * accuracy));
    Some(format!(
        "{phase} {} at {}, seed {}: {accuracy}loss {loss:.3}, {tokens_per_second:.0} tokens/s",
        cell.arm, cell.size, cell.seed
    ))
}

/// What the folder holds, and a view of it that learns what comes.
struct Lines {
    stored: Vec<Line>,
    cells: Cells,
    /// What earlier experiments held, and how many runs were taken from it.
    reuse: Reuse,
    reused: usize,
}

impl Lines {
    /// Stores what earlier experiments hold of these cells; returns of how many.
    fn take_over(&mut self, cells: &[(String, Cell)], folder: &Path) -> Result<u64> {
        let open = cells.iter().map(|(_, cell)| cell).filter(|cell| !self.cells.is_done(cell));
        let held = self.reuse.of(open);
        if held.is_empty() {
            return Ok(0);
        }
        let runs = held.iter().filter(|line| matches!(line, Line::Result { .. })).count();
        self.reused += runs;
        Cells::new(folder).append(held)?;
        self.stored.extend(self.cells.news()?);
        Ok(runs as u64)
    }
}
