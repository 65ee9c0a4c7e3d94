//! `astrocytic report`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use astrocytic_lab::experiment::plan::Plan;
use astrocytic_lab::report::{Calibration, StudySummary, Summary, calibrate, load, write};
use clap::Args;
use clap::builder::RangedU64ValueParser;

use crate::say::say;

#[derive(Args)]
#[command(after_help = "Example:\n  astrocytic report experiments/results/moby-dick")]
pub(crate) struct Arguments {
    /// Folder that `compare` or `run` wrote: a study, or a whole experiment.
    folder: PathBuf,
    /// Also simulate so many experiments from the stored runs of each study, count how often the
    /// intervals hold the truth, and store it as coverage.json for the report.
    #[arg(long, value_name = "EXPERIMENTS", value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    coverage: Option<usize>,
    /// Print one JSON object on standard output.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let folder = &arguments.folder;
    if folder.join("experiment.toml").exists() {
        let plan = Plan::of_results(folder)?;
        if let Some(count) = arguments.coverage {
            plan.studies.iter().try_for_each(|study| simulate(&folder.join(&study.name), count))?;
        }
        let summary = plan.report(folder)?;
        return if arguments.json { say(serde_json::to_string(&summary)?) } else { say(summary) };
    }
    if let Some(count) = arguments.coverage {
        simulate(folder, count)?;
    }
    // A study of a file: its comparisons are corrected together with those of the others.
    if let Some(whole) = folder.parent().filter(|parent| parent.join("experiment.toml").exists()) {
        let found = Plan::of_results(whole)?.report(whole)?;
        let is_own = |study: &StudySummary| folder.ends_with(&study.study);
        if let Some(study) = found.studies.into_iter().find(is_own) {
            return print(&study.summary, arguments.json);
        }
    }
    let (experiment, lines) = load(folder)?;
    print(&write(folder, &experiment, &lines)?, arguments.json)
}

/// Simulates experiments from a study's runs; says how they came out.
fn simulate(folder: &Path, count: usize) -> Result<()> {
    for Calibration { arm, baseline, coverage, .. } in calibrate(folder, count)? {
        eprintln!(
            "{}: {arm} and {baseline}, a true ratio of {:.2}: {} of {} intervals hold it ({:.1} %)",
            folder.display(),
            coverage.truth,
            coverage.held,
            coverage.intervals,
            100.0 * coverage.share()
        );
    }
    Ok(())
}

/// The summary as JSON or as text.
pub(crate) fn print(summary: &Summary, json: bool) -> Result<()> {
    if json { say(serde_json::to_string(summary)?) } else { say(summary) }
}
