//! `astrocytic report`.

use std::path::PathBuf;

use anyhow::Result;
use astrocytic_lab::experiment::plan::Plan;
use astrocytic_lab::report::{Summary, load, write};
use clap::Args;

use crate::say::say;

#[derive(Args)]
#[command(after_help = "Example:\n  astrocytic report experiments/results/moby-dick")]
pub(crate) struct Arguments {
    /// Folder that `compare` or `run` wrote: a study, or a whole experiment.
    folder: PathBuf,
    /// Print one JSON object on standard output.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if arguments.folder.join("experiment.toml").exists() {
        let summary = Plan::of_results(&arguments.folder)?.report(&arguments.folder)?;
        return if arguments.json { say(serde_json::to_string(&summary)?) } else { say(summary) };
    }
    let (experiment, lines) = load(&arguments.folder)?;
    print(&write(&arguments.folder, &experiment, &lines)?, arguments.json)
}

/// The summary as JSON or as text.
pub(crate) fn print(summary: &Summary, json: bool) -> Result<()> {
    if json { say(serde_json::to_string(summary)?) } else { say(summary) }
}
