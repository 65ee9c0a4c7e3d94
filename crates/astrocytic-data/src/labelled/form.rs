//! What a file's name says of its form.

use std::path::Path;

/// The form of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Columns with titles.
    Table,
    /// JSON, an object a line.
    Objects,
    /// A label and a text, or text alone.
    Lines,
}

impl Form {
    /// By the end of its name, in capitals or not.
    pub(crate) fn of(path: &Path) -> Self {
        match path.extension().unwrap_or_default().to_string_lossy().to_lowercase().as_str() {
            "csv" | "tsv" => Self::Table,
            "json" | "jsonl" | "ndjson" => Self::Objects,
            _ => Self::Lines,
        }
    }
}
