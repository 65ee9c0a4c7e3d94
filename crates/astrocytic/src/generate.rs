//! `astrocytic generate`.

use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail};
use astrocytic_models::{Generator, Sampling};
use clap::{Args, ValueEnum};

#[derive(Args)]
#[command(
    after_help = "Example:\n  astrocytic generate --model runs/train --prompt \"Call me\" --temperature 0.8 --top-p 0.95"
)]
pub(crate) struct Arguments {
    /// Folder that `train` wrote.
    #[arg(long, default_value = "runs/train")]
    model: PathBuf,
    /// Text to continue; empty begins a new document.
    #[arg(long, default_value = "")]
    prompt: String,
    /// Tokens to draw at most; a document's end ends it sooner.
    #[arg(long, default_value_t = 200)]
    tokens: usize,
    /// Divides the logits; 0 takes the likeliest token.
    #[arg(long, default_value_t = 0.8)]
    temperature: f64,
    /// Keeps this many of the likeliest tokens; 0 keeps all.
    #[arg(long, default_value_t = 0)]
    top_k: usize,
    /// Keeps the likeliest tokens that together reach this probability.
    #[arg(long, default_value_t = 1.0)]
    top_p: f64,
    /// Seed of the draws.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Which form of attention computes the logits: the same text, at another cost.
    #[arg(long, value_enum, default_value = "recurrent")]
    form: FormName,
    /// Device: flex, ndarray, or wgpu where built in.
    #[arg(long, default_value = "flex")]
    device: String,
    /// Print one JSON object on standard output instead of the text.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum FormName {
    /// A step at a time from the state.
    Recurrent,
    /// The whole text anew for each token.
    Parallel,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { temperature, top_p, top_k, seed, .. } = *arguments;
    if !(temperature.is_finite() && temperature >= 0.0) {
        bail!("--temperature {temperature} must be 0 or above");
    }
    if !(top_p > 0.0 && top_p <= 1.0) {
        bail!("--top-p {top_p} must be above 0 and at most 1");
    }
    let device = astrocytic_lab::device::parse(&arguments.device)?;
    let (model, tokenizer) = astrocytic_lab::session::load(&arguments.model, &device)?;

    let mut prompt = vec![tokenizer.end_id()];
    prompt.extend(tokenizer.encode(&arguments.prompt)?);
    if let Some(most) = model.config().positions.filter(|&most| prompt.len() + arguments.tokens > most) {
        bail!(
            "{} tokens after a prompt of {} are more than the model's {most} positions",
            arguments.tokens,
            prompt.len()
        );
    }
    let sampling = Sampling { temperature, top_k, top_p, seed };
    let generator = match arguments.form {
        FormName::Recurrent => Generator::recurrent(&model, &prompt, sampling),
        FormName::Parallel => Generator::parallel(&model, &prompt, sampling),
    };

    let started = Instant::now();
    let mut stdout = std::io::stdout().lock();
    let mut stream = tokenizer.decode_stream();
    let mut drawn = Vec::new();
    if !arguments.json {
        write!(stdout, "{}", arguments.prompt)?;
    }
    for token in generator.take(arguments.tokens).take_while(|&token| token != tokenizer.end_id()) {
        drawn.push(token);
        if let Some(text) = stream.push(token).filter(|_| !arguments.json) {
            write!(stdout, "{text}")?;
            stdout.flush()?;
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    if arguments.json {
        let text = tokenizer.decode(&drawn)?;
        let rate = drawn.len() as f64 / seconds;
        let object = serde_json::json!({
            "prompt": arguments.prompt, "text": text, "tokens": drawn, "tokens_per_second": rate
        });
        writeln!(stdout, "{object}")?;
    } else {
        writeln!(stdout)?;
    }
    Ok(())
}
