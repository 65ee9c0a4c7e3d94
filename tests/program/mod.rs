//! Runs the program as a user does.
#![allow(dead_code)]

use std::path::Path;
use std::process::{Command, Output};

pub fn astrocytic(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_astrocytic"));
    command.args(arguments);
    command
}

pub fn run(arguments: &[&str]) -> Output {
    astrocytic(arguments).output().expect("the program starts")
}

/// Standard output of a run that must succeed.
pub fn succeed(mut command: Command) -> String {
    let output = command.output().expect("the program starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("output is text")
}

pub fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are text")
}

/// Every file below, with its bytes, in order.
pub fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder is there").flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(files(&path).into_iter().map(|(inner, bytes)| (format!("{name}/{inner}"), bytes)));
        } else {
            found.push((name, std::fs::read(path).expect("the file can be read")));
        }
    }
    found.sort();
    found
}
