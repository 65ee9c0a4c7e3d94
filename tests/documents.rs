//! Every figure in the README's tables is in the stored results that the table names, and those follow from stored lines.

mod program;

use std::path::{Path, PathBuf};

use program::{astrocytic, succeed, text};
use serde_json::Value;

/// Folders that the README's tables name.
fn named(readme: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folders = readme.lines().filter_map(|line| line.strip_prefix("<!-- results: ")?.strip_suffix(" -->"));
    folders.map(|folder| root.join(folder)).collect()
}

fn readme() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md")).expect("README.md")
}

#[test]
fn stored_results_follow_from_stored_lines() {
    let here = tempfile::tempdir().unwrap();
    for stored in named(&readme()) {
        for name in ["experiment.json", "lines.jsonl"] {
            std::fs::copy(stored.join(name), here.path().join(name)).expect("a stored file");
        }
        succeed(astrocytic(&["report", text(here.path())]));
        for name in ["results.json", "results.csv", "curves.csv", "loss.svg", "report.html"] {
            let [old, new] = [&stored, here.path()].map(|folder| std::fs::read(folder.join(name)).expect("a report"));
            assert!(old == new, "{}/{name} is not what its lines give; run `astrocytic report`", stored.display());
        }
    }
}

/// Tables begin with a comment `<!-- results: FOLDER -->` and have rows `| arm | loss at the first size | … |`, of tasks with the
/// accuracy at the largest size behind them, `… | 42.0 % |`; the headline is quoted as it stands.
#[test]
fn figures_in_the_readme_are_those_of_the_stored_results() {
    let readme = readme();
    let words = readme.replace("\n> ", "\n").split_whitespace().collect::<Vec<_>>().join(" ");
    let mut folders = named(&readme).into_iter();
    let mut results = Value::Null;
    let mut checked = 0;
    for line in readme.lines() {
        if line.starts_with("<!-- results: ") {
            let path = folders.next().expect("a folder").join("results.json");
            results = serde_json::from_str(&std::fs::read_to_string(&path).expect("results.json")).expect("JSON");
            let headline = results["headline"].as_str().expect("a headline");
            assert!(words.contains(headline), "{}: the headline is \"{headline}\"", path.display());
        }
        // A heading ends what a table's comment began.
        if line.starts_with('#') {
            results = Value::Null;
        }
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let arms = results["arms"].as_array();
        let Some(arm) = arms.into_iter().flatten().find(|arm| arm["name"].as_str() == Some(cells[0])) else { continue };
        for (place, cell) in cells[1..].iter().enumerate() {
            if cell.ends_with(" %") {
                let size = arm["sizes"].as_array().and_then(|sizes| sizes.last()).expect("a size");
                let of: Vec<f64> =
                    size["accuracies"].as_array().expect("accuracies").iter().filter_map(Value::as_f64).collect();
                assert_eq!(*cell, format!("{:.1} %", 100.0 * of.iter().sum::<f64>() / of.len() as f64), "{line}");
                checked += 1;
                continue;
            }
            let Some(size) = arm["sizes"].get(place) else { panic!("{line}: more columns than sizes") };
            let mean = size["mean"].as_f64().expect("a mean");
            assert_eq!(*cell, format!("{mean:.3}"), "{line}: at {} tokens", size["tokens"]);
            checked += 1;
        }
    }
    let tables = named(&readme).len();
    assert!(tables >= 2 && checked >= 6 * tables, "{checked} figures for {tables} tables");
}

/// Tables of ratios begin with a comment `<!-- ratios: FOLDER -->` and have rows `| arm : baseline | one for each study … |`:
/// at the middle of the losses, "beyond" where there is none.
#[test]
fn ratios_in_the_readme_are_those_of_the_stored_results() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut results = Value::Null;
    let mut checked = 0;
    for line in readme().lines() {
        if let Some(folder) = line.strip_prefix("<!-- ratios: ").and_then(|line| line.strip_suffix(" -->")) {
            let path = root.join(folder).join("results.json");
            results = serde_json::from_str(&std::fs::read_to_string(&path).expect("results.json")).expect("JSON");
        }
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let (Some(studies), Some((arm, baseline))) = (results["studies"].as_array(), cells[0].split_once(" : ")) else {
            continue;
        };
        assert_eq!(cells.len(), 1 + studies.len(), "{line}");
        for (study, cell) in studies.iter().zip(&cells[1..]) {
            let mean = |name: &str, last: bool| {
                let arm = study["arms"].as_array().expect("arms").iter().find(|arm| arm["name"] == name);
                let sizes = arm.unwrap_or_else(|| panic!("{line}: no arm {name}"))["sizes"].as_array().expect("sizes");
                (if last { sizes.last() } else { sizes.first() }).expect("a size")["mean"].as_f64().expect("a mean")
            };
            let of = |row: &&Value| row["arm"] == arm && row["baseline"] == baseline;
            let rows: Vec<&Value> = study["ratios"].as_array().expect("ratios").iter().filter(of).collect();
            let number = |value: &Value| format!("{:.2}", value.as_f64().expect("a number"));
            let middle = rows.get(rows.len() / 2).map(|row| {
                let [low, high] = [0, 1].map(|end| number(&row["interval"][end]));
                format!("{} ({low}–{high})", number(&row["estimate"]))
            });
            // With the least data at about the loss that the other has with the most.
            let beyond = mean(arm, false) < mean(baseline, true) + 0.02;
            let expected = middle.or(beyond.then(|| "beyond".into()));
            assert_eq!(Some(*cell), expected.as_deref(), "{line}: {}", study["study"]);
            checked += 1;
        }
    }
    assert!(checked >= 12, "{checked} ratios");
}

/// Tables of speed begin with a comment `<!-- speed: FOLDER -->`: every row of them is one of those that the folder's rows
/// give.
#[test]
fn speeds_in_the_readme_are_those_of_the_stored_rows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let readme = readme();
    let mut tables = String::new();
    let mut checked = 0;
    for line in readme.lines() {
        if let Some(folder) = line.strip_prefix("<!-- speed: ").and_then(|line| line.strip_suffix(" -->")) {
            tables = succeed(astrocytic(&["bench", "--stored", text(&root.join(folder))]));
            let commit = tables.lines().next().expect("a machine").to_string();
            assert!(readme.contains(&commit), "\"{commit}\" is not in the README");
        } else if line.starts_with("<!-- ") || line.starts_with('#') {
            tables.clear();
        } else if line.starts_with('|') && !tables.is_empty() {
            assert!(tables.lines().any(|stored| stored == line), "\"{line}\" is not among\n{tables}");
            checked += 1;
        }
    }
    assert!(checked >= 20, "{checked} rows of speed");
}

/// Rows of swapped models begin with a link to the report of a stored conversion; their figures are that conversion's:
/// losses over the original's, or cosines with the original's embeddings.
#[test]
fn conversions_in_the_readme_are_the_stored_ones() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut checked = 0;
    for line in readme().lines().filter(|line| line.starts_with("| [") && line.contains("/report.html)")) {
        let folder = line.split_once("](").and_then(|(_, rest)| rest.split_once("/report.html)")).expect("a link").0;
        let path = root.join(folder).join("swap.json");
        let report: Value = serde_json::from_str(&std::fs::read_to_string(&path).expect("swap.json")).expect("JSON");
        let losses =
            ["converted", "after_transfer", "after_recovery", "window_only_recovered", "no_attention_recovered"];
        let cells = losses.map(|name| {
            // Where nothing was recovered the model after it is the one before.
            if name == "after_recovery" && report["config"]["recovery"]["steps"] == 0 {
                return String::new();
            }
            let loss = report[format!("{name}_loss")].as_f64().zip(report["original_loss"].as_f64());
            let cosine = report[format!("{name}_cosine")].as_f64().map(|cosine| format!("{cosine:.4}"));
            loss.map(|(loss, original)| format!("{:+.4}", loss - original)).or(cosine).unwrap_or_default()
        });
        let found: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).skip(1).collect();
        assert_eq!(found, cells, "{line}");
        checked += 1;
    }
    assert!(checked >= 1, "no row of a conversion");
}
