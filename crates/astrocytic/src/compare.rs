//! `astrocytic compare`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use astrocytic_lab::experiment::budget::Budget;
use astrocytic_lab::experiment::compare::compare;
use astrocytic_lab::experiment::config::ExperimentConfig;
use clap::{Args, ValueEnum};

use crate::execution::ExecutionArguments;

#[derive(Args)]
#[command(after_help = "Example:\n  astrocytic compare --corpus moby-dick --budget standard --out runs/moby-dick\n\n\
                        An interrupted comparison goes on when it is started again with the same options: runs that ended are \
                        kept, those in progress go on from their last evaluation. Two machines may work in one shared \
                        folder.")]
pub(crate) struct Arguments {
    /// A corpus (see `astrocytic data list`), "generated", a UTF-8 text file, or a task of examples: "labelled:PATH" (CSV, TSV
    /// or JSON lines with text and label, lines "label text", or a folder of such files for train, dev and test; ":N" behind
    /// it where more than 50 labels, N, or some that occur once are meant), "scan:simple", "scan:length", "scan:add-jump", "mqar:LENGTHxPAIRS" (or with ":blocks" behind), "listops:LENGTH".
    #[arg(long, default_value = "generated")]
    corpus: String,
    /// How much to spend: minutes, about an hour, or the headline protocol (days on two cores).
    #[arg(long, value_enum, default_value = "quick")]
    budget: BudgetName,
    /// Arms to compare, comma-separated, "vanilla" first.
    #[arg(long, value_delimiter = ',')]
    arms: Option<Vec<String>>,
    /// Seeds of the final runs.
    #[arg(long)]
    seeds: Option<u64>,
    /// Data sizes in unique tokens, or examples, comma-separated, ascending.
    #[arg(long, value_delimiter = ',')]
    sizes: Option<Vec<u64>>,
    /// An experiment's configuration as JSON instead of a budget (as stored in experiment.json under "config").
    #[arg(long, conflicts_with_all = ["budget", "arms", "seeds", "sizes", "corpus"])]
    config: Option<PathBuf>,
    /// Folder for lines, results and report [default: runs/compare-CORPUS-BUDGET].
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
    let (budget, name) = match arguments.budget {
        BudgetName::Quick => (Budget::Quick, "quick"),
        BudgetName::Standard => (Budget::Standard, "standard"),
        BudgetName::Full => (Budget::Full, "full"),
    };
    let config = match &arguments.config {
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
            serde_json::from_str::<ExperimentConfig>(&text).with_context(|| path.display().to_string())?
        }
        None => {
            let mut config = budget.config(&arguments.corpus)?;
            config.arms = arguments.arms.clone().unwrap_or(config.arms);
            config.seeds = arguments.seeds.unwrap_or(config.seeds);
            config.sizes = arguments.sizes.clone().unwrap_or(config.sizes);
            config
        }
    };
    let corpus = PathBuf::from(&config.corpus);
    let corpus = corpus.file_stem().map_or("corpus".into(), |stem| stem.to_string_lossy().replace(':', "-"));
    let folder = arguments.out.clone().unwrap_or_else(|| format!("runs/compare-{corpus}-{name}").into());

    let summary = compare(&config, &folder, &arguments.execution.execution()?)?;
    crate::report::print(&summary, arguments.json)
}
