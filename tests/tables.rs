//! What a report stores can be read elsewhere: `experiments/read.py` redraws the main plot from
//! `results.csv`, with every field in it.

mod program;

use std::path::Path;
use std::process::Command;

use program::{astrocytic, succeed, text};

#[test]
fn a_few_lines_of_python_redraw_the_main_plot() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = tempfile::tempdir().expect("a folder");
    let study = folder.path().join("study");
    std::fs::create_dir(&study).expect("a folder");
    for file in ["experiment.json", "lines.jsonl"] {
        std::fs::copy(root.join("experiments/results/data_efficiency/moby-dick-64").join(file), study.join(file))
            .expect("stored results");
    }
    succeed(astrocytic(&["report", text(&study)]));
    let table = std::fs::read_to_string(study.join("results.csv")).expect("a table");
    let mut lines = table.lines();
    let head: Vec<&str> = lines.next().expect("a head").split(',').collect();
    let place = |name: &str| head.iter().position(|column| *column == name).unwrap_or_else(|| panic!("no {name}"));
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    for (kind, columns) in [
        ("evaluation", &["commit", "arm", "step", "train_loss", "tuning_loss"][..]),
        ("run", &["learning_rate", "status", "best_step", "tuning_loss", "seconds"]),
        ("document", &["seed", "document", "document_tokens", "document_loss"]),
        ("contrast", &["baseline", "primary", "verdict"]),
        ("ratio", &["baseline", "loss", "estimate", "censored"]),
        ("difference", &["size", "estimate", "low", "high"]),
        ("stream", &["tokens", "loss", "estimate"]),
    ] {
        let own: Vec<_> = rows.iter().filter(|row| row[0] == kind).collect();
        assert!(!own.is_empty(), "no row of kind {kind}");
        for column in columns {
            assert!(own.iter().all(|row| !row[place(column)].is_empty()), "{kind} without {column}");
        }
    }
    let learns = |row: &&Vec<&str>| row[0] == "run" && row[place("arm")] == "vanilla-memory-through";
    let of_tests = rows.iter().filter(learns).filter(|row| row[place("phase")] == "final");
    for row in of_tests {
        assert!(!row[place("plasticity")].is_empty() && !row[place("without_carry")].is_empty(), "{row:?}");
    }

    let has_pandas = |python: &&&str| {
        let import = Command::new(python).args(["-c", "import pandas, matplotlib"]).output();
        import.is_ok_and(|output| output.status.success())
    };
    let Some(python) = ["python3", "/usr/bin/python3"].iter().find(has_pandas) else {
        eprintln!("skipped: no python3 with pandas and matplotlib");
        return;
    };
    let picture = folder.path().join("main.png");
    let mut command = Command::new(python);
    command.arg(root.join("experiments/read.py")).arg(&study).arg(&picture);
    succeed(command);
    let picture = std::fs::read(picture).expect("a picture");
    assert!(picture.starts_with(b"\x89PNG") && picture.len() > 20_000, "{} bytes", picture.len());
}
