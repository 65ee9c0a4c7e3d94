//! Hugging Face's config.json, safetensors and tokenizer.json.

use safetensors::tensor::{Metadata, TensorInfo};
use serde_json::Value;
use tokenizers::normalizers::{self, Lowercase};
use tokenizers::{NormalizerWrapper, Tokenizer};

use super::activation::Activation;
use super::boundaries::Said;
use super::config::{BertConfig, Gpt2Config, LlamaConfig, PretrainedConfig, heads_fault};
use super::dtype::Dtype;
use super::error::PretrainedError;
use super::fields::{Fields, without_mark};
use super::names::{Names, Role};
use super::panics::caught;
use super::pooling::{self, Pooling};
use super::reader::Reader;
use super::{File, Pretrained, Tensors, older_tokenizer};

/// Unused tensors that a note names; there may be thousands.
const MOST_NAMED: usize = 3;

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

/// Which tensor the output is. One that is tied may be stored all the same; the newest library uses it where it is another
/// than the embedding.
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

fn family(fields: &Fields) -> Result<PretrainedConfig, PretrainedError> {
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

/// The family: by its field, by the class that the model was saved from, or by a field that only one of them has.
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

/// Refuses a window of attention that is shorter than the texts.
fn window(fields: &Fields, kind: &str, max_steps: usize) -> Result<(), PretrainedError> {
    if fields.get("use_sliding_window") == Some(&Value::Bool(false)) {
        return Ok(());
    }
    if let Some(Value::Array(types)) = fields.get("layer_types")
        && let Some(other) = types.iter().find(|&kind| kind != "full_attention")
    {
        return Err(fields.error(format!("layer_types with {other} is not supported; only \"full_attention\" is")));
    }
    let Some(window) = fields.get("sliding_window") else {
        if kind == "mistral" && !fields.map.contains_key("sliding_window") && max_steps > 4096 {
            fields.note("sliding_window is missing: taken for none; the library's default is 4096");
        }
        return Ok(());
    };
    if kind == "llama" && fields.get("use_sliding_window").is_none() {
        fields.note(format_args!("sliding_window = {window} is no field of Llama: ignored"));
        return Ok(());
    }
    if window.as_u64().is_some_and(|window| window >= max_steps as u64) {
        return Ok(());
    }
    Err(fields.error(format!("sliding_window = {window} is not supported; attention to all {max_steps} steps is")))
}

/// θ, which stands alone or, in newer files, among `rope_parameters`; only a scaling that changes nothing is supported.
fn rotary_theta(fields: &Fields) -> Result<f64, PretrainedError> {
    let mut theta = fields.number_or("rope_theta", 10_000.0)?;
    for name in ["rope_scaling", "rope_parameters"] {
        let Some(value) = fields.get(name) else { continue };
        let Value::Object(map) = value else { return Err(fields.error(format!("{name} = {value} must be an object"))) };
        let within = Fields::new(fields.path, map.clone());
        theta = within.number_or("rope_theta", theta)?;
        within.only("partial_rotary_factor", 1)?;
        let kind = within.get(within.spelled(&["rope_type", "type"]));
        if kind.is_some_and(|kind| kind == "default") {
            // Nothing else is read then.
            continue;
        }
        let known = |key: &str| matches!(key, "rope_theta" | "rope_type" | "type" | "partial_rotary_factor");
        let scaled = map.iter().find(|(key, value)| !known(key) && !value.is_null());
        let neutral = match kind.map(Value::as_str) {
            None => scaled.is_none() || is_one(within.get("factor")),
            // A factor of 1 leaves every wavelength as it is.
            Some(Some("linear" | "llama3")) => is_one(within.get("factor")),
            // Here the factor is another where the original steps are given.
            Some(Some("yarn")) => {
                is_one(within.get("factor"))
                    && within.get("attention_factor").is_none_or(|value| is_one(Some(value)))
                    && within.get("original_max_position_embeddings").is_none()
            }
            Some(_) => false,
        };
        if !neutral {
            let (key, value) = match kind {
                Some(kind) => (within.spelled(&["rope_type", "type"]), kind),
                None => scaled.map_or(("", value), |(key, value)| (key.as_str(), value)),
            };
            return Err(
                fields.error(format!("{name}.{key} = {value} is not supported; only plain rotary positions are"))
            );
        }
    }
    Ok(theta)
}

fn is_one(value: Option<&Value>) -> bool {
    value.and_then(Value::as_f64) == Some(1.0)
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

/// Adds the tensors of all files, under their names here. What computes nothing is left out, whatever it holds.
fn insert_all(tensors: &mut Tensors, config: &PretrainedConfig, fields: &Fields) -> Result<(), PretrainedError> {
    let headers = (0..tensors.files()).map(|file| header(tensors.file(file))).collect::<Result<Vec<_>, _>>()?;
    let names = Names::new(config, headers.iter().flat_map(|(_, infos)| infos).map(|(name, _)| name.as_str()));
    let (mut unused, mut count) = (Vec::new(), 0);
    for (file, (start, infos)) in headers.iter().enumerate() {
        for (name, info) in infos {
            let plain = match names.role(name) {
                Role::Weight(plain) => plain,
                Role::Nothing => continue,
                Role::Unused => {
                    count += 1;
                    if unused.len() < MOST_NAMED {
                        unused.push(name.as_str());
                    }
                    continue;
                }
            };
            let (from, to) = info.data_offsets;
            let File { path, bytes } = tensors.file(file);
            // A Llama has no biases; one of zeros adds nothing.
            let has_biases = !matches!(config, PretrainedConfig::Llama(_));
            if !has_biases && plain.ends_with(".bias") && bytes[start + from..start + to].iter().all(|&byte| byte == 0)
            {
                continue;
            }
            let dtype = match info.dtype {
                safetensors::Dtype::F64 => Dtype::F64,
                safetensors::Dtype::F32 => Dtype::F32,
                safetensors::Dtype::F16 => Dtype::F16,
                safetensors::Dtype::BF16 => Dtype::BF16,
                other => {
                    let reason = format!("its type, {other}, is not supported; F64, F32, F16 and BF16 are");
                    return Err(PretrainedError::tensor(path, name, reason));
                }
            };
            tensors.insert(plain, file, start + from, dtype, info.shape.clone())?;
        }
    }
    if count > 0 {
        let more = if count > unused.len() { format!(" and {} more", count - unused.len()) } else { String::new() };
        fields.note(format_args!("tensors that the model does not use: {}{more}", unused.join(", ")));
    }
    Ok(())
}

/// Where the numbers of a safetensors file start, and its tensors by name, in order.
fn header(file: &File) -> Result<(usize, Vec<(String, TensorInfo)>), PretrainedError> {
    let File { path, bytes } = file;
    let fail = |reason: &dyn std::fmt::Display| PretrainedError::format(path, reason);
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
    let mut infos: Vec<_> = metadata.tensors().into_iter().map(|(name, info)| (name, info.clone())).collect();
    infos.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok((start, infos))
}

/// The tokenizer without the truncation and padding that its file may bring: they are one use's. In small letters where
/// Sentence Transformers makes them so.
fn plain(mut tokenizer: Tokenizer, texts: &[File]) -> Tokenizer {
    // (Only a truncation can fail.)
    let _ = tokenizer.with_padding(None).with_truncation(None);
    let mut sentence = texts.iter().filter(|file| file.path.ends_with("sentence_bert_config.json"));
    let fields = sentence.next().and_then(|file| Fields::from_json(&file.path, &file.bytes).ok());
    if fields.is_some_and(|fields| fields.get("do_lower_case") == Some(&Value::Bool(true))) {
        let before = tokenizer.get_normalizer().cloned();
        let all = std::iter::once(NormalizerWrapper::from(Lowercase)).chain(before);
        let _ = tokenizer.with_normalizer(Some(normalizers::Sequence::new(all.collect())));
    }
    tokenizer
}

/// A tokenizer.json.
fn read_tokenizer(file: &File) -> Result<Tokenizer, PretrainedError> {
    let fail = |reason: &dyn std::fmt::Display| PretrainedError::tokenizer(&file.path, reason);
    let json = without_mark(&file.bytes);
    check_merges(json).map_err(|reason| fail(&reason))?;
    // The library is written for files that its own tools made, and panics on some others.
    match caught(|| Tokenizer::from_bytes(json)) {
        Some(read) => read.map_err(|e| fail(&e)),
        None => Err(fail(&"malformed; make it again with the tokenizers library")),
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
        assert_eq!((config.key_heads, config.rotary_theta, config.tied), (2, 500.0, true));
        let newer = with(llama_json(), "rope_parameters", json!({"rope_type": "default", "rope_theta": 7.0}));
        let PretrainedConfig::Llama(config) = family_of(newer).unwrap() else { panic!("llama") };
        assert_eq!(config.rotary_theta, 7.0);
        let PretrainedConfig::Gpt2(config) = family_of(gpt2_json()).unwrap() else { panic!("gpt2") };
        assert_eq!((config.d_hidden, config.activation), (64, Activation::GeluTanh));
        let PretrainedConfig::Bert(config) = family_of(bert_json()).unwrap() else { panic!("bert") };
        assert_eq!((config.token_types, config.activation), (2, Activation::Gelu));
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        let cases = [
            (llama_json(), "rope_scaling", json!({"rope_type": "llama3", "factor": 8.0})),
            (llama_json(), "rope_parameters", json!({"rope_type": "yarn"})),
            (llama_json(), "rope_parameters", json!(3)),
            (with(llama_json(), "model_type", json!("mistral")), "sliding_window", json!(32)),
            (llama_json(), "rope_scaling", json!({"type": null, "factor": 2.0})),
            (llama_json(), "rope_scaling", json!({"type": "yarn", "factor": 1, "original_max_position_embeddings": 8})),
            (llama_json(), "rope_scaling", json!({"type": "dynamic", "factor": 1.0})),
            (llama_json(), "attention_bias", json!(true)),
            (llama_json(), "mlp_bias", json!(true)),
            (llama_json(), "head_dim", json!(8)),
            (llama_json(), "hidden_act", json!("gelu")),
            (llama_json(), "hidden_act", json!("quick")),
            (llama_json(), "partial_rotary_factor", json!(0.5)),
            (llama_json(), "layer_types", json!(["full_attention", "sliding_attention"])),
            (llama_json(), "quantization_config", json!({"bits": 4})),
            (llama_json(), "model_type", json!("mamba")),
            (llama_json(), "vocab_size", json!(null)),
            (llama_json(), "vocab_size", json!(1e300)),
            (llama_json(), "hidden_size", json!(-16)),
            (llama_json(), "num_hidden_layers", json!(u64::MAX)),
            (llama_json(), "rms_norm_eps", json!("small")),
            (llama_json(), "rope_theta", json!(0)),
            (gpt2_json(), "scale_attn_weights", json!(false)),
            (gpt2_json(), "scale_attn_by_inverse_layer_idx", json!(true)),
            (gpt2_json(), "activation_function", json!("a\nb")),
            (with(gpt2_json(), "model_type", json!(null)), "model_type", json!("gptj")),
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

    /// Fields that compute nothing, neutral values of those that do, and every spelling of a name.
    #[test]
    fn what_computes_nothing_is_read_whatever_it_holds() {
        let without = |mut config: Value, name: &str| {
            config.as_object_mut().unwrap().remove(name);
            config
        };
        let plain = family_of(llama_json()).unwrap();
        for (name, value) in [
            ("rope_scaling", json!({"type": null, "factor": null})),
            ("rope_scaling", json!({"type": "linear", "factor": 1.0})),
            ("rope_scaling", json!({"rope_type": "llama3", "factor": 1, "low_freq_factor": 1.0})),
            ("rope_scaling", json!({})),
            ("rope_parameters", json!({"rope_type": "default", "rope_theta": 500.0, "factor": 4.0})),
            ("rope_parameters", json!({"rope_type": "default", "partial_rotary_factor": null})),
            ("head_dim", json!(null)),
            ("use_sliding_window", json!(false)),
            ("sliding_window", json!(null)),
            ("sliding_window", json!(4)),
            ("layer_types", json!(["full_attention", "full_attention"])),
            ("hidden_act", json!("swish")),
            ("torch_dtype", json!(["float8"])),
            ("pretraining_tp", json!("one")),
            ("pad_token_id", json!(-1)),
            ("model_type", json!(null)),
        ] {
            assert_eq!(family_of(with(llama_json(), name, value.clone())).as_ref(), Ok(&plain), "{name} = {value}");
        }
        for class in ["LlamaForCausalLM", "LLaMAForCausalLM", "LlamaModel", "MistralForCausalLM"] {
            let config = with(without(llama_json(), "model_type"), "architectures", json!([class]));
            assert_eq!(family_of(config).as_ref(), Ok(&plain), "{class}");
        }
        for class in ["BertModel", "BertForMaskedLM", "BertForSequenceClassification"] {
            let config = with(without(bert_json(), "model_type"), "architectures", json!([class]));
            assert_eq!(family_of(config), family_of(bert_json()), "{class}");
        }
        for class in [json!(["GPT2LMHeadModel"]), json!(["GPT2Model"]), json!(null), json!([])] {
            let config = with(without(gpt2_json(), "model_type"), "architectures", class.clone());
            assert_eq!(family_of(config), family_of(gpt2_json()), "{class}");
        }
        for (name, value) in [("max_position_embeddings", json!(null)), ("max_position_embeddings", json!(1e300))] {
            let PretrainedConfig::Llama(config) = family_of(with(llama_json(), name, value)).unwrap() else { panic!() };
            assert_eq!(config.max_steps, 2048);
        }
        let older = with(without(llama_json(), "max_position_embeddings"), "max_sequence_length", json!(64));
        assert_eq!(family_of(older).as_ref(), Ok(&plain));
        let spelled = |mut config: Value, names: &[(&str, &str)]| {
            for (one, other) in names {
                let value = config.as_object_mut().unwrap().remove(*one).unwrap();
                config[*other] = value;
            }
            family_of(config)
        };
        let names = [("n_embd", "hidden_size"), ("n_head", "num_attention_heads"), ("n_layer", "num_hidden_layers")];
        assert_eq!(spelled(gpt2_json(), &names), family_of(gpt2_json()));
        for name in ["n_ctx", "max_position_embeddings"] {
            assert_eq!(spelled(gpt2_json(), &[("n_positions", name)]), family_of(gpt2_json()));
        }
        assert_eq!(spelled(bert_json(), &[("layer_norm_eps", "layer_norm_epsilon")]), family_of(bert_json()));
        let path = "config.json".as_ref();
        Fields::from_json(path, format!("\u{feff}{}", llama_json()).as_bytes()).unwrap();
    }

    #[test]
    fn names() {
        let [llama, gpt2, bert] = [llama_json(), gpt2_json(), bert_json()].map(|json| family_of(json).unwrap());
        // With the prefix somewhere in the files, and without.
        let role = |config: &PretrainedConfig, other: &'static str, name: &str| {
            Names::new(config, [other, name].into_iter()).role(name)
        };
        let weight = |name: &str| Role::Weight(name.into());
        for name in ["model.layers.0.self_attn.rotary_emb.inv_freq", "rotary_emb.inv_freq"] {
            assert_eq!(role(&llama, "", name), Role::Nothing);
        }
        let query = "layers.1.self_attn.q_proj.weight";
        assert_eq!(role(&llama, "", query), weight(&format!("model.{query}")));
        assert_eq!(role(&llama, "", &format!("model.{query}")), weight(&format!("model.{query}")));
        assert_eq!(role(&llama, "", "model.layers.2.input_layernorm.weight"), Role::Unused);
        assert_eq!(role(&llama, "model.norm.weight", "score.weight"), Role::Unused);
        assert_eq!(role(&llama, "norm.weight", "other.weight"), weight("other.weight"));
        assert_eq!(role(&llama, "model.norm.weight", "model.other.weight"), weight("model.other.weight"));
        // The output alone is the embedding where they are tied.
        assert_eq!(role(&llama, "model.embed_tokens.weight", "lm_head.weight"), weight("lm_head.weight"));
        assert_eq!(role(&llama, "embed_tokens.weight", "lm_head.weight"), weight("lm_head.weight"));
        assert_eq!(role(&llama, "", "lm_head.weight"), weight("model.embed_tokens.weight"));
        assert_eq!(role(&gpt2, "", "lm_head.weight"), weight("wte.weight"));
        assert_eq!(role(&bert, "", "cls.predictions.decoder.weight"), weight("embeddings.word_embeddings.weight"));
        let embedding = "bert.embeddings.word_embeddings.weight";
        assert_eq!(role(&bert, embedding, "cls.predictions.decoder.weight"), Role::Unused);
        assert_eq!(role(&gpt2, "", "transformer.h.0.attn.bias"), Role::Nothing);
        assert_eq!(role(&gpt2, "", "h.1.attn.masked_bias"), Role::Nothing);
        assert_eq!(role(&gpt2, "", "transformer.h.0.attn.c_attn.bias"), weight("h.0.attn.c_attn.bias"));
        for head in ["bert.pooler.dense.weight", "pooler.dense.weight", "cls.predictions.bias", "classifier.weight"] {
            assert_eq!(role(&bert, "", head), Role::Unused);
        }
        assert_eq!(role(&bert, embedding, "linear.weight"), Role::Unused);
        assert_eq!(role(&bert, "", "embeddings.position_ids"), Role::Nothing);
        assert_eq!(role(&bert, "", "bert.embeddings.LayerNorm.gamma"), weight("embeddings.LayerNorm.weight"));
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
