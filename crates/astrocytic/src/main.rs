//! The command line: parses, calls the lab, prints.

mod arms;
mod bench;
mod compare;
mod data;
mod evaluate;
mod execution;
mod fetch_progress;
mod generate;
mod memory;
mod progress;
mod report;
mod run;
mod say;
mod simulate;
mod study;
mod swap;
mod train;
mod worker;

use std::io::ErrorKind;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Does attention built the way neurons and astrocytes might do it learn more from less?
#[derive(Parser)]
#[command(
    name = "astrocytic",
    version,
    arg_required_else_help = true,
    after_help = "Example:\n  astrocytic compare --corpus moby-dick --budget standard"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Compare astrocytic and vanilla attention: test loss by unique training data, with controls.
    Compare(compare::Arguments),
    /// Run the experiment that a file describes.
    Run(run::Arguments),
    /// List or show the arms that can be compared.
    Arms(arms::Arguments),
    /// Train one language model.
    Train(train::Arguments),
    /// Continue a text with a trained model.
    Generate(generate::Arguments),
    /// Score a trained model on minimal pairs of sentences.
    Evaluate(evaluate::Arguments),
    /// Swap the attention of a trained model, train it back, and measure what was lost.
    Swap(swap::Arguments),
    /// Simulate the networks of neurons and astrocytes behind the layer, with a page of plots each.
    Simulate(simulate::Arguments),
    /// List, fetch or show corpora and pretrained models.
    Data(data::Arguments),
    /// Make a report, its tables and plots again from stored lines; trains nothing.
    Report(report::Arguments),
    /// Measure speed and memory, if you like beside PyTorch.
    Bench(bench::Arguments),
    /// Measure one thing for `bench`.
    #[command(hide = true)]
    BenchOne {
        #[arg(long)]
        device: String,
    },
    /// Run cells for `compare`.
    #[command(hide = true)]
    Worker(worker::Arguments),
}

/// `mi_option_purge_delay` in mimalloc.h, which the bindings leave out.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// Freed pages stay with the process: a training step asks for the same ones again, and to have
/// them cleared anew by the system was a quarter of its time.
#[expect(unsafe_code, reason = "the allocator's options have no safe interface")]
fn keep_pages() {
    // SAFETY: sets a number that the allocator reads when it next frees; any value is allowed, at
    // any time.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, -1) };
}

fn main() -> ExitCode {
    keep_pages();
    let command = Cli::parse().command;
    tracing::subscriber::set_global_default(fetch_progress::FetchProgress::new()).expect("nothing else sets one");
    // A pool that this thread belongs to: handing every small product to threads beside it would
    // cost a wake-up each.
    if let Err(error) = rayon::ThreadPoolBuilder::new().use_current_thread().build_global() {
        eprintln!("error: cannot start threads: {error}");
        return ExitCode::from(2);
    }
    let done = match command {
        Command::Compare(arguments) => compare::run(&arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::Arms(arguments) => arms::run(&arguments),
        Command::Train(arguments) => train::run(&arguments),
        Command::Generate(arguments) => generate::run(&arguments),
        Command::Evaluate(arguments) => evaluate::run(&arguments),
        Command::Swap(arguments) => swap::run(&arguments),
        Command::Simulate(arguments) => simulate::run(&arguments),
        Command::Data(arguments) => data::run(&arguments),
        Command::Report(arguments) => report::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::BenchOne { device } => {
            astrocytic_lab::bench::serve(std::io::stdin().lock(), std::io::stdout().lock(), &device)
        }
        Command::Worker(arguments) => worker::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read it has read enough.
        Err(error) if error.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == ErrorKind::BrokenPipe) => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}
