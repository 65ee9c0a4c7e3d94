//! The built-in language: a seeded probabilistic grammar of short English-like stories whose entropy is known.
//!
//! A story names a place (which decides what things are likely in it), two people and what each owns, and goes on with
//! sentences that need what was said before: agreement over nested clauses, pronouns, numbers that are given away and
//! must add up, and the look of things recalled. Words follow Zipf's law.
//!
//! **Its entropy is exact.** A text is made by choices, each drawn with a probability that the text before it decides,
//! and each visible in the very next words: classes of words share no form, a kind of sentence shows in its first words
//! or its reserved verb, a modifier belongs to the noun just before it, and every noun has at most one. So a text has
//! one derivation, and −ln p(text) is the sum of −ln p over its choices, which is kept with every document. (The tests
//! enumerate all sentences of a small lexicon: no two derivations give one text, and their probabilities add up to 1.)

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
        let text = story::story(&lexicon, &mut draws);
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
        let mut chosen = weights.len() - 1;
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
    use std::collections::{HashMap, HashSet};

    use super::*;

    /// Every sequence of choices, one after another, like an odometer.
    struct Every {
        path: Vec<(usize, usize)>,
        at: usize,
        probability: f64,
    }

    impl Choices for Every {
        fn choose(&mut self, weights: &[f64]) -> usize {
            if self.at == self.path.len() {
                self.path.push((0, weights.len()));
            }
            let (chosen, among) = self.path[self.at];
            assert_eq!(among, weights.len());
            self.at += 1;
            self.probability *= weights[chosen] / weights.iter().sum::<f64>();
            chosen
        }
    }

    impl Every {
        /// Moves to the next sequence; false after the last.
        fn advance(&mut self) -> bool {
            while let Some((chosen, among)) = self.path.pop() {
                if chosen + 1 < among {
                    self.path.push((chosen + 1, among));
                    (self.at, self.probability) = (0, 1.0);
                    return true;
                }
            }
            false
        }
    }

    #[test]
    fn no_two_derivations_give_one_sentence_and_probabilities_add_up() {
        let lexicon = Lexicon::tiny();
        let mut choices = Every { path: Vec::new(), at: 0, probability: 1.0 };
        let (mut texts, mut sum) = (HashSet::new(), 0.0);
        loop {
            let text = story::statement(&lexicon, 0, 2, &mut choices);
            sum += choices.probability;
            assert!(texts.insert(text.clone()), "two derivations of \"{text}\"");
            if !choices.advance() {
                break;
            }
        }
        assert!(texts.len() > 10_000, "{}", texts.len());
        assert!((sum - 1.0).abs() < 1e-9, "{sum}");
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
