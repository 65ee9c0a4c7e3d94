//! What one command accepts, the others run: every kind of model walks through `swap`, `generate`,
//! `evaluate` and `swap` again.

#[path = "../crates/astrocytic-models/tests/synthetic/mod.rs"]
mod synthetic;

mod program;

use std::path::{Path, PathBuf};

use astrocytic_models::pretrained::{File, Files};
use program::{astrocytic, run, succeed, text};
use serde_json::Value;

/// Writes a model's files as they lie on a disk; the path that a user gives.
fn write(files: Files, folder: &Path) -> PathBuf {
    std::fs::create_dir_all(folder).unwrap();
    let put = |name: &str, file: &File| {
        std::fs::write(folder.join(name), &file.bytes).unwrap();
        folder.join(name)
    };
    match files {
        Files::HuggingFace { config, weights, tokenizer, .. } => {
            put("config.json", &config);
            tokenizer.iter().for_each(|file| drop(put("tokenizer.json", file)));
            let names: Vec<String> = (0..weights.len()).map(|part| format!("part-{part}.safetensors")).collect();
            let mut map = serde_json::Map::new();
            for (name, file) in names.iter().zip(&weights) {
                put(name, file);
                let length = u64::from_le_bytes(file.bytes[..8].try_into().unwrap()) as usize;
                let header: serde_json::Map<String, Value> =
                    serde_json::from_slice(&file.bytes[8..][..length]).unwrap();
                map.extend(header.into_iter().map(|(tensor, _)| (tensor, name.clone().into())));
            }
            let index = serde_json::json!({ "weight_map": map }).to_string();
            std::fs::write(folder.join("model.safetensors.index.json"), index).unwrap();
            folder.into()
        }
        Files::Gguf(parts) => {
            let count = parts.len();
            let paths =
                parts.iter().zip(1..).map(|(part, number)| put(&format!("m-{number:05}-of-{count:05}.gguf"), part));
            paths.collect::<Vec<_>>()[0].clone()
        }
        Files::Llama2c { model, tokenizer } => {
            tokenizer.iter().for_each(|file| drop(put("tokenizer.bin", file)));
            put("model.bin", &model)
        }
    }
}

const SWAP: [&str; 14] = [
    "--context",
    "6",
    "--rows",
    "8",
    "--held-out",
    "2",
    "--batch",
    "2",
    "--transfer-steps",
    "1",
    "--recovery-steps",
    "1",
    "--untrained-controls",
    "--json",
];

fn swap(model: &Path, out: &Path, more: &[&str]) -> Value {
    let mut command = astrocytic(&["swap", "--model", text(model), "--out", text(out)]);
    command.args(SWAP).args(more);
    serde_json::from_str(&succeed(command)).unwrap()
}

fn generate(model: &Path, more: &[&str]) -> String {
    let mut command = astrocytic(&["generate", "--model", text(model), "--tokens", "5"]);
    command.args(more);
    succeed(command)
}

/// Text and JSON say the same, with a prompt or without; pairs are scored where there is a
/// tokenizer.
fn use_it(name: &str, model: &Path, pairs: &Path, has_tokenizer: bool) {
    for prompt in if has_tokenizer { &["", "ab ab"][..] } else { &[""] } {
        let streamed = generate(model, &["--prompt", prompt]);
        let json: Value = serde_json::from_str(&generate(model, &["--prompt", prompt, "--json"])).unwrap();
        assert_eq!(streamed, format!("{prompt}{}\n", json["text"].as_str().unwrap()), "{name}");
    }
    let evaluate = ["evaluate", "--model", text(model), "--blimp", text(pairs), "--json"];
    if has_tokenizer {
        let found: Value = serde_json::from_str(&succeed(astrocytic(&evaluate))).unwrap();
        assert_eq!(found["pairs"], 2, "{name}");
    } else {
        for command in [&evaluate[..], &["generate", "--model", text(model), "--prompt", "ab"]] {
            let output = run(command);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success() && said.contains("no tokenizer"), "{name}: {said}");
        }
    }
}

fn pairs(folder: &Path) -> PathBuf {
    let path = folder.join("pairs");
    std::fs::create_dir_all(&path).unwrap();
    let line =
        |good: &str, bad: &str| serde_json::json!({ "sentence_good": good, "sentence_bad": bad }).to_string() + "\n";
    std::fs::write(path.join("p.jsonl"), line("ab", "b") + &line("a", "ab")).unwrap();
    path
}

#[test]
fn every_pretrained_model_walks_through_all_commands() {
    let folder = tempfile::tempdir().unwrap();
    let pairs = pairs(folder.path());
    let corpus = folder.path().join("corpus.txt");
    std::fs::write(&corpus, "the ab cat ab sat on the ab mat. a ab b cat ran to the ab dog.\n".repeat(300)).unwrap();
    for (number, (name, files)) in synthetic::models().into_iter().enumerate() {
        let is_encoder = name == "bert";
        let has_tokenizer = name != "llama";
        let model = write(files, &folder.path().join(format!("{number}")));
        let (out, again) = (folder.path().join(format!("{number}-out")), folder.path().join(format!("{number}-again")));
        let more: &[&str] = if is_encoder { &["--corpus", text(&corpus)] } else { &[] };
        let found = swap(&model, &out, more);
        // Timed at the positions that there are.
        assert!(is_encoder || found["tokens_per_s"].as_f64().unwrap() > 0.0, "{name}: {found}");
        let second = swap(&out, &again, &[more, &["--preset", "kozachkov2023"]].concat());
        assert_eq!(second["preset"], "kozachkov2023");
        if is_encoder {
            for command in [["generate", "--model"], ["evaluate", "--model"]] {
                let output = run(&[
                    &command[..],
                    &[text(&out), "--blimp", text(&pairs)][..1 + 2 * usize::from(command[0] == "evaluate")],
                ]
                .concat());
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(!output.status.success() && said.contains("an encoder"), "{said}");
            }
            continue;
        }
        for model in [&model, &out, &again] {
            use_it(name, model, &pairs, has_tokenizer);
        }
    }
}

#[test]
fn every_trained_model_walks_through_all_commands() {
    let folder = tempfile::tempdir().unwrap();
    let pairs = pairs(folder.path());
    for arm in ["vanilla", "tripartite", "forgetting-softmax", "vanilla-convolution-gate", "retnet", "lstm"] {
        let [model, out, again] = ["", "-out", "-again"].map(|name| folder.path().join(format!("{arm}{name}")));
        let mut command = astrocytic(&["train", "--out", text(&model), "--arm", arm]);
        command.args("--d-model 16 --layers 1 --heads 2 --context 16 --batch 4 --steps 2 --tokens 2000".split(' '));
        succeed(command);
        if arm == "lstm" {
            use_it(arm, &model, &pairs, true);
            let output = run(&["swap", "--model", text(&model), "--out", text(&out)]);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success() && said.contains("has nothing to swap"), "{said}");
            continue;
        }
        swap(&model, &out, &[]);
        swap(&out, &again, &["--preset", "kozachkov2023"]);
        for model in [&model, &out, &again] {
            use_it(arm, model, &pairs, true);
        }
    }
}

#[test]
fn texts_begin_and_end_as_the_model_was_trained() {
    let folder = tempfile::tempdir().unwrap();
    let Files::HuggingFace { config, .. } = synthetic::hugging_face(synthetic::llama(), None) else { unreachable!() };
    let config: Value = serde_json::from_slice(&config.bytes).unwrap();
    let (model, out) = (folder.path().join("model"), folder.path().join("out"));
    // Every token that the model draws from its begin on, until all are ends.
    let drawn = |model: &Path| -> Vec<u64> {
        let json: Value = serde_json::from_str(&generate(model, &["--temperature", "0", "--json"])).unwrap();
        json["tokens"].as_array().unwrap().iter().map(|token| token.as_u64().unwrap()).collect()
    };
    let mut first = Vec::new();
    for ends in 0..3 {
        let mut config = config.clone();
        config["eos_token_id"] = if ends == 0 { 299.into() } else { first[..ends].to_vec().into() };
        let Files::HuggingFace { config: _, weights, tokenizer, sentence, texts } =
            synthetic::hugging_face(synthetic::llama(), None)
        else {
            unreachable!()
        };
        let config = synthetic::file("config.json", config.to_string().into_bytes());
        std::fs::remove_dir_all(&out).ok();
        write(Files::HuggingFace { config, weights, tokenizer, sentence, texts }, &model);
        let tokens = drawn(&model);
        if ends == 0 {
            first = tokens.clone();
            assert!(!first.is_empty());
        } else {
            let until = first.iter().take_while(|token| !first[..ends].contains(token)).count();
            assert_eq!(tokens.len(), until, "{tokens:?} of {first:?}");
        }
        // A conversion that changes nothing keeps the ends.
        swap(&model, &out, &["--layers", "last:1"]);
        let stored = std::fs::read_to_string(out.join("config.json")).unwrap();
        let stored: Value = serde_json::from_str(&stored).unwrap();
        assert_eq!(stored["decoder"]["boundaries"]["end"].as_array().unwrap().len(), ends.max(1));
    }
}
