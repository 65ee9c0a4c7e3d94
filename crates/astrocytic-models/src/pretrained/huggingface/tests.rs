//! Configurations and names as files have them.

use serde_json::{Value, json};

use super::family::family;
use crate::pretrained::activation::Activation;
use crate::pretrained::config::PretrainedConfig;
use crate::pretrained::fields::Fields;
use crate::pretrained::names::{Names, Role};

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
