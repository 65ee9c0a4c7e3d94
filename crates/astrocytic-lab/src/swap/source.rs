//! The model to convert: what `train` wrote, or a pretrained file.

use std::path::Path;

use anyhow::Result;
use astrocytic_data::{Cache, models};
use astrocytic_models::pretrained::{self, PretrainedConfig};
use astrocytic_models::{Decoder, Saved, TextEncoder, load, saved};
use burn::tensor::Device;
use tokenizers::Tokenizer;

/// A model to convert.
pub(crate) enum Source {
    /// It predicts the next token.
    Decoder {
        model: Box<Decoder>,
        tokenizer: Option<Tokenizer>,
        /// The token that texts begin with.
        begin: Option<u32>,
        /// What was guessed or left out in reading it.
        notes: Vec<String>,
    },
    /// It embeds texts.
    Encoder { model: Box<TextEncoder>, tokenizer: Option<Tokenizer>, notes: Vec<String> },
}

/// Opens it: a file or folder, or the name of a model that is fetched.
pub(crate) fn open(path: &Path, device: &Device) -> Result<Source> {
    let fetched;
    let path = match path.to_str() {
        // What has only a name's letters and is no file is meant as a name.
        Some(name) if !path.exists() && !name.contains(['/', '\\', '.']) => {
            fetched = models::fetch(name, &Cache::default_folder()?, None)?;
            fetched.as_path()
        }
        _ => path,
    };
    if let Some(kind) = saved(path) {
        let tokenizer = astrocytic_data::Tokenizer::load(&path.join("tokenizer.json"))?;
        let begin = Some(tokenizer.end_id());
        let tokenizer = Some(tokenizer.into_inner());
        return Ok(match kind {
            Saved::Decoder => {
                Source::Decoder { model: Box::new(load(path, device)?), tokenizer, begin, notes: Vec::new() }
            }
            Saved::Encoder => {
                Source::Encoder { model: Box::new(TextEncoder::load(path, device)?), tokenizer, notes: Vec::new() }
            }
        });
    }
    let source = pretrained::open(path)?;
    let notes = source.notes.clone();
    notes.iter().for_each(|note| eprintln!("note: {note}"));
    let tokenizer = source.tokenizer.clone();
    let begin = match &source.config {
        PretrainedConfig::Llama(config) => config.bos,
        PretrainedConfig::Gpt2(config) => config.bos,
        _ => {
            let model = Box::new(TextEncoder::from_pretrained(source, device)?);
            return Ok(Source::Encoder { model, tokenizer, notes });
        }
    };
    Ok(Source::Decoder { model: Box::new(Decoder::from_pretrained(source, device)?), tokenizer, begin, notes })
}
