//! Small whole models of every format, made here so that tests of the readers run anywhere.

// Each test uses some of it.
#![allow(dead_code)]

use std::collections::BTreeMap;

use astrocytic_models::pretrained::{File, Files};
use serde_json::{Value, json};

const VOCABULARY: usize = 300;
const D_MODEL: usize = 32;
const D_HIDDEN: usize = 64;
const LAYERS: usize = 2;
const HEADS: usize = 4;
const KEY_HEADS: usize = 2;
const STEPS: usize = 8;

/// Every format and family, by a name.
pub fn models() -> Vec<(&'static str, Files)> {
    let llama2c = |tied| Files::Llama2c {
        model: file("model.bin", llama2c(tied)),
        tokenizer: Some(file("tokenizer.bin", llama2c_tokenizer())),
    };
    vec![
        ("llama2.c", llama2c(true)),
        ("llama2.c, untied", llama2c(false)),
        ("gguf, merges", gguf(gguf_llama("gpt2"))),
        ("gguf, scores", gguf(gguf_llama("llama"))),
        ("gguf, two parts", gguf_in_parts(gguf_llama("llama"))),
        ("gguf, gpt2", gguf(gguf_gpt2())),
        ("llama", hugging_face(llama(), None)),
        ("gpt2", hugging_face(gpt2(), Some(byte_pairs()))),
        ("bert", hugging_face(bert(), Some(word_pieces()))),
    ]
}

pub fn file(path: &str, bytes: Vec<u8>) -> File {
    File { path: path.into(), bytes }
}

/// A model in two safetensors files.
pub fn hugging_face((config, tensors): (Value, Tensors), tokenizer: Option<Value>) -> Files {
    Files::HuggingFace {
        config: file("config.json", config.to_string().into_bytes()),
        weights: parts(tensors).into_iter().map(|bytes| file("model.safetensors", bytes)).collect(),
        tokenizer: tokenizer.map(|json| file("tokenizer.json", json.to_string().into_bytes())),
        sentence: Vec::new(),
        texts: Vec::new(),
    }
}

/// Shape and type of tensors by name.
pub type Tensors = BTreeMap<String, (Vec<usize>, &'static str)>;

fn blocks(prefix: &str, dtype: &'static str, shapes: &[(&str, &[usize])]) -> Tensors {
    let block =
        |layer| shapes.iter().map(move |(name, shape)| (format!("{prefix}{layer}.{name}"), (shape.to_vec(), dtype)));
    (0..LAYERS).flat_map(block).collect()
}

/// Every norm, matrix and bias of `names`.
fn biased(names: &[(&'static str, [usize; 2])], wide_last: bool) -> Vec<(String, Vec<usize>)> {
    let tensors = names.iter().flat_map(|&(name, [out, width])| {
        let (weight, bias) = match (width, wide_last) {
            (0, _) => (vec![out], out),
            (_, false) => (vec![out, width], out),
            (_, true) => (vec![out, width], width),
        };
        [(format!("{name}.weight"), weight), (format!("{name}.bias"), vec![bias])]
    });
    tensors.collect()
}

pub fn llama() -> (Value, Tensors) {
    let config = json!({
        "model_type": "llama", "vocab_size": VOCABULARY, "hidden_size": D_MODEL, "intermediate_size": D_HIDDEN,
        "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_key_value_heads": KEY_HEADS,
        "hidden_act": "silu", "max_position_embeddings": STEPS, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "bos_token_id": 1, "eos_token_id": 2, "tie_word_embeddings": false, "rope_scaling": null,
    });
    let d_key = D_MODEL / HEADS * KEY_HEADS;
    let mut tensors = blocks(
        "model.layers.",
        "BF16",
        &[
            ("input_layernorm.weight", &[D_MODEL]),
            ("self_attn.q_proj.weight", &[D_MODEL, D_MODEL]),
            ("self_attn.k_proj.weight", &[d_key, D_MODEL]),
            ("self_attn.v_proj.weight", &[d_key, D_MODEL]),
            ("self_attn.o_proj.weight", &[D_MODEL, D_MODEL]),
            ("post_attention_layernorm.weight", &[D_MODEL]),
            ("mlp.gate_proj.weight", &[D_HIDDEN, D_MODEL]),
            ("mlp.up_proj.weight", &[D_HIDDEN, D_MODEL]),
            ("mlp.down_proj.weight", &[D_MODEL, D_HIDDEN]),
        ],
    );
    tensors.insert("model.embed_tokens.weight".into(), (vec![VOCABULARY, D_MODEL], "F32"));
    tensors.insert("lm_head.weight".into(), (vec![VOCABULARY, D_MODEL], "F16"));
    tensors.insert("model.norm.weight".into(), (vec![D_MODEL], "F64"));
    (config, tensors)
}

pub fn gpt2() -> (Value, Tensors) {
    let config = json!({
        "model_type": "gpt2", "vocab_size": VOCABULARY, "n_embd": D_MODEL, "n_head": HEADS, "n_layer": LAYERS,
        "n_positions": STEPS, "n_inner": D_HIDDEN, "activation_function": "gelu_new", "bos_token_id": 1,
    });
    let names = [
        ("ln_1", [D_MODEL, 0]),
        ("attn.c_attn", [D_MODEL, 3 * D_MODEL]),
        ("attn.c_proj", [D_MODEL, D_MODEL]),
        ("ln_2", [D_MODEL, 0]),
        ("mlp.c_fc", [D_MODEL, D_HIDDEN]),
        ("mlp.c_proj", [D_HIDDEN, D_MODEL]),
    ];
    let names = biased(&names, true);
    let mut shapes: Vec<(&str, &[usize])> = names.iter().map(|(name, shape)| (name.as_str(), &shape[..])).collect();
    // A mask, which is no weight.
    shapes.push(("attn.bias", &[1, 1, STEPS, STEPS]));
    let mut tensors = blocks("transformer.h.", "F32", &shapes);
    for (name, shape) in [
        ("wte.weight", vec![VOCABULARY, D_MODEL]),
        ("wpe.weight", vec![STEPS, D_MODEL]),
        ("ln_f.weight", vec![D_MODEL]),
        ("ln_f.bias", vec![D_MODEL]),
    ] {
        tensors.insert(format!("transformer.{name}"), (shape, "F32"));
    }
    (config, tensors)
}

pub fn bert() -> (Value, Tensors) {
    let config = json!({
        "model_type": "bert", "vocab_size": VOCABULARY, "hidden_size": D_MODEL, "intermediate_size": D_HIDDEN,
        "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "hidden_act": "gelu", "type_vocab_size": 2,
        "max_position_embeddings": STEPS, "layer_norm_eps": 1e-12, "position_embedding_type": "absolute",
    });
    let names = biased(
        &[
            ("attention.self.query", [D_MODEL, D_MODEL]),
            ("attention.self.key", [D_MODEL, D_MODEL]),
            ("attention.self.value", [D_MODEL, D_MODEL]),
            ("attention.output.dense", [D_MODEL, D_MODEL]),
            ("attention.output.LayerNorm", [D_MODEL, 0]),
            ("intermediate.dense", [D_HIDDEN, D_MODEL]),
            ("output.dense", [D_MODEL, D_HIDDEN]),
            ("output.LayerNorm", [D_MODEL, 0]),
        ],
        false,
    );
    let shapes: Vec<(&str, &[usize])> = names.iter().map(|(name, shape)| (name.as_str(), &shape[..])).collect();
    let mut tensors = blocks("bert.encoder.layer.", "F16", &shapes);
    for (name, shape, dtype) in [
        ("word_embeddings.weight", vec![VOCABULARY, D_MODEL], "F16"),
        ("position_embeddings.weight", vec![STEPS, D_MODEL], "F16"),
        ("token_type_embeddings.weight", vec![2, D_MODEL], "F16"),
        ("LayerNorm.gamma", vec![D_MODEL], "F16"),
        ("LayerNorm.beta", vec![D_MODEL], "F16"),
        ("position_ids", vec![1, STEPS], "I64"),
    ] {
        tensors.insert(format!("bert.embeddings.{name}"), (shape, dtype));
    }
    tensors.insert("bert.pooler.dense.bias".into(), (vec![D_MODEL], "F32"));
    (config, tensors)
}

/// Two safetensors files that share the tensors.
fn parts(mut tensors: Tensors) -> [Vec<u8>; 2] {
    let middle = tensors.keys().nth(tensors.len() / 2).unwrap().clone();
    let second = tensors.split_off(&middle);
    [tensors, second].map(|part| safetensors(&part))
}

fn safetensors(tensors: &Tensors) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    header.insert("__metadata__".into(), json!({"format": "pt"}));
    let (mut end, mut data) = (0, Vec::new());
    for (name, (shape, dtype)) in tensors {
        let width = match *dtype {
            "F64" | "I64" => 8,
            "F32" => 4,
            "BOOL" | "U8" | "F8_E4M3" => 1,
            _ => 2,
        };
        let start = end;
        end += width * shape.iter().product::<usize>();
        data.extend(numbers(end - start));
        header.insert(name.clone(), json!({"dtype": dtype, "shape": shape, "data_offsets": [start, end]}));
    }
    let header = Value::Object(header).to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.bytes());
    bytes.extend(data);
    bytes
}

/// Bytes that are small numbers whether they are read as f16, bf16 or f32.
fn numbers(count: usize) -> impl Iterator<Item = u8> {
    (0..count).map(|i| if i % 2 == 1 { 0x3C } else { (i * 37 % 251) as u8 })
}

/// A tokenizer.json of GPT-2's kind.
pub fn byte_pairs() -> Value {
    json!({
        "version": "1.0", "added_tokens": [{"id": 4, "content": "<s>", "special": true, "single_word": false,
        "lstrip": false, "rstrip": false, "normalized": false}], "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "post_processor": null, "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true},
        "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "Ġ": 3, "<s>": 4}, "merges": [["a", "b"]]},
    })
}

/// A tokenizer.json of BERT's kind.
pub fn word_pieces() -> Value {
    json!({
        "version": "1.0", "added_tokens": [], "pre_tokenizer": {"type": "BertPreTokenizer"},
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
        "strip_accents": null, "lowercase": true},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100, "vocab": {"[UNK]": 0, "a": 1, "##b": 2}},
    })
}

fn llama2c(tied: bool) -> Vec<u8> {
    let vocabulary = if tied { VOCABULARY as i32 } else { -(VOCABULARY as i32) };
    let sizes =
        [D_MODEL as i32, D_HIDDEN as i32, LAYERS as i32, HEADS as i32, KEY_HEADS as i32, vocabulary, STEPS as i32];
    let d_key = D_MODEL / HEADS * KEY_HEADS;
    let block = 2 * D_MODEL + 2 * D_MODEL * D_MODEL + 2 * d_key * D_MODEL + 3 * D_HIDDEN * D_MODEL;
    let embeddings = if tied { 1 } else { 2 } * VOCABULARY * D_MODEL;
    let count = embeddings + LAYERS * block + D_MODEL + STEPS * D_MODEL / HEADS;
    let mut bytes: Vec<u8> = sizes.iter().flat_map(|size| size.to_le_bytes()).collect();
    bytes.extend((0..count).flat_map(|i| (i as f32 / 64.0).sin().to_le_bytes()));
    bytes
}

/// Texts and scores of a vocabulary with bytes to fall back on.
fn scored_tokens(space: &str, ends: [&str; 2]) -> Vec<(String, f32)> {
    let mut texts: Vec<String> = ["<unk>", ends[0], ends[1]].map(String::from).into();
    texts.extend((0..256).map(|byte| format!("<0x{byte:02X}>")));
    let words = ["S", "Sa", "Sab", "ab", "aba", "bab", "a", "b", "e", "é", "n", "an", "Sn", "San"];
    texts.extend(words.map(|word| word.replace('S', space)));
    while texts.len() < VOCABULARY {
        texts.push(format!("unused {}", texts.len()));
    }
    texts.into_iter().enumerate().map(|(i, text)| (text, -(i as f32))).collect()
}

fn llama2c_tokenizer() -> Vec<u8> {
    let mut bytes = 9i32.to_le_bytes().to_vec();
    for (text, score) in scored_tokens(" ", ["\n<s>\n", "\n</s>\n"]) {
        bytes.extend(score.to_le_bytes());
        bytes.extend((text.len() as i32).to_le_bytes());
        bytes.extend(text.bytes());
    }
    bytes
}

/// A value of GGUF's metadata that is a string.
pub fn string(text: impl AsRef<[u8]>) -> Vec<u8> {
    let text = text.as_ref();
    [&(text.len() as u64).to_le_bytes()[..], text].concat()
}

/// One that is an array of a kind.
pub fn array(kind: u32, items: &[Vec<u8>]) -> (u32, Vec<u8>) {
    (9, [&kind.to_le_bytes()[..], &(items.len() as u64).to_le_bytes(), &items.concat()].concat())
}

/// A GGUF file to be written: its metadata, and shapes and types of its tensors.
pub struct Gguf {
    pub values: BTreeMap<&'static str, (u32, Vec<u8>)>,
    pub tensors: Vec<(String, Vec<usize>, u32)>,
}

pub fn gguf(model: Gguf) -> Files {
    Files::Gguf(vec![file("model.gguf", gguf_bytes(&model))])
}

/// A model in two parts, of which the first has the metadata.
pub fn gguf_in_parts(mut model: Gguf) -> Files {
    let second = Gguf { values: BTreeMap::new(), tensors: model.tensors.split_off(model.tensors.len() / 2) };
    let parts = [model, second].into_iter().enumerate().map(|(number, mut part)| {
        part.values.insert("split.no", (2, (number as u16).to_le_bytes().into()));
        part.values.insert("split.count", (2, 2u16.to_le_bytes().into()));
        file(&format!("model-{:05}-of-00002.gguf", number + 1), gguf_bytes(&part))
    });
    Files::Gguf(parts.collect())
}

/// A Llama with a tokenizer of the given model; the two have all types of numbers between them.
pub fn gguf_llama(tokenizer: &str) -> Gguf {
    let mut values = BTreeMap::from([
        ("general.architecture", text("llama")),
        ("general.name", text("small")),
        ("llama.embedding_length", size(D_MODEL)),
        ("llama.feed_forward_length", size(D_HIDDEN)),
        ("llama.block_count", size(LAYERS)),
        ("llama.attention.head_count", size(HEADS)),
        ("llama.attention.head_count_kv", size(KEY_HEADS)),
        ("llama.context_length", size(STEPS)),
        ("llama.attention.layer_norm_rms_epsilon", real(1e-5)),
        ("llama.rope.freq_base", real(10_000.0)),
        ("llama.rope.dimension_count", size(D_MODEL / HEADS)),
        ("llama.vocab_size", size(VOCABULARY)),
        ("tokenizer.ggml.model", text(tokenizer)),
        ("tokenizer.ggml.bos_token_id", size(1)),
        ("tokenizer.ggml.eos_token_id", size(2)),
    ]);
    let scored = scored_tokens("▁", ["<s>", "</s>"]);
    if tokenizer == "llama" {
        let kind = |text: &str| match text {
            "<unk>" => 2,
            "<s>" | "</s>" => 3,
            _ if text.starts_with("<0x") => 6,
            _ => 1i32,
        };
        let texts: Vec<Vec<u8>> = scored.iter().map(|(text, _)| string(text)).collect();
        let scores: Vec<Vec<u8>> = scored.iter().map(|(_, score)| score.to_le_bytes().to_vec()).collect();
        let kinds: Vec<Vec<u8>> = scored.iter().map(|(text, _)| kind(text).to_le_bytes().to_vec()).collect();
        values.insert("tokenizer.ggml.tokens", array(8, &texts));
        values.insert("tokenizer.ggml.scores", array(6, &scores));
        values.insert("tokenizer.ggml.token_type", array(5, &kinds));
    } else {
        let mut texts: Vec<String> = ["<unk>", "<s>", "</s>", "ab", "Ġab", "Ġ"].map(String::from).into();
        texts.extend((b'!'..=b'~').map(|byte| char::from(byte).to_string()));
        while texts.len() < VOCABULARY {
            texts.push(format!("unused{}", texts.len()));
        }
        values.insert("tokenizer.ggml.tokens", array(8, &texts.iter().map(string).collect::<Vec<_>>()));
        values.insert("tokenizer.ggml.merges", array(8, &["a b", "Ġ ab"].map(string)));
        values.insert("tokenizer.ggml.pre", text("smollm"));
    }

    let (norm, d_key) = (vec![D_MODEL], D_MODEL / HEADS * KEY_HEADS);
    // Q8_0, Q4_0, Q4_1, F16, BF16, or IQ4_NL, Q2_K to Q6_K, IQ4_XS.
    let types = if tokenizer == "gpt2" { [8, 3, 2, 1, 30, 2, 3, 8] } else { [20, 12, 13, 14, 11, 10, 6, 23] };
    let [embedding, query, key, value, output, gate, up, down] = types;
    let mut tensors = vec![
        ("token_embd.weight".to_string(), vec![VOCABULARY, D_MODEL], embedding),
        ("output_norm.weight".to_string(), norm.clone(), 0),
    ];
    for layer in 0..LAYERS {
        let kinds = [
            ("attn_norm", norm.clone(), 0),
            ("attn_q", vec![D_MODEL, D_MODEL], query),
            ("attn_k", vec![d_key, D_MODEL], key),
            ("attn_v", vec![d_key, D_MODEL], value),
            ("attn_output", vec![D_MODEL, D_MODEL], output),
            ("ffn_norm", norm.clone(), 0),
            ("ffn_gate", vec![D_HIDDEN, D_MODEL], gate),
            ("ffn_up", vec![D_HIDDEN, D_MODEL], up),
            ("ffn_down", vec![D_MODEL, D_HIDDEN], down),
        ];
        tensors.extend(kinds.map(|(kind, shape, dtype)| (format!("blk.{layer}.{kind}.weight"), shape, dtype)));
    }
    Gguf { values, tensors }
}

/// A GPT-2, whose matrices are all `[out, in]` here.
pub fn gguf_gpt2() -> Gguf {
    let Gguf { mut values, .. } = gguf_llama("gpt2");
    values.retain(|name, _| !name.starts_with("llama."));
    values.extend([
        ("general.architecture", text("gpt2")),
        ("gpt2.embedding_length", size(D_MODEL)),
        ("gpt2.feed_forward_length", size(D_HIDDEN)),
        ("gpt2.block_count", size(LAYERS)),
        ("gpt2.attention.head_count", size(HEADS)),
        ("gpt2.context_length", size(STEPS)),
        ("gpt2.attention.layer_norm_epsilon", real(1e-5)),
    ]);
    let mut tensors = vec![
        ("token_embd.weight".to_string(), vec![VOCABULARY, D_MODEL], 8),
        ("position_embd.weight".to_string(), vec![STEPS, D_MODEL], 0),
    ];
    let mut both = |name: String, out: usize, width: Option<usize>| {
        tensors.push((format!("{name}.weight"), std::iter::once(out).chain(width).collect(), width.map_or(0, |_| 7)));
        tensors.push((format!("{name}.bias"), vec![out], 0));
    };
    both("output_norm".into(), D_MODEL, None);
    for layer in 0..LAYERS {
        for (kind, out, width) in [
            ("attn_norm", D_MODEL, None),
            ("attn_qkv", 3 * D_MODEL, Some(D_MODEL)),
            ("attn_output", D_MODEL, Some(D_MODEL)),
            ("ffn_norm", D_MODEL, None),
            ("ffn_up", D_HIDDEN, Some(D_MODEL)),
            ("ffn_down", D_MODEL, Some(D_HIDDEN)),
        ] {
            both(format!("blk.{layer}.{kind}"), out, width);
        }
    }
    Gguf { values, tensors }
}

pub fn size(size: usize) -> (u32, Vec<u8>) {
    (4, (size as u32).to_le_bytes().to_vec())
}

pub fn real(value: f32) -> (u32, Vec<u8>) {
    (6, value.to_le_bytes().to_vec())
}

pub fn text(value: &str) -> (u32, Vec<u8>) {
    (8, string(value))
}

fn gguf_bytes(Gguf { values, tensors }: &Gguf) -> Vec<u8> {
    let mut bytes = [&b"GGUF"[..], &3u32.to_le_bytes()].concat();
    bytes.extend((tensors.len() as u64).to_le_bytes());
    bytes.extend((values.len() as u64).to_le_bytes());
    for (name, (kind, value)) in values {
        bytes.extend([string(name), kind.to_le_bytes().into(), value.clone()].concat());
    }
    let mut offset = 0u64;
    for (name, shape, dtype) in tensors {
        bytes.extend(string(name));
        bytes.extend((shape.len() as u32).to_le_bytes());
        bytes.extend(shape.iter().rev().flat_map(|&size| (size as u64).to_le_bytes()));
        bytes.extend(dtype.to_le_bytes());
        bytes.extend(offset.to_le_bytes());
        let (block, width) = match dtype {
            0 => (1, 4),
            1 | 30 => (1, 2),
            2 | 20 => (32, 18),
            3 => (32, 20),
            6 => (32, 22),
            7 => (32, 24),
            8 => (32, 34),
            10 => (256, 84),
            11 => (256, 110),
            12 => (256, 144),
            13 => (256, 176),
            14 => (256, 210),
            23 => (256, 136),
            other => panic!("a type {other}"),
        };
        offset = (offset + (shape.iter().product::<usize>() / block * width) as u64).next_multiple_of(32);
    }
    bytes.resize(bytes.len().next_multiple_of(32), 0);
    bytes.extend(numbers(offset as usize));
    bytes
}
