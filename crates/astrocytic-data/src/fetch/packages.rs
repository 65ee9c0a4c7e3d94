//! Package clients: what fetches an archive, checks it and unpacks it.

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};

use crate::error::DataError;
use crate::files::sha256_of;

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
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Of its archive, hexadecimal.
    pub sha256: String,
}

/// What is fetched, for error messages.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// Its name.
    pub name: &'a str,
    /// The client that brings it.
    pub client: Client,
    /// What else one can do.
    pub otherwise: &'a str,
}

/// Brings a package's archive into a folder: [`download`] or, in tests, something that needs no network.
pub(crate) type Download<'a> = dyn Fn(Wanted, &Package, &Path) -> Result<PathBuf, DataError> + 'a;

/// Brings all packages, or takes the archive that is there already, checks them and unpacks them into `folder`/unpacked.
///
/// # Errors
/// For a missing client, a failed download or a wrong checksum.
pub(crate) fn bring(
    wanted: Wanted,
    packages: &[Package],
    archive: Option<&Path>,
    folder: &Path,
    download: &Download,
) -> Result<PathBuf, DataError> {
    let unpacked = folder.join("unpacked");
    for package in packages {
        let archive = match archive {
            Some(archive) => archive.into(),
            None => download(wanted, package, folder)?,
        };
        let found = sha256(&archive)?;
        if found != package.sha256 {
            let Package { name, version, sha256 } = package;
            let reason = format!(
                "the sha256 of {name} {version} is {found}, not {sha256}; the package has changed or the file is \
                 damaged: try again, or {}",
                wanted.otherwise
            );
            return Err(DataError::fetch(wanted.name, reason));
        }
        unpack(wanted, &archive, &unpacked)?;
    }
    Ok(unpacked)
}

pub(crate) fn sha256(path: &Path) -> Result<String, DataError> {
    sha256_of(path).map_err(|e| DataError::file(path, e))
}

/// Runs the package client in `folder` and returns the archive that it left there.
pub(crate) fn download(wanted: Wanted, package: &Package, folder: &Path) -> Result<PathBuf, DataError> {
    let Package { name, version, .. } = package;
    let (program, arguments, hint) = match wanted.client {
        Client::Npm => ("npm", vec!["pack".into(), format!("{name}@{version}")], "install Node.js, which has npm"),
        Client::Pip => {
            let wanted = format!("{name}=={version}");
            ("pip", vec!["download".into(), "--no-deps".into(), wanted], "install Python with pip")
        }
        Client::Apt => ("apt-get", vec!["download".into(), format!("{name}={version}")], "this is a Debian package"),
    };
    let archives = folder.join(format!("archive-{}", name.replace(['/', '@'], "-")));
    std::fs::create_dir(&archives).map_err(|e| DataError::file(&archives, e))?;
    let label = format!("fetching {name} {version} with {program}");
    let mut command = Command::new(program);
    command.args(arguments).current_dir(&archives);
    run(wanted, command, &label, &archives, hint)?;
    let entries = std::fs::read_dir(&archives).map_err(|e| DataError::file(&archives, e))?;
    let archive = entries.filter_map(Result::ok).map(|entry| entry.path()).find(|path| path.is_file());
    archive.ok_or_else(|| DataError::fetch(wanted.name, format!("{program} left no file")))
}

/// Runs a client to its end, showing what it has brought so far.
pub(crate) fn run(
    wanted: Wanted,
    mut command: Command,
    label: &str,
    watched: &Path,
    hint: &str,
) -> Result<(), DataError> {
    let Wanted { name, otherwise, .. } = wanted;
    let program = command.get_program().to_string_lossy().into_owned();
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child =
        child.map_err(|e| DataError::fetch(name, format!("cannot run {program} ({e}); {hint}, or {otherwise}")))?;
    let bar = if std::io::stderr().is_terminal() {
        ProgressBar::new_spinner()
    } else {
        eprintln!("{label}");
        ProgressBar::hidden()
    };
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
        match child.try_wait().map_err(|e| DataError::fetch(name, e.to_string()))? {
            Some(status) => break status,
            None => {
                let bytes: u64 = std::fs::read_dir(watched)
                    .map(|entries| entries.flatten().filter_map(|e| e.metadata().ok()).map(|m| m.len()).sum())
                    .unwrap_or(0);
                bar.set_message(format!("{label}: {}", indicatif::HumanBytes(bytes)));
                bar.tick();
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    };
    bar.finish_and_clear();
    let said = said.join().unwrap_or_default();
    if status.success() {
        return Ok(());
    }
    let update = if wanted.client == Client::Apt { "run `apt-get update` first, " } else { "" };
    let why = telling_line(&said);
    let reason = format!("{program} failed ({why}); {update}check the network, or {otherwise}");
    Err(DataError::fetch(name, reason))
}

/// The line of a failed client that says why: the last one, but of npm, whose last names a log, the first sentence.
fn telling_line(said: &str) -> &str {
    let sentence = |line: &&str| {
        ["npm error", "npm ERR!"].iter().any(|mark| line.starts_with(mark)) && line.split_whitespace().count() > 5
    };
    let last = || said.lines().rev().find(|line| !line.trim().is_empty());
    said.lines().find(sentence).or_else(last).unwrap_or("it said nothing").trim()
}

fn unpack(wanted: Wanted, archive: &Path, into: &Path) -> Result<(), DataError> {
    std::fs::create_dir_all(into).map_err(|e| DataError::file(into, e))?;
    let mut command = match wanted.client {
        Client::Npm => {
            let file = std::fs::File::open(archive).map_err(|e| DataError::file(archive, e))?;
            let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(file));
            return tar.unpack(into).map_err(|e| DataError::file(archive, e));
        }
        Client::Pip => {
            let mut command = Command::new("python3");
            command.args(["-m", "zipfile", "-e"]);
            command
        }
        Client::Apt => {
            let mut command = Command::new("dpkg-deb");
            command.arg("-x");
            command
        }
    };
    command.arg(archive).arg(into);
    run(wanted, command, "unpacking", into, "it comes with the package client")
}

#[cfg(test)]
mod tests {
    use super::*;

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
