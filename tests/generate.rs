//! `train` and `generate`: the same bytes however often, with how many threads, and where
//! interrupted; the same tokens by either form.

mod program;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use program::{astrocytic, succeed, text};
use serde_json::Value;

fn train(out: &Path, arm: &str) -> Command {
    astrocytic(&[
        "train",
        "--out",
        text(out),
        "--arm",
        arm,
        "--d-model",
        "32",
        "--layers",
        "2",
        "--heads",
        "2",
        "--context",
        "32",
        "--batch",
        "8",
        "--steps",
        "30",
        "--evaluate-every",
        "10",
        "--tokens",
        "8000",
        "--learning-rate",
        "0.01",
        "--tokenizer",
        "bpe:300",
        "--json",
    ])
}

fn model(folder: &Path) -> [Vec<u8>; 3] {
    ["model.safetensors", "tokenizer.json", "config.json"].map(|name| std::fs::read(folder.join(name)).unwrap())
}

#[test]
fn training_twice_with_one_thread_or_two_or_interrupted_gives_the_same_model() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two, killed] = ["one", "two", "killed"].map(|name| folder.path().join(name));
    let mut single = train(&one, "tripartite-write-dropout");
    single.env("RAYON_NUM_THREADS", "1");
    let result: Value = serde_json::from_str(&succeed(single)).unwrap();
    assert!(result["test_loss"].as_f64().unwrap() < 6.0 && result["entropy"].as_f64().unwrap() > 0.0);
    let mut double = train(&two, "tripartite-write-dropout");
    double.env("RAYON_NUM_THREADS", "2");
    succeed(double);
    assert!(model(&one) == model(&two), "threads change the model");

    let mut child = train(&killed, "tripartite-write-dropout").spawn().unwrap();
    let begun = Instant::now();
    while !killed.join("checkpoint/standing.json").exists() {
        assert!(begun.elapsed() < Duration::from_secs(120), "no checkpoint in two minutes");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    succeed(train(&killed, "tripartite-write-dropout"));
    assert!(model(&one) == model(&killed), "an interruption changes the model");
    // It went on and did not begin anew: no evaluation stands there twice.
    let lines = std::fs::read_to_string(killed.join("lines.jsonl")).unwrap();
    let steps: Vec<u64> =
        lines.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, [10, 20, 30]);
}

#[test]
fn training_on_two_devices_gives_the_curve_of_one() {
    let folder = tempfile::tempdir().unwrap();
    let curve = |name: &str, devices: &str| {
        let out = folder.path().join(name);
        let mut command = train(&out, "tripartite");
        command.args(["--dropout", "0", "--device", devices]);
        succeed(command);
        let lines = std::fs::read_to_string(out.join("lines.jsonl")).unwrap();
        let losses =
            lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["tuning_loss"].as_f64().unwrap());
        losses.collect::<Vec<_>>()
    };
    let (one, two) = (curve("one", "flex"), curve("two", "flex,ndarray"));
    assert_eq!(one.len(), 3);
    assert!(one != two, "the second device had no share");
    let off = one.iter().zip(&two).map(|(one, two)| (one - two).abs()).fold(0.0, f64::max);
    assert!(off < 1e-3, "{one:?} and {two:?}");
}

#[test]
fn both_forms_generate_the_same_tokens() {
    let folder = tempfile::tempdir().unwrap();
    for arm in ["tripartite", "vanilla", "linear"] {
        let out = folder.path().join(arm);
        succeed(train(&out, arm));
        for sampling in [["--temperature", "0"], ["--temperature", "1"]] {
            let tokens = |form: &str| -> Value {
                let common = ["generate", "--model", text(&out), "--tokens", "60", "--prompt", "Anna the", "--json"];
                let arguments = [&common[..], &sampling, &["--form", form]].concat();
                serde_json::from_str::<Value>(&succeed(astrocytic(&arguments))).unwrap()["tokens"].clone()
            };
            let recurrent = tokens("recurrent");
            assert!(!recurrent.as_array().unwrap().is_empty());
            assert_eq!(recurrent, tokens("parallel"), "{arm}, {sampling:?}");
        }
        let ndarray = ["generate", "--model", text(&out), "--tokens", "5", "--device", "ndarray", "--json"];
        let ndarray: Value = serde_json::from_str(&succeed(astrocytic(&ndarray))).unwrap();
        assert!(!ndarray["tokens"].as_array().unwrap().is_empty());
        let streamed = succeed(astrocytic(&["generate", "--model", text(&out), "--tokens", "20", "--prompt", "Anna"]));
        assert!(streamed.starts_with("Anna") && streamed.ends_with('\n'));
    }
}

#[test]
fn a_memory_is_measured_in_training_and_repeats_what_a_prompt_repeats() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("model");
    let mut command = train(&out, "vanilla");
    command.arg("--memory");
    let result: Value = serde_json::from_str(&succeed(command)).unwrap();
    let (plain, memory) = (result["test_loss"].as_f64().unwrap(), &result["memory"]);
    assert_eq!(memory["kind"], "ngram");
    assert!(memory["test_loss"].as_f64().unwrap() < plain, "{result}");
    let stored: Value = serde_json::from_slice(&std::fs::read(out.join("memory.json")).unwrap()).unwrap();
    assert_eq!((&stored["kind"], &stored["rate"]), (&memory["kind"], &memory["rate"]));

    let said = "the tower of Arlen sings to seven owls . ";
    let prompt = said.repeat(12);
    let generate = |more: &[&str]| -> Value {
        let model = ["generate", "--model", text(&out), "--prompt", &prompt, "--tokens", "40"];
        let greedy = ["--temperature", "0", "--json"];
        serde_json::from_str(&succeed(astrocytic(&[&model[..], &greedy, more].concat()))).unwrap()
    };
    let (without, with) = (generate(&[]), generate(&["--memory"]));
    assert!(without.get("memory").is_none());
    assert_eq!(with["memory"], stored);
    let repeated = |written: &Value| written["text"].as_str().unwrap().contains("Arlen sings to seven owls .");
    assert!(repeated(&with) && !repeated(&without), "{with} {without}");
    let asked = generate(&["--memory=read-out", "--memory-rate", "0.3"]);
    assert_eq!((asked["memory"]["kind"].as_str(), asked["text"] == with["text"]), (Some("read-out"), false));
}
