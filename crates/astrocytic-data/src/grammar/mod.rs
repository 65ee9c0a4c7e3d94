//! The built-in language: a seeded probabilistic grammar of short English-like stories whose entropy is known.
//!
//! A story names a place (which decides what things are likely in it), two people and what each owns, and goes on with
//! sentences that need what was said before: agreement over nested clauses, pronouns, numbers that are given away and
//! must add up, and the look of things recalled. Words follow Zipf's law.
//!
//! **Its entropy is exact.** A text is made by choices, each drawn with a probability that the text before it decides,
//! and each visible in the very next words: classes of words share no form, a kind of sentence shows in its first words
//! or its reserved verb, a modifier belongs to the noun just before it, and every noun has at most one. So a text has
//! one derivation, and −ln p(text), its end included, is the sum of −ln p over its choices, which is kept with every
//! document. (The tests enumerate all sentences, and all stories of up to two of them, of a small lexicon: no two
//! derivations give one text, and their probabilities add up to 1. A full stop ends nothing but a sentence, and what a
//! story remembers follows from its text, so that longer stories are unique as these are.)

mod lexicon;
mod story;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use lexicon::Lexicon;

/// A story and its exact −ln p.
#[derive(Debug, Clone, PartialEq)]
pub struct GeneratedDocument {
    /// The text.
    pub text: String,
    /// −ln p(text), in nats.
    pub nats: f64,
}

/// Stories of about `words` words in all. A story depends on the seed, the stream and its place alone.
pub fn generate(seed: u64, stream: u64, words: usize) -> Vec<GeneratedDocument> {
    let lexicon = Lexicon::english();
    let mut documents = Vec::new();
    let mut written = 0;
    while written < words {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(stream << 40 | documents.len() as u64);
        let mut draws = Draws { random, nats: 0.0 };
        let text = story::story(&lexicon, &story::Shape::FULL, &mut draws);
        written += text.split_whitespace().count();
        documents.push(GeneratedDocument { text, nats: draws.nats });
    }
    documents
}

/// Nats per word of the source, and the standard error of that mean over the given stories.
pub fn entropy_rate(documents: &[GeneratedDocument]) -> (f64, f64) {
    let count = documents.len() as f64;
    let words: Vec<f64> = documents.iter().map(|d| d.text.split_whitespace().count() as f64).collect();
    let all_words: f64 = words.iter().sum();
    let rate = documents.iter().map(|d| d.nats).sum::<f64>() / all_words;
    let residual = |(document, words): (&GeneratedDocument, &f64)| (document.nats - rate * words).powi(2);
    let variance = documents.iter().zip(&words).map(residual).sum::<f64>() / (count - 1.0).max(1.0);
    (rate, (variance * count).sqrt() / all_words)
}

/// Where choices come from.
trait Choices {
    /// The index of one of the weights, drawn in proportion to them.
    fn choose(&mut self, weights: &[f64]) -> usize;

    /// Yes with probability p.
    fn flip(&mut self, p: f64) -> bool {
        self.choose(&[p, 1.0 - p]) == 0
    }
}

/// Random choices that count their −ln p.
struct Draws {
    random: ChaCha8Rng,
    nats: f64,
}

impl Choices for Draws {
    fn choose(&mut self, weights: &[f64]) -> usize {
        let all: f64 = weights.iter().sum();
        let mut left = self.random.random::<f64>() * all;
        // Rounding may leave a little at the end: then the last that can be.
        let mut chosen = weights.iter().rposition(|&weight| weight > 0.0).unwrap_or(0);
        for (i, weight) in weights.iter().enumerate() {
            left -= weight;
            if left < 0.0 {
                chosen = i;
                break;
            }
        }
        self.nats -= (weights[chosen] / all).ln();
        chosen
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

    use super::story::Shape;
    use super::*;

    /// Every sequence of choices after the given first ones, one after another, like an odometer.
    struct Every {
        first: Vec<usize>,
        path: Vec<(usize, usize)>,
        at: usize,
        probability: f64,
    }

    impl Choices for Every {
        fn choose(&mut self, weights: &[f64]) -> usize {
            self.at += 1;
            if let Some(&given) = self.first.get(self.at - 1) {
                assert!(weights[given] > 0.0);
                return given;
            }
            let possible: Vec<usize> = (0..weights.len()).filter(|&i| weights[i] > 0.0).collect();
            let place = self.at - 1 - self.first.len();
            if place == self.path.len() {
                self.path.push((0, possible.len()));
            }
            let (nth, among) = self.path[place];
            assert_eq!(among, possible.len());
            self.probability *= weights[possible[nth]] / weights.iter().sum::<f64>();
            possible[nth]
        }
    }

    impl Every {
        /// Runs `make` once for each sequence; returns the probability of each text (by its hash) after it held that
        /// they all differ and that their probabilities add up to 1.
        fn distinct(first: &[usize], make: impl Fn(&mut Self) -> String) -> HashMap<u64, f64> {
            let mut every = Self { first: first.to_vec(), path: Vec::new(), at: 0, probability: 1.0 };
            let mut texts = HashMap::new();
            loop {
                (every.at, every.probability) = (0, 1.0);
                let text = make(&mut every);
                assert!(texts.insert(hash(&text), every.probability).is_none(), "two derivations of \"{text}\"");
                while every.path.last().is_some_and(|(nth, among)| nth + 1 == *among) {
                    every.path.pop();
                }
                let Some((nth, _)) = every.path.last_mut() else { break };
                *nth += 1;
            }
            let sum: f64 = texts.values().sum();
            assert!((sum - 1.0).abs() < 1e-9, "{sum}");
            texts
        }
    }

    fn hash(text: &str) -> u64 {
        BuildHasherDefault::<DefaultHasher>::default().hash_one(text)
    }

    #[test]
    fn no_two_derivations_give_one_sentence_and_probabilities_add_up() {
        let lexicon = Lexicon { nouns: vec!["dog"], ..Lexicon::tiny() };
        let texts = Every::distinct(&[], |choices| story::statement(&lexicon, 0, 2, choices));
        assert!(texts.len() > 10_000, "{}", texts.len());
    }

    #[test]
    fn no_two_derivations_give_one_story_and_probabilities_add_up() {
        let lexicon = Lexicon::tiny();
        // All introductions, and all single sentences after each.
        let shape = Shape { most: 2, fewest: 1, longest: 1, goes_on: 0.5, depth: 0 };
        let texts = Every::distinct(&[], |choices| story::story(&lexicon, &shape, choices));
        assert!(texts.len() > 10_000, "{}", texts.len());
        // What is drawn has the probability that is kept with it, and comes as often as that says.
        let entropy: f64 = texts.values().map(|p| -p * p.ln()).sum();
        let mut draws = Draws { random: ChaCha8Rng::seed_from_u64(0), nats: 0.0 };
        let (mut sum, mut squares, count) = (0.0, 0.0, 20_000.0);
        for _ in 0..count as usize {
            draws.nats = 0.0;
            let text = story::story(&lexicon, &shape, &mut draws);
            assert!((draws.nats + texts[&hash(&text)].ln()).abs() < 1e-9, "{text}");
            sum += draws.nats;
            squares += draws.nats * draws.nats;
        }
        let error = ((squares / count - (sum / count).powi(2)) / count).sqrt();
        assert!((sum / count - entropy).abs() < 4.0 * error, "{} ± {error} against {entropy}", sum / count);
        // One or two sentences after one introduction: place, two of (sex, name, role), two of (number, look, noun).
        let shape = Shape { longest: 2, ..shape };
        for first in [[0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 1], [0, 1, 1, 0, 1, 0, 0, 0, 0, 1, 1, 0, 0]] {
            let texts = Every::distinct(&first, |choices| story::story(&lexicon, &shape, choices));
            assert!(texts.len() > 100_000, "{}", texts.len());
        }
    }

    #[test]
    fn forms_of_different_classes_differ() {
        let mut owner: HashMap<String, &str> = HashMap::new();
        for (class, form) in Lexicon::english().forms() {
            if let Some(other) = owner.insert(form.clone(), class) {
                assert_eq!(other, class, "\"{form}\" is of two classes");
                panic!("\"{form}\" stands twice in {class}");
            }
        }
        assert!(owner.len() > 500, "{}", owner.len());
    }

    #[test]
    fn stories_depend_on_seed_and_place_alone() {
        let stories = generate(1, 0, 5_000);
        assert_eq!(stories[..3], generate(1, 0, 200)[..3]);
        assert_ne!(stories[0], generate(2, 0, 200)[0]);
        assert_ne!(stories[0], generate(1, 1, 200)[0]);
        let lengths: Vec<usize> = stories.iter().map(|d| d.text.split_whitespace().count()).collect();
        assert!(lengths.iter().all(|&n| (25..600).contains(&n)), "{lengths:?}");
    }

    #[test]
    fn entropy_is_that_of_the_choices_and_words_follow_zipf() {
        let stories = generate(3, 0, 200_000);
        let (rate, error) = entropy_rate(&stories);
        assert!(error < 0.02 * rate && (1.0..3.5).contains(&rate), "{rate} ± {error}");
        let mut counts: HashMap<&str, f64> = HashMap::new();
        for word in stories.iter().flat_map(|d| d.text.split_whitespace()) {
            *counts.entry(word).or_default() += 1.0;
        }
        assert!(counts.len() > 500, "{}", counts.len());
        let mut counts: Vec<f64> = counts.into_values().collect();
        counts.sort_by(|a, b| b.total_cmp(a));
        let slope = (counts[9] / counts[299]).ln() / (300.0f64 / 10.0).ln();
        assert!((0.6..1.8).contains(&slope), "{slope}");
        // What a model that knows only how often words occur would need is far more.
        let all: f64 = counts.iter().sum();
        let unigram: f64 = -counts.iter().map(|c| c / all * (c / all).ln()).sum::<f64>();
        assert!(unigram > rate + 1.5, "{unigram} against {rate}");
    }
}
