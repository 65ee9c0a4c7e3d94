//! What a config.json says of the model.

use super::reach::{rotary_theta, window};
use crate::pretrained::activation::Activation;
use crate::pretrained::config::{BertConfig, Gpt2Config, LlamaConfig, PretrainedConfig, heads_fault};
use crate::pretrained::error::PretrainedError;
use crate::pretrained::fields::Fields;
use crate::pretrained::pooling::Pooling;

/// The configuration of a supported family.
pub(super) fn family(fields: &Fields) -> Result<PretrainedConfig, PretrainedError> {
    fields.absent("quantization_config")?;
    fields.only("add_cross_attention", false)?;
    match &model_type(fields)?[..] {
        kind @ ("llama" | "mistral") => llama(fields, kind).map(PretrainedConfig::Llama),
        "gpt2" => gpt2(fields).map(PretrainedConfig::Gpt2),
        "bert" => bert(fields).map(PretrainedConfig::Bert),
        "" => Err(fields.error("model_type is missing; it must be llama, mistral, gpt2 or bert")),
        other => {
            Err(fields
                .error(format!("model_type = {other:?} is not supported; only llama, mistral, gpt2 and bert are")))
        }
    }
}

/// The family: by its field, by the class that the model was saved from, or by a field that only
/// one of them has.
fn model_type(fields: &Fields) -> Result<String, PretrainedError> {
    let named = fields.text_or("model_type", "")?;
    if !named.is_empty() {
        return Ok(named.into());
    }
    let class = fields.get("architectures").and_then(|classes| classes[0].as_str());
    if let Some(class) = class {
        let end = ["For", "Model", "LMHead", "DoubleHeads"].iter().filter_map(|part| class.find(part)).min();
        return Ok(class[..end.unwrap_or(class.len())].to_lowercase());
    }
    let only = [("rms_norm_eps", "llama"), ("n_embd", "gpt2"), ("type_vocab_size", "bert")];
    let Some((field, kind)) = only.into_iter().find(|(field, _)| fields.get(field).is_some()) else {
        return Ok(String::new());
    };
    fields.note(format_args!("model_type is missing: taken for {kind}, because there is {field}"));
    Ok(kind.into())
}

fn check_heads(
    fields: &Fields,
    d_model: usize,
    heads: usize,
    key_heads: usize,
    rotary: bool,
) -> Result<(), PretrainedError> {
    heads_fault(d_model, heads, key_heads, rotary).map_or(Ok(()), |fault| Err(fields.error(fault)))
}

/// Names of the number of positions, the newest first.
const POSITIONS: [&str; 6] =
    ["max_position_embeddings", "n_positions", "n_ctx", "max_sequence_length", "max_seq_len", "seq_length"];

fn llama(fields: &Fields, kind: &str) -> Result<LlamaConfig, PretrainedError> {
    let (vocabulary, d_model) = (fields.size("vocab_size")?, fields.size("hidden_size")?);
    let heads = fields.size("num_attention_heads")?;
    // Mistral's default holds where the field is missing, not where it is null.
    let is_missing = !fields.map.contains_key("num_key_value_heads");
    let key_heads = fields.size_or("num_key_value_heads", if kind == "mistral" && is_missing { 8 } else { heads })?;
    check_heads(fields, d_model, heads, key_heads, true)?;
    fields.only("head_dim", d_model / heads)?;
    fields.only("attention_bias", false)?;
    fields.only("mlp_bias", false)?;
    fields.only("partial_rotary_factor", 1)?;
    // Rotary positions have no end; this is what the model was trained for.
    let max_steps = fields.size(fields.spelled(&POSITIONS)).unwrap_or(2048);
    window(fields, kind, max_steps)?;
    if fields.activation_or(fields.spelled(&["hidden_act", "hidden_activation"]), Activation::Silu)? != Activation::Silu
    {
        return Err(fields.error("hidden_act must be silu; no other is supported"));
    }
    Ok(LlamaConfig {
        vocabulary,
        d_model,
        d_hidden: fields.size("intermediate_size")?,
        layers: fields.size("num_hidden_layers")?,
        heads,
        key_heads,
        max_steps,
        norm_epsilon: fields.number_or(fields.spelled(&["rms_norm_eps", "layer_norm_eps", "norm_eps"]), 1e-6)?,
        rotary_theta: rotary_theta(fields)?,
        tied: fields.flag_or("tie_word_embeddings", false)?,
    })
}

fn gpt2(fields: &Fields) -> Result<Gpt2Config, PretrainedError> {
    let size = |names: &[&str]| fields.size(fields.spelled(names));
    let (vocabulary, d_model) = (fields.size("vocab_size")?, size(&["n_embd", "hidden_size"])?);
    let heads = size(&["n_head", "num_attention_heads"])?;
    check_heads(fields, d_model, heads, heads, false)?;
    fields.only("scale_attn_weights", true)?;
    fields.only("scale_attn_by_inverse_layer_idx", false)?;
    Ok(Gpt2Config {
        vocabulary,
        d_model,
        d_hidden: fields.size_or(fields.spelled(&["n_inner", "intermediate_size"]), 4 * d_model)?,
        layers: size(&["n_layer", "num_hidden_layers"])?,
        heads,
        max_steps: size(&["n_positions", "max_position_embeddings", "n_ctx"])?,
        norm_epsilon: fields.number_or(fields.spelled(&["layer_norm_epsilon", "layer_norm_eps"]), 1e-5)?,
        activation: fields
            .activation_or(fields.spelled(&["activation_function", "hidden_act"]), Activation::GeluTanh)?,
        tied: fields.flag_or("tie_word_embeddings", true)?,
    })
}

fn bert(fields: &Fields) -> Result<BertConfig, PretrainedError> {
    let size = |names: &[&str]| fields.size(fields.spelled(names));
    let (d_model, heads) = (fields.size("hidden_size")?, fields.size("num_attention_heads")?);
    check_heads(fields, d_model, heads, heads, false)?;
    fields.only("position_embedding_type", "absolute")?;
    fields.only("is_decoder", false)?;
    Ok(BertConfig {
        vocabulary: fields.size("vocab_size")?,
        d_model,
        d_hidden: fields.size("intermediate_size")?,
        layers: fields.size("num_hidden_layers")?,
        heads,
        max_steps: size(&["max_position_embeddings", "n_positions", "max_seq_length"])?,
        token_types: fields.size_or("type_vocab_size", 2)?,
        norm_epsilon: fields.number_or(fields.spelled(&["layer_norm_eps", "layer_norm_epsilon"]), 1e-12)?,
        activation: fields.activation_or(fields.spelled(&["hidden_act", "activation_function"]), Activation::Gelu)?,
        pooling: Pooling::default(),
    })
}
