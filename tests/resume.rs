//! A run is what its result depends on: it is gone on with however its paths are typed, refused by
//! the option that differs, never claimed before it begins, never gone on with from something
//! damaged, and what a kill left goes with the next start.

mod program;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use program::{astrocytic, succeed, text};

/// Of a run that must be refused in one line.
fn refused(mut command: Command) -> String {
    let output = command.stdout(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{command:?}: {said}");
    let mut errors = said.lines().filter(|line| line.starts_with("error: "));
    let error = errors.next().unwrap_or_else(|| panic!("{said}")).to_string();
    assert!(errors.next().is_none() && !said.contains("panicked"), "{said}");
    error
}

/// A text that is long enough to be split.
fn story(path: &Path, name: &str) {
    let sentences = ["sees the old fox", "walks home at night", "has bread and milk", "asks a friend to sing"];
    let line = |i: usize| format!("{name} {} {}.\n", sentences[i % 4], i % 7);
    std::fs::write(path, (0..1_500).map(line).collect::<String>()).unwrap();
}

fn train(out: &Path, more: &[&str]) -> Command {
    let arguments =
        "--d-model 16 --layers 1 --heads 2 --context 16 --batch 4 --tokens 4000 --tokenizer bpe:300 --patience 0";
    let mut command = astrocytic(&["train", "--out", text(out)]);
    command.args(arguments.split(' ')).args(more);
    command
}

fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(120), "{what}: not in two minutes");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into()).collect();
    names.sort();
    names
}

#[test]
fn a_training_is_its_text_and_options_however_the_path_is_typed() {
    let folder = tempfile::tempdir().unwrap();
    let (here, out) = (folder.path(), folder.path().join("out"));
    std::fs::create_dir(here.join("moved")).unwrap();
    story(&here.join("a.txt"), "Anna");
    story(&here.join("moved/b.txt"), "Anna");
    // Refused, it has claimed nothing.
    assert!(refused(train(&out, &["--steps", "8", "--corpus", "no-such.txt"])).contains("no-such.txt"));
    assert!(refused(train(&out, &["--steps", "8", "--learning-rate", "7"])).contains("learning rate"));
    assert!(!out.exists());
    let first = succeed(train(&out, &["--steps", "8", "--corpus", text(&here.join("a.txt"))]));
    for (path, at) in [("a.txt", here), ("./moved/../a.txt", here), ("b.txt", &here.join("moved"))] {
        let mut again = train(&out, &["--steps", "8", "--corpus", path]);
        again.current_dir(at);
        assert_eq!(succeed(again), first, "{path}");
    }
    let before = program::files(&out);
    let error = refused(train(&out, &["--steps", "9", "--corpus", text(&here.join("a.txt"))]));
    assert!(error.contains("--steps: this folder holds 8, you ask for 9") && error.contains("--out"), "{error}");
    story(&here.join("a.txt"), "Bert");
    let error = refused(train(&out, &["--steps", "8", "--corpus", text(&here.join("a.txt"))]));
    assert!(error.contains("--corpus: this folder holds"), "{error}");
    let error = refused(train(&out, &["--steps", "8", "--device", "ndarray", "--corpus", text(&here.join("a.txt"))]));
    assert!(error.contains("--device: this folder holds flex, you ask for ndarray"), "{error}");
    assert!(before == program::files(&out), "a refused run has changed something");
}

#[test]
fn a_conversion_that_never_began_claims_nothing_and_is_of_contents() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    story(&path("a.txt"), "Anna");
    for (name, seed) in [("model", "0"), ("other", "1")] {
        succeed(train(&path(name), &["--arm", "vanilla", "--steps", "8", "--seed", seed]));
    }
    let out = path("out");
    let swap = |model: &str, corpus: &str, more: &[&str]| {
        let arguments =
            "--context 16 --held-out 2 --batch 2 --transfer-steps 2 --recovery-steps 0 --untrained-controls";
        let mut command = astrocytic(&["swap", "--model", model, "--corpus", corpus, "--out", text(&out)]);
        command.args(arguments.split(' ')).args(more).current_dir(folder.path());
        command
    };
    assert!(refused(swap("model", "a.txt", &["--rows", "100000"])).contains("ask for fewer"));
    assert!(refused(swap("model", "a.txt", &["--rows", "8", "--recovery-rate", "nan"])).contains("learning rate"));
    assert!(
        refused(swap("model", "a.txt", &["--rows", "8", "--window", "1", "--preset", "tripartite"])).contains("window")
    );
    assert!(!out.exists());
    succeed(swap("model", "a.txt", &["--rows", "8"]));
    std::fs::rename(path("model"), path("moved")).unwrap();
    std::fs::rename(path("a.txt"), path("moved.txt")).unwrap();
    succeed(swap("moved/", text(&path("moved.txt")), &["--rows", "8"]));
    let error = refused(swap("moved", "moved.txt", &["--rows", "9", "--transfer-rate", "0.5"]));
    assert!(error.contains("--rows: this folder holds 8, you ask for 9"), "{error}");
    assert!(error.contains("--transfer-rate: this folder holds 0.01, you ask for 0.5"), "{error}");
    let error = refused(swap("other", "moved.txt", &["--rows", "8"]));
    assert!(error.contains("--model: this folder holds model (sha256") && !error.contains("--corpus"), "{error}");
    story(&path("moved.txt"), "Bert");
    let error = refused(swap("moved", "moved.txt", &["--rows", "8"]));
    assert!(error.contains("--corpus: this folder holds a.txt (sha256") && !error.contains("--model"), "{error}");
}

#[test]
fn nothing_damaged_is_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let start = || train(&out, &["--steps", "8", "--evaluate-every", "4"]);
    succeed(start());
    for name in names(&out.join("checkpoint")) {
        let path = out.join("checkpoint").join(&name);
        let whole = std::fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        for damaged in [&flipped[..], &whole[..whole.len() / 2], b""] {
            std::fs::write(&path, damaged).unwrap();
            let error = refused(start());
            assert!(error.contains("checkpoint") && error.contains("to start anew"), "{name}: {error}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(refused(start()).contains(&name), "{name}");
        std::fs::write(&path, whole).unwrap();
    }
    succeed(start());
    for name in ["config.json", "model.safetensors", "tokenizer.json"] {
        let path = out.join(name);
        let whole = std::fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        std::fs::write(&path, &flipped).unwrap();
        let generate = || astrocytic(&["generate", "--model", text(&out)]);
        assert!(refused(generate()).contains(name), "{name}");
        std::fs::write(&path, whole).unwrap();
        succeed(generate());
    }
}

#[test]
fn what_kills_left_goes_with_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let start = || train(&out, &["--steps", "100000", "--evaluate-every", "1"]).stderr(Stdio::null()).spawn().unwrap();
    let unfinished = |folder: &Path| -> Vec<String> {
        let is_unfinished = |name: &String| !["checkpoint", "lines.jsonl"].contains(&name.as_str());
        names(folder)
            .into_iter()
            .filter(|name| name.starts_with("checkpoint") || name.starts_with(".w"))
            .filter(is_unfinished)
            .collect()
    };
    // Until it is killed in the middle of a save.
    wait_for("a kill in a save", || {
        let mut child = start();
        wait_for("the next checkpoint", || out.exists() && unfinished(&out).contains(&"checkpoint.new".to_string()));
        child.kill().unwrap();
        child.wait().unwrap();
        !unfinished(&out).is_empty()
    });
    std::fs::write(out.join(".writing-abc123"), "as a killed write leaves it").unwrap();
    // Evaluated seldom, it saves nothing while it is looked at.
    let lines = std::fs::read_to_string(out.join("lines.jsonl")).unwrap().lines().count();
    let mut child = start();
    wait_for("it goes on", || std::fs::read_to_string(out.join("lines.jsonl")).unwrap().lines().count() > lines + 1);
    assert!(!out.join(".writing-abc123").exists());
    child.kill().unwrap();
    child.wait().unwrap();
    // However often: one that is being made, and one that is being replaced, at most.
    assert!(unfinished(&out).len() <= 2, "{:?}", unfinished(&out));
}

/// The quick budget made tiny.
fn config(path: &Path, corpus: &str, seeds: u64) {
    let config = format!(
        "question = \"q\"\nexpected = \"e\"\n[[studies]]\nname = \"one\"\ncorpus = '{corpus}'\ntokenizer = \"bpe:300\"\n\
         arms = [\"vanilla\", \"linear\"]\nsizes = [1024]\nseeds = {seeds}\nlearning_rates = [0.01]\n\
         weight_decays = [0.1, 1.0]\nschedules = [400]\nevaluations = 4\npatience = 9\nd_model = 16\nlayers = 1\n\
         context = 16\nbatch = 4\ntuning_tokens = 500\ntest_tokens = 500\n"
    );
    std::fs::write(path, config).unwrap();
}

#[test]
fn a_comparison_is_its_text_and_options_and_kills_leave_one_job_at_most() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (file, out) = (path("config.toml"), path("out"));
    let compare = || {
        let mut command = astrocytic(&["compare", "--config", text(&file), "--out", text(&out), "--jobs", "1"]);
        command.current_dir(folder.path()).stderr(Stdio::piped());
        command
    };
    config(&file, "a.txt", 2);
    assert!(refused(compare()).contains("a.txt"));
    assert!(!out.exists());
    story(&path("a.txt"), "Anna");
    let jobs = || names(&out.join("cells")).into_iter().filter(|name| name.ends_with(".folder")).collect::<Vec<_>>();
    let mut last = Vec::new();
    for _ in 0..3 {
        let mut child = compare().spawn().unwrap();
        wait_for("a job of its own", || out.join("cells").exists() && jobs() != last && !jobs().is_empty());
        child.kill().unwrap();
        child.wait().unwrap();
        last = jobs();
        assert_eq!(last.len(), 1, "{last:?}");
    }
    succeed(compare());
    let lines = std::fs::read_to_string(out.join("lines.jsonl")).unwrap();
    // The same text by another path is the same runs: nothing is added, and the report is of the
    // name that it began with.
    std::fs::rename(path("a.txt"), path("b.txt")).unwrap();
    config(&file, text(&path("b.txt")), 2);
    succeed(compare());
    assert_eq!(std::fs::read_to_string(out.join("lines.jsonl")).unwrap(), lines);
    let called = || std::fs::read_to_string(out.join("experiment.json")).unwrap();
    assert!(called().contains("a.txt") && !called().contains("b.txt"));
    // And in the middle: lines that were lost are made again, and no others.
    let kept: Vec<&str> = lines.lines().filter(|line| !line.contains("\"phase\":\"final\"")).collect();
    std::fs::write(out.join("lines.jsonl"), kept.join("\n") + "\n").unwrap();
    succeed(compare());
    let again = std::fs::read_to_string(out.join("lines.jsonl")).unwrap();
    let count = |text: &str| text.lines().filter(|line| line.contains("\"kind\":\"result\"")).count();
    assert_eq!((again.lines().count(), count(&again)), (lines.lines().count(), count(&lines)));
    assert!(called().contains("a.txt") && !called().contains("b.txt"));

    config(&file, text(&path("b.txt")), 3);
    let error = refused(compare());
    assert!(error.contains("--seeds: this folder holds 2, you ask for 3"), "{error}");
    config(&file, text(&path("b.txt")), 2);
    story(&path("b.txt"), "Bert");
    let error = refused(compare());
    assert!(error.contains("--corpus: this folder holds a.txt (sha256"), "{error}");
}

/// Two studies of a moment.
fn plan(path: &PathBuf, changed: &str) {
    let plan = "question = \"q\"\nexpected = \"e\"\nprimary = { arm = \"linear\", baseline = \"vanilla\" }\n[shared]\ntokenizer = \"bpe:300\"\narms = [\"vanilla\", \"linear\"]\nsizes = \
        [1024]\nseeds = 2\nlearning_rates = [0.01]\nweight_decays = [0.1]\nschedules = [20]\nevaluations = 2\nd_model = 16\nlayers \
        = 1\ncontext = 16\ntuning_tokens = 500\ntest_tokens = 500\n[[studies]]\nname = \"one\"\ncorpus = \"generated\"\n\
        [[studies]]\nname = \"other\"\n";
    std::fs::write(path, format!("{plan}{changed}\n")).unwrap();
}

#[test]
fn a_study_that_never_began_may_be_changed_and_one_that_has_may_not() {
    let folder = tempfile::tempdir().unwrap();
    let (file, out) = (folder.path().join("plan.toml"), folder.path().join("out"));
    let run = || astrocytic(&["run", text(&file), "--out", text(&out)]);
    plan(&file, "corpus = \"no-such.txt\"");
    let error = refused(run());
    assert!(error.contains("study other") && error.contains("no-such.txt"), "{error}");
    plan(&file, "corpus = \"generated\"\nd_model = 24");
    succeed(run());
    plan(&file, "corpus = \"generated\"\nd_model = 32");
    let error = refused(run());
    assert!(
        error.contains("study other") && error.contains("d_model: this folder holds 24, you ask for 32"),
        "{error}"
    );
    // What is asked belongs to a plan that has begun, and to none that has not.
    let text_of = std::fs::read_to_string(&file).unwrap().replace("d_model = 32", "d_model = 24");
    std::fs::write(&file, text_of.replace("\"q\"", "\"why\"")).unwrap();
    let error = refused(run());
    assert!(error.contains("question: this folder holds q, you ask for why"), "{error}");
    std::fs::write(&file, text_of.replace("name = \"one\"", "name = \"renamed\"")).unwrap();
    assert!(refused(run()).contains("study one"));
    let [nothing, broken] = ["nothing", "broken.toml"].map(|name| folder.path().join(name));
    std::fs::write(&broken, text_of.replace("\"generated\"", "\"no-such.txt\"")).unwrap();
    refused(astrocytic(&["run", text(&broken), "--out", text(&nothing)]));
    assert!(!nothing.exists());
}
