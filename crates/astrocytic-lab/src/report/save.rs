//! Files of a report.

use std::path::Path;

use anyhow::{Context, Result};
use astrocytic_data::write_atomically;
use serde::Serialize;

/// Writes a file as a whole, or leaves the old one as it was.
pub(crate) fn save(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = folder.join(name);
    write_atomically(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

/// Writes a value as JSON, as a whole or not at all.
pub(crate) fn save_json(folder: &Path, name: &str, value: &impl Serialize) -> Result<()> {
    let mut json = serde_json::to_vec_pretty(value)?;
    json.push(b'\n');
    save(folder, name, &json)
}
