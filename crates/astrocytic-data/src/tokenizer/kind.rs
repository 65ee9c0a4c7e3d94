//! Kinds of tokenizers, as their names say them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::DataError;

/// Bytes and the end token.
const SMALLEST_BYTE_PAIR: usize = 257;

/// How text becomes tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum TokenizerKind {
    /// Each Unicode scalar value that the training text has; "char".
    Characters,
    /// Byte pairs (arXiv 1508.07909) over bytes, so that any text comes back whole; "bpe:SIZE".
    BytePair {
        /// Number of tokens, at least 257.
        vocabulary: usize,
    },
}

impl fmt::Display for TokenizerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Characters => f.write_str("char"),
            Self::BytePair { vocabulary } => write!(f, "bpe:{vocabulary}"),
        }
    }
}

impl FromStr for TokenizerKind {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        let size = text.strip_prefix("bpe:").and_then(|size| size.parse().ok());
        match (text, size) {
            ("char", _) => Ok(Self::Characters),
            (_, Some(vocabulary)) if vocabulary >= SMALLEST_BYTE_PAIR => Ok(Self::BytePair { vocabulary }),
            _ => Err(DataError::Tokenizer(format!(
                "unknown tokenizer \"{text}\"; use \"char\" or \"bpe:SIZE\" with a size of at least {SMALLEST_BYTE_PAIR}"
            ))),
        }
    }
}

impl TryFrom<String> for TokenizerKind {
    type Error = DataError;

    fn try_from(text: String) -> Result<Self, DataError> {
        text.parse()
    }
}

impl From<TokenizerKind> for String {
    fn from(kind: TokenizerKind) -> Self {
        kind.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_read_as_they_are_written() {
        for kind in [TokenizerKind::Characters, TokenizerKind::BytePair { vocabulary: 512 }] {
            assert_eq!(kind.to_string().parse::<TokenizerKind>().unwrap(), kind);
        }
        assert!("bpe:100".parse::<TokenizerKind>().unwrap_err().to_string().contains("257"));
        assert!("words".parse::<TokenizerKind>().is_err());
    }
}
