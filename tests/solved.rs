//! A task that is solved or not: sizes are searched for the one that half of the seeds need,
//! through interruptions too, and the report says it.

mod program;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use program::{astrocytic, run, succeed, text};
use serde_json::Value;

/// Whether two people agree: a label that no word by itself tells.
fn texts(path: &Path) {
    let names = ["Ann", "Bob", "Cid", "Dora", "Eve"];
    let said = ["liked", "left"];
    let row = |i: usize| {
        let (one, other) = (i % 2, i / 2 % 2);
        let [a, b, c] = [i / 4, i / 20, i / 100].map(|i| names[i % 5]);
        let label = if one == other { "agree" } else { "differ" };
        format!("\"{a} {} it. {b} {} it. {c} went home.\",{label}\n", said[one], said[other])
    };
    std::fs::write(path, format!("text,label\n{}", (0..500).map(row).collect::<String>())).unwrap();
}

/// A file of a small experiment; without attention no answer can be told from the last word.
fn plan(folder: &Path) -> String {
    texts(&folder.join("texts.csv"));
    let path = folder.join("solved.toml");
    let plan = format!(
        "question = \"q\"\nexpected = \"e\"\nprimary = {{ arm = \"tripartite\", baseline = \"vanilla\" }}\n[shared]\n\
         arms = [\"vanilla\", \"tripartite\", \"no-attention\"]\nsolved_at = 0.9\nsizes = [8, 24, 72, 216]\nseeds = 4\n\
         tuning_seeds = 1\ntokenizer = \"bpe:300\"\nlearning_rates = [0.003, 0.01, 0.03]\nweight_decays = [0.1]\n\
         schedules = [120]\nevaluate_every = 15\npatience = 0\ntuning_trials = 3\nd_model = 32\nlayers = 2\nheads = 2\n\
         context = 32\ndropout = 0.0\ntuning_tokens = 60\ntest_tokens = 80\n[[studies]]\nname = \"pairs\"\n\
         corpus = 'labelled:{}'\n",
        folder.join("texts.csv").display()
    );
    std::fs::write(&path, plan).unwrap();
    path.display().to_string()
}

fn lines(out: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(out.join("pairs/lines.jsonl")).unwrap_or_default();
    // One that is being written is not whole.
    text.lines().map_while(|line| serde_json::from_str(line).ok()).collect()
}

/// Lines without what depends on the clock, in an order that does not depend on it either.
fn timeless(out: &Path) -> Vec<String> {
    let mut lines = lines(out);
    for line in &mut lines {
        for clock in ["seconds", "tokens_per_second", "peak_bytes"] {
            line.as_object_mut().unwrap().remove(clock);
        }
    }
    let mut texts: Vec<String> = lines.iter().map(Value::to_string).collect();
    texts.sort();
    texts
}

fn killed_after(mut command: Command, holds: impl Fn() -> bool) {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while !holds() && child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(300), "not in five minutes");
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    child.wait().unwrap();
}

#[test]
fn the_search_goes_on_where_it_was_interrupted_and_finds_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let file = plan(folder.path());
    let [whole, parts] = ["whole", "parts"].map(|name| folder.path().join(name));
    let predicted = succeed(astrocytic(&["run", &file, "--dry-run", "--json"]));
    let predicted: Value = serde_json::from_str(&predicted).unwrap();
    assert!(predicted["studies"][0]["final_runs"].as_u64().unwrap() <= 3 * 4 * 4);

    let found: Value =
        serde_json::from_str(&succeed(astrocytic(&["run", &file, "--out", text(&whole), "--json"]))).unwrap();
    for count in [1, 9, 30] {
        let command = astrocytic(&["run", &file, "--out", text(&parts), "--jobs", "2"]);
        killed_after(command, || lines(&parts).len() >= count);
    }
    succeed(astrocytic(&["run", &file, "--out", text(&parts), "--jobs", "1"]));
    assert_eq!(timeless(&whole), timeless(&parts));
    // Once more trains nothing.
    let before = std::fs::read(parts.join("pairs/lines.jsonl")).unwrap();
    succeed(astrocytic(&["run", &file, "--out", text(&parts)]));
    assert!(before == std::fs::read(parts.join("pairs/lines.jsonl")).unwrap());
    check_report(&whole, &found["studies"][0]);
}

/// The table of a finished study.
fn check_report(out: &Path, study: &Value) {
    let [runs, wanted] = [0, 1].map(|i| study["final_runs"][i].as_u64().unwrap());
    assert!(runs == wanted && runs < 3 * 4 * 4, "{runs} of {wanted}");
    assert_eq!(study["solved"]["at"], 0.9);
    let arms = study["solved"]["arms"].as_array().unwrap();
    let of = |name: &str| arms.iter().find(|arm| arm["arm"] == name).unwrap();
    let (none, tripartite) = (of("no-attention"), of("tripartite"));
    assert_eq!((none["d50"]["place"].as_str(), none["d50"]["size"].as_f64()), (Some("beyond"), Some(216.0)));
    assert_eq!(none["shares"].as_array().unwrap().len(), 1);
    assert!(none["steps"].is_null() && none["accuracy"].as_f64().unwrap() < 0.8);
    assert!(tripartite["d50"]["size"].as_f64().unwrap() < 216.0, "{tripartite}");
    assert!(tripartite["accuracy"].as_f64().unwrap() > 0.9 && tripartite["steps"].as_u64().unwrap() <= 120);
    // A run that solves its tuning split ends there, and its evaluations say so.
    let ended = lines(out).into_iter().any(|line| {
        line["kind"] == "result" && line["steps"].as_u64() < Some(120) && line["tuning_accuracy"].as_f64() >= Some(0.95)
    });
    assert!(ended);
    let page = std::fs::read_to_string(out.join("pairs/report.html")).unwrap();
    for said in ["Data that solve the task", "D50", "at least 216", "What is tested: 3 comparisons", "<svg"] {
        assert!(page.contains(said), "{said}");
    }
    assert!(!page.contains("NaN") && !page.contains("Loss against unique data"));
    let whole = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(whole.contains("Data that solve the tasks") && whole.contains("for half of the seeds to solve the task"));
    let printed = succeed(astrocytic(&["report", text(&out.join("pairs"))]));
    assert!(printed.contains("95 % interval") && printed.contains("0/4"), "{printed}");
    let table = std::fs::read_to_string(out.join("results.csv")).unwrap();
    assert!(["share,pairs", "d50,pairs"].iter().all(|row| table.lines().any(|line| line.starts_with(row))));
    assert!(out.join("pairs/solved.svg").exists() && !out.join("pairs/loss.svg").exists());
}

#[test]
fn what_cannot_be_solved_or_not_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = plan(folder.path());
    let good = std::fs::read_to_string(&file).unwrap();
    for (from, to, said) in [
        ("solved_at = 0.9", "solved_at = 1.5", "solved_at = 1.5 must be in (0, 1]"),
        ("corpus = 'labelled", "corpus = 'generated' # ", "a text has no answers"),
        ("baseline = \"vanilla\" }", "baseline = \"vanilla\", loss = 1.0 }", "no losses are compared"),
    ] {
        std::fs::write(&file, good.replace(from, to)).unwrap();
        let refused = run(&["run", &file, "--out", text(&folder.path().join("out"))]);
        let error = String::from_utf8(refused.stderr).unwrap();
        assert!(refused.status.code() == Some(2) && error.contains(said), "{said}: {error}");
        assert!(error.starts_with("error: ") && !error.contains("panicked"), "{error}");
    }
}
