//! `astrocytic generate`.

use std::io::{StdoutLock, Write};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use astrocytic_models::memory::{MemoryConfig, MemoryKind, ReadMemory};
use astrocytic_models::{Decoder, Generator, Sampling};
use astrocytic_train::source::{self, LanguageModel};
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::memory::MemoryName;
use crate::progress::Progress;

#[derive(Args)]
#[command(
    after_help = "Example:\n  astrocytic generate --model runs/train --prompt \"Call me\" --temperature 0.8 --top-p 0.95"
)]
pub(crate) struct Arguments {
    /// Folder that `train` or `swap` wrote, or a pretrained model (see `swap --help`).
    #[arg(long, default_value = "runs/train")]
    model: PathBuf,
    /// Text to continue; an empty one begins a new document.
    #[arg(long, default_value = "")]
    prompt: String,
    /// Most tokens to draw; fewer if the document ends, or the positions that the model has
    /// learned.
    #[arg(long, default_value_t = 200)]
    tokens: usize,
    /// Temperature, which divides the logits; 0 takes the likeliest token.
    #[arg(long, default_value_t = 0.8)]
    temperature: f64,
    /// Draw from this many of the likeliest tokens; 0 draws from all.
    #[arg(long, default_value_t = 0)]
    top_k: usize,
    /// Draw from the likeliest tokens that together reach this probability.
    #[arg(long, default_value_t = 1.0)]
    top_p: f64,
    /// Seed of the draws.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Form of attention that computes the logits; the text is the same.
    #[arg(long, value_enum, default_value = "recurrent")]
    form: FormName,
    /// Go on learning from the prompt and from what is written, so that what came before becomes
    /// likelier [default kind: the one that `train --memory` stored beside the model, else ngram].
    #[arg(long, value_enum, value_name = "KIND", num_args = 0..=1, require_equals = true)]
    memory: Option<Option<MemoryName>>,
    /// How fast the memory learns [default: the rate that `train --memory` stored beside the model,
    /// else 0.4].
    #[arg(long, value_name = "RATE", requires = "memory")]
    memory_rate: Option<f32>,
    /// Device: flex, ndarray, or (if built in) wgpu.
    #[arg(long, default_value = "flex")]
    device: String,
    /// Print one JSON object on standard output instead of the text.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum FormName {
    /// One step at a time, from a state.
    Recurrent,
    /// The whole text again for each token.
    Parallel,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let sampling = arguments.sampling()?;
    let device = astrocytic_train::device::parse(&arguments.device)?;
    let LanguageModel { model, tokenizer, boundaries, .. } =
        source::language_model(&arguments.model, &device, &Progress::default())?;

    let text = match &tokenizer {
        Some(tokenizer) => tokenizer.encode(&arguments.prompt)?,
        None if arguments.prompt.is_empty() => Vec::new(),
        None => bail!("{}: the model has no tokenizer beside it; leave --prompt out", arguments.model.display()),
    };
    let mut prompt = boundaries.before.clone();
    prompt.extend(&text);
    if prompt.is_empty() {
        let begin =
            boundaries.begin.context("the model's files name no token that texts begin with; give a --prompt")?;
        prompt.push(begin);
    }
    // Learned positions end.
    let most = model.config().positions.map_or(usize::MAX, |most| (most + 1).saturating_sub(prompt.len()));
    if most == 0 {
        let positions = prompt.len();
        bail!("the prompt's {positions} tokens are more than the positions that the model has; shorten it");
    }
    let mut generator = match arguments.form {
        FormName::Recurrent => Generator::recurrent(&model, &prompt, sampling),
        FormName::Parallel => Generator::parallel(&model, &prompt, sampling),
    };
    let memory = arguments.memory()?;
    if let Some(config) = memory {
        generator = generator.remembering(new_memory(config, &model)?);
    }

    let started = Instant::now();
    let mut shown = Shown::begin(arguments)?;
    let mut stream = tokenizer.as_ref().map(|tokenizer| tokenizer.decode_stream().after(&text)).transpose()?;
    let mut drawn = Vec::new();
    for token in generator.take(arguments.tokens.min(most)).take_while(|token| !boundaries.end.contains(token)) {
        drawn.push(token);
        match &mut stream {
            Some(stream) => shown.add(&stream.push(token)?)?,
            None => shown.add(&format!("{token} "))?,
        }
    }
    if let Some(stream) = stream {
        shown.add(&stream.finish()?)?;
    }
    if drawn.len() == most {
        eprintln!("note: the positions that the model has learned end here");
    }
    shown.finish(&drawn, started.elapsed().as_secs_f64(), memory)
}

impl Arguments {
    fn sampling(&self) -> Result<Sampling> {
        let Self { temperature, top_p, top_k, seed, .. } = *self;
        if !(temperature.is_finite() && temperature >= 0.0) {
            bail!("--temperature {temperature} must be 0 or above");
        }
        if !(top_p > 0.0 && top_p <= 1.0) {
            bail!("--top-p {top_p} must be above 0 and at most 1");
        }
        Ok(Sampling { temperature, top_k, top_p, seed })
    }

    /// The memory that was asked for: what is not said is as it is stored beside the model.
    fn memory(&self) -> Result<Option<MemoryConfig>> {
        let Some(asked) = self.memory else { return Ok(None) };
        let stored = MemoryConfig::load(&self.model)?;
        let kind = asked.map(MemoryKind::from).or(stored.map(|stored| stored.kind)).unwrap_or(MemoryKind::Ngram);
        let stored = stored.filter(|stored| stored.kind == kind).map(|stored| stored.rate);
        let rate = self.memory_rate.or(stored).unwrap_or(kind.default_rate());
        if !(rate.is_finite() && rate > 0.0) {
            bail!("--memory-rate {rate} must be above 0");
        }
        Ok(Some(MemoryConfig { kind, rate }))
    }
}

fn new_memory(MemoryConfig { kind, rate }: MemoryConfig, model: &Decoder) -> Result<ReadMemory> {
    let (vocabulary, d_model) = (model.config().vocabulary, model.config().d_model);
    ReadMemory::new(kind, vocabulary, d_model, rate)
        .context("the model's memory.json names a memory that changes all weights, for which there is no generation")
}

/// What `--json` prints.
#[derive(Serialize)]
struct Written<'a> {
    prompt: &'a str,
    text: &'a str,
    tokens: &'a [u32],
    tokens_per_second: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<MemoryConfig>,
}

/// Text on standard output as it comes, or an object in the end.
struct Shown<'a> {
    arguments: &'a Arguments,
    stdout: StdoutLock<'static>,
    continuation: String,
}

impl<'a> Shown<'a> {
    fn begin(arguments: &'a Arguments) -> Result<Self> {
        let mut stdout = std::io::stdout().lock();
        if !arguments.json {
            write!(stdout, "{}", arguments.prompt)?;
        }
        Ok(Self { arguments, stdout, continuation: String::new() })
    }

    fn add(&mut self, text: &str) -> Result<()> {
        self.continuation += text;
        if !self.arguments.json {
            write!(self.stdout, "{text}")?;
            self.stdout.flush()?;
        }
        Ok(())
    }

    fn finish(mut self, drawn: &[u32], seconds: f64, memory: Option<MemoryConfig>) -> Result<()> {
        if !self.arguments.json {
            return Ok(writeln!(self.stdout)?);
        }
        let written = Written {
            prompt: &self.arguments.prompt,
            text: &self.continuation,
            tokens: drawn,
            tokens_per_second: drawn.len() as f64 / seconds,
            memory,
        };
        let object = serde_json::to_string(&written)?;
        Ok(writeln!(self.stdout, "{object}")?)
    }
}
