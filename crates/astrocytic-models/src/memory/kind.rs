//! What of a model goes on learning.

use serde::{Deserialize, Serialize};

use super::ngram::NGramMemory;

/// What of a model goes on learning from the text that it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemoryKind {
    /// Its read-out, by the delta rule.
    ReadOut,
    /// Its read-out, and a memory of what followed the last one, two and three tokens.
    Ngram,
    /// All of its weights, by gradient descent.
    Dynamic,
}

impl MemoryKind {
    /// Rates to choose from on held-out text, ascending.
    pub fn rates(self) -> [f32; 5] {
        match self {
            Self::ReadOut | Self::Ngram => [0.1, 0.2, 0.4, 0.8, 1.6],
            Self::Dynamic => [0.01, 0.03, 0.1, 0.3, 1.0],
        }
    }

    /// The rate where none was chosen: the middle of [`rates`](Self::rates).
    pub fn default_rate(self) -> f32 {
        self.rates()[2]
    }

    /// Bytes of what is learned, at most, in f32: the weights beside the trained ones, and the rows of a memory that is full.
    pub fn state_bytes(self, vocabulary: usize, d_model: usize, parameters: u64) -> u64 {
        let read_out = (vocabulary * d_model) as u64;
        4 * match self {
            Self::ReadOut => read_out,
            Self::Ngram => read_out + NGramMemory::most_numbers(vocabulary),
            Self::Dynamic => parameters,
        }
    }
}
