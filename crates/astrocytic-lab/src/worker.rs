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
    let data = Data::prepare(&job.config, Some(&job.folder))?;
    for line in lines {
        let cell: Cell = serde_json::from_str(&line?).context("worker: a line is not a cell")?;
        run_cell(&job.config, &data, &cell, &device, &mut |line| {
            let text = serde_json::to_string(&line).expect("a line is plain data") + "\n";
            if output.write_all(text.as_bytes()).and_then(|()| output.flush()).is_err() {
                // Whoever asked for it is gone: what is left of the cell would be for nobody.
                std::process::exit(1);
            }
        })?;
    }
    Ok(())
}
