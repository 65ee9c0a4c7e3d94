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

mod choices;
mod lexicon;
mod story;
#[cfg(test)]
mod tests;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use choices::Draws;
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
