//! `swap`: a trained model's attention becomes astrocytic, the model recovers, and the controls are
//! beside it; the same figures however often, and where interrupted.

mod program;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use program::{astrocytic, run, succeed, text};
use serde_json::Value;

/// A small vanilla model.
fn trained(out: &Path) {
    let arguments = "--arm vanilla --d-model 32 --layers 2 --heads 2 --context 32 --batch 8 --steps 150 --patience 0 \
                     --tokens 20000 --learning-rate 0.01 --tokenizer bpe:300 --json";
    let mut command = astrocytic(&["train", "--out", text(out)]);
    command.args(arguments.split(' ').filter(|word| !word.is_empty()));
    succeed(command);
}

fn swap(model: &Path, out: &Path, more: &[&str]) -> Command {
    let arguments = "--context 32 --rows 256 --held-out 64 --batch 8 --transfer-steps 60 --recovery-steps 250 \
                     --preset hedgehog --json";
    let mut command = astrocytic(&["swap", "--model", text(model), "--out", text(out)]);
    command.args(arguments.split_whitespace()).args(more);
    command
}

fn report(output: &str) -> Value {
    serde_json::from_str(output).unwrap()
}

/// Everything that does not depend on how fast the machine is.
fn figures(mut report: Value) -> Value {
    let object = report.as_object_mut().unwrap();
    for timed in ["seconds", "speed", "original_speed", "tokens_per_s", "original_tokens_per_s", "report"] {
        assert!(object.remove(timed).is_some(), "{timed}");
    }
    report
}

#[test]
fn a_swapped_model_recovers_and_is_saved() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("vanilla");
    trained(&model);
    let out = folder.path().join("swapped");
    let found = report(&succeed(swap(&model, &out, &["--window", "4"])));
    let loss = |name: &str| found[name].as_f64().unwrap_or_else(|| panic!("{name}"));
    let original = loss("original_loss");
    assert!(loss("after_transfer_loss") < loss("converted_loss"), "{found}");
    assert!(loss("after_recovery_loss") < loss("after_transfer_loss"), "{found}");
    assert!(loss("after_recovery_loss") < loss("no_attention_recovered_loss"), "{found}");
    assert!(loss("no_attention_recovered_loss") < loss("no_attention_loss"), "{found}");
    assert!(loss("after_recovery_loss") - original < 0.1, "{found}");
    assert!(loss("window_only_loss") > original && loss("window_only_recovered_loss") > original, "{found}");
    for stage in ["converted", "after_transfer", "after_recovery"] {
        assert_eq!(found[stage].as_array().unwrap().len(), 2);
    }
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.matches("data:image/png").count() == 4 && !page.contains("NaN"));

    // What was saved is what was measured.
    let generate = |form: &str| {
        let command =
            ["generate", "--model", text(&out), "--tokens", "40", "--temperature", "0", "--json", "--form", form];
        report(&succeed(astrocytic(&command)))["tokens"].clone()
    };
    assert_eq!(generate("recurrent"), generate("parallel"));
    // Done once, it is not done again, and says the same.
    let again = report(&succeed(swap(&model, &out, &["--window", "4"])));
    assert_eq!(figures(again), figures(found));
    let other = run(&["swap", "--model", text(&model), "--out", text(&out)]);
    assert!(!other.status.success() && String::from_utf8_lossy(&other.stderr).contains("another conversion"));
}

#[test]
fn an_interrupted_conversion_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("vanilla");
    trained(&model);
    let more = ["--untrained-controls", "--adapters", "4", "--layers", "last:1"];
    let whole = report(&succeed(swap(&model, &folder.path().join("whole"), &more)));
    let cut = folder.path().join("cut");
    let mut child = swap(&model, &cut, &more).stderr(std::process::Stdio::null()).spawn().unwrap();
    let started = Instant::now();
    while !cut.join("swapped/recovery/checkpoint").exists() && started.elapsed() < Duration::from_secs(120) {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(figures(report(&succeed(swap(&model, &cut, &more)))), figures(whole));
}

#[test]
fn what_cannot_be_swapped_is_said_in_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("cut.gguf"), b"GGUF\x03\0\0\0").unwrap();
    std::fs::write(path("wrong.bin"), [0u8; 40]).unwrap();
    std::fs::create_dir(path("empty")).unwrap();
    let model = path("vanilla");
    trained(&model);
    let model = text(&model).to_string();
    let [cut, wrong, empty] = ["cut.gguf", "wrong.bin", "empty"].map(|name| text(&path(name)).to_string());
    for (arguments, said) in [
        (vec!["--model", &cut], "cut.gguf"),
        (vec!["--model", &wrong], "wrong.bin"),
        (vec!["--model", &empty], "empty"),
        (vec!["--model", "nowhere"], "nowhere"),
        (vec!["--model", &model, "--layers", "7"], "no layer 7"),
        (vec!["--model", &model, "--layers", "x"], "layers"),
        (vec!["--model", &model, "--preset", "none"], "unknown preset"),
        (vec!["--model", &model, "--preset", "tripartite", "--window", "4"], "window = 4"),
        (vec!["--model", &model, "--batch", "0"], "--batch"),
        (vec!["--model", &model, "--corpus", "nothing"], "nothing"),
    ] {
        let out = path("out");
        let output = run(&[&["swap", "--out", text(&out)], arguments.as_slice()].concat());
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && error.contains(said), "{arguments:?}: {error}");
        assert!(
            !error.contains("panicked") && error.lines().filter(|l| l.starts_with("error")).count() == 1,
            "{error}"
        );
        std::fs::remove_dir_all(out).ok();
    }
}
