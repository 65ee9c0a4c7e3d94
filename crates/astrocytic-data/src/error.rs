//! What can go wrong with data, and what to do about it.

use std::path::{Path, PathBuf};

/// An error of this crate: one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file that cannot be read or written.
    #[error("{path}: {cause}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// A text that cannot be used.
    #[error("{name}: {reason}")]
    Text {
        /// Name or path of the text.
        name: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A name that is neither a corpus nor a file.
    #[error("unknown corpus \"{name}\": neither a file nor one of {known}")]
    UnknownCorpus {
        /// The name.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A name that is neither a pretrained model nor a file.
    #[error("unknown model \"{name}\": neither a file or folder nor one of {known}")]
    UnknownModel {
        /// The name.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A download that failed.
    #[error("fetching {name}: {reason}")]
    Fetch {
        /// The corpus or model.
        name: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A tokenizer that cannot be trained or loaded.
    #[error("tokenizer: {0}")]
    Tokenizer(String),
    /// Too few tokens for what was asked.
    #[error("{tokens} tokens are too few for a context of {context}; use a longer text or a shorter context")]
    TooShort {
        /// Tokens there are.
        tokens: usize,
        /// Tokens of context asked for.
        context: usize,
    },
}

impl DataError {
    pub(crate) fn file(path: &Path, cause: std::io::Error) -> Self {
        Self::File { path: path.into(), cause }
    }

    pub(crate) fn tokenizer(reason: impl std::fmt::Display) -> Self {
        Self::Tokenizer(reason.to_string())
    }

    pub(crate) fn text(name: &str, reason: impl Into<String>) -> Self {
        Self::Text { name: name.into(), reason: reason.into() }
    }

    pub(crate) fn fetch(name: &str, reason: impl Into<String>) -> Self {
        Self::Fetch { name: name.into(), reason: reason.into() }
    }
}
