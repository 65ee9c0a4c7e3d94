//! Pretrained models from the files that others publish: Hugging Face folders, safetensors, GGUF
//! and llama2.c.
//!
//! Every format is read to one neutral form: a configuration, tensors under Hugging Face's names
//! and layouts, and a tokenizer. Files are taken to be hostile: whatever is wrong with them is an
//! error of one line, never a panic, and memory stays within the files' size times a small
//! constant.
//!
//! - Families: Llama, GPT-2 and BERT; in GGUF Llama and GPT-2. A configuration that asks for a
//!   computation that is not supported is refused; fields and tensors that compute nothing are not
//!   read, whatever they hold. What was guessed or left out stands in [`Pretrained::notes`].
//! - Names of fields in older and newer spelling; names of tensors with their family's prefix or
//!   without; of two tied tensors either.
//! - Numbers: F64, F32, F16 and BF16; in GGUF also Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K to Q6_K,
//!   IQ4_NL and IQ4_XS. All are given as f32.
//! - Rotary positions pair the first half of a head's rows of q and k with the second, as Hugging
//!   Face has them; rows that GGUF and llama2.c store pair by pair are put in that order.
//! - Matrices are `[out, in]`, but those of GPT-2's blocks are `[in, out]`, as they are stored.
//!
//! ```no_run
//! use astrocytic_models::pretrained::{self, PretrainedConfig};
//!
//! let mut model = pretrained::open("SmolLM2-135M-Instruct.gguf".as_ref())?;
//! if let PretrainedConfig::Llama(config) = &model.config {
//!     let shape = [config.vocabulary, config.d_model];
//!     let embedding: Vec<f32> = model.tensors.take("model.embed_tokens.weight", &shape)?;
//! }
//! # Ok::<(), pretrained::PretrainedError>(())
//! ```

mod activation;
mod boundaries;
mod byte_level;
mod config;
mod dtype;
mod error;
mod fields;
mod files;
mod find;
mod gguf;
mod gguf_config;
mod gguf_tokenizer;
mod gguf_values;
mod huggingface;
mod llama2c;
mod model;
mod names;
mod older_tokenizer;
mod panics;
mod pieces;
mod pooling;
mod reader;
mod scored;
mod tensors;

use std::path::Path;

pub use activation::Activation;
pub use config::{BertConfig, Gpt2Config, LlamaConfig, PretrainedConfig};
pub use error::PretrainedError;
pub use files::Files;
pub use model::Pretrained;
pub use pooling::{PooledSteps, Pooling};
pub use tensors::{File, Tensors};

/// Reads a model from a folder of Hugging Face's files (config.json, model.safetensors or its
/// parts, tokenizer.json), a `.safetensors` file or an index with config.json beside it, a `.gguf`
/// file, or llama2.c's `.bin` file with tokenizer.bin beside it. Of a model in several parts any
/// one may be given.
///
/// # Errors
/// For files that cannot be read, are malformed, do not fit each other, or hold what is not
/// supported.
pub fn open(path: &Path) -> Result<Pretrained, PretrainedError> {
    let read = read(find::find(path)?)?;
    Ok(Pretrained { path: path.into(), ..read })
}

/// As [`open`], from bytes.
///
/// # Errors
/// As [`open`].
pub fn read(files: Files) -> Result<Pretrained, PretrainedError> {
    let mut read = match files {
        Files::HuggingFace { config, weights, tokenizer, sentence, texts } => {
            huggingface::read(config, weights, tokenizer, sentence, texts)
        }
        Files::Gguf(parts) => gguf::read(parts),
        Files::Llama2c { model, tokenizer } => llama2c::read(model, tokenizer),
    }?;
    read.tensors.check(read.config.shapes())?;
    if let Some(tokenizer) = &read.tokenizer
        && panics::caught(|| tokenizer.encode("a", true).is_ok()).is_none()
    {
        let reason = "malformed: it fails on a text; make it again with the tokenizers library";
        return Err(PretrainedError::tokenizer(&read.path, reason));
    }
    refuse_beyond(&mut read)?;
    Ok(read)
}

/// A token beyond the vocabulary has no embedding. Tokens that were added may be, with a note; with
/// others it is another model's tokenizer.
fn refuse_beyond(read: &mut Pretrained) -> Result<(), PretrainedError> {
    let (Some(tokenizer), vocabulary) = (&read.tokenizer, read.config.vocabulary()) else { return Ok(()) };
    let beyond = tokenizer.get_vocab(true).into_iter().filter(|&(_, token)| token as usize >= vocabulary);
    let added = tokenizer.get_added_tokens_decoder();
    let Some((text, token)) = beyond.min_by_key(|(_, token)| (added.contains_key(token), *token)) else {
        return Ok(());
    };
    let reason = format!("its token {token}, {text:?}, is beyond the model's {vocabulary}");
    if !added.contains_key(&token) {
        return Err(PretrainedError::tokenizer(&read.path, format!("{reason}; get the model's own")));
    }
    read.notes.push(error::one_line(format_args!("the tokenizer: {reason}: texts that have it are refused")));
    Ok(())
}
