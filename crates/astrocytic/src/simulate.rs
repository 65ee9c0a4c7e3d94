//! `astrocytic simulate`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use astrocytic_lab::simulate::{self, MemoryConfig, PaperFigureConfig, SoftmaxConfig, TripartiteConfig};
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::progress::Progress;

#[derive(Args)]
#[command(after_help = "Example:\n  astrocytic simulate tripartite --separation 100 --memory 5")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
    /// Folder for the page and the figures [default: runs/NAME].
    #[arg(long, global = true)]
    out: Option<PathBuf>,
    /// Print one JSON object on standard output.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Clone, Subcommand)]
enum What {
    /// Neurons, synapses and astrocyte processes compute attention (Kozachkov et al., PNAS 2023).
    #[command(allow_negative_numbers = true)]
    Tripartite {
        /// Tokens shown, a second each.
        #[arg(long, default_value_t = 12)]
        tokens: usize,
        /// Hidden neurons: features of keys and queries.
        #[arg(long, default_value_t = 24)]
        features: usize,
        /// Output neurons: size of the values.
        #[arg(long, default_value_t = 4)]
        outputs: usize,
        /// How many times as fast as reading or writing a token everything fast is.
        #[arg(long, default_value_t = 50.0)]
        separation: f64,
        /// Time constant with which what is stored leaks, seconds [default: no leak].
        #[arg(long)]
        memory: Option<f64>,
        /// Seed.
        #[arg(long, default_value_t = 0)]
        seed: u64,
    },
    /// Astrocytes settle to softmax, in two ways.
    #[command(allow_negative_numbers = true)]
    Softmax {
        /// Inputs, separated by commas [default: drawn at random].
        #[arg(long, value_delimiter = ',', allow_hyphen_values = true)]
        inputs: Vec<f64>,
        /// How many are drawn.
        #[arg(long, default_value_t = 6)]
        count: usize,
        /// Time constant of the neurons, seconds.
        #[arg(long, default_value_t = 0.01)]
        neuron: f64,
        /// Time constant of the calcium, and of the gains, seconds.
        #[arg(long, default_value_t = 0.5)]
        astrocyte: f64,
        /// Temperature of the gains' competition.
        #[arg(long, default_value_t = 1.0)]
        temperature: f64,
        /// Seconds simulated [default: 25 times the slowest relaxation].
        #[arg(long)]
        seconds: Option<f64>,
        /// Seed.
        #[arg(long, default_value_t = 0)]
        seed: u64,
    },
    /// Neurons and astrocytes recall memories from corrupted ones (Kozachkov et al., PNAS 2025).
    #[command(allow_negative_numbers = true)]
    AssociativeMemory {
        /// Neurons of the network whose course is drawn.
        #[arg(long, default_value_t = 40)]
        neurons: usize,
        /// Memories in it.
        #[arg(long, default_value_t = 12)]
        memories: usize,
        /// Neurons flipped at its start.
        #[arg(long, default_value_t = 8)]
        flipped: usize,
        /// Sizes at which capacity is measured.
        #[arg(long, value_delimiter = ',', default_value = "10,15,20,30,40")]
        sizes: Vec<usize>,
        /// Leak of synapses and astrocyte processes; without one the fixed points are those of the dense memory.
        #[arg(long, default_value_t = 0.0)]
        leak: f64,
        /// Recalls tried at each point.
        #[arg(long, default_value_t = 20)]
        trials: usize,
        /// Time simulated, in time constants.
        #[arg(long, default_value_t = 20.0)]
        seconds: f64,
        /// Seed.
        #[arg(long, default_value_t = 0)]
        seed: u64,
    },
    /// The astrocyte's response against the softmax normaliser on a pretrained model, and the error of the attention (the
    /// paper's figure 4, and past it).
    PaperFigure {
        /// A pretrained model: file, folder, or a name that `data list` shows.
        #[arg(long, default_value = "all-minilm-l6-v2")]
        model: PathBuf,
        /// Tokens of a row.
        #[arg(long, default_value_t = 128)]
        steps: usize,
        /// Numbers of random features.
        #[arg(long, value_delimiter = ',', default_value = "16,64,256,1024,4096")]
        features: Vec<usize>,
        /// Steps in which a decoder's learned maps are trained; 0 leaves them out.
        #[arg(long, default_value_t = 100)]
        transfer_steps: u64,
        /// Seed.
        #[arg(long, default_value_t = 0)]
        seed: u64,
    },
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let folder = |name: &str| arguments.out.clone().unwrap_or_else(|| Path::new("runs").join(name));
    match arguments.what.clone() {
        What::Tripartite { tokens, features, outputs, separation, memory, seed } => {
            let config = TripartiteConfig { tokens, features, outputs, separation, memory, seed };
            let folder = folder("tripartite");
            tell(&simulate::tripartite(&config, &folder)?, &folder, arguments.json)
        }
        What::Softmax { inputs, count, neuron, astrocyte, temperature, seconds, seed } => {
            // Gains relax with their time constant over the temperature.
            let seconds = seconds.unwrap_or(25.0 * (astrocyte / temperature.clamp(0.01, 1.0)).abs().max(neuron));
            let config = SoftmaxConfig { inputs, count, neuron, astrocyte, temperature, seconds, seed };
            let folder = folder("softmax");
            tell(&simulate::softmax(&config, &folder)?, &folder, arguments.json)
        }
        What::AssociativeMemory { neurons, memories, flipped, sizes, leak, trials, seconds, seed } => {
            let config = MemoryConfig { neurons, memories, flipped, sizes, leak, trials, seconds, seed };
            let folder = folder("associative-memory");
            tell(&simulate::associative_memory(&config, &folder)?, &folder, arguments.json)
        }
        What::PaperFigure { model, steps, features, transfer_steps, seed } => {
            let config = PaperFigureConfig { model, steps, features, transfer_steps, seed };
            let folder = folder("paper-figure");
            let device = astrocytic_train::device::parse("flex")?;
            tell(&simulate::paper_figure(&config, &folder, &device, &Progress::default())?, &folder, arguments.json)
        }
    }
}

fn tell(report: &(impl Serialize + std::fmt::Display), folder: &Path, json: bool) -> Result<()> {
    if json {
        return crate::say(serde_json::to_string(report)?);
    }
    crate::say(format_args!("{report}\nPage: {}", folder.join("report.html").display()))
}
