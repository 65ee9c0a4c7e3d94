//! `astrocytic worker`: what executors start.

use std::path::PathBuf;

use anyhow::{Context, Result};
use astrocytic_lab::experiment::worker::{Share, work};
use clap::Args;

use crate::progress::Progress;

#[derive(Args)]
pub(crate) struct Arguments {
    /// File with the list of cells.
    job: PathBuf,
    /// The results folder.
    folder: PathBuf,
    /// Environment variable that holds the number of this worker's part, from 0 [default: all
    /// cells].
    #[arg(long, requires = "parts")]
    part_from: Option<String>,
    /// End when standard input ends.
    #[arg(long)]
    attached: bool,
    /// Number of parts into which the list is cut.
    #[arg(long, requires = "part_from")]
    parts: Option<usize>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let share = match (&arguments.part_from, arguments.parts) {
        (Some(variable), Some(parts)) => {
            let value = std::env::var(variable).with_context(|| format!("--part-from {variable}"))?;
            let remainder = value.parse().with_context(|| format!("{variable} = {value:?} is no number"))?;
            Share { remainder, parts }
        }
        _ => Share::ALL,
    };
    if arguments.attached {
        std::thread::spawn(|| {
            // Whoever started this process is gone: checkpoints keep what it had done.
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            std::process::exit(1);
        });
    }
    work(&arguments.job, &arguments.folder, share, &Progress::default())
}
