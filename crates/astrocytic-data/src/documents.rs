//! Documents as tokens, and nested subsets of them.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// A document as tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenizedDocument {
    /// Its tokens, the end token last.
    pub ids: Vec<u32>,
    /// Its exact −ln p, where the source is known.
    pub nats: Option<f64>,
    /// Bytes of its text.
    pub bytes: usize,
}

/// The first `tokens` tokens of the documents as `seed` shuffles them. Prefixes are nested for one seed.
pub fn subset(documents: &[TokenizedDocument], seed: u64, tokens: usize) -> Vec<u32> {
    let mut order: Vec<&TokenizedDocument> = documents.iter().collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    order.into_iter().flat_map(|document| document.ids.iter().copied()).take(tokens).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subsets_are_nested_and_end_with_the_whole() {
        let document = |ids: std::ops::Range<u32>| TokenizedDocument { ids: ids.collect(), nats: None, bytes: 0 };
        let documents = [1..6, 6..7, 7..14, 14..17, 17..26].map(document);
        let whole = subset(&documents, 3, 25);
        for size in 1..=25 {
            assert_eq!(subset(&documents, 3, size), whole[..size]);
        }
        let mut sorted = whole.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (1..=25).collect::<Vec<_>>());
        assert_ne!(subset(&documents, 4, 25), whole);
    }
}
