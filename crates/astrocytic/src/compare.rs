//! `astrocytic compare`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use astrocytic_lab::experiment::budget::Budget;
use astrocytic_lab::experiment::compare::compare;
use astrocytic_lab::experiment::plan::Plan;
use clap::{Args, ValueEnum};

use crate::execution::ExecutionArguments;
use crate::say::say;
use crate::study::StudyArguments;

#[derive(Args)]
#[command(after_help = "Example:\n  astrocytic compare --corpus moby-dick --budget standard --out runs/moby-dick\n\n\
                        If a comparison is interrupted, start it again with the same options. Finished runs stay, the others \
                        go on from their last evaluation. Several machines can work in one shared folder.")]
pub(crate) struct Arguments {
    /// A corpus, a text file, or a task of examples [default: state:cups and generated].
    ///
    /// With --arms, --seeds or --sizes the default is "generated" alone.
    /// A corpus by name (see `astrocytic data list`), "generated", or a UTF-8 text file. Tasks:
    /// "state:WORLD" of coin, walk, cups, boxes, program and stack, with options behind it, and
    /// "state:FILE", texts with the answers in square brackets; "scan:simple", "scan:length",
    /// "scan:add-jump", "mqar:LENGTHxPAIRS" (":blocks" may follow), "listops:LENGTH", and
    /// "labelled:PATH": a CSV, TSV or JSON-lines file with text and label, a file of lines "label
    /// text", or a folder of such files with train, dev and test in their names. "labelled:PATH:N"
    /// says that there are N labels; needed if N is above 50, or if a label occurs once.
    #[arg(long, conflicts_with = "config")]
    corpus: Option<String>,
    /// How much to spend on two cores: minutes, two to four hours, or days (the headline protocol).
    #[arg(long, value_enum, default_value = "quick", conflicts_with = "config")]
    budget: BudgetName,
    /// Arms to compare, separated by commas, "vanilla" first; see `astrocytic arms list`.
    #[arg(long, value_delimiter = ',', conflicts_with = "config")]
    arms: Option<Vec<String>>,
    /// Number of seeds of the final runs.
    #[arg(long, conflicts_with = "config")]
    seeds: Option<u64>,
    /// Data sizes in unique tokens (of tasks: examples), separated by commas, ascending.
    #[arg(long, value_delimiter = ',', conflicts_with = "config")]
    sizes: Option<Vec<u64>>,
    #[command(flatten)]
    study: StudyArguments,
    /// Folder for lines, results and report [default: runs/compare-CORPUS-BUDGET, or runs/FILE-STUDY].
    #[arg(long)]
    out: Option<PathBuf>,
    #[command(flatten)]
    execution: ExecutionArguments,
    /// Print one JSON object on standard output.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum BudgetName {
    Quick,
    Standard,
    Full,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let budget = match arguments.budget {
        BudgetName::Quick => Budget::Quick,
        BudgetName::Standard => Budget::Standard,
        BudgetName::Full => Budget::Full,
    };
    let is_plain = arguments.arms.is_none() && arguments.seeds.is_none() && arguments.sizes.is_none();
    let corpus = arguments.corpus.as_deref().or_else(|| (!is_plain).then_some("generated"));
    let (config, default) = match (arguments.study.load()?, corpus) {
        (Some((_, study)), _) => {
            let file = arguments.study.config.as_deref().and_then(Path::file_stem).unwrap_or_default();
            let default = format!("runs/{}-{}", file.to_string_lossy(), study.name);
            (study.config, default)
        }
        (None, Some(corpus)) => {
            let mut config = budget.config(corpus)?;
            config.arms = arguments.arms.clone().unwrap_or(config.arms);
            config.primary = config.primary.filter(|primary| config.arms.contains(&primary.arm));
            config.seeds = arguments.seeds.unwrap_or(config.seeds);
            config.sizes = arguments.sizes.clone().unwrap_or(config.sizes);
            let corpus = Path::new(&config.corpus).file_stem();
            let corpus = corpus.map_or("corpus".into(), |stem| stem.to_string_lossy().replace(':', "-"));
            (config, format!("runs/compare-{corpus}-{}", budget.name()))
        }
        (None, None) => return first_look(budget, arguments),
    };
    let folder = arguments.out.clone().unwrap_or_else(|| default.into());

    let summary = compare(&config, &folder, &arguments.execution.execution()?)?;
    crate::report::print(&summary, arguments.json)
}

/// A task and a language, one after the other.
fn first_look(budget: Budget, arguments: &Arguments) -> Result<()> {
    let folder = arguments.out.clone().unwrap_or_else(|| format!("runs/compare-{}", budget.name()).into());
    let summary = Plan::first_look(budget)?.run(&folder, &arguments.execution.execution()?)?;
    if arguments.json { say(serde_json::to_string(&summary)?) } else { say(summary) }
}
