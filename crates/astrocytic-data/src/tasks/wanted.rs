//! What is asked of a task.

use crate::tokenizer::TokenizerKind;

/// How many examples are wanted, and how they are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Tokenizer of texts; what is generated has symbols of its own.
    pub tokenizer: TokenizerKind,
    /// Tokens of the longest example.
    pub context: usize,
    /// Training examples of a generated task; of others all that there are.
    pub train: usize,
    /// Tuning examples at most.
    pub tuning: usize,
    /// Test examples at most.
    pub test: usize,
    /// Seed of generated examples.
    pub seed: u64,
}

/// A few examples.
#[cfg(test)]
pub(super) const WANTED: Wanted = Wanted {
    tokenizer: TokenizerKind::BytePair { vocabulary: 300 },
    context: 128,
    train: 50,
    tuning: 20,
    test: 30,
    seed: 0,
};
