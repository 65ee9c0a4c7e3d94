//! Keeps the commit that the program is built from: at run time the checkout may have moved on.

use std::process::Command;

fn main() {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_string())
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"]).map(|commit| {
        let changed = git(&["status", "--porcelain", "--untracked-files=no", "--", "..", "../../Cargo.toml"]);
        if changed.is_some_and(|text| !text.is_empty()) { format!("{commit}-dirty") } else { commit }
    });
    println!("cargo::rustc-env=ASTROCYTIC_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
    for watched in ["..", "../../Cargo.toml", "../../.git/HEAD", "../../.git/logs/HEAD"] {
        if std::path::Path::new(watched).exists() {
            println!("cargo::rerun-if-changed={watched}");
        }
    }
}
