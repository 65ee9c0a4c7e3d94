//! Models as users have them: a folder that `train` or `swap` wrote, a pretrained file or folder,
//! or a name that is fetched.

use std::path::Path;

use anyhow::{Context, Result, bail};
use astrocytic_data::{Cache, Tokenizer, models};
use astrocytic_models::pretrained::{self, PretrainedConfig};
use astrocytic_models::{Boundaries, Decoder, Saved, TextEncoder, load, saved};
use burn::tensor::Device;

use crate::observer::Observer;

/// A model of any kind.
pub enum Source {
    /// It predicts the next token.
    Decoder(Box<LanguageModel>),
    /// It embeds texts.
    Encoder(Box<EmbeddingModel>),
}

/// A model that predicts the next token.
pub struct LanguageModel {
    /// The model.
    pub model: Decoder,
    /// Its tokenizer, where there is one.
    pub tokenizer: Option<Tokenizer>,
    /// Where its texts begin and end.
    pub boundaries: Boundaries,
    /// What was guessed or left out in reading it.
    pub notes: Vec<String>,
}

/// A model that embeds texts.
pub struct EmbeddingModel {
    /// The model.
    pub model: TextEncoder,
    /// Its tokenizer, where there is one.
    pub tokenizer: Option<Tokenizer>,
    /// What was guessed or left out in reading it.
    pub notes: Vec<String>,
}

/// Opens a model: a file or folder, or the name of a model that is fetched. The observer is told
/// what was guessed or left out.
///
/// # Errors
/// For files that are missing, malformed or not supported, or do not belong together.
pub fn open(path: &Path, device: &Device, observer: &dyn Observer) -> Result<Source> {
    let fetched;
    let path = match path.to_str() {
        // What has only a name's letters and is no file is meant as a name.
        Some(name) if !path.exists() && !name.contains(['/', '\\', '.']) => {
            fetched = models::fetch(name, &Cache::default_folder()?, None)?;
            fetched.as_path()
        }
        _ => path,
    };
    if !path.exists() {
        bail!("{}: there is no such file or folder; `astrocytic train` makes a model", path.display());
    }
    match saved(path) {
        Some(Saved::Decoder) => {
            let model = load(path, device)?;
            let tokenizer = tokenizer_of(path, model.config().vocabulary)?;
            let between = |tokenizer: &Tokenizer| Some(Boundaries::between(tokenizer.end_id().ok()?));
            let boundaries = model.config().boundaries.clone().or_else(|| between(tokenizer.as_ref()?));
            let boundaries = boundaries.unwrap_or_else(Boundaries::new);
            Ok(Source::Decoder(Box::new(LanguageModel { model, tokenizer, boundaries, notes: Vec::new() })))
        }
        Some(Saved::Encoder) => {
            let model = TextEncoder::load(path, device)?;
            let tokenizer = tokenizer_of(path, model.config().vocabulary)?;
            Ok(Source::Encoder(Box::new(EmbeddingModel { model, tokenizer, notes: Vec::new() })))
        }
        None => from_files(path, device, observer),
    }
}

/// As [`open`], where a language model is needed.
///
/// # Errors
/// As [`open`], and for an encoder.
pub fn language_model(path: &Path, device: &Device, observer: &dyn Observer) -> Result<LanguageModel> {
    match open(path, device, observer)? {
        Source::Decoder(model) => Ok(*model),
        Source::Encoder(_) => bail!("{}: an encoder, where a language model is needed", path.display()),
    }
}

/// The tokenizer that was saved beside a model.
fn tokenizer_of(folder: &Path, vocabulary: usize) -> Result<Option<Tokenizer>> {
    let path = folder.join("tokenizer.json");
    if !path.exists() {
        return Ok(None);
    }
    let tokenizer = Tokenizer::load(&path)?.for_model(vocabulary).with_context(|| folder.display().to_string())?;
    Ok(Some(tokenizer))
}

/// Opens what others published.
fn from_files(path: &Path, device: &Device, observer: &dyn Observer) -> Result<Source> {
    let mut source = pretrained::open(path)?;
    let notes = source.notes.clone();
    notes.iter().for_each(|note| observer.note(note));
    let (boundaries, vocabulary) = (source.boundaries.clone(), source.config.vocabulary());
    let tokenizer = source.tokenizer.take().map(|inner| Tokenizer::from(inner).for_model(vocabulary)).transpose()?;
    Ok(match &source.config {
        PretrainedConfig::Bert(_) => {
            let model = TextEncoder::from_pretrained(source, device)?;
            Source::Encoder(Box::new(EmbeddingModel { model, tokenizer, notes }))
        }
        _ => {
            let model = Decoder::from_pretrained(source, device)?;
            Source::Decoder(Box::new(LanguageModel { model, tokenizer, boundaries, notes }))
        }
    })
}
