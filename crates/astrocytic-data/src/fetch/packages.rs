//! Packages of registries, fetched with the registry's own client.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::archive;
use super::progress::Progress;
use super::wanted::Wanted;
use crate::error::DataError;

/// A package client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Client {
    /// `npm pack`, of Node.js.
    Npm,
    /// `pip download`, of Python.
    Pip,
    /// `apt-get download`, of Debian.
    Apt,
}

/// One package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Of its archive, hexadecimal.
    pub sha256: String,
    /// The processor's architecture that it is for, as Debian names it; `None` is any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
}

impl Client {
    /// The program's name.
    fn program(self) -> &'static str {
        match self {
            Self::Npm => "npm",
            Self::Pip => "pip",
            Self::Apt => "apt-get",
        }
    }

    /// What a machine must have to fetch these packages.
    pub(super) fn needs(self, packages: &[Package]) -> String {
        let architecture = packages.iter().find_map(|package| package.architecture.as_deref());
        match (self, architecture) {
            (Self::Npm, _) => "npm, of Node.js".into(),
            (Self::Pip, _) => "pip, of Python".into(),
            (Self::Apt, None) => "apt-get, of Debian".into(),
            (Self::Apt, Some(architecture)) => format!("apt-get, of Debian for {architecture}"),
        }
    }
}

impl Package {
    /// Name, version and architecture.
    pub(super) fn label(&self) -> String {
        let Self { name, version, architecture, .. } = self;
        let of = architecture.as_ref().map_or(String::new(), |architecture| format!(" for {architecture}"));
        format!("{name} {version}{of}")
    }
}

/// Runs the package client in `folder` and returns the archive that it left there.
pub(super) fn download(wanted: Wanted, client: Client, package: &Package, folder: &Path) -> Result<PathBuf, DataError> {
    let Package { name, version, .. } = package;
    let program = client.program();
    let mut command = Command::new(program);
    match client {
        Client::Npm => command.arg("pack").arg(format!("{name}@{version}")),
        Client::Pip => command.args(["download", "--no-deps"]).arg(format!("{name}=={version}")),
        Client::Apt => command.arg("download").arg(format!("{name}={version}")),
    };
    let archives = folder.join(format!("archive-{}", name.replace(['/', '@'], "-")));
    std::fs::create_dir(&archives).map_err(|e| DataError::file(&archives, e))?;
    command.current_dir(&archives);
    let needs = client.needs(std::slice::from_ref(package));
    run(wanted, command, &format!("fetching {name} {version} with {program}"), &archives, &needs)?;
    let entries = std::fs::read_dir(&archives).map_err(|e| DataError::file(&archives, e))?;
    let archive = entries.filter_map(Result::ok).map(|entry| entry.path()).find(|path| path.is_file());
    archive.ok_or_else(|| wanted.fault(format!("{program} left no file")))
}

/// Runs a client to its end, telling what it has brought so far; `needs` is what a machine that lacks it must have.
fn run(wanted: Wanted, mut command: Command, label: &str, watched: &Path, needs: &str) -> Result<(), DataError> {
    let otherwise = wanted.otherwise;
    let program = command.get_program().to_string_lossy().into_owned();
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = child.map_err(|e| {
        wanted.fault(format!("cannot run {program} ({e}); it needs {needs}: install it, or {otherwise}"))
    })?;
    let progress = Progress::begin(label);
    let mut errors = child.stderr.take();
    let said = std::thread::spawn(move || {
        let mut text = String::new();
        if let Some(errors) = &mut errors {
            // What it says is only shown where it fails; bytes that are no text are no loss.
            let _ = errors.read_to_string(&mut text);
        }
        text
    });
    let status = loop {
        match child.try_wait().map_err(|e| wanted.fault(e.to_string()))? {
            Some(status) => break status,
            None => {
                let sizes = std::fs::read_dir(watched).map(|entries| {
                    entries.flatten().filter_map(|entry| entry.metadata().ok()).map(|file| file.len()).sum()
                });
                progress.reached(sizes.unwrap_or(0));
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    };
    let said = said.join().unwrap_or_default();
    if status.success() {
        return Ok(());
    }
    let update = if program == Client::Apt.program() { "run `apt-get update` first, " } else { "" };
    let why = telling_line(&said);
    Err(wanted.fault(format!("{program} failed ({why}); {update}check the network, or {otherwise}")))
}

/// The line of a failed client that says why: the last one, but of npm, whose last names a log, the first sentence.
fn telling_line(said: &str) -> &str {
    let sentence = |line: &&str| {
        ["npm error", "npm ERR!"].iter().any(|mark| line.starts_with(mark)) && line.split_whitespace().count() > 5
    };
    let last = || said.lines().rev().find(|line| !line.trim().is_empty());
    said.lines().find(sentence).or_else(last).unwrap_or("it said nothing").trim()
}

/// Unpacks a package's archive into a folder.
pub(super) fn unpack(wanted: Wanted, client: Client, file: &Path, into: &Path) -> Result<(), DataError> {
    match client {
        Client::Npm => archive::unpack(file, "package.tgz", into),
        Client::Pip => archive::unpack(file, "package.whl", into),
        Client::Apt => {
            let mut command = Command::new("dpkg-deb");
            command.arg("-x").arg(file).arg(into);
            run(wanted, command, "unpacking", into, "dpkg-deb, of Debian")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_is_missing_or_fails_is_told_in_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let wanted = Wanted { name: "own", otherwise: "give a file you have with --from" };
        let told = |command| run(wanted, command, "fetching", folder.path(), "the thing").unwrap_err().to_string();
        let error = told(Command::new("no-such-package-client"));
        assert!(error.contains("no-such-package-client") && error.contains("it needs the thing"), "{error}");
        let mut failing = Command::new("sh");
        failing.args(["-c", "echo nothing there >&2; exit 3"]);
        let error = told(failing);
        assert!(error.contains("nothing there") && error.contains("--from"), "{error}");
    }

    #[test]
    fn a_failed_client_is_quoted_where_it_says_why() {
        let npm = "npm warn old\nnpm error code ETARGET\nnpm error notarget No matching version found for a@9.\n\
                   npm error notarget In most cases you asked for one that is not there.\n\
                   npm error A complete log of this run can be found in: x.log\n";
        assert_eq!(telling_line(npm), "npm error notarget No matching version found for a@9.");
        assert_eq!(
            telling_line("W: stale\nE: Version '9' for 'a' was not found\n\n"),
            "E: Version '9' for 'a' was not found"
        );
        assert_eq!(telling_line(""), "it said nothing");
    }
}
