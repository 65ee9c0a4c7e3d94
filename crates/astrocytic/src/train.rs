//! `astrocytic train`.

use std::path::PathBuf;

use anyhow::{Result, bail};
use astrocytic_lab::session::{self, RememberedResult, SessionConfig, SessionResult};
use astrocytic_models::memory::MemoryConfig;
use clap::Args;

use crate::memory::MemoryName;
use crate::progress::Progress;
use crate::say::say;
use crate::study::StudyArguments;

#[derive(Args)]
#[command(
    after_help = "Example:\n  astrocytic train --corpus shakespeare.txt --tokenizer char --arm tripartite --out runs/bard\n\n\
                        If a run is interrupted, start it again with the same options: it goes on from its last evaluation."
)]
pub(crate) struct Arguments {
    /// A corpus (see `astrocytic data list`), "generated", a UTF-8 text file, or a TOML file that
    /// describes a corpus as those in `datasets/` do [default: generated].
    #[arg(long)]
    corpus: Option<String>,
    #[command(flatten)]
    study: StudyArguments,
    /// Tokenizer, trained on the training split: "char", or "bpe:SIZE" for byte pairs [default: bpe:512].
    #[arg(long)]
    tokenizer: Option<String>,
    /// Model, by the name of an arm of `compare` [default: tripartite].
    #[arg(long)]
    arm: Option<String>,
    /// Width of the model [default: 128].
    #[arg(long)]
    d_model: Option<usize>,
    /// Number of blocks [default: 3].
    #[arg(long)]
    layers: Option<usize>,
    /// Attention heads [default: 4].
    #[arg(long)]
    heads: Option<usize>,
    /// Tokens of context [default: 128].
    #[arg(long)]
    context: Option<usize>,
    /// Sequences in a batch [default: 16].
    #[arg(long)]
    batch: Option<usize>,
    /// Optimizer steps at most [default: 1000].
    #[arg(long)]
    steps: Option<u64>,
    /// Peak learning rate [default: 0.003].
    #[arg(long)]
    learning_rate: Option<f64>,
    /// AdamW's weight decay [default: 0.1].
    #[arg(long)]
    weight_decay: Option<f64>,
    /// Dropout [default: 0.1].
    #[arg(long)]
    dropout: Option<f64>,
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

impl Arguments {
    /// What is given on the command line, else what the study of the file says, else the default.
    fn session(&self) -> Result<SessionConfig> {
        let default = SessionConfig {
            corpus: "generated".into(),
            tokenizer: "bpe:512".parse()?,
            arm: "tripartite".into(),
            d_model: 128,
            layers: 3,
            heads: 4,
            dropout: 0.1,
            context: 128,
            batch: 16,
            tokens: self.tokens,
            steps: 1_000,
            learning_rate: 3e-3,
            weight_decay: 0.1,
            evaluate_every: self.evaluate_every,
            patience: self.patience,
            seed: self.seed,
            definitions: Default::default(),
        };
        let base = match self.study.load()? {
            None => default,
            Some((plan, study)) => {
                let study = &study.config;
                // The arm that the question is about, or the first that is not the baseline.
                let primary = study.primary.as_ref().map(|primary| &primary.arm);
                let arm = self.arm.as_ref().or(primary).unwrap_or(&study.arms[1]);
                default.of_study(study, arm, &plan.definitions)
            }
        };
        Ok(SessionConfig {
            corpus: self.corpus.clone().unwrap_or(base.corpus),
            tokenizer: self.tokenizer.as_deref().map(str::parse).transpose()?.unwrap_or(base.tokenizer),
            arm: self.arm.clone().unwrap_or(base.arm),
            d_model: self.d_model.unwrap_or(base.d_model),
            layers: self.layers.unwrap_or(base.layers),
            heads: self.heads.unwrap_or(base.heads),
            dropout: self.dropout.unwrap_or(base.dropout),
            context: self.context.unwrap_or(base.context),
            batch: self.batch.unwrap_or(base.batch),
            steps: self.steps.unwrap_or(base.steps),
            learning_rate: self.learning_rate.unwrap_or(base.learning_rate),
            weight_decay: self.weight_decay.unwrap_or(base.weight_decay),
            ..base
        })
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let config = arguments.session()?;
    if config.steps == 0 {
        bail!("--steps must be at least 1");
    }
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
