//! What a study stores and its report is made from: `experiment.json` and `lines.jsonl`.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result, anyhow};

use super::save::save_json;
use crate::results::{Experiment, Line};

/// Reads `experiment.json` and `lines.jsonl`. The lines may be missing; a last line cut short by a
/// kill is left out.
///
/// # Errors
/// For a folder without an experiment, and for a malformed line, with its number.
pub fn load(folder: &Path) -> Result<(Experiment, Vec<Line>)> {
    let path = folder.join("experiment.json");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}; is this a folder that `compare` wrote?", path.display()))?;
    let experiment = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
    let path = folder.join("lines.jsonl");
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let whole = &text[..whole_lines(&text)];
    let lines = whole.split(|&byte| byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty());
    let parse = |(index, line): (usize, &[u8])| {
        serde_json::from_slice(line)
            .map_err(|error| anyhow!("{}, line {}: {error}; mend or remove that line", path.display(), index + 1))
    };
    Ok((experiment, lines.map(parse).collect::<Result<_>>()?))
}

/// Writes `experiment.json`.
///
/// # Errors
/// If the folder cannot be written.
pub fn save_experiment(folder: &Path, experiment: &Experiment) -> Result<()> {
    save_json(folder, "experiment.json", experiment)
}

/// Number of bytes up to the last line break, inclusive.
pub(crate) fn whole_lines(text: &[u8]) -> usize {
    text.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1)
}
