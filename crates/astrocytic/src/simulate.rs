//! `astrocytic simulate`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use astrocytic_lab::simulate::{self, MemoryConfig, PaperFigureConfig, SoftmaxConfig, TripartiteConfig};
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::progress::Progress;
use crate::say::say;

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
    /// Neurons, synapses and astrocytes compute attention (Kozachkov et al., PNAS 2023).
    #[command(allow_negative_numbers = true)]
    Tripartite {
        /// Tokens shown to the network, one second each.
        #[arg(long, default_value_t = 12)]
        tokens: usize,
        /// Number of hidden neurons: the features of keys and queries.
        #[arg(long, default_value_t = 24)]
        features: usize,
        /// Number of output neurons: the size of the values.
        #[arg(long, default_value_t = 4)]
        outputs: usize,
        /// How many times faster the fast parts are than reading or writing a token.
        #[arg(long, default_value_t = 50.0)]
        separation: f64,
        /// Time constant of the memory's leak, in seconds [default: no leak].
        #[arg(long)]
        memory: Option<f64>,
        /// Seed.
        #[arg(long, default_value_t = 0)]
        seed: u64,
    },
    /// Two ways in which astrocytes settle to softmax.
    #[command(allow_negative_numbers = true)]
    Softmax {
        /// Inputs, separated by commas [default: drawn at random].
        #[arg(long, value_delimiter = ',', allow_hyphen_values = true)]
        inputs: Vec<f64>,
        /// Number of inputs to draw, if none are given.
        #[arg(long, default_value_t = 6)]
        count: usize,
        /// Time constant of the neurons, in seconds.
        #[arg(long, default_value_t = 0.01)]
        neuron: f64,
        /// Time constant of the calcium and of the gains, in seconds.
        #[arg(long, default_value_t = 0.5)]
        astrocyte: f64,
        /// Temperature of the gains' competition.
        #[arg(long, default_value_t = 1.0)]
        temperature: f64,
        /// Time to simulate, in seconds [default: 25 times the slowest relaxation].
        #[arg(long)]
        seconds: Option<f64>,
        /// Seed.
        #[arg(long, default_value_t = 0)]
        seed: u64,
    },
    /// Neurons and astrocytes recall memories from corrupted cues (Kozachkov et al., PNAS 2025).
    #[command(allow_negative_numbers = true)]
    AssociativeMemory {
        /// Number of neurons of the network whose recall is plotted.
        #[arg(long, default_value_t = 40)]
        neurons: usize,
        /// Number of memories stored in it.
        #[arg(long, default_value_t = 12)]
        memories: usize,
        /// Number of neurons flipped at the start.
        #[arg(long, default_value_t = 8)]
        flipped: usize,
        /// Numbers of neurons at which capacity is measured.
        #[arg(long, value_delimiter = ',', default_value = "10,15,20,30,40")]
        sizes: Vec<usize>,
        /// Leak of synapses and astrocytes; at 0 the fixed points are those of the dense memory.
        #[arg(long, default_value_t = 0.0)]
        leak: f64,
        /// Recalls to try for each point of the capacity plot.
        #[arg(long, default_value_t = 20)]
        trials: usize,
        /// Time to simulate, in time constants.
        #[arg(long, default_value_t = 20.0)]
        seconds: f64,
        /// Seed.
        #[arg(long, default_value_t = 0)]
        seed: u64,
    },
    /// A pretrained model: the astrocyte's response beside the softmax normaliser (the 2023 paper's
    /// figure 4), and the error of the attention itself.
    PaperFigure {
        /// Pretrained model: a file, a folder, or a name (see `astrocytic data list`).
        #[arg(long, default_value = "all-minilm-l6-v2")]
        model: PathBuf,
        /// Tokens in a row.
        #[arg(long, default_value_t = 128)]
        steps: usize,
        /// Numbers of random features to try.
        #[arg(long, value_delimiter = ',', default_value = "16,64,256,1024,4096")]
        features: Vec<usize>,
        /// Steps of training for a decoder's learned feature maps; 0 leaves these maps out.
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
        return say(serde_json::to_string(report)?);
    }
    say(format_args!("{report}\nPage: {}", folder.join("report.html").display()))
}
