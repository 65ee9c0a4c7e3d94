//! Why a pretrained model could not be read: one line that names the file, the place in it and what
//! to do.

use std::fmt::Display;
use std::path::{Path, PathBuf};

/// Why a pretrained model could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PretrainedError {
    /// A file that cannot be read.
    #[error("{path}: {cause}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// Bytes that are not the format, or a format that is not known.
    #[error("{path}: {reason}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A field of the configuration that is missing, makes no sense, or asks for what is not
    /// supported.
    #[error("{path}: {reason}")]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong, by the field's name.
        reason: String,
    },
    /// A tensor that is missing, of another shape or of a type that is not supported.
    #[error("{path}: tensor {tensor}: {reason}")]
    Tensor {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// What is wrong.
        reason: String,
    },
    /// A tokenizer that is not one or does not fit the model.
    #[error("{path}: tokenizer: {reason}")]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl PretrainedError {
    pub(super) fn file(path: &Path, cause: std::io::Error) -> Self {
        Self::File { path: path.into(), cause }
    }

    pub(super) fn format(path: &Path, reason: impl Display) -> Self {
        Self::Format { path: path.into(), reason: one_line(reason) }
    }

    pub(super) fn config(path: &Path, reason: impl Display) -> Self {
        Self::Config { path: path.into(), reason: one_line(reason) }
    }

    pub(super) fn tensor(path: &Path, tensor: impl Display, reason: impl Display) -> Self {
        Self::Tensor { path: path.into(), tensor: one_line(tensor), reason: one_line(reason) }
    }

    pub(super) fn tokenizer(path: &Path, reason: impl Display) -> Self {
        Self::Tokenizer { path: path.into(), reason: one_line(reason) }
    }
}

/// Most characters of a message. Names come from files, where they may be of any length.
const MOST_CHARACTERS: usize = 240;

/// `text` on one line, cut where it is long.
pub(super) fn one_line(text: impl Display) -> String {
    let text = text.to_string();
    let mut line = String::new();
    for c in text.chars().take(MOST_CHARACTERS) {
        match c {
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => line.extend(c.escape_default()),
            c => line.push(c),
        }
    }
    if text.chars().nth(MOST_CHARACTERS).is_some() {
        line.push('…');
    }
    line
}
