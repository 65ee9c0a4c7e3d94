//! `astrocytic run`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use astrocytic_lab::experiment::plan::{Plan, PredictedArm, Prediction};
use astrocytic_train::observer::Observer;
use clap::Args;

use crate::execution::ExecutionArguments;
use crate::progress::Progress;
use crate::say::say;

#[derive(Args)]
#[command(after_help = "Example:\n  astrocytic run experiments/null.toml --dry-run\n\n\
                        If an experiment is interrupted, start it again. Several machines can work in one shared folder.")]
pub(crate) struct Arguments {
    /// TOML file of the experiment: `question`, `expected`, `[shared]` and `[[studies]]`.
    file: PathBuf,
    /// Folder for the results [default: experiments/results/NAME beside the file].
    #[arg(long)]
    out: Option<PathBuf>,
    /// Print the number of runs and how long they would take; train nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    execution: ExecutionArguments,
    /// Print one JSON object on standard output.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let plan = Plan::load(&arguments.file)?;
    let folder = match &arguments.out {
        Some(folder) => folder.clone(),
        None => {
            let name = arguments.file.file_stem().context("the file has no name")?;
            arguments.file.with_file_name("results").join(name)
        }
    };
    if arguments.dry_run {
        return predict(&plan, &folder, arguments);
    }
    let summary = plan.run(&folder, &arguments.execution.execution()?)?;
    if arguments.json { say(serde_json::to_string(&summary)?) } else { say(summary) }
}

fn predict(plan: &Plan, folder: &Path, arguments: &Arguments) -> Result<()> {
    plan.must_have_corpora()?;
    if let Err(error) = plan.must_have_primary(folder) {
        Progress::default().note(&format!("`run` will refuse this file: {error:#}"));
    }
    let mut all = Prediction::default();
    let mut studies = Vec::new();
    for study in &plan.studies {
        let found = study.predict(&arguments.execution.device, &Progress::default())?;
        let [tuning, finals] = found.runs;
        all.runs = [all.runs[0] + tuning, all.runs[1] + finals];
        all.seconds += found.seconds;
        if arguments.json {
            studies.push(serde_json::json!({
                "study": study.name, "tuning_runs": tuning, "final_runs": finals, "core_seconds": found.seconds.round(),
                "arms": found.arms
            }));
        } else {
            let hours = found.seconds / 3600.0;
            say(format!("{}: {tuning} tuning and {finals} final runs, at most {hours:.2} core hours", study.name))?;
            for PredictedArm { name, parameters, description } in &found.arms {
                say(format!("  {name}, {parameters} parameters: {description}"))?;
            }
        }
    }
    if arguments.json {
        return say(serde_json::json!({ "studies": studies, "core_seconds": all.seconds.round() }));
    }
    say(format!(
        "in all {} runs, at most {:.2} core hours (fewer where runs stop early); nothing was trained",
        all.runs[0] + all.runs[1],
        all.seconds / 3600.0
    ))
}
