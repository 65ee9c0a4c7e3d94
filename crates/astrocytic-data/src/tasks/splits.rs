//! Examples in training, tuning and test.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::examples::Example;
use crate::tokenizer::Tokenizer;

/// Seed by which examples are dealt to the splits: one split for everybody.
const SPLIT_SEED: u64 = 0;

/// Examples in three splits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Splits<T> {
    /// To learn from.
    pub train: Vec<T>,
    /// To choose rates and to stop by.
    pub tuning: Vec<T>,
    /// To report, read once.
    pub test: Vec<T>,
}

/// The examples of a task.
pub struct Examples {
    /// Number of tokens, answers among them.
    pub vocabulary: usize,
    /// Tokenizer of the texts, where there are any.
    pub tokenizer: Option<Tokenizer>,
    /// The examples.
    pub splits: Splits<Example>,
    /// Further tests: how many times as long as in training, and the examples.
    pub longer: Vec<(u32, Vec<Example>)>,
    /// What was guessed or left out in reading them, for the user to see.
    pub notes: Vec<String>,
}

/// The first `count` of the examples as `seed` shuffles them. Prefixes are nested for one seed.
pub fn subset_of_examples(examples: &[Example], seed: u64, count: usize) -> Vec<Example> {
    let mut order: Vec<&Example> = examples.iter().collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    order.into_iter().take(count).cloned().collect()
}

/// Shuffles by the fixed seed.
pub(super) fn deal<T>(mut all: Vec<T>) -> Vec<T> {
    all.shuffle(&mut ChaCha8Rng::seed_from_u64(SPLIT_SEED));
    all
}
