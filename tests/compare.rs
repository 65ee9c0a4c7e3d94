//! `compare`: the same figures however it is run, resumed where it was, reported from stored lines
//! alone.

mod program;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use program::{astrocytic, run, succeed, text};
use serde_json::Value;

/// The quick budget made tiny.
fn config(folder: &Path) -> PathBuf {
    let path = folder.join("config.toml");
    let config = "question = \"q\"\nexpected = \"e\"\n[[studies]]\nname = \"one\"\ncorpus = \"generated\"\n\
        tokenizer = \"bpe:300\"\narms = [\"vanilla\", \"tripartite-carried\", \"vanilla-memory-through\", \"vanilla-dynamic\", \"untrained+ngram\"]\n\
        sizes = [1024, 4096]\nseeds = 2\nlearning_rates = [0.01]\nweight_decays = [0.1, 1.0]\nschedules = [40]\n\
        evaluations = 3\npatience = 2\nd_model = 32\nlayers = 1\ncontext = 32\ntuning_tokens = 1000\ntest_tokens = 2000\n\
        tuning_trials = 0\ntuning_seeds = 1\n";
    std::fs::write(&path, config).unwrap();
    path
}

/// What two runs must have in common: all but times and memory.
fn figures(folder: &Path) -> Vec<Value> {
    let lines = std::fs::read_to_string(folder.join("lines.jsonl")).unwrap();
    let mut figures: Vec<Value> = lines
        .lines()
        .map(|line| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            for what in ["seconds", "tokens_per_second", "peak_bytes"] {
                line.as_object_mut().unwrap().remove(what);
            }
            line
        })
        .collect();
    figures.sort_by_key(ToString::to_string);
    figures
}

/// Operations with what is learned in the test, memory, and the commit that made every line; what is
/// not trained took no step.
fn says_what_it_cost(one: &Path) {
    let stored: Value = serde_json::from_str(&std::fs::read_to_string(one.join("experiment.json")).unwrap()).unwrap();
    let costs = stored["arms"].as_array().unwrap().iter().map(|arm| {
        let more = arm["test_flops_per_token"].as_f64().unwrap() / arm["flops_per_token"].as_f64().unwrap();
        (arm["name"].as_str().unwrap(), arm["mean_learned_tokens"].as_u64().unwrap(), more)
    });
    for (name, learned, more) in costs {
        let (expected, at_least) = match name {
            "vanilla" | "tripartite-carried" => (0, 1.0),
            "vanilla-dynamic" => (stored["corpus"]["test_tokens"].as_u64().unwrap() / 2, 3.0),
            _ => (stored["corpus"]["test_tokens"].as_u64().unwrap() / 2, 1.1),
        };
        assert_eq!(learned, expected, "{name}");
        assert!((at_least..2.0 * at_least).contains(&more) && (learned > 0 || more == 1.0), "{name}: {more}");
    }
    let lines = std::fs::read_to_string(one.join("lines.jsonl")).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().all(|line| line["commit"].as_str().is_some_and(|commit| !commit.is_empty())));
    if cfg!(target_os = "linux") {
        let results = lines.iter().filter(|line| line["kind"] == "result");
        assert!(results.into_iter().all(|line| line["peak_bytes"].as_u64().unwrap() > 1 << 20));
    }
    let untrained = lines.iter().filter(|line| line["cell"]["arm"] == "untrained+ngram");
    let steps: Vec<_> = untrained.map(|line| (line["kind"].clone(), line["steps"].clone())).collect();
    assert_eq!(steps, vec![("result".into(), 0.into()); 4], "two sizes of two seeds, none of them tuned");
}

/// The losses of the kinds of words make up the loss of the whole test, and the page shows them.
fn says_which_words_it_lost(one: &Path) {
    let results: Value = serde_json::from_str(&std::fs::read_to_string(one.join("results.json")).unwrap()).unwrap();
    let arm = results["arms"].as_array().unwrap().iter().find(|arm| arm["name"] == "vanilla").unwrap();
    let classes = arm["classes"].as_array().unwrap();
    let tokens = |class: &Value| class["tokens"].as_f64().unwrap();
    let of_seed = |seed: usize| {
        let nats: f64 = classes.iter().map(|class| class["losses"][seed].as_f64().unwrap() * tokens(class)).sum();
        nats / classes.iter().map(tokens).sum::<f64>()
    };
    let whole = arm["sizes"].as_array().unwrap().last().unwrap()["test_losses"].as_array().unwrap();
    for (seed, loss) in whole.iter().enumerate() {
        assert!((of_seed(seed) - loss.as_f64().unwrap()).abs() < 1e-9, "{classes:?} {loss}");
    }
    let of = |class: &Value| class["class"].as_str().unwrap().to_string();
    assert_eq!(classes.iter().map(of).collect::<Vec<_>>(), ["name", "first", "repeat", "other"]);
    assert_eq!(classes.iter().map(tokens).sum::<f64>(), results["corpus"]["test_tokens"].as_f64().unwrap());
    assert!(std::fs::read_to_string(one.join("report.html")).unwrap().contains("Losses by kind of word"));
}

#[test]
fn the_same_figures_with_one_worker_or_two_and_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let start = |out: &Path, jobs: &str| {
        astrocytic(&["compare", "--config", text(&config), "--out", text(out), "--jobs", jobs, "--json"])
    };
    let [one, two, killed] = ["one", "two", "killed"].map(|name| folder.path().join(name));
    let summary: Value = serde_json::from_str(&succeed(start(&one, "1"))).unwrap();
    succeed(start(&two, "2"));
    assert_eq!(figures(&one), figures(&two));
    says_what_it_cost(&one);
    says_which_words_it_lost(&one);

    // What is complete is left as it is, whoever asks again.
    let path = one.join("experiment.json");
    let made_by = std::fs::read_to_string(&path).unwrap().replace("\"commit\": \"", "\"commit\": \"elsewhere, ");
    std::fs::write(&path, &made_by).unwrap();
    succeed(start(&one, "1"));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), made_by);

    // Arms that share vanilla's training change none of its figures, and have their own.
    let alone = folder.path().join("alone.toml");
    let fewer =
        std::fs::read_to_string(&config).unwrap().replace(r#", "vanilla-memory-through", "vanilla-dynamic""#, "");
    assert!(!fewer.contains("dynamic"));
    std::fs::write(&alone, fewer).unwrap();
    let apart = folder.path().join("apart");
    succeed(astrocytic(&["compare", "--config", text(&alone), "--out", text(&apart)]));
    let of = |folder: &Path, arm: &str| -> Vec<Value> {
        figures(folder).into_iter().filter(|line| line["cell"]["arm"] == arm).collect()
    };
    assert_eq!(of(&one, "vanilla"), of(&apart, "vanilla"));
    for arm in ["vanilla-memory-through", "vanilla-dynamic"] {
        let (found, plain) = (of(&one, arm), of(&one, "vanilla"));
        let finals = |lines: &[Value]| -> Vec<Value> {
            let finals = lines.iter().filter(|line| line["kind"] == "result" && line["cell"]["phase"] == "final");
            finals.map(|line| line["test"]["loss"].clone()).collect()
        };
        assert_eq!(finals(&found).len(), 4, "{arm}");
        assert_ne!(finals(&found), finals(&plain), "{arm}");
    }

    let mut child = start(&killed, "2").spawn().unwrap();
    let lines = killed.join("lines.jsonl");
    let begun = Instant::now();
    while !std::fs::read_to_string(&lines).is_ok_and(|text| text.contains("\"result\"")) {
        assert!(begun.elapsed() < Duration::from_secs(120), "no result in two minutes");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(killed.join("cells").exists());
    // A kill can cut a line; the next run must not trip over it.
    use std::io::Write;
    write!(std::fs::OpenOptions::new().append(true).open(&lines).unwrap(), "{{\"kind\":\"resu").unwrap();
    succeed(start(&killed, "1"));
    assert!(!killed.join("cells").join("lock").exists());
    let results = |folder: &Path| {
        let mut results = figures(folder);
        results.retain(|line| line["kind"] == "result");
        results
    };
    assert_eq!(results(&one), results(&killed));

    for arm in summary["arms"].as_array().unwrap() {
        assert!(arm["parameters"].as_u64().unwrap() > 0 && arm["learning_rate"] == 0.01);
        let sizes = arm["sizes"].as_array().unwrap();
        assert_eq!(sizes.len(), 2);
        for size in sizes {
            assert_eq!(size["test_losses"].as_array().unwrap().len(), 2);
        }
    }
    for ratio in summary["ratios"].as_array().unwrap() {
        assert_eq!(ratio["baseline"], "vanilla");
        let (low, high) = (ratio["interval"][0].as_f64().unwrap(), ratio["interval"][1].as_f64().unwrap());
        assert!(low <= high && ratio["estimate"].as_f64().unwrap() > 0.0);
    }
    let report = PathBuf::from(summary["report"].as_str().unwrap());
    let page = std::fs::read(&report).unwrap();
    succeed(astrocytic(&["report", text(&one)]));
    assert_eq!(page, std::fs::read(&report).unwrap(), "a report made again is the same");
}

/// Cells of all results, and that each is there once.
fn results_once(folder: &Path) -> usize {
    let lines = std::fs::read_to_string(folder.join("lines.jsonl")).unwrap();
    let results = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut ids: Vec<String> =
        results.filter(|line| line["kind"] == "result").map(|line| line["cell"]["id"].to_string()).collect();
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all, "a cell was run twice");
    all
}

#[test]
fn two_runs_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let out = folder.path().join("out");
    let start = || {
        astrocytic(&["compare", "--config", text(&config), "--out", text(&out), "--jobs", "1", "--json"])
            .spawn()
            .unwrap()
    };
    for mut run in [start(), start()] {
        assert!(run.wait().unwrap().success());
    }
    assert_eq!(results_once(&out), 16 + 20);
}

/// A search of two arms at two sizes, a moment each.
fn searching(folder: &Path, name: &str, other: &str, seeds: u64) -> PathBuf {
    let path = folder.join(name);
    let config = format!(
        "question = \"q\"\nexpected = \"e\"\n[[studies]]\nname = \"one\"\ncorpus = \"generated\"\ntokenizer = \"bpe:300\"\n\
         arms = [\"vanilla\", \"{other}\"]\nsizes = [1024, 2048]\nseeds = {seeds}\ntuning_seeds = 2\n\
         learning_rates = [0.003, 0.01]\nweight_decays = [0.1, 1.0]\nschedules = [20, 40]\nevaluate_every = 8\npatience = 2\n\
         d_model = 32\nlayers = 1\ncontext = 32\ntuning_tokens = 1000\ntest_tokens = 2000\nblock_tokens = 64\n\
         tuning_trials = 5\n"
    );
    std::fs::write(&path, config).unwrap();
    path
}

#[test]
fn a_search_is_the_same_however_it_is_run_and_its_runs_can_be_reused() {
    let folder = tempfile::tempdir().unwrap();
    let config = searching(folder.path(), "one.toml", "linear", 2);
    let start = |config: &Path, out: &Path, more: &[&str]| {
        let mut command = astrocytic(&["compare", "--config", text(config), "--out", text(out)]);
        command.args(more);
        command
    };
    let [one, two, more] = ["one", "two", "more"].map(|name| folder.path().join(name));
    succeed(start(&config, &one, &["--jobs", "1"]));
    succeed(start(&config, &two, &["--jobs", "2"]));
    assert_eq!(figures(&one), figures(&two));
    let tuned: Vec<Value> = figures(&one).into_iter().filter(|line| line["cell"]["phase"] == "tune").collect();
    for (arm, size) in [("vanilla", 1024), ("vanilla", 2048), ("linear", 1024), ("linear", 2048)] {
        let own = tuned.iter().map(|line| &line["cell"]).filter(|cell| cell["arm"] == arm && cell["size"] == size);
        let mut trials: Vec<String> = own
            .map(|cell| format!("{} {} {}", cell["learning_rate"], cell["weight_decay"], cell["schedule"]))
            .collect();
        trials.sort();
        trials.dedup();
        assert!((3..=5).contains(&trials.len()), "{arm} at {size}: {trials:?}");
        let results = tuned
            .iter()
            .filter(|line| line["kind"] == "result" && line["cell"]["arm"] == arm && line["cell"]["size"] == size);
        assert_eq!(results.count(), 2 * trials.len(), "each with two seeds");
    }
    for line in tuned.iter().filter(|line| line["kind"] == "evaluation") {
        let step = line["step"].as_u64().unwrap();
        assert!(step % 8 == 0 || line["cell"]["schedule"] == step, "{line}");
    }

    // Another experiment with the same vanilla and a seed more: only what is new is run.
    let config = searching(folder.path(), "more.toml", "no-attention", 3);
    let none = folder.path().join("none");
    std::fs::create_dir(&none).unwrap();
    let refused = start(&config, &more, &["--reuse", text(&none)]).output().unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--reuse") && !more.exists());
    let output = start(&config, &more, &["--reuse", text(&folder.path().join("one"))]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let of_vanilla = |folder: &Path| -> Vec<String> {
        let lines = std::fs::read_to_string(folder.join("lines.jsonl")).unwrap();
        let is_old = |cell: &Value| cell["arm"] == "vanilla" && cell["seed"] != 2;
        let own = |line: &&str| is_old(&serde_json::from_str::<Value>(line).unwrap()["cell"]);
        let mut lines: Vec<String> = lines.lines().filter(own).map(String::from).collect();
        lines.sort();
        lines
    };
    // Times and all.
    assert_eq!(of_vanilla(&one), of_vanilla(&more));
    let taken = of_vanilla(&one).iter().filter(|line| line.contains("\"result\"")).count();
    assert!(said.contains(&format!("{taken} runs were taken over")), "{said}");
    results_once(&more);
}

/// A file of two studies of a moment each.
fn plan(folder: &Path) -> PathBuf {
    let path = folder.join("small.toml");
    let plan = "question = \"Is this run?\"\nexpected = \"yes\"\n\
        primary = { arm = \"vanilla-more-data\", baseline = \"vanilla\" }\n[shared]\ncorpus = \"generated\"\n\
        tokenizer = \"bpe:300\"\narms = [\"vanilla\", \"vanilla-more-data\"]\nsizes = [1024, 4096]\nseeds = 2\n\
        learning_rates = [0.01]\nweight_decays = [0.1]\nschedules = [30]\nevaluations = 3\nd_model = 32\nlayers = 1\n\
        context = 32\ntuning_tokens = 1000\ntest_tokens = 2000\n[[studies]]\nname = \"one\"\n\
        [[studies]]\nname = \"other\"\nd_model = 48\n";
    std::fs::write(&path, plan).unwrap();
    path
}

#[test]
fn an_experiment_in_a_file_is_foretold_run_and_reported_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = plan(folder.path());
    let foretold: Value =
        serde_json::from_str(&succeed(astrocytic(&["run", text(&file), "--dry-run", "--json"]))).unwrap();
    assert_eq!(foretold["studies"][1]["tuning_runs"], 0, "a grid of one point");
    assert!(foretold["core_seconds"].as_f64().unwrap() > 0.0);
    assert!(!folder.path().join("results").exists());

    let found: Value = serde_json::from_str(&succeed(astrocytic(&["run", text(&file), "--json"]))).unwrap();
    let results = folder.path().join("results/small");
    assert_eq!(found["studies"][1]["model"][0], 48);
    for study in ["one", "other"] {
        assert_eq!(results_once(&results.join(study)), 8);
    }
    let page = std::fs::read(results.join("report.html")).unwrap();
    succeed(astrocytic(&["report", text(&results)]));
    assert_eq!(page, std::fs::read(results.join("report.html")).unwrap());
    // A study that is changed is another.
    std::fs::write(&file, std::fs::read_to_string(&file).unwrap().replace("d_model = 48", "d_model = 64")).unwrap();
    let output = run(&["run", text(&file)]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("another experiment"));
}

#[test]
fn another_experiment_is_not_mixed_in() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let out = folder.path().join("out");
    succeed(astrocytic(&["compare", "--config", text(&config), "--out", text(&out)]));
    let changed = std::fs::read_to_string(&config).unwrap().replace("schedules = [40]", "schedules = [50]");
    std::fs::write(&config, changed).unwrap();
    let before = program::files(&out);
    let output = run(&["compare", "--config", text(&config), "--out", text(&out)]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("another experiment"));
    assert_eq!(before, program::files(&out));
}

/// A file with an arm of its own, which is trained, compared and gone on with by its definition.
#[test]
fn arms_of_a_file_are_compared_and_trained() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.toml");
    let text_of = |leak: &str| {
        format!(
            "question = \"q\"\nexpected = \"e\"\n[arms.mine]\nbase = \"gated-linear\"\ndecay = \"{leak}\"\n[[studies]]\n\
             name = \"one\"\ncorpus = \"generated\"\ntokenizer = \"bpe:300\"\narms = [\"vanilla\", \"mine\"]\nsizes = [1024]\n\
             seeds = 1\nlearning_rates = [0.01]\nweight_decays = [0.1]\nschedules = [20]\nevaluations = 2\nd_model = 32\n\
             layers = 1\ncontext = 32\nbatch = 4\ntuning_tokens = 1000\ntest_tokens = 1000\n"
        )
    };
    std::fs::write(&file, text_of("learned")).unwrap();
    let (compared, trained) = (folder.path().join("compared"), folder.path().join("trained"));
    let compare = || astrocytic(&["compare", "--config", text(&file), "--out", text(&compared), "--json"]);
    let train = || astrocytic(&["train", "--config", text(&file), "--layers", "2", "--out", text(&trained), "--json"]);
    let found: Value = serde_json::from_str(&succeed(compare())).unwrap();
    let mine = &found["arms"][1];
    assert_eq!((mine["name"].as_str(), mine["role"].as_str()), (Some("mine"), Some("astrocytic")));
    // What the command line says goes before what the study says.
    let found: Value = serde_json::from_str(&succeed(train())).unwrap();
    assert_eq!(found["steps"], 20);
    let model: Value = serde_json::from_slice(&std::fs::read(trained.join("config.json")).unwrap()).unwrap();
    assert!(
        model.to_string().contains("\"decay\":\"Learned\"") && model.to_string().contains("\"layers\":2"),
        "{model}"
    );

    // A description is no part of any result: it may change.
    let described = text_of("learned").replace("decay = ", "description = \"told anew\"\ndecay = ");
    std::fs::write(&file, described).unwrap();
    let lines = std::fs::read(compared.join("lines.jsonl")).unwrap();
    succeed(compare());
    let stored = std::fs::read_to_string(compared.join("experiment.json")).unwrap();
    assert_eq!(stored.matches("told anew").count(), 2, "{stored}");
    assert_eq!(lines, std::fs::read(compared.join("lines.jsonl")).unwrap());

    std::fs::write(&file, text_of("fixed")).unwrap();
    for mut command in [compare(), train()] {
        let said = String::from_utf8(command.output().unwrap().stderr).unwrap();
        assert!(said.contains("arms.mine.decay: this folder holds learned, you ask for fixed"), "{said}");
    }
    let lines: Vec<String> = (0..2_000).map(|line| format!("Line {line} of a text that is short.\n\n")).collect();
    let short = folder.path().join("short.txt");
    std::fs::write(&short, lines.concat()).unwrap();
    let beyond = text_of("fixed").replace("[1024]", "[1024, 900000000]");
    std::fs::write(&file, beyond.replace("\"generated\"", &format!("{short:?}"))).unwrap();
    let output = run(&["run", text(&file), "--dry-run"]);
    let noted = String::from_utf8_lossy(&output.stderr);
    assert!(noted.contains("note: `run` will refuse this file: "), "{noted}");
    assert!(
        noted.contains("note: sizes: the training split has ") && noted.contains("so 900000000 became "),
        "{noted}"
    );
    let foretold = String::from_utf8_lossy(&output.stdout);
    assert!(foretold.contains("mine, ") && foretold.contains("gated-linear with decay = \"fixed\""), "{foretold}");
    let refused = run(&["run", text(&file)]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("study one: primary: missing"));
}

#[test]
fn arms_are_listed_and_shown() {
    let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/experiments");
    let file = examples.join("my_ablation.toml");
    let listed = succeed(astrocytic(&["arms", "list", "--config", text(&file)]));
    assert!(listed.starts_with("leak-learned") && listed.contains("\nvanilla "), "{listed}");
    let all: Value = serde_json::from_str(&succeed(astrocytic(&["arms", "list", "--json"]))).unwrap();
    assert!(all.as_array().unwrap().iter().any(|arm| arm["name"] == "tripartite" && arm["role"] == "astrocytic"));
    let shown = succeed(astrocytic(&["arms", "show", "sharp", "--config", text(&file), "--d-model", "128"]));
    assert!(shown.contains("relu-squared") && shown.contains(" parameters, "), "{shown}");
    for command in [["arms", "show", "shrap"], ["train", "--arm", "shrap"]] {
        let said = run(&[&command[..], &["--config", text(&file)]].concat()).stderr;
        assert!(String::from_utf8_lossy(&said).contains("\"shrap\"; nearest: sharp"), "{said:?}");
    }
    let refused = run(&["arms", "show", "vanila"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("unknown arm \"vanila\"; nearest: vanilla, ") && said.lines().count() == 1, "{said}");
}
