//! Every figure in the README's tables is in the stored results that the table names.

use serde_json::Value;
use std::path::Path;

/// Tables begin with a comment `<!-- results: FOLDER -->` and have rows `| arm | parameters | tokens/s | loss … |`.
#[test]
fn figures_in_the_readme_are_those_of_the_stored_results() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let readme = std::fs::read_to_string(root.join("README.md")).expect("README.md");
    let mut results = Value::Null;
    let mut checked = 0;
    for line in readme.lines() {
        if let Some(folder) = line.strip_prefix("<!-- results: ").and_then(|rest| rest.strip_suffix(" -->")) {
            let path = root.join(folder).join("results.json");
            results = serde_json::from_str(&std::fs::read_to_string(&path).expect("results.json")).expect("JSON");
        }
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let arms = results["arms"].as_array();
        let Some(arm) = arms.into_iter().flatten().find(|arm| arm["name"].as_str() == Some(cells[0])) else { continue };
        for (place, cell) in cells[1..].iter().enumerate() {
            let Some(size) = arm["sizes"].get(place) else { panic!("{line}: more columns than sizes") };
            let mean = size["mean"].as_f64().expect("a mean");
            assert_eq!(*cell, format!("{mean:.3}"), "{line}: at {} tokens", size["tokens"]);
            checked += 1;
        }
    }
    let expected = readme.matches("<!-- results: ").count();
    assert!(checked >= 6 * expected, "{checked} figures for {expected} tables");
}
