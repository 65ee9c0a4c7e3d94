//! `cargo run` and `cargo test` share one build: what the tests add to the program's dependencies
//! leaves the features of those as they are. (A dev-dependency that switches on one feature of a
//! common crate has Burn built twice.)

use std::collections::BTreeSet;
use std::process::Command;

/// Every crate of a resolution with its version and features, one line each.
fn resolved(of: &[&str]) -> BTreeSet<String> {
    let mut tree = Command::new(env!("CARGO"));
    tree.args(["tree", "--locked", "--offline", "--prefix", "none", "--no-dedupe", "--format", "{p} [{f}]"]).args(of);
    let output = tree.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().filter(|line| !line.is_empty()).map(String::from).collect()
}

#[test]
fn tests_leave_the_features_of_the_program_as_they_are() {
    let program = resolved(&["--package", "astrocytic", "--edges", "normal,build"]);
    let tests = resolved(&["--workspace", "--edges", "normal,build,dev"]);
    assert!(program.iter().any(|line| line.starts_with("burn v")), "{program:?}");
    let rebuilt: Vec<_> = program.difference(&tests).collect();
    assert!(rebuilt.is_empty(), "`cargo test` would build these anew, with other features: {rebuilt:#?}");
}
