//! Results of earlier experiments that stand in for the same runs of a new one.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::report;
use crate::results::{Cell, Experiment, Line};

/// Lines of finished runs by the hashes of their cells.
#[derive(Debug, Default)]
pub(super) struct Reuse(HashMap<String, Vec<Line>>);

impl Reuse {
    /// Reads what each folder, or any below it, holds of a text and a device. A cell's name stands
    /// for everything else that its result depends on.
    ///
    /// # Errors
    /// For a folder without results, and results that cannot be read.
    pub(super) fn read(folders: &[PathBuf], sha256: &str, device: &str) -> Result<Self> {
        let mut found = Self::default();
        for folder in folders {
            let mut studies = Vec::new();
            find(folder, &mut studies).with_context(|| format!("--reuse: cannot read {}", folder.display()))?;
            if studies.is_empty() {
                bail!("--reuse: neither {} nor a folder below it holds results of an experiment", folder.display());
            }
            for study in studies {
                let (experiment, lines) = report::load(&study)?;
                if experiment.corpus.sha256 == sha256 && experiment.device == device {
                    found.add(&experiment, lines);
                }
            }
        }
        Ok(found)
    }

    /// Keeps the lines of runs that ended; what an earlier folder held stays.
    fn add(&mut self, experiment: &Experiment, lines: Vec<Line>) {
        let mut new: HashMap<String, Vec<Line>> = HashMap::new();
        for line in lines {
            new.entry(line.cell().id.clone()).or_default().push(with_commit(line, &experiment.commit));
        }
        new.retain(|_, lines| lines.iter().any(|line| matches!(line, Line::Result { .. })));
        for (id, mut lines) in new {
            // The result last, as runs store them.
            lines.sort_by_key(|line| matches!(line, Line::Result { .. }));
            self.0.entry(id).or_insert(lines);
        }
    }

    /// The lines of those of the cells that are held.
    pub(super) fn of<'a>(&self, cells: impl Iterator<Item = &'a Cell>) -> Vec<Line> {
        cells.filter_map(|cell| self.0.get(&cell.id)).flatten().cloned().collect()
    }
}

/// Folders that hold a study, in order.
fn find(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if ["experiment.json", "lines.jsonl"].iter().all(|file| folder.join(file).is_file()) {
        found.push(folder.to_path_buf());
    }
    let mut below = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        // Links could lead round in a circle.
        if entry.file_type()?.is_dir() {
            below.push(entry.path());
        }
    }
    below.sort();
    below.iter().try_for_each(|folder| find(folder, found))
}

/// The line with the commit that made it: where it names none, those that its experiment names.
fn with_commit(mut line: Line, experiment: &str) -> Line {
    let made_by = line.made_by(experiment);
    let (Line::Evaluation { commit, .. } | Line::Result { commit, .. }) = &mut line;
    *commit = made_by;
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::synthetic;

    #[test]
    fn runs_of_the_same_text_and_device_are_taken_over_with_their_commit() {
        let folder = tempfile::tempdir().unwrap();
        let (mut experiment, mut lines) = synthetic::quick();
        (experiment.corpus.sha256, experiment.device) = ("abc".into(), "flex".into());
        experiment.commit = "one".into();
        for line in &mut lines {
            let (Line::Evaluation { commit, .. } | Line::Result { commit, .. }) = line;
            commit.clear();
        }
        // An evaluation of a run that never ended.
        let orphan = lines.iter().find(|line| matches!(line, Line::Evaluation { .. })).unwrap().clone();
        let orphan = orphan.of(&Cell { id: "orphan".into(), ..lines[0].cell().clone() });
        let write = |name: &str, experiment: &Experiment| {
            let study = folder.path().join(name);
            std::fs::create_dir_all(&study).unwrap();
            report::save_experiment(&study, experiment).unwrap();
            let text = lines.iter().chain([&orphan]).map(|line| serde_json::to_string(line).unwrap() + "\n");
            std::fs::write(study.join("lines.jsonl"), text.collect::<String>()).unwrap();
        };
        write("a/study", &experiment);
        write("b", &Experiment { commit: "one, two".into(), ..experiment.clone() });
        let cells = || lines.iter().map(Line::cell).chain([orphan.cell()]);
        let of = |below: &str, sha256: &str, device: &str| {
            Reuse::read(&[folder.path().join(below)], sha256, device).unwrap()
        };
        let first = of("", "abc", "flex");
        let one = first.of([lines[0].cell()].into_iter());
        assert!(matches!(one.last(), Some(Line::Result { .. })) && one.iter().all(|line| line.commit() == "one"));
        assert!(
            of("b", "abc", "flex").of([lines[0].cell()].into_iter()).iter().all(|line| line.commit() == "one or two")
        );
        assert!(first.of([orphan.cell()].into_iter()).is_empty());
        assert!(of("", "abd", "flex").of(cells()).is_empty() && of("", "abc", "ndarray").of(cells()).is_empty());
        std::fs::create_dir(folder.path().join("c")).unwrap();
        assert!(Reuse::read(&[folder.path().join("c")], "abc", "flex").unwrap_err().to_string().contains("--reuse"));
        assert!(Reuse::read(&[folder.path().join("d")], "abc", "flex").is_err());
    }
}
