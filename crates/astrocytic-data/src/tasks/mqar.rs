//! MQAR, associative recall of many queries (Zoology, arXiv 2312.04927, appendix A): keys with their values, then the same
//! keys once more each, where the value is to be recalled.

use rand::RngExt;
use rand::seq::index::{sample, sample_weighted};
use rand::seq::{IndexedRandom, SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::generate::generate;
use super::splits::Splits;
use super::wanted::Wanted;
use crate::examples::Example;

/// Number of tokens: half are keys, half values.
pub const MQAR_VOCABULARY: usize = 8_192;
const HALF: usize = MQAR_VOCABULARY / 2;

/// The token between queries, no key: as for figure 2 of the paper, whose code can put random tokens there too.
const NOTHING: u32 = 0;

/// A query's distance from the pairs has a density of this power less one: most come soon.
const POWER: f64 = 0.01;

/// Pairs of the smallest blocks: Zoology's easiest setting.
const FEWEST: usize = 4;

/// Queries stand at every other place behind the pairs, so each pair takes four tokens.
pub(super) fn fits(length: usize, pairs: usize) -> bool {
    (1..=HALF / 2).contains(&pairs) && (4 * pairs..=1 << 16).contains(&length)
}

/// Whether so many pairs can be dealt in more blocks than one.
pub(super) fn has_blocks(pairs: usize) -> bool {
    pairs >= 2 * FEWEST && pairs.is_multiple_of(2)
}

/// In `blocks` half of those to learn from deal their pairs in blocks, of all of them (as the rest do), a half, and so on down to
/// [`FEWEST`]: of 64 pairs two fifths are in more blocks than one.
pub(super) fn examples(length: usize, pairs: usize, blocks: bool, wanted: &Wanted) -> Splits<Example> {
    let dealt = (0..=pairs.ilog2()).map(|power| 1 << power);
    let dealt: Vec<usize> =
        dealt.take_while(|&blocks| pairs.is_multiple_of(blocks) && pairs / blocks >= FEWEST).collect();
    generate(wanted, |training, random| {
        let drawn = if blocks && training { dealt.choose(random).copied().filter(|_| random.random()) } else { None };
        example(length, pairs, drawn.unwrap_or(1), random)
    })
}

fn example(length: usize, pairs: usize, blocks: usize, random: &mut ChaCha8Rng) -> Example {
    let keys: Vec<usize> = sample(random, HALF - 1, pairs).iter().map(|key| key + 1).collect();
    let values: Vec<usize> = sample(random, HALF, pairs).iter().map(|value| value + HALF).collect();
    let (mut tokens, mut answers) = (Vec::with_capacity(length), Vec::with_capacity(pairs));
    for (keys, values) in keys.chunks(pairs / blocks).zip(values.chunks(pairs / blocks)) {
        let begun = tokens.len();
        let block = block(length / blocks, keys, values, random);
        tokens.extend(block.tokens);
        answers.extend(block.answers.into_iter().map(|(place, answer)| (begun + place, answer)));
    }
    tokens.resize(length, NOTHING);
    Example { tokens, answers }
}

fn block(length: usize, keys: &[usize], values: &[usize], random: &mut ChaCha8Rng) -> Example {
    let pairs = keys.len();
    let mut tokens: Vec<u32> = keys.iter().zip(values).flat_map(|(&key, &value)| [key as u32, value as u32]).collect();
    tokens.resize(length, NOTHING);
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

    use super::super::wanted::WANTED;
    use super::*;

    #[test]
    fn every_key_is_asked_for_once_and_its_value_stands_behind_it() {
        for (length, pairs) in [(64, 4), (128, 32), (4, 1)] {
            for example in examples(length, pairs, false, &WANTED).train {
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
    fn blocks_are_for_training_and_each_asks_for_its_own() {
        let (plain, dealt) = (examples(128, 16, false, &WANTED), examples(128, 16, true, &WANTED));
        assert!(plain.tuning == dealt.tuning && plain.test == dealt.test);
        let mut seen = [0; 3];
        for Example { tokens, answers } in dealt.train {
            assert_eq!((tokens.len(), answers.len()), (128, 16));
            assert!(answers.is_sorted());
            // Where the first query stands tells how many pairs came before it at most.
            let blocks = [4, 2, 1].into_iter().position(|blocks| {
                let (span, each) = (128 / blocks, 16 / blocks);
                (0..blocks).all(|block| {
                    let given = &tokens[block * span..block * span + 2 * each];
                    let own = |(place, _): &&(usize, u32)| place / span == block;
                    let own: Vec<_> = answers.iter().filter(own).collect();
                    let known =
                        |(place, value): &&(usize, u32)| given.chunks(2).any(|pair| pair == [tokens[*place], *value]);
                    own.len() == each && own.iter().all(known)
                })
            });
            seen[blocks.unwrap()] += 1;
        }
        assert!(seen.iter().all(|&count| count > 0), "{seen:?}");
    }

    #[test]
    fn a_querys_place_does_not_tell_its_pair() {
        let wanted = Wanted { train: 2_000, ..WANTED };
        let mut places = [0.0; 16];
        for example in examples(128, 16, false, &wanted).train {
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
        let places =
            examples(64, 4, false, &wanted).train.into_iter().flat_map(|e| e.answers.into_iter().map(|(p, _)| p));
        let places: Vec<usize> = places.collect();
        let soon = places.iter().filter(|&&place| place < 8 + 56 / 4).count();
        assert!(soon as f64 > 0.5 * places.len() as f64, "{soon} of {}", places.len());
    }
}
