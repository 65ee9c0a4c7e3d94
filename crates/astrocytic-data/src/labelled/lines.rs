//! Lines "label text".

use super::row::{LabelledText, Rows};
use crate::text;

/// The rows, and what was taken for the labels.
pub(super) fn rows(text: &str) -> (&'static str, Rows) {
    let full = || text::lines(text).filter(|(_, line)| !line.trim().is_empty());
    // Where every line has a tab it is no blank of a text, and labels may have blanks.
    let tabs = full().all(|(_, line)| line.contains('\t'));
    let separates = |c: char| if tabs { c == '\t' } else { c.is_whitespace() };
    let row = |(number, line): (usize, &str)| {
        if line.trim().is_empty() {
            return Ok(None);
        }
        let line = if tabs { line } else { line.trim_start() };
        let (label, text) = line.split_once(separates).unwrap_or((line, ""));
        LabelledText::whole(number, label.trim().into(), text.trim().into()).map(Some)
    };
    let from = if tabs { "what stands before each line's tab" } else { "each line's first word" };
    (from, text::lines(text).map(row).collect())
}
