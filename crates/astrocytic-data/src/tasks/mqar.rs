//! MQAR, associative recall of many queries (Zoology, arXiv 2312.04927, appendix A): keys with their values, then the same
//! keys once more each, where the value is to be recalled.

use rand::RngExt;
use rand::seq::SliceRandom;
use rand::seq::index::{sample, sample_weighted};
use rand_chacha::ChaCha8Rng;

use super::{Example, Splits, Wanted, generate};

/// Number of tokens: half are keys, half values.
pub const MQAR_VOCABULARY: usize = 8_192;
const HALF: usize = MQAR_VOCABULARY / 2;

/// A query's distance from the pairs has a density of this power less one: most come soon.
const POWER: f64 = 0.01;

/// Queries stand at every other place behind the pairs, so each pair takes four tokens.
pub(super) fn fits(length: usize, pairs: usize) -> bool {
    (1..=HALF / 2).contains(&pairs) && (4 * pairs..=1 << 16).contains(&length)
}

pub(super) fn examples(length: usize, pairs: usize, wanted: &Wanted) -> Splits<Example> {
    generate(wanted, |random| example(length, pairs, random))
}

fn example(length: usize, pairs: usize, random: &mut ChaCha8Rng) -> Example {
    // Key 0 is none, so that a token which stands for nothing is left.
    let keys: Vec<usize> = sample(random, HALF - 1, pairs).iter().map(|key| key + 1).collect();
    let values: Vec<usize> = sample(random, HALF, pairs).iter().map(|value| value + HALF).collect();
    let mut tokens: Vec<u32> = keys.iter().zip(&values).flat_map(|(&key, &value)| [key as u32, value as u32]).collect();
    // Elsewhere stands anything.
    tokens.extend((2 * pairs..length).map(|_| random.random_range(0..MQAR_VOCABULARY as u32)));
    let slots = (length - 2 * pairs) / 2;
    let weight = |slot: usize| ((slot + 1) as f64).powf(POWER - 1.0);
    let chosen = sample_weighted(random, slots, weight, pairs).expect("a place for each pair, of positive weight");
    // In an order of their own: where a query stands must not tell which pair it is of.
    let mut chosen = chosen.into_vec();
    chosen.shuffle(random);
    let mut answers = Vec::with_capacity(pairs);
    for (pair, slot) in chosen.into_iter().enumerate() {
        let place = 2 * pairs + 2 * slot;
        tokens[place] = keys[pair] as u32;
        answers.push((place, values[pair] as u32));
    }
    answers.sort_unstable();
    Example { tokens, answers }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::super::tests::WANTED;
    use super::*;

    #[test]
    fn every_key_is_asked_for_once_and_its_value_stands_behind_it() {
        for (length, pairs) in [(64, 4), (128, 32), (4, 1)] {
            for example in examples(length, pairs, &WANTED).train {
                assert_eq!((example.tokens.len(), example.answers.len()), (length, pairs));
                let pair = |pair: &[u32]| (pair[0], pair[1]);
                let mut known: HashMap<u32, u32> = example.tokens[..2 * pairs].chunks(2).map(pair).collect();
                for (place, value) in example.answers {
                    assert!(place >= 2 * pairs && value as usize >= HALF);
                    assert_eq!(known.remove(&example.tokens[place]), Some(value));
                }
                assert!(known.is_empty());
            }
        }
    }

    #[test]
    fn a_querys_place_does_not_tell_its_pair() {
        let wanted = Wanted { train: 2_000, ..WANTED };
        let mut places = [0.0; 16];
        for example in examples(128, 16, &wanted).train {
            for (place, _) in example.answers {
                let pair = example.tokens[..32].iter().step_by(2).position(|&key| key == example.tokens[place]);
                places[pair.unwrap()] += place as f64 / 2_000.0;
            }
        }
        let mean = places.iter().sum::<f64>() / 16.0;
        // The mean of one pair has a standard error of about half a place.
        assert!(places.iter().all(|place| (place - mean).abs() < 3.0), "{places:?}");
    }

    #[test]
    fn most_queries_come_soon() {
        let wanted = Wanted { train: 500, ..WANTED };
        let places = examples(64, 4, &wanted).train.into_iter().flat_map(|e| e.answers.into_iter().map(|(p, _)| p));
        let places: Vec<usize> = places.collect();
        let soon = places.iter().filter(|&&place| place < 8 + 56 / 4).count();
        assert!(soon as f64 > 0.5 * places.len() as f64, "{soon} of {}", places.len());
    }
}
