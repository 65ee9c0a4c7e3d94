//! A process that runs cells of a shared results folder.
//!
//! Cells run in processes of one thread each, because small tensors gain little from a second
//! thread, and because Burn's random numbers belong to the process.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use astrocytic_train::device;
use astrocytic_train::observer::Observer;

use crate::arms::ModelConfig;
use crate::experiment::cell_run::run_training;
use crate::experiment::cells::Cells;
use crate::experiment::config::ExperimentConfig;
use crate::experiment::data::Data;
use crate::experiment::job::{Job, Training};
use crate::experiment::program::Program;
use crate::experiment::rounds::next_cells;

/// How long to wait before a cell that another holds is asked for again.
const PATIENCE: Duration = Duration::from_millis(500);

/// Which of a job's trainings are a worker's: those whose place leaves `remainder` when divided by
/// `parts`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Counted from 0.
    pub remainder: usize,
    /// In how many the job is cut.
    pub parts: usize,
}

impl Share {
    /// The whole job.
    pub const ALL: Self = Self { remainder: 0, parts: 1 };
}

/// Runs the job's cells that are not done and that nobody else runs, and waits for those that
/// others hold: should one of them end before its cell does, this one takes it over from its last
/// checkpoint. If the job goes on, the worker then runs the cells that the results call for, until none is left.
///
/// # Errors
/// For a file that is no job's, another text or program than the job's, or a cell that cannot be
/// run.
pub fn work(job: &Path, folder: &Path, share: Share, observer: &dyn Observer) -> Result<()> {
    let text = std::fs::read(job).with_context(|| format!("cannot read {}", job.display()))?;
    let job: Job = serde_json::from_slice(&text).with_context(|| format!("{} is no job", job.display()))?;
    if share.remainder >= share.parts {
        bail!("worker: there is no part {} of {}, counted from 0", share.remainder, share.parts);
    }
    Program::this()?.must_be(&job.program)?;
    let device = device::parse(&job.device)?;
    let mut stored = Cells::new(folder);
    let mut lines = stored.news()?;
    let mut own: Vec<Training> = job.trainings.into_iter().skip(share.remainder).step_by(share.parts).collect();
    if !job.goes_on && own.iter().all(|training| stored.are_done(training)) {
        return Ok(());
    }
    let data = Data::prepare(&ExperimentConfig { corpus: job.corpus.clone(), ..job.config.clone() }, Some(folder))?;
    if data.sha256() != job.sha256 {
        bail!("corpus {}: this machine has another text of that name than the run's", job.corpus);
    }
    let models = job.config.arms.iter().map(|name| job.config.arm(name)?.model(data.sizes(&job.config)));
    let models: Vec<ModelConfig> = models.collect::<Result<_>>()?;
    // Reads the lines on its own account.
    let mut cells = Cells::new(folder);
    loop {
        lines.extend(stored.news()?);
        if job.goes_on {
            own = Training::of(next_cells(&job.config, &models, &stored, &lines)?);
        }
        own.retain(|training| !stored.are_done(training));
        if own.is_empty() {
            return Ok(());
        }
        let mut has_run = false;
        for training in &own {
            if let Some(claim) = cells.take(training)? {
                let lines = run_training(&job.config, &data, training, &device, &claim, observer)?;
                cells.finish(claim, lines)?;
                has_run = true;
            }
        }
        if !has_run {
            std::thread::sleep(PATIENCE);
        }
    }
}
