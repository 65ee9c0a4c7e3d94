//! Models as people have them: what computes nothing never refuses one, and odd tokenizers are read
//! with a note.

#[path = "synthetic/mod.rs"]
mod synthetic;

use std::collections::BTreeMap;

use astrocytic_models::pretrained::{self, Files, Pretrained};
use astrocytic_models::{Decoder, TextEncoder};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use serde_json::{Value, json};
use synthetic::{Gguf, Tensors, array, file, gguf, gguf_llama, hugging_face, string};

/// Every tensor's numbers.
fn numbers(mut model: Pretrained) -> BTreeMap<String, Vec<f32>> {
    let shapes: Vec<_> = model.config.shapes().collect();
    let numbers = shapes.into_iter().map(|(name, shape)| {
        let values = model.tensors.take(&name, &shape).unwrap();
        (name, values)
    });
    let numbers = numbers.collect();
    model.tensors.finish().unwrap();
    numbers
}

fn read(config: &Value, tensors: &Tensors) -> Pretrained {
    pretrained::read(hugging_face((config.clone(), tensors.clone()), None)).unwrap_or_else(|e| panic!("{e}"))
}

/// Each family, its prefix, its embedding, and the name under which a tied output is stored; all
/// tied.
fn families() -> [(Value, Tensors, &'static str, &'static str, &'static str); 3] {
    let (mut config, mut tensors) = synthetic::llama();
    config["tie_word_embeddings"] = json!(true);
    tensors.remove("lm_head.weight");
    let (gpt2_config, gpt2) = synthetic::gpt2();
    let (bert_config, bert) = synthetic::bert();
    let words = "bert.embeddings.word_embeddings.weight";
    [
        (config, tensors, "model.", "model.embed_tokens.weight", "lm_head.weight"),
        (gpt2_config, gpt2, "transformer.", "transformer.wte.weight", "lm_head.weight"),
        (bert_config, bert, "bert.", words, "cls.predictions.decoder.weight"),
    ]
}

#[test]
fn of_two_tied_tensors_either_may_be_stored() {
    for (config, tensors, _, embedding, output) in families() {
        let plain = numbers(read(&config, &tensors));
        let mut other = tensors.clone();
        let stored = other[embedding].clone();
        other.insert(output.into(), stored.clone());
        assert_eq!(numbers(read(&config, &other)), plain, "{output}: both");
        other.remove(embedding);
        assert_eq!(numbers(read(&config, &other)), plain, "{output}: the output alone");
        other.remove(output);
        let error = pretrained::read(hugging_face((config, other), None)).unwrap_err().to_string();
        assert!(error.contains("is missing"), "{error}");
    }
}

#[test]
fn names_have_their_prefix_or_not_and_what_computes_nothing_is_left_out() {
    for (config, tensors, prefix, ..) in families() {
        let plain = numbers(read(&config, &tensors));
        let mut bare: Tensors = tensors
            .iter()
            .map(|(name, stored)| (name.strip_prefix(prefix).unwrap_or(name).to_string(), stored.clone()))
            .collect();
        assert_eq!(numbers(read(&config, &bare)), plain, "{prefix} stripped");
        let mut more = tensors.clone();
        // Masks, positions and wavelengths of any type, heads, and a block that the configuration
        // does not ask for.
        for (i, dtype) in ["BOOL", "U8", "I64", "F8_E4M3", "F16", "F32"].into_iter().enumerate() {
            let names: [&str; 3] = match prefix {
                "model." => {
                    ["layers.0.self_attn.rotary_emb.inv_freq", "rotary_emb.inv_freq", "layers.7.mlp.up_proj.weight"]
                }
                "transformer." => ["h.0.attn.bias", "h.1.attn.masked_bias", "h.2.ln_1.weight"],
                _ => ["embeddings.position_ids", "pooler.dense.weight", "encoder.layer.9.output.dense.bias"],
            };
            for name in names {
                bare.insert(name.into(), (vec![i + 1], dtype));
                more.insert(format!("{prefix}{name}"), (vec![i + 1], dtype));
            }
            for head in ["score.weight", "classifier.bias", "qa_outputs.weight", "cls.predictions.bias", "odd.head"] {
                more.insert(head.into(), (vec![i + 1, 3], dtype));
            }
            assert_eq!(numbers(read(&config, &bare)), plain, "{prefix} stripped, {dtype}");
            let model = read(&config, &more);
            assert!(model.notes.iter().any(|note| note.contains("does not use")), "{:?}", model.notes);
            assert_eq!(numbers(model), plain, "{prefix}, {dtype}");
        }
        // A part of a block is no head.
        let block = tensors.keys().find(|name| name.contains(".0.")).unwrap();
        let unknown = block.rsplit_once('.').unwrap().0.to_string() + ".odd";
        more.insert(unknown.clone(), (vec![1], "F32"));
        let error = pretrained::read(hugging_face((config, more), None)).unwrap_err().to_string();
        assert!(error.contains("odd"), "{error}");
    }
}

#[test]
fn a_decoder_without_an_output_is_said_to_have_none() {
    let (config, mut tensors) = synthetic::llama();
    tensors.remove("lm_head.weight");
    let error = pretrained::read(hugging_face((config, tensors), None)).unwrap_err().to_string();
    assert!(error.contains("lm_head.weight") && error.contains("without an output"), "{error}");
    // GPT-2's is tied unless it is said not to be, and then it is read.
    let (mut config, mut tensors) = synthetic::gpt2();
    config["tie_word_embeddings"] = json!(false);
    tensors.insert("lm_head.weight".into(), (vec![300, 32], "F32"));
    let model = read(&config, &tensors);
    assert!(model.config.shapes().any(|(name, _)| name == "lm_head.weight"));
    astrocytic_models::Decoder::from_pretrained(model, &Device::flex()).unwrap();
}

#[test]
fn a_byte_order_mark_is_no_json_and_added_tokens_may_be_beyond_the_vocabulary() {
    let mut tokenizer = synthetic::byte_pairs();
    // The library numbers added tokens after the others.
    (5..300).for_each(|i| tokenizer["model"]["vocab"][format!("unused {i}")] = json!(i));
    let pad = json!({"id": 300, "content": "<pad>", "special": true, "single_word": false, "lstrip": false,
        "rstrip": false, "normalized": false});
    tokenizer["added_tokens"].as_array_mut().unwrap().push(pad);
    let mut files = hugging_face(synthetic::gpt2(), Some(tokenizer));
    if let Files::HuggingFace { config, tokenizer, .. } = &mut files {
        for file in std::iter::once(config).chain(tokenizer) {
            file.bytes.splice(0..0, "\u{feff}".bytes());
        }
    }
    let model = pretrained::read(files).unwrap();
    assert!(model.notes.iter().any(|note| note.contains("<pad>")), "{:?}", model.notes);
    // Tokens that were not added are another model's.
    let mut tokenizer = synthetic::byte_pairs();
    tokenizer["model"]["vocab"]["x"] = json!(300);
    let error = pretrained::read(hugging_face(synthetic::gpt2(), Some(tokenizer))).unwrap_err().to_string();
    assert!(error.contains("get the model's own"), "{error}");
}

/// Strings of an array of GGUF's metadata.
fn strings(texts: &[Vec<u8>]) -> (u32, Vec<u8>) {
    array(8, &texts.iter().map(string).collect::<Vec<_>>())
}

/// Tokens of a GGUF model.
fn tokens(model: &Gguf) -> Vec<Vec<u8>> {
    let mut rest = &model.values["tokenizer.ggml.tokens"].1[12..];
    let mut texts = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk() {
        let (text, after) = after.split_at(u64::from_le_bytes(*length) as usize);
        texts.push(text.to_vec());
        rest = after;
    }
    texts
}

#[test]
fn odd_tokenizers_are_read_with_a_note() {
    type Change = fn(&mut Gguf);
    fn with_tokens(model: &mut Gguf, change: impl Fn(&mut Vec<Vec<u8>>)) {
        let mut texts = tokens(model);
        change(&mut texts);
        model.values.insert("tokenizer.ggml.tokens", strings(&texts));
    }
    let without = |name: &'static str| (name, None::<(u32, Vec<u8>)>);
    let with = |name: &'static str, value| (name, Some(value));
    let number = |value: u32| (4, value.to_le_bytes().to_vec());
    // For both kinds of tokenizers: what the metadata is, and how many notes there are.
    for (kind, changed, notes) in [
        ("llama", without("tokenizer.ggml.scores"), 1),
        ("llama", without("tokenizer.ggml.token_type"), 0),
        ("llama", with("llama.rope.scaling.finetuned", (7, vec![0])), 0),
        ("llama", with("tokenizer.ggml.bos_token_id", number(u32::MAX)), 1),
        ("llama", with("tokenizer.ggml.unknown_token_id", number(300)), 1),
        ("llama", with("tokenizer.ggml.add_eos_token", (7, vec![1])), 0),
        ("llama", with("tokenizer.ggml.add_bos_token", (7, vec![0])), 0),
        ("gpt2", without("tokenizer.ggml.pre"), 1),
        ("gpt2", without("tokenizer.ggml.merges"), 1),
        ("gpt2", with("tokenizer.ggml.pre", synthetic::text("default")), 1),
        ("gpt2", with("tokenizer.ggml.pre", synthetic::text("llama3")), 0),
        ("gpt2", without("tokenizer.ggml.eos_token_id"), 0),
    ] {
        let mut model = gguf_llama(kind);
        match changed.clone() {
            (name, Some(value)) => model.values.insert(name, value),
            (name, None) => model.values.remove(name),
        };
        check(gguf(model), notes, &format!("{kind}: {changed:?}"));
    }
    let changes: [(&str, Change, usize); 6] = [
        ("the same twice", |model| with_tokens(model, |texts| texts[299] = texts[298].clone()), 1),
        ("the same thrice", |model| with_tokens(model, |texts| texts[297..].fill(b"twice".into())), 1),
        ("empty twice", |model| with_tokens(model, |texts| texts[298..].fill(Vec::new())), 1),
        ("not UTF-8", |model| with_tokens(model, |texts| texts[299] = b"\xFF\xFE".into()), 1),
        ("a byte", |model| with_tokens(model, |texts| texts[299] = b"\xFF".into()), 1),
        ("not UTF-8, twice", |model| with_tokens(model, |texts| texts[298..].fill(b"\xE6\x97".into())), 2),
    ];
    for (what, change, notes) in changes {
        for kind in ["llama", "gpt2"] {
            let mut model = gguf_llama(kind);
            change(&mut model);
            // Marked already, a token of SentencePiece's is not there again.
            let notes = if kind == "llama" && what == "not UTF-8, twice" { 1 } else { notes };
            check(gguf(model), notes, &format!("{kind}: {what}"));
        }
    }
}

/// Reads it; texts come back, and any token has a text without the mark of a repeated one.
fn check(files: Files, notes: usize, what: &str) {
    let model = pretrained::read(files).unwrap_or_else(|e| panic!("{what}: {e}"));
    assert_eq!(model.notes.len(), notes, "{what}: {:?}", model.notes);
    let tokenizer = model.tokenizer.unwrap();
    let saved = tokenizers::Tokenizer::from_bytes(tokenizer.to_string(false).unwrap()).unwrap();
    for tokenizer in [&tokenizer, &saved] {
        let encoded = tokenizer.encode("ab ab", true).unwrap();
        assert_eq!(tokenizer.decode(encoded.get_ids(), true).unwrap(), "ab ab", "{what}");
        for token in 0..300 {
            let text = tokenizer.decode(&[token], false).unwrap();
            assert!(!text.contains('\u{10FFFE}'), "{what}: token {token} is {text:?}");
        }
    }
}

/// A byte that stands as itself among the tokens is decoded with its neighbours.
#[test]
fn a_token_that_is_a_byte_is_decoded_as_one() {
    for kind in ["llama", "gpt2"] {
        let mut model = gguf_llama(kind);
        let mut texts = tokens(&model);
        texts[298] = "é".as_bytes()[..1].into();
        texts[299] = "é".as_bytes()[1..].into();
        model.values.insert("tokenizer.ggml.tokens", strings(&texts));
        let tokenizer = pretrained::read(gguf(model)).unwrap().tokenizer.unwrap();
        assert_eq!(tokenizer.decode(&[298, 299], true).unwrap().trim(), "é", "{kind}");
    }
}

#[test]
fn a_type_that_is_not_read_is_named_and_factors_of_one_change_nothing() {
    let mut model = gguf_llama("llama");
    model.tensors.push(("rope_freqs.weight".into(), vec![4], 0));
    model.tensors[2].2 = 0;
    let Files::Gguf(mut parts) = gguf(model) else { unreachable!() };
    let ones: Vec<u8> = 1f32.to_le_bytes().repeat(4);
    let end = parts[0].bytes.len() - 32;
    let error = pretrained::read(Files::Gguf(parts.clone())).unwrap_err().to_string();
    assert!(error.contains("rope_freqs.weight"), "{error}");
    parts[0].bytes[end..end + 16].copy_from_slice(&ones);
    pretrained::read(Files::Gguf(parts.clone())).unwrap();

    let at = parts[0].bytes.windows(15).position(|window| window == b"blk.0.attn_q.we").unwrap();
    // After the name: dimensions, sizes, type.
    let kind = at + "blk.0.attn_q.weight".len() + 4 + 16;
    parts[0].bytes[kind] = 16;
    let error = pretrained::read(Files::Gguf(parts)).unwrap_err().to_string();
    assert!(error.contains("IQ2_XXS") && error.contains("Q2_K to Q6_K"), "{error}");
}

/// GGUF's matrices of GPT-2 are `[out, in]`, and come as Hugging Face has them.
#[test]
fn gpt2_in_gguf_is_transposed() {
    let mut model = synthetic::gguf_gpt2();
    model.tensors.iter_mut().for_each(|(_, _, dtype)| *dtype = 0);
    let Files::Gguf(parts) = gguf(model) else { unreachable!() };
    let bytes = parts[0].bytes.clone();
    let mut model = pretrained::read(Files::Gguf(parts)).unwrap();
    let up = model.tensors.take("h.1.mlp.c_fc.weight", &[32, 64]).unwrap();
    // The last but: ffn_up weight and bias, ffn_down weight and bias.
    let start = bytes.len() - 4 * (64 * 32 + 64 + 32 * 64 + 32);
    let stored = |out: usize, column: usize| {
        f32::from_le_bytes(bytes[start + 4 * (out * 32 + column)..][..4].try_into().unwrap())
    };
    for (out, column) in [(0, 0), (1, 0), (63, 31), (17, 5)] {
        assert_eq!(up[column * 64 + out].to_bits(), stored(out, column).to_bits());
    }
}

#[test]
fn an_encoder_pools_as_its_files_say() {
    let device = Device::flex();
    let tokens = || Tensor::<2, Int>::from_data(TensorData::new(vec![3, 1, 2, 0], [1, 4]), &device);
    let padded = Tensor::<2, Bool>::from_data(TensorData::new(vec![false, false, false, true], [1, 4]), &device);
    let cls = r#"{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}"#;
    let modules = r#"[{"type": "sentence_transformers.models.Transformer", "path": ""},
        {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"}]"#;
    for (sentence, first, normalized) in [
        (vec![], false, true),
        (vec![("1_Pooling/config.json", cls)], true, true),
        (vec![("modules.json", modules)], false, false),
        (vec![("modules.json", modules), ("1_Pooling/config.json", cls)], true, false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let Files::HuggingFace { config, weights, tokenizer, .. } = hugging_face(synthetic::bert(), None) else {
            unreachable!()
        };
        let write = |name: &str, bytes: &[u8]| {
            std::fs::create_dir_all(folder.path().join(name).parent().unwrap()).unwrap();
            std::fs::write(folder.path().join(name), bytes).unwrap();
        };
        write("config.json", &config.bytes);
        write("model-00001-of-00002.safetensors", &weights[0].bytes);
        write("model-00002-of-00002.safetensors", &weights[1].bytes);
        assert!(tokenizer.is_none());
        sentence.iter().for_each(|(name, text)| write(name, text.as_bytes()));
        let model = TextEncoder::from_pretrained(pretrained::open(folder.path()).unwrap(), &device).unwrap();
        let x = model.forward(tokens(), &padded);
        let mut expected: Tensor<2> = match first {
            true => x.slice([0..1, 0..1]).squeeze_dim(1),
            false => x.slice([0..1, 0..3]).mean_dim(1).squeeze_dim(1),
        };
        if normalized {
            expected = expected.clone() / expected.square().sum_dim(1).sqrt();
        }
        let saved = folder.path().join("saved");
        model.save(&saved).unwrap();
        for model in [&model, &TextEncoder::load(&saved, &device).unwrap()] {
            assert!(model.embed(tokens(), &padded).all_close(expected.clone(), Some(1e-5), Some(1e-6)), "{sentence:?}");
        }
        // As older versions saved it: without the field, and without checksums.
        let path = saved.join("config.json");
        let mut stored: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert!(stored.as_object_mut().unwrap().remove("sha256").is_some());
        assert!(stored["encoder"].as_object_mut().unwrap().remove("pooling").is_some());
        std::fs::write(&path, stored.to_string()).unwrap();
        assert_eq!(TextEncoder::load(&saved, &device).unwrap().pooling(), pretrained::Pooling::default());
    }
    let modules =
        file("modules.json", br#"[{"type": "sentence_transformers.models.Dense", "path": "2_Dense"}]"#.into());
    let mut files = hugging_face(synthetic::bert(), None);
    if let Files::HuggingFace { sentence, .. } = &mut files {
        sentence.push(modules);
    }
    assert!(pretrained::read(files).unwrap_err().to_string().contains("Dense"));
}

#[test]
fn numbers_that_are_not_finite_are_refused_by_their_tensor() {
    for (name, files) in synthetic::models() {
        let Files::Llama2c { mut model, tokenizer } = files else { continue };
        model.bytes[28..32].copy_from_slice(&f32::NAN.to_le_bytes());
        let read = pretrained::read(Files::Llama2c { model, tokenizer }).unwrap();
        let error = Decoder::from_pretrained(read, &Device::flex()).unwrap_err().to_string();
        assert!(error.contains("model.embed_tokens.weight") && error.contains("not finite"), "{name}: {error}");
    }
}

#[test]
fn a_tokenizer_that_fails_on_texts_is_refused() {
    let template = json!({
        "type": "TemplateProcessing", "special_tokens": {},
        "single": [{"SpecialToken": {"id": "x", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
    });
    let zero = json!({"type": "FixedLength", "length": 0});
    for (field, value) in [("post_processor", template), ("pre_tokenizer", zero)] {
        let mut tokenizer = synthetic::byte_pairs();
        tokenizer[field] = value;
        let error = pretrained::read(hugging_face(synthetic::gpt2(), Some(tokenizer))).unwrap_err().to_string();
        assert!(error.contains("tokenizer") && error.lines().count() == 1, "{field}: {error}");
    }
}

#[test]
fn what_a_system_keeps_beside_files_is_no_model() {
    let folder = tempfile::tempdir().unwrap();
    let Files::Gguf(parts) = synthetic::gguf(synthetic::gguf_llama("llama")) else { unreachable!() };
    std::fs::write(folder.path().join("model.gguf"), &parts[0].bytes).unwrap();
    std::fs::write(folder.path().join("._model.gguf"), b"\0\x05\x16\x07").unwrap();
    pretrained::open(folder.path()).unwrap();
}
