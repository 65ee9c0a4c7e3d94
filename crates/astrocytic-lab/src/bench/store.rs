//! Rows stored in a folder.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};

use super::row::Row;

/// Name of the file of rows in a folder.
const ROWS: &str = "rows.jsonl";

/// Keeps rows in a folder, each as soon as it is there.
pub struct Store(File);

impl Store {
    /// A new file of rows in `folder`.
    ///
    /// # Errors
    /// Where there is one already, or the folder cannot be written.
    pub fn create(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let path = folder.join(ROWS);
        let file = File::create_new(&path);
        Ok(Self(file.with_context(|| format!("{}: choose a folder without stored rows", path.display()))?))
    }

    /// Adds a row.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn add(&mut self, row: &Row) -> Result<()> {
        writeln!(self.0, "{}", serde_json::to_string(row)?)?;
        Ok(self.0.sync_data()?)
    }
}

/// The rows stored in a folder.
///
/// # Errors
/// Where there are none or a line is not a row; says which.
pub fn stored(folder: &Path) -> Result<Vec<Row>> {
    let path = folder.join(ROWS);
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let row = |(i, line): (usize, &str)| {
        serde_json::from_str(line).with_context(|| format!("{}, line {}: not a row", path.display(), i + 1))
    };
    text.lines().enumerate().map(row).collect()
}
