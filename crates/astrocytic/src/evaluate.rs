//! `astrocytic evaluate`.

use std::path::PathBuf;

use anyhow::Result;
use astrocytic_train::{minimal_pairs, source};
use clap::Args;

use crate::progress::Progress;
use crate::say::say;

#[derive(Args)]
#[command(after_help = "Example:\n  astrocytic evaluate --model runs/train --blimp blimp/data")]
pub(crate) struct Arguments {
    /// Folder that `train` or `swap` wrote, or a pretrained model (see `swap --help`).
    #[arg(long, default_value = "runs/train")]
    model: PathBuf,
    /// Folder of minimal pairs in BLiMP's format: JSON lines with `sentence_good` and
    /// `sentence_bad`.
    #[arg(long)]
    blimp: PathBuf,
    /// Device: flex, ndarray, or (if built in) wgpu.
    #[arg(long, default_value = "flex")]
    device: String,
    /// Print one JSON object on standard output.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let device = astrocytic_train::device::parse(&arguments.device)?;
    let model = source::language_model(&arguments.model, &device, &Progress::default())?;
    let found = minimal_pairs::evaluate(&model, &arguments.blimp, &device, &mut |name, accuracy| {
        eprintln!("{:5.1} %  {name}", 100.0 * accuracy);
    })?;
    found.notes.iter().for_each(|note| eprintln!("note: {note}"));
    if arguments.json { say(serde_json::to_string(&found)?) } else { say(found) }
}
