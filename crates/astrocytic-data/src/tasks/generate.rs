//! Examples that a generator makes.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::splits::Splits;
use super::wanted::Wanted;
use crate::examples::Example;

/// Examples that a generator makes, told whether they are to learn from; no two of them alike, each split from a stream of random
/// numbers of its own.
pub(super) fn generate(wanted: &Wanted, example: impl Fn(bool, &mut ChaCha8Rng) -> Example) -> Splits<Example> {
    const TRAINING: u64 = 0;
    let mut seen = HashSet::new();
    let mut split = |stream, count| {
        let mut random = ChaCha8Rng::seed_from_u64(wanted.seed);
        random.set_stream(stream);
        let mut examples = Vec::new();
        while examples.len() < count {
            let example = example(stream == TRAINING, &mut random);
            let mut hasher = DefaultHasher::new();
            example.tokens.hash(&mut hasher);
            if seen.insert(hasher.finish()) {
                examples.push(example);
            }
        }
        examples
    };
    // What is held out first, so that it does not depend on how much is trained on.
    let (test, tuning) = (split(2, wanted.test), split(1, wanted.tuning));
    Splits { train: split(TRAINING, wanted.train), tuning, test }
}
