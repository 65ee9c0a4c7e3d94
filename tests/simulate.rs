//! `simulate`: the networks behind the module compute what they are said to, and bad input is
//! refused with the reason.

mod program;

use std::path::Path;

use program::{astrocytic, run, succeed, text};
use serde_json::Value;

fn simulate(out: &Path, arguments: &str) -> Value {
    let mut command = astrocytic(&["simulate", "--out", text(out), "--json"]);
    command.args(arguments.split_whitespace());
    let found = serde_json::from_str(&succeed(command)).unwrap();
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("<svg") && !page.contains("NaN") && !page.contains("<script"), "{arguments}");
    assert_eq!(found, serde_json::from_slice::<Value>(&std::fs::read(out.join("results.json")).unwrap()).unwrap());
    found
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn the_network_computes_attention_as_its_time_constants_part() {
    let out = tempfile::tempdir().unwrap();
    let found = simulate(out.path(), "tripartite --tokens 6 --features 8 --outputs 2 --memory 4");
    let errors: Vec<f64> = found["errors"].as_array().unwrap().iter().map(|e| number(&e["error"])).collect();
    assert!(errors.windows(2).all(|pair| pair[1] < 0.7 * pair[0]) && errors[4] < 0.1, "{errors:?}");
    assert!((0.7..1.2).contains(&number(&found["order"])), "{}", found["order"]);
    for decay in found["decays"].as_array().unwrap() {
        assert!((number(&decay["fitted"]) / number(&decay["expected"]) - 1.0).abs() < 1e-3, "{decay}");
    }
}

#[test]
fn astrocytes_settle_to_softmax() {
    let out = tempfile::tempdir().unwrap();
    let found = simulate(out.path(), "softmax --inputs=2,-1,0.5 --temperature 0.5");
    for error in ["error_calcium", "error_replicator"] {
        assert!(number(&found[error]) < 1e-9, "{error}: {}", found[error]);
    }
}

#[test]
fn memories_are_recalled_and_more_of_them_than_a_hopfield_network_holds() {
    let out = tempfile::tempdir().unwrap();
    let found = simulate(out.path(), "associative-memory --neurons 20 --memories 4 --flipped 3 --sizes 16 --trials 6");
    assert_eq!(found["recalled"], true);
    assert!(number(&found["largest_rise"]) < 1e-6 && number(&found["energy"][1]) < number(&found["energy"][0]));
    let [hopfield, dense, astrocytes] = [0, 1, 2].map(|kind| number(&found["capacities"][0]["memories"][kind]));
    assert!(hopfield < dense && hopfield < astrocytes, "{hopfield} {dense} {astrocytes}");
}

#[test]
fn more_random_features_bring_a_pretrained_model_nearer_to_softmax() {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/stories260K");
    if !model.exists() {
        eprintln!("skipped: {} is not there", model.display());
        return;
    }
    let out = tempfile::tempdir().unwrap();
    let file = model.join("stories260K.bin");
    let arguments =
        format!("paper-figure --model {} --steps 48 --features 16,1024 --transfer-steps 40", file.display());
    let found = simulate(out.path(), &arguments);
    let of = |name: &str, m: u64| {
        let maps = found["maps"].as_array().unwrap().iter();
        maps.clone().find(|map| map["map"] == name && map["m"] == m).unwrap_or_else(|| panic!("{name} {m}"))
    };
    for name in ["positive random", "positive random, orthogonal"] {
        let [few, many] = [16, 1024].map(|m| of(name, m));
        for figure in ["error_normaliser", "error_output", "loss"] {
            assert!(number(&many[figure]) < number(&few[figure]), "{name}, {figure}: {many} {few}");
        }
    }
    // Learned maps of 16 features do better than random ones of many more, and better than nothing.
    let learned = number(&of("Hedgehog, learned", 16)["loss"]);
    assert!(learned < number(&of("positive random", 1024)["loss"]) && learned < number(&found["no_attention_loss"]));
}

#[test]
fn bad_input_is_refused_in_one_line() {
    let out = tempfile::tempdir().unwrap();
    for (arguments, said) in [
        ("softmax --astrocyte -1", "time constant = -1"),
        ("softmax --temperature 0", "temperature = 0"),
        ("softmax --seconds 0", "duration = 0"),
        ("tripartite --separation 1e9", "steps become too small"),
        ("tripartite --memory=-3", "memory's time constant = -3"),
        ("tripartite --features 100000", "--features 100000"),
        ("associative-memory --neurons 5000", "5000 neurons"),
        ("associative-memory --leak=-1", "leak = -1"),
        ("associative-memory --seconds 0", "duration = 0"),
        ("paper-figure --features 0", "--features"),
        ("paper-figure --model no/such/model.bin", "no/such/model.bin"),
    ] {
        let words: Vec<&str> =
            ["simulate", "--out", text(out.path())].into_iter().chain(arguments.split(' ')).collect();
        let output = run(&words);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments}: {error}");
        assert!(error.starts_with("error: ") && error.contains(said), "{arguments}: {error}");
        assert_eq!(error.trim().lines().count(), 1, "{arguments}: {error}");
    }
}
