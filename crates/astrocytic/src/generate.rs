//! `astrocytic generate`.

use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use astrocytic_models::{Generator, Sampling};
use astrocytic_train::source::{self, LanguageModel};
use clap::{Args, ValueEnum};

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
    /// Most tokens to draw; fewer if the document ends, or the positions that the model has learned.
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
    let Arguments { temperature, top_p, top_k, seed, .. } = *arguments;
    if !(temperature.is_finite() && temperature >= 0.0) {
        bail!("--temperature {temperature} must be 0 or above");
    }
    if !(top_p > 0.0 && top_p <= 1.0) {
        bail!("--top-p {top_p} must be above 0 and at most 1");
    }
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
    let sampling = Sampling { temperature, top_k, top_p, seed };
    let generator = match arguments.form {
        FormName::Recurrent => Generator::recurrent(&model, &prompt, sampling),
        FormName::Parallel => Generator::parallel(&model, &prompt, sampling),
    };

    let started = Instant::now();
    let mut stdout = std::io::stdout().lock();
    let mut stream = tokenizer.as_ref().map(|tokenizer| tokenizer.decode_stream().after(&text)).transpose()?;
    let (mut drawn, mut continuation) = (Vec::new(), String::new());
    if !arguments.json {
        write!(stdout, "{}", arguments.prompt)?;
    }
    let mut show = |text: &str| -> Result<()> {
        continuation += text;
        if !arguments.json {
            write!(stdout, "{text}")?;
            stdout.flush()?;
        }
        Ok(())
    };
    for token in generator.take(arguments.tokens.min(most)).take_while(|token| !boundaries.end.contains(token)) {
        drawn.push(token);
        match &mut stream {
            Some(stream) => show(&stream.push(token)?)?,
            None => show(&format!("{token} "))?,
        }
    }
    if let Some(stream) = stream {
        show(&stream.finish()?)?;
    }
    if drawn.len() == most {
        eprintln!("note: the positions that the model has learned end here");
    }
    let seconds = started.elapsed().as_secs_f64();
    if arguments.json {
        let rate = drawn.len() as f64 / seconds;
        let object = serde_json::json!({
            "prompt": arguments.prompt, "text": continuation, "tokens": drawn, "tokens_per_second": rate
        });
        writeln!(stdout, "{object}")?;
    } else {
        writeln!(stdout)?;
    }
    Ok(())
}
