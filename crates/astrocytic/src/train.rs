//! `astrocytic train`.

use std::path::PathBuf;

use anyhow::{Result, bail};
use astrocytic_lab::session::{self, RememberedResult, SessionConfig, SessionResult};
use astrocytic_models::memory::MemoryConfig;
use clap::Args;

use crate::memory::MemoryName;
use crate::progress::Progress;
use crate::say::say;

#[derive(Args)]
#[command(
    after_help = "Example:\n  astrocytic train --corpus shakespeare.txt --tokenizer char --arm tripartite --out runs/bard\n\n\
                        If a run is interrupted, start it again with the same options: it goes on from its last evaluation."
)]
pub(crate) struct Arguments {
    /// A corpus (see `astrocytic data list`), "generated", a UTF-8 text file, or a TOML file that
    /// describes a corpus as those in `datasets/` do.
    #[arg(long, default_value = "generated")]
    corpus: String,
    /// Tokenizer, trained on the training split: "char", or "bpe:SIZE" for byte pairs.
    #[arg(long, default_value = "bpe:512")]
    tokenizer: String,
    /// Model, by the name of an arm of `compare`.
    #[arg(long, default_value = "tripartite")]
    arm: String,
    /// Width of the model.
    #[arg(long, default_value_t = 128)]
    d_model: usize,
    /// Number of blocks.
    #[arg(long, default_value_t = 3)]
    layers: usize,
    /// Attention heads.
    #[arg(long, default_value_t = 4)]
    heads: usize,
    /// Tokens of context.
    #[arg(long, default_value_t = 128)]
    context: usize,
    /// Sequences in a batch.
    #[arg(long, default_value_t = 16)]
    batch: usize,
    /// Optimizer steps at most.
    #[arg(long, default_value_t = 1000)]
    steps: u64,
    /// Peak learning rate.
    #[arg(long, default_value_t = 3e-3)]
    learning_rate: f64,
    /// AdamW's weight decay.
    #[arg(long, default_value_t = 0.1)]
    weight_decay: f64,
    /// Dropout.
    #[arg(long, default_value_t = 0.1)]
    dropout: f64,
    /// Number of unique training tokens [default: the whole training split].
    #[arg(long)]
    tokens: Option<u64>,
    /// Steps between evaluations and checkpoints.
    #[arg(long, default_value_t = 50)]
    evaluate_every: u64,
    /// Evaluations without improvement after which the run ends; 0 never ends it early.
    #[arg(long, default_value_t = 5)]
    patience: u64,
    /// Seed of the weights, the order of batches, and dropout.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Also measure the model with a memory that goes on learning from the text it reads, and store
    /// the memory's best rate for `generate --memory`.
    #[arg(long, value_enum, value_name = "KIND", num_args = 0..=1, require_equals = true, default_missing_value = "ngram")]
    memory: Option<MemoryName>,
    /// Folder for the model, its tokenizer, and the evaluations.
    #[arg(long, default_value = "runs/train")]
    out: PathBuf,
    /// Devices: flex, ndarray, or (if built in) wgpu, wgpu:1, …; the first holds the model, each
    /// takes a share of every batch.
    #[arg(long, value_name = "DEVICE,…", value_delimiter = ',', default_value = "flex")]
    device: Vec<String>,
    /// Print one JSON object on standard output.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if arguments.steps == 0 {
        bail!("--steps must be at least 1");
    }
    let config = SessionConfig {
        corpus: arguments.corpus.clone(),
        tokenizer: arguments.tokenizer.parse()?,
        arm: arguments.arm.clone(),
        d_model: arguments.d_model,
        layers: arguments.layers,
        heads: arguments.heads,
        dropout: arguments.dropout,
        context: arguments.context,
        batch: arguments.batch,
        tokens: arguments.tokens,
        steps: arguments.steps,
        learning_rate: arguments.learning_rate,
        weight_decay: arguments.weight_decay,
        evaluate_every: arguments.evaluate_every,
        patience: arguments.patience,
        seed: arguments.seed,
    };
    let devices = astrocytic_train::device::parse_all(&arguments.device)?;
    let memory = arguments.memory.map(Into::into);
    let result = session::run(&config, &arguments.out, &devices, memory, &Progress::default())?;
    if arguments.json {
        return say(serde_json::to_string(&result)?);
    }
    let SessionResult { parameters, steps, best_step, test_loss, bits_per_byte, entropy, memory, .. } = result;
    let floor = entropy.map_or(String::new(), |entropy| format!("; the source's entropy is {entropy:.4}"));
    let out = arguments.out.display();
    let (remembered, flag) = memory.map_or_else(Default::default, |memory| {
        let RememberedResult { config: MemoryConfig { rate, .. }, test_loss, bits_per_byte, .. } = memory;
        let line = format!(
            "\nwith a memory of what it reads, at rate {rate}: test loss {test_loss:.4} nats per token \
             ({bits_per_byte:.4} bits per byte)"
        );
        (line, " --memory")
    });
    say(format_args!(
        "{parameters} parameters, {steps} steps, best at {best_step}: test loss {test_loss:.4} nats per token \
         ({bits_per_byte:.4} bits per byte{floor}){remembered}\nmodel in {out}; try: astrocytic generate --model {out}{flag}"
    ))
}
