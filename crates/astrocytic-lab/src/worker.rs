//! A process that runs cells: it reads a job and then cells as JSON lines, and writes lines of results.
//!
//! Cells run in processes of one thread each, because small tensors gain little from a second thread, and because
//! Burn's random numbers belong to the process.

use std::io::{BufRead, Write};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::device;
use crate::experiment::{Data, ExperimentConfig, run_cell};
use crate::results::Cell;

/// What a worker is to work on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) config: ExperimentConfig,
    pub(crate) folder: PathBuf,
    pub(crate) device: String,
}

/// Serves until its input ends.
///
/// # Errors
/// For input that is not a job's, or a cell that cannot be run.
pub fn serve(input: impl BufRead, mut output: impl Write) -> Result<()> {
    let mut lines = input.lines();
    let Some(job) = lines.next() else { bail!("worker: no job on standard input") };
    let job: Job = serde_json::from_str(&job?).context("worker: the first line is not a job")?;
    let device = device::parse(&job.device)?;
    // A pool that this thread belongs to: handing every small product to a thread beside it would cost a wake-up each.
    rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build_global()?;
    let data = Data::prepare(&job.config, &job.folder)?;
    for line in lines {
        let cell: Cell = serde_json::from_str(&line?).context("worker: a line is not a cell")?;
        let mut failed = None;
        run_cell(&job.config, &data, &cell, &device, &mut |line| {
            let written = serde_json::to_writer(&mut output, &line).map_err(anyhow::Error::from);
            failed = written.and_then(|()| Ok(output.write_all(b"\n").and_then(|()| output.flush())?)).err();
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
    }
    Ok(())
}
