//! A text with its label, as a row of a file has it.

use super::shown::shown;

/// A text and its label; neither is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelledText {
    /// The label.
    pub label: String,
    /// The text.
    pub text: String,
}

/// The rows of a file; `None` is a blank one. An error is what is wrong, with the line.
pub(super) type Rows = Result<Vec<Option<LabelledText>>, String>;

impl LabelledText {
    /// A row of which neither part is empty.
    pub(super) fn whole(line: usize, label: String, text: String) -> Result<Self, String> {
        let missing = match (label.is_empty(), text.is_empty()) {
            (false, false) => return Ok(Self { label, text }),
            (true, false) => format!("a text and no label: {}", shown(&text)),
            (false, true) => format!("a label and no text: {}", shown(&label)),
            (true, true) => "neither a text nor a label".into(),
        };
        Err(format!("line {line} has {missing}"))
    }
}
