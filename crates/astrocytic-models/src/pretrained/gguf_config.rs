//! What GGUF's metadata says of a model, and its names of tensors.

use super::activation::Activation;
use super::config::{Gpt2Config, LlamaConfig, PretrainedConfig, heads_fault};
use super::error::PretrainedError;
use super::fields::Fields;

/// What is read of an architecture's metadata.
const READ: [&str; 10] = [
    "embedding_length",
    "attention.head_count",
    "attention.head_count_kv",
    "vocab_size",
    "feed_forward_length",
    "block_count",
    "context_length",
    "attention.layer_norm_rms_epsilon",
    "attention.layer_norm_epsilon",
    "rope.freq_base",
];

/// The configuration; `arrays` names the metadata that are arrays, and `shape` gives a tensor's.
pub(super) fn read<'a>(
    fields: &Fields,
    arrays: impl Iterator<Item = &'a str>,
    shape: &dyn Fn(&str) -> Option<&'a [usize]>,
) -> Result<PretrainedConfig, PretrainedError> {
    let architecture = fields.text_or("general.architecture", "")?;
    let (config, d_head, steps) = match architecture {
        "llama" => {
            let config = llama(fields, shape)?;
            let (d_head, steps) = (config.d_model / config.heads, config.max_steps);
            (PretrainedConfig::Llama(config), d_head, steps)
        }
        "gpt2" => {
            let config = gpt2(fields, shape)?;
            let (d_head, steps) = (config.d_model / config.heads, config.max_steps);
            (PretrainedConfig::Gpt2(config), d_head, steps)
        }
        other => {
            let reason = format!("general.architecture = {other:?} is not supported; llama and gpt2 are");
            return Err(fields.error(reason));
        }
    };
    refuse_what_computes_more(fields, architecture, d_head, steps)?;
    for name in arrays.filter(|name| fields.get(name).is_none()) {
        let Some(short) = name.strip_prefix(architecture).and_then(|name| name.strip_prefix('.')) else { continue };
        if READ.contains(&short) {
            return Err(fields.error(format!("{name} as an array is not supported; one value for all layers is")));
        }
        fields.note(format_args!("{name} is not read"));
    }
    Ok(config)
}

/// Refuses what changes the computation; what is not known is noted, since the format's own loader
/// does not read it.
fn refuse_what_computes_more(
    fields: &Fields,
    architecture: &str,
    d_head: usize,
    steps: usize,
) -> Result<(), PretrainedError> {
    let name = |short: &str| format!("{architecture}.{short}");
    let is_unscaled = fields.get(&name("rope.scaling.type")).is_some_and(|kind| kind == "none");
    for full in fields.map.keys() {
        let Some(short) = full.strip_prefix(architecture).and_then(|name| name.strip_prefix('.')) else { continue };
        let is_zero = fields.get(full).is_none_or(|value| value.as_f64() == Some(0.0));
        match short {
            _ if READ.contains(&short) => {}
            "rope.dimension_count" | "attention.key_length" | "attention.value_length" => fields.only(full, d_head)?,
            // A factor of 1 leaves every wavelength as it is, by whatever rule; 0 is none.
            "rope.scaling.factor" | "rope.scale_linear" if is_unscaled || is_zero => {}
            "rope.scaling.factor" | "rope.scale_linear" | "rope.scaling.attn_factor" => fields.only(full, 1)?,
            "attention.sliding_window" => {
                let window = fields.get(full).and_then(serde_json::Value::as_u64);
                if window.is_none_or(|window| window < steps as u64) {
                    fields.only(full, 0)?;
                }
            }
            "logit_scale" | "residual_scale" | "embedding_scale" if is_zero => {}
            "logit_scale" | "residual_scale" | "embedding_scale" => fields.only(full, 1)?,
            "expert_count"
            | "expert_used_count"
            | "attention.clamp_kqv"
            | "attention.max_alibi_bias"
            | "attention.scale"
            | "attn_logit_softcapping"
            | "final_logit_softcapping" => fields.only(full, 0)?,
            "attention.causal" => fields.only(full, true)?,
            "use_parallel_residual" => fields.only(full, false)?,
            "rope.scaling.type"
            | "rope.scaling.finetuned"
            | "rope.scaling.original_context_length"
            | "tensor_data_layout" => {}
            _ => fields.note(format_args!("{full} is not read")),
        }
    }
    Ok(())
}

/// Rows of the embedding, which are the tokens whatever the metadata says.
fn vocabulary<'a>(fields: &Fields, shape: &dyn Fn(&str) -> Option<&'a [usize]>) -> Result<usize, PretrainedError> {
    let rows = shape("token_embd.weight").and_then(|shape| shape.first()).copied();
    rows.ok_or_else(|| PretrainedError::tensor(fields.path, "token_embd.weight", "is missing"))
}

fn llama<'a>(fields: &Fields, shape: &dyn Fn(&str) -> Option<&'a [usize]>) -> Result<LlamaConfig, PretrainedError> {
    let (d_model, heads) = (fields.size("llama.embedding_length")?, fields.size("llama.attention.head_count")?);
    let key_heads = fields.size_or("llama.attention.head_count_kv", heads)?;
    if let Some(fault) = heads_fault(d_model, heads, key_heads, true) {
        return Err(fields.error(fault));
    }
    let vocabulary = vocabulary(fields, shape)?;
    Ok(LlamaConfig {
        vocabulary,
        d_model,
        d_hidden: fields.size("llama.feed_forward_length")?,
        layers: fields.size("llama.block_count")?,
        heads,
        key_heads,
        // Rotary positions have no end; this is what the model was trained for.
        max_steps: fields.size("llama.context_length").unwrap_or(2048),
        norm_epsilon: fields.number("llama.attention.layer_norm_rms_epsilon")?,
        rotary_theta: fields.number_or("llama.rope.freq_base", 10_000.0)?,
        tied: shape("output.weight").is_none(),
    })
}

fn gpt2<'a>(fields: &Fields, shape: &dyn Fn(&str) -> Option<&'a [usize]>) -> Result<Gpt2Config, PretrainedError> {
    let (d_model, heads) = (fields.size("gpt2.embedding_length")?, fields.size("gpt2.attention.head_count")?);
    if let Some(fault) = heads_fault(d_model, heads, heads, false) {
        return Err(fields.error(fault));
    }
    fields.only("gpt2.attention.head_count_kv", heads)?;
    let vocabulary = vocabulary(fields, shape)?;
    Ok(Gpt2Config {
        vocabulary,
        d_model,
        d_hidden: fields.size_or("gpt2.feed_forward_length", 4 * d_model)?,
        layers: fields.size("gpt2.block_count")?,
        heads,
        max_steps: fields.size("gpt2.context_length")?,
        norm_epsilon: fields.number_or("gpt2.attention.layer_norm_epsilon", 1e-5)?,
        activation: Activation::GeluTanh,
        tied: shape("output.weight").is_none(),
    })
}

/// Whether a tensor changes nothing, with these bytes: a table that follows from the configuration,
/// factors of 1, or zeros where a Llama has no bias.
pub(super) fn computes_nothing(config: &PretrainedConfig, name: &str, bytes: Option<&[u8]>) -> bool {
    let ones = |bytes: &[u8]| bytes.chunks(4).all(|number| number == 1f32.to_le_bytes());
    match name {
        "rope_freqs.weight" => bytes.is_some_and(ones),
        _ if name.ends_with(".attn_rot_embd.weight") => true,
        _ if name.ends_with(".bias") && matches!(config, PretrainedConfig::Llama(_)) => {
            bytes.is_some_and(|bytes| bytes.iter().all(|&byte| byte == 0))
        }
        _ => false,
    }
}

/// Hugging Face's name of a tensor.
pub(super) fn plain_name(config: &PretrainedConfig, name: &str) -> Option<String> {
    let (ends, blocks, kinds): (&[_], _, &[_]) = match config {
        PretrainedConfig::Llama(_) => (
            &[("token_embd", "model.embed_tokens"), ("output_norm", "model.norm"), ("output", "lm_head")],
            "model.layers",
            &[
                ("attn_norm", "input_layernorm"),
                ("attn_q", "self_attn.q_proj"),
                ("attn_k", "self_attn.k_proj"),
                ("attn_v", "self_attn.v_proj"),
                ("attn_output", "self_attn.o_proj"),
                ("ffn_norm", "post_attention_layernorm"),
                ("ffn_gate", "mlp.gate_proj"),
                ("ffn_up", "mlp.up_proj"),
                ("ffn_down", "mlp.down_proj"),
            ],
        ),
        _ => (
            &[("token_embd", "wte"), ("position_embd", "wpe"), ("output_norm", "ln_f"), ("output", "lm_head")],
            "h",
            &[
                ("attn_norm", "ln_1"),
                ("attn_qkv", "attn.c_attn"),
                ("attn_output", "attn.c_proj"),
                ("ffn_norm", "ln_2"),
                ("ffn_up", "mlp.c_fc"),
                ("ffn_down", "mlp.c_proj"),
            ],
        ),
    };
    let (stem, part) = name.rsplit_once('.')?;
    let has_biases = matches!(config, PretrainedConfig::Gpt2(_));
    if part != "weight" && !(part == "bias" && has_biases) {
        return None;
    }
    let known = |names: &[(&str, &str)], stem: &str| {
        names.iter().find(|(here, _)| *here == stem).map(|(_, plain)| plain.to_string())
    };
    let plain = match stem.strip_prefix("blk.") {
        None => known(ends, stem)?,
        Some(block) => {
            let (layer, kind) = block.split_once('.')?;
            format!("{blocks}.{}.{}", layer.parse::<usize>().ok()?, known(kinds, kind)?)
        }
    };
    Some(format!("{plain}.{part}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn config(more: &[(&str, Value)]) -> Result<(PretrainedConfig, Vec<String>), String> {
        let mut values = json!({
            "general.architecture": "llama", "llama.embedding_length": 16, "llama.attention.head_count": 4,
            "llama.feed_forward_length": 24, "llama.block_count": 2, "llama.context_length": 64,
            "llama.attention.layer_norm_rms_epsilon": 1e-5, "llama.rope.dimension_count": 4,
        });
        for (name, value) in more {
            values[*name] = value.clone();
        }
        let Value::Object(values) = values else { unreachable!() };
        let fields = Fields::new("a.gguf".as_ref(), values);
        let shape = |name: &str| (name == "token_embd.weight").then_some(&[100, 16][..]);
        let config = read(&fields, std::iter::empty(), &shape).map_err(|e| e.to_string())?;
        Ok((config, fields.into_notes()))
    }

    #[test]
    fn metadata_that_computes_nothing_is_read_whatever_it_holds() {
        let (plain, notes) = config(&[]).unwrap();
        assert_eq!(notes, [""; 0]);
        for (name, value, noted) in [
            ("llama.rope.scaling.finetuned", json!(false), 0),
            ("llama.rope.scaling.finetuned", json!("yes"), 0),
            ("llama.rope.scaling.type", json!("none"), 0),
            ("llama.rope.scaling.type", json!("linear"), 0),
            ("llama.rope.scaling.factor", json!(1.0), 0),
            ("llama.rope.scaling.factor", json!(0.0), 0),
            ("llama.rope.scaling.original_context_length", json!(4096), 0),
            ("llama.attention.sliding_window", json!(64), 0),
            ("llama.vocab_size", json!(7), 0),
            ("llama.expert_count", json!(0), 0),
            ("llama.tensor_data_layout", json!("reference"), 0),
            ("llama.something_new", json!([1]), 1),
            ("general.finetune", json!(3), 0),
        ] {
            let (found, notes) = config(&[(name, value.clone())]).unwrap();
            assert_eq!((&found, notes.len()), (&plain, noted), "{name} = {value}: {notes:?}");
        }
        let scaled = [("llama.rope.scaling.type", json!("none")), ("llama.rope.scaling.factor", json!(8.0))];
        assert_eq!(config(&scaled).unwrap().0, plain);
    }

    #[test]
    fn what_computes_more_is_refused_by_name() {
        for (name, value) in [
            ("llama.rope.scaling.factor", json!(8.0)),
            ("llama.rope.scale_linear", json!(2.0)),
            ("llama.rope.scaling.attn_factor", json!(2.0)),
            ("llama.rope.dimension_count", json!(2)),
            ("llama.attention.key_length", json!(8)),
            ("llama.expert_count", json!(8)),
            ("llama.attention.sliding_window", json!(32)),
            ("llama.attention.causal", json!(false)),
            ("llama.logit_scale", json!(0.5)),
            ("general.architecture", json!("mamba")),
        ] {
            let error = config(&[(name, value.clone())]).unwrap_err();
            assert!(error.contains(name) && error.lines().count() == 1, "{name} = {value}: {error}");
        }
    }

    #[test]
    fn names() {
        let (llama, _) = config(&[]).unwrap();
        let name = |name| plain_name(&llama, name);
        assert_eq!(name("blk.12.ffn_gate.weight").unwrap(), "model.layers.12.mlp.gate_proj.weight");
        for unknown in ["blk.0.attn_q.bias", "rope_freqs.weight", "blk..attn_q.weight", "blk.1", "output"] {
            assert_eq!(name(unknown), None);
        }
        let nothing = |name, bytes| computes_nothing(&llama, name, Some(bytes));
        assert!(nothing("rope_freqs.weight", &[0, 0, 128, 63]) && !nothing("rope_freqs.weight", &[0, 0, 0, 64]));
        assert!(nothing("blk.0.attn_q.bias", &[0; 8]) && !nothing("blk.0.attn_q.bias", &[0, 1]));
    }
}
