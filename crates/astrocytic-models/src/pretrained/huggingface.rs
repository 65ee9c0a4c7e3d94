//! Hugging Face's config.json, safetensors and tokenizer.json.

use std::panic::{AssertUnwindSafe, catch_unwind};

use safetensors::tensor::Metadata;
use serde_json::Value;
use tokenizers::Tokenizer;

use super::config::{Activation, BertConfig, Gpt2Config, LlamaConfig, PretrainedConfig, heads_fault};
use super::dtype::Dtype;
use super::error::PretrainedError;
use super::fields::Fields;
use super::reader::Reader;
use super::{File, Pretrained, Tensors};

pub(super) fn read(config: File, weights: Vec<File>, tokenizer: Option<File>) -> Result<Pretrained, PretrainedError> {
    let path = weights.first().unwrap_or(&config).path.clone();
    let fields = Fields::from_json(&config.path, &config.bytes)?;
    let config = family(&fields)?;
    let mut tensors = Tensors::new(weights);
    for file in 0..tensors.files() {
        insert_all(&mut tensors, file, &config)?;
    }
    // A tied output may be stored all the same.
    let tied_to = match &config {
        PretrainedConfig::Llama(config) => config.tied.then_some("model.embed_tokens.weight"),
        PretrainedConfig::Gpt2(_) => Some("wte.weight"),
        PretrainedConfig::Bert(_) => None,
    };
    if let Some(embedding) = tied_to
        && tensors.contains("lm_head.weight")
        && !tensors.remove_copy("lm_head.weight", embedding)
    {
        let reason = format!("is not {embedding}, to which the configuration ties it; no other output is supported");
        return Err(PretrainedError::tensor(&path, "lm_head.weight", reason));
    }
    let tokenizer = tokenizer.map(|file| read_tokenizer(&file)).transpose()?;
    Ok(Pretrained { config, tensors, tokenizer, path })
}

fn family(fields: &Fields) -> Result<PretrainedConfig, PretrainedError> {
    fields.absent("quantization_config")?;
    fields.only("add_cross_attention", false)?;
    match fields.text_or("model_type", "")? {
        "llama" | "mistral" => llama(fields).map(PretrainedConfig::Llama),
        "gpt2" => gpt2(fields).map(PretrainedConfig::Gpt2),
        "bert" => bert(fields).map(PretrainedConfig::Bert),
        "" => Err(fields.error("model_type is missing; it must be llama, mistral, gpt2 or bert")),
        other => {
            Err(fields
                .error(format!("model_type = {other:?} is not supported; only llama, mistral, gpt2 and bert are")))
        }
    }
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

fn llama(fields: &Fields) -> Result<LlamaConfig, PretrainedError> {
    let (vocabulary, d_model) = (fields.size("vocab_size")?, fields.size("hidden_size")?);
    let heads = fields.size("num_attention_heads")?;
    let key_heads = fields.size_or("num_key_value_heads", heads)?;
    check_heads(fields, d_model, heads, key_heads, true)?;
    fields.only("head_dim", d_model / heads)?;
    fields.only("attention_bias", false)?;
    fields.only("mlp_bias", false)?;
    fields.only("partial_rotary_factor", 1)?;
    fields.only("use_sliding_window", false)?;
    if fields.get("use_sliding_window").is_none() {
        fields.absent("sliding_window")?;
    }
    if let Some(Value::Array(types)) = fields.get("layer_types")
        && let Some(other) = types.iter().find(|&kind| kind != "full_attention")
    {
        return Err(fields.error(format!("layer_types with {other} is not supported; only \"full_attention\" is")));
    }
    if fields.activation_or("hidden_act", Activation::Silu)? != Activation::Silu {
        return Err(fields.error("hidden_act must be silu; no other is supported"));
    }
    Ok(LlamaConfig {
        vocabulary,
        d_model,
        d_hidden: fields.size("intermediate_size")?,
        layers: fields.size("num_hidden_layers")?,
        heads,
        key_heads,
        max_steps: fields.size("max_position_embeddings")?,
        norm_epsilon: fields.number_or("rms_norm_eps", 1e-6)?,
        rotary_theta: rotary_theta(fields)?,
        tied: fields.flag_or("tie_word_embeddings", false)?,
        bos: fields.token("bos_token_id", vocabulary)?,
        eos: fields.token("eos_token_id", vocabulary)?,
    })
}

/// θ, which stands alone or, in newer files, among `rope_parameters`; no scaling of it is supported.
fn rotary_theta(fields: &Fields) -> Result<f64, PretrainedError> {
    let mut theta = fields.number_or("rope_theta", 10_000.0)?;
    for name in ["rope_scaling", "rope_parameters"] {
        let Some(value) = fields.get(name) else { continue };
        let Value::Object(map) = value else { return Err(fields.error(format!("{name} = {value} must be an object"))) };
        let within = Fields { path: fields.path, map: map.clone() };
        for key in map.keys() {
            match key.as_str() {
                "rope_theta" => theta = within.number_or(key, theta)?,
                "rope_type" | "type" if within.get(key).is_none_or(|kind| kind == "default") => {}
                "partial_rotary_factor" => within.only(key, 1)?,
                _ => {
                    let reason =
                        format!("{name}.{key} = {} is not supported; only plain rotary positions are", map[key]);
                    return Err(fields.error(reason));
                }
            }
        }
    }
    Ok(theta)
}

fn gpt2(fields: &Fields) -> Result<Gpt2Config, PretrainedError> {
    let (vocabulary, d_model, heads) = (fields.size("vocab_size")?, fields.size("n_embd")?, fields.size("n_head")?);
    check_heads(fields, d_model, heads, heads, false)?;
    fields.only("scale_attn_weights", true)?;
    fields.only("scale_attn_by_inverse_layer_idx", false)?;
    fields.only("tie_word_embeddings", true)?;
    Ok(Gpt2Config {
        vocabulary,
        d_model,
        d_hidden: fields.size_or("n_inner", 4 * d_model)?,
        layers: fields.size("n_layer")?,
        heads,
        max_steps: fields.size("n_positions")?,
        norm_epsilon: fields.number_or("layer_norm_epsilon", 1e-5)?,
        activation: fields.activation_or("activation_function", Activation::GeluTanh)?,
        bos: fields.token("bos_token_id", vocabulary)?,
        eos: fields.token("eos_token_id", vocabulary)?,
    })
}

fn bert(fields: &Fields) -> Result<BertConfig, PretrainedError> {
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
        max_steps: fields.size("max_position_embeddings")?,
        token_types: fields.size_or("type_vocab_size", 2)?,
        norm_epsilon: fields.number_or("layer_norm_eps", 1e-12)?,
        activation: fields.activation_or("hidden_act", Activation::Gelu)?,
    })
}

/// The name of a tensor without the prefix of its family; `None` for what follows from the configuration or is no part
/// of the model.
fn plain_name(config: &PretrainedConfig, name: &str) -> Option<String> {
    match config {
        // A table of wavelengths.
        PretrainedConfig::Llama(_) => (!name.ends_with(".self_attn.rotary_emb.inv_freq")).then(|| name.into()),
        PretrainedConfig::Gpt2(_) => {
            let name = name.strip_prefix("transformer.").unwrap_or(name);
            // Masks: that attention is causal.
            let mask =
                name.starts_with("h.") && [".attn.bias", ".attn.masked_bias"].iter().any(|end| name.ends_with(end));
            (!mask).then(|| name.into())
        }
        PretrainedConfig::Bert(_) => {
            let name = name.strip_prefix("bert.").unwrap_or(name);
            // The numbers from 0, and what was added to the encoder for its training.
            let ignored = name == "embeddings.position_ids" || name.starts_with("pooler.") || name.starts_with("cls.");
            // The oldest files have other names for the two parts of a norm.
            (!ignored).then(|| {
                name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
            })
        }
    }
}

/// Adds the tensors of a safetensors file.
fn insert_all(tensors: &mut Tensors, file: usize, config: &PretrainedConfig) -> Result<(), PretrainedError> {
    let File { path, bytes } = tensors.file(file);
    let path = path.clone();
    let fail = |reason: &dyn std::fmt::Display| PretrainedError::format(&path, reason);
    let mut reader = Reader::new(bytes);
    let header = reader.length().and_then(|length| reader.bytes(length));
    let header = header.ok_or_else(|| fail(&"ends within its header; get the file again"))?;
    // The library checks that tensors follow one another without a gap and that shapes fit; not that the file is whole.
    let metadata: Metadata =
        serde_json::from_slice(header).map_err(|e| fail(&format_args!("its header is malformed: {e}")))?;
    let (start, left, length) = (bytes.len() - reader.left(), reader.left(), metadata.data_len());
    if left != length {
        return Err(fail(&format_args!(
            "has {left} bytes of numbers where its header asks for {length}; get it again"
        )));
    }
    for (name, info) in metadata.tensors() {
        let Some(plain) = plain_name(config, &name) else { continue };
        let dtype = match info.dtype {
            safetensors::Dtype::F64 => Dtype::F64,
            safetensors::Dtype::F32 => Dtype::F32,
            safetensors::Dtype::F16 => Dtype::F16,
            safetensors::Dtype::BF16 => Dtype::BF16,
            other => {
                let reason = format!("its type, {other}, is not supported; F64, F32, F16 and BF16 are");
                return Err(PretrainedError::tensor(&path, name, reason));
            }
        };
        tensors.insert(plain, file, start + info.data_offsets.0, dtype, info.shape.clone())?;
    }
    Ok(())
}

/// A tokenizer.json.
fn read_tokenizer(file: &File) -> Result<Tokenizer, PretrainedError> {
    let fail = |reason: &dyn std::fmt::Display| PretrainedError::tokenizer(&file.path, reason);
    check_merges(&file.bytes).map_err(|reason| fail(&reason))?;
    // The library is written for files that its own tools made, and panics on some others.
    match catch_unwind(AssertUnwindSafe(|| Tokenizer::from_bytes(&file.bytes))) {
        Ok(read) => read.map_err(|e| fail(&e)),
        Err(_) => Err(fail(&"malformed; make it again with the tokenizers library")),
    }
}

/// Refuses merges whose union is no token: the library takes it for granted and reads beyond a buffer's end, a panic.
fn check_merges(json: &[u8]) -> Result<(), String> {
    let json: Value = serde_json::from_slice(json).map_err(|e| e.to_string())?;
    let model = &json["model"];
    let (Some(merges), Some(vocabulary)) = (model["merges"].as_array(), model["vocab"].as_object()) else {
        return Ok(());
    };
    let prefix = model["continuing_subword_prefix"].as_str().unwrap_or("");
    for merge in merges {
        let pair = match merge {
            Value::String(pair) => pair.split_once(' '),
            pair => pair[0].as_str().zip(pair[1].as_str()),
        };
        let union = pair.and_then(|(left, right)| Some(format!("{left}{}", right.strip_prefix(prefix)?)));
        if union.is_none_or(|union| !vocabulary.contains_key(&union)) {
            return Err(format!("merge {merge} does not make a token"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn family_of(config: Value) -> Result<PretrainedConfig, String> {
        let path = "config.json".as_ref();
        family(&Fields::from_json(path, config.to_string().as_bytes()).unwrap()).map_err(|e| e.to_string())
    }

    fn with(mut config: Value, name: &str, value: Value) -> Value {
        config[name] = value;
        config
    }

    fn llama_json() -> Value {
        json!({
            "model_type": "llama", "vocab_size": 100, "hidden_size": 16, "intermediate_size": 24,
            "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "hidden_act": "silu",
            "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 500.0, "rope_scaling": null,
            "bos_token_id": 1, "eos_token_id": [2, 3], "tie_word_embeddings": true, "head_dim": 4,
        })
    }

    fn gpt2_json() -> Value {
        json!({
            "model_type": "gpt2", "vocab_size": 100, "n_embd": 16, "n_head": 4, "n_layer": 2, "n_positions": 32,
            "n_inner": null, "activation_function": "gelu_new", "bos_token_id": 99, "reorder_and_upcast_attn": false,
        })
    }

    fn bert_json() -> Value {
        json!({
            "model_type": "bert", "vocab_size": 100, "hidden_size": 16, "intermediate_size": 24,
            "num_hidden_layers": 2, "num_attention_heads": 4, "hidden_act": "gelu", "type_vocab_size": 2,
            "max_position_embeddings": 64, "layer_norm_eps": 1e-12, "position_embedding_type": "absolute",
        })
    }

    #[test]
    fn configurations() {
        let PretrainedConfig::Llama(config) = family_of(llama_json()).unwrap() else { panic!("llama") };
        assert_eq!((config.key_heads, config.eos, config.rotary_theta, config.tied), (2, Some(2), 500.0, true));
        let newer = with(llama_json(), "rope_parameters", json!({"rope_type": "default", "rope_theta": 7.0}));
        let PretrainedConfig::Llama(config) = family_of(newer).unwrap() else { panic!("llama") };
        assert_eq!(config.rotary_theta, 7.0);
        let PretrainedConfig::Gpt2(config) = family_of(gpt2_json()).unwrap() else { panic!("gpt2") };
        assert_eq!((config.d_hidden, config.bos, config.activation), (64, Some(99), Activation::GeluTanh));
        let PretrainedConfig::Bert(config) = family_of(bert_json()).unwrap() else { panic!("bert") };
        assert_eq!((config.token_types, config.activation), (2, Activation::Gelu));
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        let cases = [
            (llama_json(), "rope_scaling", json!({"rope_type": "llama3", "factor": 8.0})),
            (llama_json(), "rope_parameters", json!({"rope_type": "yarn"})),
            (llama_json(), "rope_parameters", json!(3)),
            (llama_json(), "sliding_window", json!(4096)),
            (llama_json(), "attention_bias", json!(true)),
            (llama_json(), "mlp_bias", json!(true)),
            (llama_json(), "head_dim", json!(8)),
            (llama_json(), "hidden_act", json!("gelu")),
            (llama_json(), "hidden_act", json!("quick")),
            (llama_json(), "partial_rotary_factor", json!(0.5)),
            (llama_json(), "layer_types", json!(["full_attention", "sliding_attention"])),
            (llama_json(), "quantization_config", json!({"bits": 4})),
            (llama_json(), "model_type", json!("mamba")),
            (llama_json(), "model_type", json!(null)),
            (llama_json(), "vocab_size", json!(null)),
            (llama_json(), "vocab_size", json!(1e300)),
            (llama_json(), "hidden_size", json!(-16)),
            (llama_json(), "num_hidden_layers", json!(u64::MAX)),
            (llama_json(), "rms_norm_eps", json!("small")),
            (llama_json(), "rope_theta", json!(0)),
            (llama_json(), "bos_token_id", json!(100)),
            (llama_json(), "eos_token_id", json!([])),
            (gpt2_json(), "scale_attn_weights", json!(false)),
            (gpt2_json(), "scale_attn_by_inverse_layer_idx", json!(true)),
            (gpt2_json(), "activation_function", json!("a\nb")),
            (gpt2_json(), "tie_word_embeddings", json!(false)),
            (bert_json(), "position_embedding_type", json!("relative_key")),
            (bert_json(), "is_decoder", json!(true)),
            (bert_json(), "add_cross_attention", json!(true)),
        ];
        for (config, name, value) in cases {
            let error = family_of(with(config, name, value.clone())).expect_err(name);
            assert!(error.contains(name) && error.lines().count() == 1, "{name} = {value}: {error}");
        }
        for heads in [3, 16, 5] {
            assert!(family_of(with(llama_json(), "num_attention_heads", json!(heads))).unwrap_err().contains("heads"));
        }
    }

    #[test]
    fn names() {
        let [llama, gpt2, bert] = [llama_json(), gpt2_json(), bert_json()].map(|json| family_of(json).unwrap());
        let name = |config, name| plain_name(config, name);
        assert_eq!(name(&llama, "model.layers.0.self_attn.rotary_emb.inv_freq"), None);
        assert_eq!(name(&gpt2, "transformer.h.0.attn.bias"), None);
        assert_eq!(name(&gpt2, "h.11.attn.masked_bias"), None);
        assert_eq!(name(&gpt2, "transformer.h.0.attn.c_attn.bias").unwrap(), "h.0.attn.c_attn.bias");
        assert_eq!(name(&bert, "bert.pooler.dense.weight"), None);
        assert_eq!(name(&bert, "cls.predictions.bias"), None);
        assert_eq!(name(&bert, "bert.embeddings.LayerNorm.gamma").unwrap(), "embeddings.LayerNorm.weight");
        assert_eq!(name(&bert, "classifier.weight").unwrap(), "classifier.weight");
    }

    #[test]
    fn merges_that_make_no_token_are_refused() {
        let json = |merges: Value, prefix: Value| {
            let model =
                json!({"vocab": {"a": 0, "##b": 1, "ab": 2}, "merges": merges, "continuing_subword_prefix": prefix});
            check_merges(json!({"model": model}).to_string().as_bytes())
        };
        json(json!([["a", "##b"]]), json!("##")).unwrap();
        json(json!(["a ##b"]), json!("##")).unwrap();
        for bad in [json!([["ab", "ab"]]), json!(["a"]), json!([3]), json!([["a", "##b"]])] {
            json(bad, json!(null)).unwrap_err();
        }
        json(json!([["a", "a"]]), json!("##")).unwrap_err();
        check_merges(b"[1]").unwrap();
        check_merges(b"[1").unwrap_err();
    }
}
