//! The program that workers run: this one, whatever lies at its path meanwhile.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use astrocytic_data::sha256_of;

/// What Linux starts this process's program by: the file that it was started from, though it be
/// replaced or removed.
const RUNNING: &str = "/proc/self/exe";

/// This process's program.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    sha256: String,
}

impl Program {
    /// The program as it is now: to be asked for when a run begins.
    ///
    /// # Errors
    /// For a file that cannot be read.
    pub fn this() -> Result<Self> {
        let path = std::env::current_exe().context("finding this program to start its workers")?;
        let file = if running() { Path::new(RUNNING) } else { &path };
        let sha256 = sha256_of(file).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self { path, sha256 })
    }

    /// Of its file.
    pub(crate) fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Starts it on this machine.
    pub(crate) fn command(&self) -> Command {
        if !running() {
            return Command::new(&self.path);
        }
        let mut command = Command::new(RUNNING);
        #[cfg(unix)]
        std::os::unix::process::CommandExt::arg0(&mut command, &self.path);
        command
    }

    /// Its path, by which other machines start it.
    ///
    /// # Errors
    /// Where another program lies there, or none.
    pub(crate) fn path(&self) -> Result<&Path> {
        if sha256_of(&self.path).is_ok_and(|found| found == self.sha256) {
            return Ok(&self.path);
        }
        bail!(
            "{}: the program was replaced or removed while it ran; start the command again to go on",
            self.path.display()
        )
    }

    /// Refuses to do the work of a run that another program began.
    pub(crate) fn must_be(&self, sha256: &str) -> Result<()> {
        if self.sha256 == sha256 {
            return Ok(());
        }
        bail!("{}: the program was replaced since the run began; start the command again to go on", self.path.display())
    }
}

fn running() -> bool {
    cfg!(target_os = "linux") && Path::new(RUNNING).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_program_at_the_path_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let this = Program::this().unwrap();
        this.must_be(this.sha256()).unwrap();
        assert!(this.must_be("0").unwrap_err().to_string().contains("replaced"));
        let path = folder.path().join("program");
        let moved = Program { path: path.clone(), ..this.clone() };
        assert!(moved.path().unwrap_err().to_string().contains("removed"));
        std::fs::copy(&this.path, &path).unwrap();
        assert_eq!(moved.path().unwrap(), path);
        std::fs::write(&path, "another").unwrap();
        assert!(moved.path().unwrap_err().to_string().contains("replaced"));
    }
}
