//! Bad input: one clear line, exit code 2, nothing lost, no panic.

mod program;

use std::path::Path;

use program::{run, text};

fn refused(arguments: &[&str], parts: &[&str]) {
    let output = run(arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    // Progress aside, one line.
    let errors: Vec<&str> = said.lines().filter(|line| !line.contains(" s left: ")).collect();
    assert!(errors.len() == 1 && errors[0].starts_with("error: "), "{arguments:?}: {said}");
    assert!(!said.contains("panicked"), "{arguments:?}: {said}");
    for part in parts {
        assert!(errors[0].contains(part), "{arguments:?}: \"{part}\" is not in \"{}\"", errors[0]);
    }
    assert!(output.stdout.is_empty());
}

fn file(folder: &Path, name: &str, bytes: &[u8]) -> String {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    text(&path).to_string()
}

#[test]
fn bad_input_is_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let out = text(&here.join("out")).to_string();
    let empty = file(here, "empty.txt", b"");
    let binary = file(here, "binary.txt", b"\x7fELF\0\0\xff\xfe");
    let short = file(here, "short.txt", b"Too short to learn from.");
    let blocker = file(here, "blocker", b"a file where a folder should be");
    let json = file(here, "study.json", b"{\"corpus\": \"generated\", \"sizes\": [4096]}");
    let lines = here.join("results");
    std::fs::create_dir(&lines).unwrap();

    let compare = |more: &[&str], parts: &[&str]| refused(&[&["compare", "--out", &out], more].concat(), parts);
    compare(&["--corpus", "moby-dock"], &["moby-dock", "moby-dick", "generated"]);
    compare(&["--corpus", &empty], &["empty"]);
    compare(&["--corpus", &binary], &["UTF-8"]);
    compare(&["--corpus", &short], &["too short"]);
    compare(&["--corpus", "scan:left"], &["simple, length and add-jump"]);
    compare(&["--corpus", "mqar:8x4"], &["four tokens for each pair"]);
    compare(&["--corpus", "listops:5"], &["from 32 to 2000"]);
    compare(&["--corpus", "labelled:no-such-file.csv"], &["no-such-file.csv"]);
    compare(&["--corpus", &format!("labelled:{}", text(&lines))], &["train"]);
    compare(&["--corpus", &format!("labelled:{short}")], &["1 label in 1 text", "at least 2"]);
    compare(&["--seeds", "0"], &["seeds"]);
    compare(&["--arms", "vanilla,tripatite"], &["tripatite", "tripartite"]);
    compare(&["--arms", "tripartite"], &["vanilla"]);
    compare(&["--seeds", "18446744073709551615"], &["seeds", "1000"]);
    compare(&["--sizes", "4096,99999999999999"], &["sizes"]);
    compare(&["--sizes", "9000,100"], &["ascending"]);
    compare(&["--device", "gpu"], &["gpu", "flex"]);
    compare(&["--config", &json], &["study.json", "JSON", "TOML", "[[studies]]"]);
    compare(&["--config", "no-such.toml"], &["no-such.toml"]);
    refused(&["compare", "--out", &format!("{blocker}/out")], &["blocker"]);
    refused(&["compare", "--out", &blocker], &["--out", "blocker", "is a file"]);
    compare(&["--reuse", "no-such-folder"], &["--reuse", "no-such-folder"]);
    refused(&["report", text(&lines)], &["experiment.json"]);
    refused(&["train", "--out", &out, "--corpus", &short], &["too short"]);
    refused(&["train", "--out", &out, "--corpus", "mqar:64x4"], &["`compare`"]);
    refused(&["train", "--out", &out, "--tokenizer", "bpe:3"], &["bpe:3", "257"]);
    refused(&["train", "--out", &out, "--heads", "5"], &["heads = 5"]);
    refused(&["train", "--out", &out, "--layers", "1000000000000"], &["layers"]);
    refused(&["train", "--out", &out, "--d-model", "16384", "--layers", "1000"], &["layers"]);
    refused(&["train", "--out", &out, "--tokens", "99999999999999"], &["tokens"]);
    refused(&["train", "--out", &out, "--learning-rate", "nan"], &["learning rate"]);
    refused(&["train", "--out", &out, "--weight-decay=-5"], &["weight decay"]);
    refused(&["train", "--out", &out, "--device", "flex,flex"], &["flex", "twice"]);
    refused(&["train", "--out", &out, "--device", "flex,ndarray", "--batch", "1"], &["--batch", "2 devices"]);
    refused(&["train", "--out", &out, "--device", "flex,ndarray", "--arm", "tripartite-carried"], &["one device"]);
    // None of these has claimed the folder.
    assert!(!Path::new(&out).exists());
    refused(&["generate", "--model", &out], &["no such file", "astrocytic train"]);
    refused(&["generate", "--temperature=-1"], &["temperature"]);
    refused(&["bench", "--parts", "atention"], &["atention", "attention"]);
    refused(&["bench", "--lengths", "0"], &["lengths"]);
    refused(&["bench", "--seconds=-1"], &["seconds"]);
    refused(&["bench", "--rounds", "0"], &["rounds"]);
    refused(&["bench", "--device", "gpu"], &["gpu", "flex"]);
    refused(&["bench", "--stored", text(&lines)], &["rows.jsonl"]);
    refused(&["bench", "--against", &empty, "--python", text(&here.join("no-such-python"))], &["no-such-python"]);
    refused(&["swap", "--model", "gpt-9"], &["gpt-9", "smollm2-135m-instruct"]);
    refused(&["data", "fetch", "war-and-peace"], &["war-and-peace", "moby-dick"]);
}

/// Faults of an experiment's file have their place, and the line below it.
#[test]
fn a_file_is_refused_with_line_and_column() {
    let folder = tempfile::tempdir().unwrap();
    let out = text(&folder.path().join("out")).to_string();
    let head = "question = \"q\"\nexpected = \"e\"\n";
    let study = "[[studies]]\nname = \"one\"\narms = [\"vanilla\", \"mine\"]\n";
    for (arm, said) in [
        ("base = \"tripartite\"\ndecoy = \"none\"", ":5:1: arms.mine.decoy: unknown field; did you mean \"decay\"?"),
        (
            "base = \"tripartite\"\ndecay = \"gatet\"",
            ":5:9: study one: arms.mine.decay: \"gatet\" is none of none, fixed",
        ),
        ("base = \"tripartit\"", ":4:8: arms.mine.base: unknown arm \"tripartit\"; nearest: tripartite, "),
        ("base = \"mine\"", ":4:8: arms.mine.base: a circle: mine → mine"),
        ("base = \"linear\"\nfeature_map = [\"elu\"]", ":5:15: arms.mine.feature_map: a list makes one arm of each"),
        (
            "base = \"linear\"\nconvolution = 1",
            ":5:15: study one: arms.mine: convolution = 1 must be 0 (off) or 2 to 8",
        ),
        ("base = \"linear\"\n[arms.mine", ":5:"),
    ] {
        let file = file(folder.path(), "a.toml", format!("{head}[arms.mine]\n{arm}\n{study}").as_bytes());
        for command in ["run", "compare", "train"] {
            let config = if command == "run" { vec![command, &file] } else { vec![command, "--config", &file] };
            let output = run(&[config.as_slice(), &["--out", &out]].concat());
            let error = String::from_utf8(output.stderr).unwrap();
            let said = format!("error: {file}{said}");
            assert_eq!(output.status.code(), Some(2), "{error}");
            assert!(error.starts_with(&said) && error.lines().count() == 3 && error.contains('^'), "{said}\n{error}");
        }
    }
    assert!(!Path::new(&out).exists());
}

/// Where the file is only at fault once its data are to be read.
#[test]
fn a_corpus_that_is_not_there_has_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let out = text(&folder.path().join("out")).to_string();
    let head = "question = \"q\"\nexpected = \"e\"\nprimary = { arm = \"tripartite\", baseline = \"vanilla\" }\n";
    let file = file(
        folder.path(),
        "a.toml",
        format!("{head}[[studies]]\nname = \"one\"\narms = [\"vanilla\", \"tripartite\"]\ncorpus = \"mobydick\"\n")
            .as_bytes(),
    );
    for more in [&["--dry-run"][..], &["--out", &out]] {
        let output = run(&[&["run", file.as_str()], more].concat());
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(
            error.starts_with(&format!("error: {file}:7:10: study one: corpus: unknown corpus \"mobydick\"")),
            "{error}"
        );
        assert!(error.contains("did you mean \"moby-dick\"?"), "{error}");
    }
    assert!(!Path::new(&out).exists());
    let coverage = run(&["report", text(folder.path()), "--coverage", "0"]);
    assert_eq!(coverage.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&coverage.stderr).contains("--coverage"));
}

#[test]
fn every_command_has_help() {
    for command in ["compare", "arms", "train", "generate", "bench", "data", "report"] {
        let output = run(&[command, "--help"]);
        assert!(output.status.success() && !output.stdout.is_empty(), "{command}");
    }
    for command in ["", "compare", "arms", "train", "generate", "bench", "data", "report"] {
        let help = run(&[command, "--help"][usize::from(command.is_empty())..]).stdout;
        assert!(String::from_utf8_lossy(&help).contains("Example:"), "{command}");
    }
}

#[test]
fn data_list_names_the_corpora() {
    let listed = String::from_utf8(run(&["data", "list"]).stdout).unwrap();
    for name in ["generated", "moby-dick", "state-of-the-union", "king-james-bible", "all-minilm-l6-v2"] {
        assert!(listed.contains(name), "{name}");
    }
    let json: serde_json::Value = serde_json::from_slice(&run(&["data", "list", "--json"]).stdout).unwrap();
    assert_eq!(json["corpora"].as_array().unwrap().len(), 3);
}

#[test]
fn what_another_run_left_is_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let (session, comparison) = (folder.path().join("session"), folder.path().join("comparison"));
    for (path, marker) in [(&session, "session.json"), (&comparison, "experiment.json")] {
        std::fs::create_dir(path).unwrap();
        std::fs::write(path.join(marker), "not even JSON").unwrap();
    }
    let before = [program::files(&session), program::files(&comparison)];
    refused(&["compare", "--out", text(&session)], &["train"]);
    refused(&["train", "--out", text(&comparison)], &["comparison"]);
    refused(&["train", "--out", text(&session)], &["session.json", "broken"]);
    assert_eq!(before, [program::files(&session), program::files(&comparison)]);
}
