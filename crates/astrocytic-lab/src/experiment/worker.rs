//! A process that runs cells of a shared results folder.
//!
//! Cells run in processes of one thread each, because small tensors gain little from a second
//! thread, and because Burn's random numbers belong to the process.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use astrocytic_train::device;
use astrocytic_train::observer::Observer;

use crate::experiment::cell_run::run_training;
use crate::experiment::cells::Cells;
use crate::experiment::config::ExperimentConfig;
use crate::experiment::data::Data;
use crate::experiment::job::{Job, Training};
use crate::experiment::program::Program;

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
/// checkpoint.
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
    let own: Vec<&Training> = job.trainings.iter().skip(share.remainder).step_by(share.parts).collect();
    let device = device::parse(&job.device)?;
    let mut cells = Cells::new(folder);
    cells.news()?;
    if own.iter().all(|training| cells.are_done(training)) {
        return Ok(());
    }
    let data = Data::prepare(&ExperimentConfig { corpus: job.corpus.clone(), ..job.config.clone() }, Some(folder))?;
    if data.sha256() != job.sha256 {
        bail!("corpus {}: this machine has another text of that name than the run's", job.corpus);
    }
    loop {
        cells.news()?;
        let mut held_by_others = false;
        for training in &own {
            if cells.are_done(training) {
                continue;
            }
            match cells.take(training)? {
                Some(claim) => {
                    let lines = run_training(&job.config, &data, training, &device, &claim, observer)?;
                    cells.finish(claim, lines)?;
                }
                None => held_by_others |= !cells.are_done(training),
            }
        }
        if !held_by_others {
            return Ok(());
        }
        std::thread::sleep(PATIENCE);
    }
}
