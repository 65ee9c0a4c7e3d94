//! `astrocytic arms`.

use std::path::PathBuf;

use anyhow::Result;
use astrocytic_lab::arms::{ArmSheet, Definitions, Sizes, listed, role_name};
use astrocytic_lab::experiment::plan::Plan;
use clap::{Args, Subcommand};

use crate::say::say;

#[derive(Args)]
#[command(after_help = "Example:\n  astrocytic arms show gated-linear")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the arms that can be compared, each with a line on what it does.
    List(ListArguments),
    /// Show what an arm is made of, and what it costs.
    Show(ShowArguments),
}

#[derive(Args)]
struct ListArguments {
    #[command(flatten)]
    file: FileArguments,
}

#[derive(Args)]
struct FileArguments {
    /// TOML file of an experiment, whose arms come first.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON on standard output.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct ShowArguments {
    /// Name of the arm.
    name: String,
    #[command(flatten)]
    file: FileArguments,
    /// Number of tokens known.
    #[arg(long, default_value_t = 512)]
    vocabulary: usize,
    /// Width of the model.
    #[arg(long, default_value_t = 64)]
    d_model: usize,
    /// Number of blocks.
    #[arg(long, default_value_t = 2)]
    layers: usize,
    /// Attention heads.
    #[arg(long, default_value_t = 2)]
    heads: usize,
    /// Tokens of context.
    #[arg(long, default_value_t = 64)]
    context: usize,
    /// Dropout.
    #[arg(long, default_value_t = 0.1)]
    dropout: f64,
}

impl FileArguments {
    /// The file's arms, by name in its order, and their tables.
    fn arms(&self) -> Result<(Vec<String>, Definitions)> {
        let Some(path) = &self.config else { return Ok(Default::default()) };
        let plan = Plan::load(path)?;
        Ok((plan.arms, plan.definitions))
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.command {
        Command::List(arguments) => list(&arguments.file),
        Command::Show(arguments) => show(arguments),
    }
}

fn list(file: &FileArguments) -> Result<()> {
    let (names, tables) = file.arms()?;
    let arms = listed(&names, &tables)?;
    if file.json {
        return say(serde_json::to_string(&arms)?);
    }
    let width = arms.iter().map(|arm| arm.name.len()).max().unwrap_or(0);
    let line = |arm: &astrocytic_lab::arms::Listed| {
        format!("{:width$}  {:11}  {}", arm.name, role_name(arm.role), arm.description)
    };
    say(arms.iter().map(line).collect::<Vec<_>>().join("\n"))
}

fn show(arguments: &ShowArguments) -> Result<()> {
    let ShowArguments { vocabulary, d_model, layers, heads, context, dropout, .. } = *arguments;
    let (_, tables) = arguments.file.arms()?;
    let sizes = Sizes { vocabulary, d_model, layers, heads, dropout, context, feed_forward: true };
    let sheet = ArmSheet::of(&arguments.name, &tables, sizes)?;
    if arguments.file.json { say(serde_json::to_string(&sheet)?) } else { say(sheet) }
}
