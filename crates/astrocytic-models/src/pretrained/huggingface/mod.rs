//! Hugging Face's config.json, safetensors and tokenizer.json.

mod family;
mod reach;
mod tensors;
#[cfg(test)]
mod tests;
mod tokenizer;

use super::boundaries::Said;
use super::config::PretrainedConfig;
use super::error::PretrainedError;
use super::fields::Fields;
use super::model::Pretrained;
use super::tensors::{File, Tensors};
use super::{older_tokenizer, pooling};
use family::family;
use tensors::insert_all;
use tokenizer::{plain, read_tokenizer};

pub(super) fn read(
    config: File,
    weights: Vec<File>,
    tokenizer: Option<File>,
    sentence: Vec<File>,
    texts: Vec<File>,
) -> Result<Pretrained, PretrainedError> {
    let path = weights.first().unwrap_or(&config).path.clone();
    let fields = Fields::from_json(&config.path, &config.bytes)?;
    let mut config = family(&fields)?;
    if let PretrainedConfig::Bert(config) = &mut config {
        config.pooling = pooling::read(&sentence)?;
    }
    let mut tensors = Tensors::new(weights);
    insert_all(&mut tensors, &config, &fields)?;
    output(&mut config, &mut tensors, &fields)?;
    let tokenizer = match tokenizer {
        Some(file) if file.path.ends_with("tokenizer.json") => Some(read_tokenizer(&file)?),
        Some(file) => older_tokenizer::read(&file, &texts, &fields)?,
        None => None,
    };
    let tokenizer = tokenizer.map(|tokenizer| plain(tokenizer, &texts));
    let vocabulary = config.vocabulary();
    let said = Said::hugging_face(&fields, &texts, tokenizer.as_ref(), vocabulary);
    let boundaries = said.complete(tokenizer.as_ref(), vocabulary);
    Ok(Pretrained { config, tensors, tokenizer, boundaries, path, notes: fields.into_notes() })
}

/// Which tensor the output is. One that is tied may be stored all the same; the newest library uses
/// it where it is another than the embedding.
fn output(config: &mut PretrainedConfig, tensors: &mut Tensors, fields: &Fields) -> Result<(), PretrainedError> {
    const OUTPUT: &str = "lm_head.weight";
    let (tied, embedding) = match config {
        PretrainedConfig::Llama(config) => (&mut config.tied, "model.embed_tokens.weight"),
        PretrainedConfig::Gpt2(config) => (&mut config.tied, "wte.weight"),
        PretrainedConfig::Bert(_) => return Ok(()),
    };
    match (*tied, tensors.contains(OUTPUT)) {
        (true, true) if !tensors.remove_copy(OUTPUT, embedding) => {
            *tied = false;
            fields.note(format_args!(
                "{OUTPUT} is not {embedding}, to which the configuration ties it: the output is {OUTPUT}"
            ));
        }
        (false, false) => {
            let reason = "is missing and not tied to the embedding: a model without an output cannot predict; save it \
                          from its class for causal language modelling";
            return Err(PretrainedError::tensor(fields.path, OUTPUT, reason));
        }
        _ => {}
    }
    Ok(())
}
