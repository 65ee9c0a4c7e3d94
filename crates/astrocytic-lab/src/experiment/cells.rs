//! The cells of a results folder, shared by every process that works there, on whatever machine.
//!
//! `lines.jsonl` alone says what is done. While cells are trained for, the folder `cells/NAME` of
//! their training holds a lock, the lines so far and a checkpoint; they go when the cells' lines
//! are appended. The locks are the system's: they fall with the process that held them.

use std::collections::HashSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};

use crate::experiment::job::Training;
use crate::report::whole_lines;
use crate::results::{Cell, Line};

/// What one process knows of a results folder.
pub struct Cells {
    folder: PathBuf,
    /// Bytes of `lines.jsonl` that were read, and the lines in them.
    read: (u64, usize),
    done: HashSet<String>,
}

/// The right to train for cells, until it is dropped.
pub struct Claim {
    folder: PathBuf,
    lock: File,
}

impl Claim {
    /// The training's own folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What an earlier process wrote up to a step: evaluations.
    ///
    /// # Errors
    /// For a file that cannot be read.
    pub fn lines_up_to(&self, last: u64) -> Result<Vec<Line>> {
        let path = self.folder.join("lines.jsonl");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let parse = |line| {
            serde_json::from_str(line)
                .with_context(|| format!("{}: remove the folder to begin the run anew", path.display()))
        };
        let mut lines: Vec<Line> = text.lines().map(parse).collect::<Result<_>>()?;
        lines.retain(|line| matches!(line, Line::Evaluation { step, .. } if *step <= last));
        Ok(lines)
    }

    /// Keeps the evaluations so far.
    ///
    /// # Errors
    /// For a file that cannot be written.
    pub fn keep(&self, lines: &[Line]) -> Result<()> {
        let path = self.folder.join("lines.jsonl");
        astrocytic_data::write_atomically(&path, &json_lines(lines)?)
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

impl Cells {
    /// The cells of a folder; nothing is read yet.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_path_buf(), read: (0, 0), done: HashSet::new() }
    }

    fn path(&self) -> PathBuf {
        self.folder.join("lines.jsonl")
    }

    /// The lines that came since this was last asked.
    ///
    /// # Errors
    /// For a file that cannot be read, or a malformed line.
    pub fn news(&mut self) -> Result<Vec<Line>> {
        let path = self.path();
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let mut text = Vec::new();
        file.seek(SeekFrom::Start(self.read.0))
            .and_then(|_| file.read_to_end(&mut text))
            .with_context(|| format!("cannot read {}", path.display()))?;
        let whole = whole_lines(&text);
        let mut lines = Vec::new();
        for (place, line) in text[..whole].split(|&byte| byte == b'\n').enumerate() {
            if line.is_empty() {
                continue;
            }
            let number = self.read.1 + place + 1;
            let line: Line = serde_json::from_slice(line)
                .map_err(|error| anyhow!("{}, line {number}: {error}; mend or remove that line", path.display()))?;
            if let Line::Result { cell, .. } = &line {
                self.done.insert(cell.id.clone());
            }
            lines.push(line);
        }
        self.read.0 += whole as u64;
        self.read.1 += text[..whole].iter().filter(|&&byte| byte == b'\n').count();
        Ok(lines)
    }

    /// Whether the cell was done when [`news`](Self::news) were last asked for.
    pub fn is_done(&self, cell: &Cell) -> bool {
        self.done.contains(&cell.id)
    }

    /// Whether all that a training is for was done then.
    pub(crate) fn are_done(&self, training: &Training) -> bool {
        self.is_done(&training.first) && training.others.iter().all(|cell| self.is_done(cell))
    }

    /// Takes a training to run it; `None` where its cells are done, or it is held by another.
    ///
    /// # Errors
    /// For a folder that cannot be read or written.
    pub(crate) fn take(&mut self, training: &Training) -> Result<Option<Claim>> {
        let folder = self.folder.join("cells").join(&training.name);
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        let lock = match File::create(folder.join("lock")) {
            Ok(lock) => lock,
            // Another has just finished it and removed its folder.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot write in {}", folder.display())),
        };
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(no_locks(&folder, error)),
            Ok(()) => {}
        }
        // Another may have finished it between the last news and the lock.
        self.news()?;
        if self.are_done(training) {
            remove(Claim { folder, lock });
            return Ok(None);
        }
        Ok(Some(Claim { folder, lock }))
    }

    /// Removes what is left of running when all cells are done.
    pub fn close(self) {
        let _ = std::fs::remove_dir_all(self.folder.join("cells"));
    }

    /// Stores the lines of finished cells; the folder goes.
    ///
    /// # Errors
    /// For a file that cannot be written or locked.
    pub fn finish(&mut self, claim: Claim, lines: Vec<Line>) -> Result<()> {
        self.append(lines)?;
        remove(claim);
        Ok(())
    }

    /// Appends the lines of finished cells, their results last, all at once, but for cells that are
    /// done already.
    ///
    /// # Errors
    /// For a file that cannot be written or locked.
    pub(crate) fn append(&mut self, mut lines: Vec<Line>) -> Result<()> {
        let path = self.path();
        let alone = alone(&self.folder)?;
        self.news()?;
        lines.retain(|line| !self.is_done(line.cell()));
        if !lines.is_empty() {
            let append = || -> std::io::Result<()> {
                let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
                // Whatever is beyond the last whole line was cut short by a kill.
                file.set_len(self.read.0)?;
                file.write_all(&json_lines(&lines)?)?;
                file.sync_data()
            };
            append().with_context(|| format!("cannot write {}", path.display()))?;
        }
        drop(alone);
        Ok(())
    }
}

/// Keeps every other process out of a folder's description and lines until it is dropped.
///
/// # Errors
/// For a folder that cannot be written, or a file system without locks.
pub(crate) fn alone(folder: &Path) -> Result<File> {
    let path = folder.join("cells/lock");
    std::fs::create_dir_all(folder.join("cells"))
        .with_context(|| format!("cannot make the folder {}", folder.join("cells").display()))?;
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    file.lock().map_err(|error| no_locks(folder, error))?;
    Ok(file)
}

fn no_locks(folder: &Path, error: std::io::Error) -> anyhow::Error {
    anyhow!("{}: its file system has no file locks ({error}); give another --out", folder.display())
}

fn json_lines(lines: &[Line]) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut text, line)?;
        text.push(b'\n');
    }
    Ok(text)
}

/// Removes a done training's folder. That it fails does no harm: whoever takes it up again finds
/// its cells done.
fn remove(claim: Claim) {
    let Claim { folder, lock } = claim;
    // A file that is open stays behind on some file systems.
    drop(lock);
    let _ = std::fs::remove_dir_all(folder);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Phase, Status, Trial};

    fn cell(id: &str) -> Cell {
        let trial = Trial { learning_rate: 0.1, weight_decay: 0.0, schedule: 4 };
        Cell { id: id.into(), phase: Phase::Tune, arm: "vanilla".into(), size: 9, seed: 0, trial }
    }

    fn training(id: &str) -> Training {
        Training { name: id.into(), first: cell(id), others: vec![] }
    }

    fn result(id: &str) -> Line {
        Line::Result {
            cell: cell(id),
            status: Status::Finished,
            best_step: 4,
            steps: 4,
            tuning_loss: 1.0,
            tuning_accuracy: None,
            test: None,
            tokens_per_second: 1.0,
            seconds: 1.0,
            peak_bytes: None,
            commit: String::new(),
        }
    }

    fn evaluation(step: u64) -> Line {
        Line::Evaluation {
            cell: cell("a"),
            step,
            tokens: step,
            train_loss: 1.0,
            tuning_loss: 1.0,
            accuracy: None,
            // Of the program that made it, whichever goes on.
            commit: "before".into(),
        }
    }

    #[test]
    fn a_cell_is_held_by_one_and_finished_once() {
        let folder = tempfile::tempdir().unwrap();
        let [mut one, mut other] = [Cells::new(folder.path()), Cells::new(folder.path())];
        let claim = one.take(&training("a")).unwrap().unwrap();
        assert!(other.take(&training("a")).unwrap().is_none() && !other.is_done(&cell("a")));
        let second = other.take(&training("b")).unwrap().unwrap();
        one.finish(claim, vec![evaluation(4), result("a")]).unwrap();
        assert!(other.take(&training("a")).unwrap().is_none() && other.is_done(&cell("a")));
        // Given up: another may have it.
        drop(second);
        let claim = one.take(&training("b")).unwrap().unwrap();
        // A kill cut the last line of another.
        let path = folder.path().join("lines.jsonl");
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"kind\":\"resu").unwrap();
        one.finish(claim, vec![result("b")]).unwrap();
        assert_eq!(Cells::new(folder.path()).news().unwrap(), [evaluation(4), result("a"), result("b")]);
        // A cell more that the same training serves: it alone is added.
        let more = Training { others: vec![cell("c")], ..training("a") };
        let claim = one.take(&more).unwrap().unwrap();
        one.finish(claim, vec![evaluation(4), result("a"), result("c")]).unwrap();
        assert!(one.take(&more).unwrap().is_none());
        assert_eq!(Cells::new(folder.path()).news().unwrap()[3..], [result("c")]);
        assert!(!folder.path().join("cells/a").exists() && !folder.path().join("cells/b").exists());
        one.close();
        assert!(!folder.path().join("cells").exists());
    }

    #[test]
    fn evaluations_after_the_checkpoint_are_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let claim = Cells::new(folder.path()).take(&training("a")).unwrap().unwrap();
        assert!(claim.lines_up_to(9).unwrap().is_empty());
        claim.keep(&[evaluation(2), evaluation(4)]).unwrap();
        assert_eq!(claim.lines_up_to(4).unwrap(), [evaluation(2), evaluation(4)]);
        assert_eq!(claim.lines_up_to(3).unwrap(), [evaluation(2)]);
        std::fs::write(claim.folder().join("lines.jsonl"), "{}\n").unwrap();
        assert!(claim.lines_up_to(3).is_err());
    }
}
