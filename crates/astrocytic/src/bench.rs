//! `astrocytic bench`.

use std::path::PathBuf;

use anyhow::{Result, bail};
use astrocytic_lab::bench::{Peer, Plan, Store, stored, table};
use clap::Args;

use crate::progress::Progress;
use crate::say::say;

#[derive(Args)]
#[command(after_help = "Example:\n  astrocytic bench --against benches/pytorch/peers.py --rounds 3")]
pub(crate) struct Arguments {
    /// What to measure, separated by commas: attention, train, generate, segments.
    #[arg(long, value_delimiter = ',', default_value = "attention,train,generate")]
    parts: Vec<String>,
    /// Lengths of the sequences that attention is measured on, separated by commas.
    #[arg(long, value_delimiter = ',', default_values_t = Plan::LENGTHS)]
    lengths: Vec<usize>,
    /// Seconds for which each measurement repeats.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// How often everything is measured; the result is the median.
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    /// Python script of a peer, measured in turn with this program (see benches/pytorch).
    #[arg(long)]
    against: Option<PathBuf>,
    /// Python interpreter that runs the peer's script.
    #[arg(long, default_value = "python3")]
    python: String,
    /// Device: flex, ndarray, or (if built in) wgpu.
    #[arg(long, default_value = "flex")]
    device: String,
    /// Folder in which the rows are stored.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Print the tables of the rows stored in a folder; measure nothing.
    #[arg(long, conflicts_with_all = ["out", "against", "json"])]
    stored: Option<PathBuf>,
    /// Print one JSON object for each measurement instead of tables.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if let Some(folder) = &arguments.stored {
        return say(table(&stored(folder)?));
    }
    for part in &arguments.parts {
        if !["attention", "train", "generate", "segments"].contains(&part.as_str()) {
            bail!("--parts {part}: choose from attention, train, generate, segments");
        }
    }
    if !(arguments.seconds > 0.0 && arguments.seconds <= 3600.0) {
        bail!("--seconds {} must be above 0 and at most 3600", arguments.seconds);
    }
    if let Some(length) = arguments.lengths.iter().find(|&&length| length == 0 || length > 1 << 20) {
        bail!("--lengths {length} must be at least 1 and at most {}", 1 << 20);
    }
    if arguments.rounds == 0 {
        bail!("--rounds must be at least 1");
    }
    astrocytic_train::device::parse(&arguments.device)?;
    let plan = Plan {
        device: arguments.device.clone(),
        lengths: arguments.lengths.clone(),
        seconds: arguments.seconds,
        rounds: arguments.rounds,
        parts: arguments.parts.clone(),
    };
    let mut peer = arguments.against.as_ref().map(|script| Peer::start(&arguments.python, script)).transpose()?;
    let mut store = arguments.out.as_deref().map(Store::create).transpose()?;
    let rows = plan.run(peer.as_mut(), &Progress::default(), &mut |row| {
        if let Some(store) = &mut store {
            store.add(row)?;
        }
        let line = serde_json::to_string(row)?;
        if arguments.json {
            return say(line);
        }
        eprintln!("{line}");
        Ok(())
    })?;
    if arguments.json { Ok(()) } else { say(table(&rows)) }
}
