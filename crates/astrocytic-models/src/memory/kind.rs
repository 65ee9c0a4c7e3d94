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

    /// Bytes of what is learned, at most, in f32: the weights beside the trained ones, and the rows
    /// of a memory that is full.
    pub fn state_bytes(self, vocabulary: usize, d_model: usize, parameters: u64) -> u64 {
        let read_out = (vocabulary * d_model) as u64;
        4 * match self {
            Self::ReadOut => read_out,
            Self::Ngram => read_out + NGramMemory::most_numbers(vocabulary),
            Self::Dynamic => parameters,
        }
    }

    /// Operations that it adds to each token that is read: reading what was learned, and learning.
    /// `forward` are those of the model's forward pass, and all weights take a step after each
    /// `window` of tokens.
    pub fn flops_per_token(
        self,
        vocabulary: usize,
        d_model: usize,
        forward: f64,
        parameters: u64,
        window: usize,
    ) -> f64 {
        // A product of the weights with the features, and one that adds to them.
        let read_out = 4.0 * (vocabulary * d_model) as f64;
        match self {
            Self::ReadOut => read_out,
            Self::Ngram => read_out + NGramMemory::flops_per_token(vocabulary),
            // The norm of the gradient, its scale, and the step.
            Self::Dynamic => 2.0 * forward + 5.0 * parameters as f64 / window.max(1) as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn learning_costs_what_it_adds_to_a_token() {
        let of = |kind: MemoryKind| kind.flops_per_token(100, 8, 10_000.0, 4_000, 50);
        assert_eq!(of(MemoryKind::ReadOut), 2.0 * 800.0 + 2.0 * 800.0);
        assert_eq!(of(MemoryKind::Ngram), of(MemoryKind::ReadOut) + 3.0 * 3.0 * 100.0);
        // A backward pass is two forward passes; a step over all weights serves a whole window.
        assert_eq!(of(MemoryKind::Dynamic), 20_000.0 + 5.0 * 4_000.0 / 50.0);
    }
}
