//! A file of labelled texts.

use std::path::Path;

use super::form::Form;
use super::row::LabelledText;
use super::shown::FORMS;
use super::{columns, lines, objects};
use crate::error::DataError;
use crate::text::{Text, read_text};

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelledFile {
    /// In the file's order.
    pub texts: Vec<LabelledText>,
    /// What was taken for the labels.
    pub labels_from: &'static str,
    /// What its reader has to know about how it was read.
    pub notes: Vec<String>,
}

/// Reads a file in the form that its name tells, in capitals or not: a table with columns `text` and `label` (.csv, .tsv),
/// objects with such members, one a line (.jsonl, .ndjson, .json), or else lines "label text". Blank rows are left out.
///
/// # Errors
/// For a file that cannot be read, or is not of that form, with the line.
pub fn read(path: &Path) -> Result<LabelledFile, DataError> {
    let name = path.display().to_string();
    let Text { text, mut notes } = read_text(path)?;
    let mut headers = 0;
    let (labels_from, rows) = match Form::of(path) {
        Form::Table => {
            let (rows, again) = columns::rows(&text);
            headers = again;
            ("the column \"label\"", rows)
        }
        Form::Objects => ("the member \"label\"", objects::rows(&text)),
        Form::Lines => {
            let (from, rows) = lines::rows(&text);
            (from, rows.map_err(|reason| format!("{reason}; {FORMS}")))
        }
    };
    let rows = rows.map_err(|reason| DataError::text(&name, reason))?;
    let all = rows.len();
    let texts: Vec<LabelledText> = rows.into_iter().flatten().collect();
    match all - texts.len() {
        0 => {}
        1 => notes.push(format!("{name}: 1 blank row is left out")),
        blank => notes.push(format!("{name}: {blank} blank rows are left out")),
    }
    if headers > 0 {
        notes.push(format!("{name}: its first line comes again, {headers} times; left out"));
    }
    Ok(LabelledFile { texts, labels_from, notes })
}
