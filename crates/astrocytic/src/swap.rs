//! `astrocytic swap`.

use std::path::PathBuf;

use anyhow::{Result, bail};
use astrocytic_lab::swap::{self, Match, Report, StageConfig, SwapConfig, SwapReport};
use astrocytic_models::conversion::LayerChoice;
use clap::{Args, ValueEnum};

use crate::progress::Progress;
use crate::say::say;

#[derive(Args)]
#[command(after_help = "Example:\n  astrocytic swap --model stories260K --layers all --out runs/stories\n\n\
                  If a conversion is interrupted, start it again with the same options: it goes on where it was.")]
pub(crate) struct Arguments {
    /// Pretrained model: a file, a folder, or a name (see `astrocytic data list`).
    ///
    /// A file is .safetensors, .gguf, or a .bin of llama2.c. A folder holds one of these, with
    /// config.json beside safetensors.
    #[arg(long)]
    model: PathBuf,
    /// Layers to swap: "all", "last:N", or a list such as 0,2,4-6.
    #[arg(long, default_value = "all")]
    layers: LayerChoice,
    /// New attention: hedgehog, taylor, kozachkov2023, linear or tripartite.
    ///
    /// The default is taylor, the nearest to softmax, for heads of up to 16 numbers, and hedgehog
    /// for larger ones.
    #[arg(long)]
    preset: Option<String>,
    /// Steps that a softmax window sees beside the memory; 0 is no window.
    #[arg(long, default_value_t = 0)]
    window: usize,
    /// Corpus (see `astrocytic data list`) or text file to train on [default: text that the model
    /// itself samples].
    #[arg(long)]
    corpus: Option<String>,
    /// Labelled texts to probe an encoder's embeddings with, as for
    /// `compare --corpus labelled:PATH`; may be given again.
    #[arg(long = "probe")]
    probes: Vec<PathBuf>,
    /// Tokens in a row.
    #[arg(long, default_value_t = 256)]
    context: usize,
    /// Number of rows to train on.
    #[arg(long, default_value_t = 8192)]
    rows: usize,
    /// Number of rows to measure on.
    #[arg(long, default_value_t = 256)]
    held_out: usize,
    /// Rows in a batch.
    #[arg(long, default_value_t = 16)]
    batch: usize,
    /// What attention transfer matches in each layer: its output, or its attention weights.
    #[arg(long, value_enum, default_value = "output")]
    transfer: MatchName,
    /// Steps of attention transfer; 0 skips it.
    #[arg(long, default_value_t = 300)]
    transfer_steps: u64,
    /// Learning rate of attention transfer.
    #[arg(long, default_value_t = 1e-2)]
    transfer_rate: f64,
    /// Steps of recovery; 0 skips it.
    #[arg(long, default_value_t = 1800)]
    recovery_steps: u64,
    /// Learning rate of recovery.
    #[arg(long, default_value_t = 2e-3)]
    recovery_rate: f64,
    /// Rank of low-rank adapters on the projections, which recovery then trains alone; 0 trains all
    /// weights.
    #[arg(long, default_value_t = 0)]
    adapters: usize,
    /// Do not train the controls, which is faster.
    #[arg(long)]
    untrained_controls: bool,
    /// Seed of rows, weights and order.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Folder for the converted model, the figures and the page.
    #[arg(long, default_value = "runs/swap")]
    out: PathBuf,
    /// Device: flex, ndarray, or (if built in) wgpu.
    #[arg(long, default_value = "flex")]
    device: String,
    /// Print one JSON object on standard output.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum MatchName {
    /// The output of the layer.
    Output,
    /// The attention weights.
    Weights,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let a = arguments;
    if [a.context, a.rows, a.held_out, a.batch].contains(&0) {
        bail!("--context, --rows, --held-out and --batch must be at least 1");
    }
    let device = astrocytic_train::device::parse(&a.device)?;
    let config = SwapConfig {
        model: a.model.clone(),
        layers: a.layers.clone(),
        preset: a.preset.clone(),
        window: a.window,
        corpus: a.corpus.clone(),
        probes: a.probes.clone(),
        context: a.context,
        rows: a.rows,
        held_out: a.held_out,
        batch: a.batch,
        matched: match a.transfer {
            MatchName::Output => Match::Output,
            MatchName::Weights => Match::Weights,
        },
        transfer: StageConfig { steps: a.transfer_steps, learning_rate: a.transfer_rate },
        recovery: StageConfig { steps: a.recovery_steps, learning_rate: a.recovery_rate },
        adapters: a.adapters,
        controls: !a.untrained_controls,
        seed: a.seed,
    };
    let report = swap::run(&config, &a.out, &device, &Progress::default())?;
    if a.json {
        return say(serde_json::to_string(&report)?);
    }
    let out = a.out.display();
    match report {
        Report::Decoder(report) => {
            let SwapReport { original_loss, converted_loss, after_transfer_loss, after_recovery_loss, .. } = *report;
            say(format_args!(
                "original {original_loss:.4}, converted {converted_loss:.4}, after transfer {after_transfer_loss:.4}, after \
                 recovery {after_recovery_loss:.4} nats per token\nmodel and report.html in {out}; try: astrocytic generate \
                 --model {out}"
            ))
        }
        Report::Encoder(report) => say(format_args!(
            "cosine with the original's embeddings ({}): converted {:.4}, after transfer {:.4}, after recovery {:.4}\nmodel \
             and report.html in {out}",
            report.pooling, report.converted_cosine, report.after_transfer_cosine, report.after_recovery_cosine
        )),
    }
}
