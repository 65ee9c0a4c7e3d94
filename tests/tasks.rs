//! Tasks of examples through the program: run, stored, reported.

mod program;

use std::path::Path;

use program::{astrocytic, run, succeed, text};
use serde_json::Value;

/// A file of an experiment of moments on a task, of vanilla and another arm.
fn small(folder: &Path, corpus: &str, arm: &str, sizes: &str) -> String {
    let path = folder.join("small.toml");
    let plan = format!(
        "question = \"q\"\nexpected = \"e\"\n\
         primary = {{ arm = \"{arm}\", baseline = \"vanilla\" }}\n[shared]\narms = [\"vanilla\", \"{arm}\"]\nsizes = {sizes}\nseeds = 1\n\
         tokenizer = \"bpe:300\"\nlearning_rates = [0.01]\nweight_decays = [0.1]\nschedules = [150]\nevaluations = 3\n\
         d_model = 32\nlayers = 1\ndropout = 0.0\ntest_tokens = 200\n[[studies]]\nname = \"task\"\ncorpus = \"{corpus}\"\n"
    );
    std::fs::write(&path, plan).unwrap();
    path.display().to_string()
}

/// Accuracies of the two arms at the largest size.
fn accuracies(folder: &Path, corpus: &str, arm: &str, sizes: &str) -> Vec<f64> {
    let file = small(folder, corpus, arm, sizes);
    let out = folder.join("out");
    let found: Value =
        serde_json::from_str(&succeed(astrocytic(&["run", &file, "--out", text(&out), "--json"]))).unwrap();
    let study = &found["studies"][0];
    assert_eq!(study["corpus"]["examples"], true);
    let page = std::fs::read_to_string(out.join("task/report.html")).unwrap();
    assert!(page.contains("Accuracy against unique examples") && !page.contains("unique training tokens"));
    succeed(astrocytic(&["report", text(&out)]));
    assert_eq!(page, std::fs::read_to_string(out.join("task/report.html")).unwrap());
    let arms = study["arms"].as_array().unwrap().iter();
    arms.map(|arm| arm["sizes"].as_array().unwrap().last().unwrap()["accuracies"][0].as_f64().unwrap()).collect()
}

#[test]
fn labels_that_follow_from_a_word_are_learned() {
    let folder = tempfile::tempdir().unwrap();
    let row = |i: usize| {
        let (word, label) = [("good", "positive"), ("bad", "negative")][i * 7 % 5 % 2];
        format!("\"film {i} was {word}, they said\",{label}\n")
    };
    let rows: String = (0..600).map(row).collect();
    std::fs::write(folder.path().join("films.csv"), format!("text,label\n{rows}")).unwrap();
    let corpus = format!("labelled:{}", folder.path().join("films.csv").display());
    let found = accuracies(folder.path(), &corpus, "tripartite", "[60, 400]");
    assert!(found.iter().all(|&accuracy| accuracy > 0.95), "{found:?}");
}

#[test]
fn scan_is_scored_by_whole_commands() {
    let folder = tempfile::tempdir().unwrap();
    // A moment's training gets hardly any command right as a whole.
    let found = accuracies(folder.path(), "scan:simple", "tripartite", "[100, 400]");
    assert!(found.iter().all(|accuracy| (0.0..0.5).contains(accuracy)), "{found:?}");
}

#[test]
fn an_encoder_reads_segments_of_tasks_with_one_answer() {
    let folder = tempfile::tempdir().unwrap();
    let found = accuracies(folder.path(), "listops:64", "rmaat", "[400]");
    // A tenth of the answers is right by chance.
    assert!(found[1] > 0.12, "{found:?}");
    for (corpus, word) in [("generated", "one answer"), ("scan:simple", "one answer"), ("mqar:64x4", "one answer")] {
        let out = folder.path().join("refused");
        let refused = run(&["compare", "--corpus", corpus, "--arms", "vanilla,rmaat", "--out", text(&out)]);
        let error = String::from_utf8(refused.stderr).unwrap();
        assert!(
            refused.status.code() == Some(2) && error.contains(word) && error.trim().lines().count() == 1,
            "{error}"
        );
    }
    let refused = run(&["train", "--corpus", "generated", "--arm", "rmaat", "--out", text(&folder.path().join("one"))]);
    assert!(String::from_utf8(refused.stderr).unwrap().contains("a language model is needed"));
}
