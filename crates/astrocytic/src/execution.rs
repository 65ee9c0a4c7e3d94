//! Options of the commands that run cells.

use std::path::PathBuf;

use anyhow::Result;
use astrocytic_lab::experiment::executor::{Execution, Executor};
use astrocytic_lab::experiment::program::Program;
use clap::{Args, ValueEnum};

use crate::progress::Progress;

#[derive(Args)]
pub(crate) struct ExecutionArguments {
    /// Device: flex, ndarray, or (if built in) wgpu.
    #[arg(long, default_value = "flex")]
    pub(crate) device: String,
    /// Worker processes on this machine [default: one for each core]. Results do not depend on it.
    #[arg(long)]
    jobs: Option<usize>,
    /// Folder with results of an earlier experiment, or of several below it: runs that are the same
    /// here, by configuration, text and device, are taken over from it. May be given several times.
    #[arg(long, value_name = "DIR")]
    reuse: Vec<PathBuf>,
    /// What runs the cells: this machine, the HyperQueue server that `hq` finds, or the Slurm
    /// cluster that `sbatch` finds.
    ///
    /// All machines of a server or cluster need this program, the results folder and the corpora at
    /// the same paths.
    #[arg(long, value_enum, default_value = "local")]
    executor: ExecutorName,
}

#[derive(Clone, Copy, ValueEnum)]
enum ExecutorName {
    Local,
    Hyperqueue,
    Slurm,
}

impl ExecutionArguments {
    pub(crate) fn execution(&self) -> Result<Execution> {
        astrocytic_train::device::parse(&self.device)?;
        let program = Program::this()?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let executor = match self.executor {
            ExecutorName::Local => Executor::Local,
            ExecutorName::Hyperqueue => Executor::HyperQueue,
            ExecutorName::Slurm => Executor::Slurm,
        };
        let jobs = self.jobs.unwrap_or(cores);
        let observer = Box::new(Progress::default());
        let (device, reuse) = (self.device.clone(), self.reuse.clone());
        Ok(Execution { device, executor, jobs, program, reuse, observer })
    }
}
