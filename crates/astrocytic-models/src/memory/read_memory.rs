//! The memory of what is read, beside a model that stays as it was trained.

use super::kind::MemoryKind;
use super::ngram::NGramMemory;
use super::prediction::Prediction;
use super::read_out::PlasticReadOut;

/// What was learned from the text read so far: a plastic read-out, with a memory of what followed the last tokens or without.
///
/// Predict, then learn: [`learn`](Self::learn) takes the prediction that was made before the token was known.
#[derive(Debug, Clone)]
pub struct ReadMemory {
    read_out: PlasticReadOut,
    ngram: Option<NGramMemory>,
}

impl ReadMemory {
    /// One that has learned nothing; `None` for [`MemoryKind::Dynamic`], which changes the model itself.
    pub fn new(kind: MemoryKind, vocabulary: usize, d_model: usize, rate: f32) -> Option<Self> {
        let ngram = match kind {
            MemoryKind::ReadOut => None,
            MemoryKind::Ngram => Some(NGramMemory::new(rate)),
            MemoryKind::Dynamic => return None,
        };
        Some(Self { read_out: PlasticReadOut::new(vocabulary, d_model, rate), ngram })
    }

    /// A new document begins; what was learned stays.
    pub fn begin(&mut self) {
        self.ngram.iter_mut().for_each(NGramMemory::begin);
    }

    /// The next token's logits: the model's and what was learned.
    ///
    /// # Shapes
    /// - features, which the read-out reads: `[d_model]`; logits, the model's own: `[vocabulary]`
    pub fn predict(&self, features: &[f32], logits: &[f32]) -> Prediction {
        let mut logits = logits.to_vec();
        self.read_out.add_to(&mut logits, features);
        self.ngram.iter().for_each(|ngram| ngram.add_to(&mut logits));
        Prediction::new(logits)
    }

    /// Learns from the token that a prediction from these features was about.
    ///
    /// # Panics
    /// For features of another size.
    pub fn learn(&mut self, features: &[f32], prediction: &Prediction, token: usize) {
        let errors = prediction.errors(token);
        self.read_out.learn(features, &errors);
        self.ngram.iter_mut().for_each(|ngram| ngram.learn(&errors, token));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// −ln p of each token of a text, read with features and logits that say nothing of it.
    fn nats<const N: usize>(memory: &mut ReadMemory, text: [usize; N]) -> [f64; N] {
        text.map(|token| {
            let prediction = memory.predict(&[1.0, 0.0], &[0.0; 3]);
            memory.learn(&[1.0, 0.0], &prediction, token);
            prediction.nats(token)
        })
    }

    #[test]
    fn what_followed_the_last_tokens_is_remembered() {
        // The text repeats itself, each token decided by the two before it.
        let text = [0, 1, 0, 2, 0, 1, 0, 2, 0, 1, 0, 2, 0, 1, 0, 2, 0, 1, 0, 2];
        let of = |kind| nats(&mut ReadMemory::new(kind, 3, 2, 0.8).unwrap(), text);
        let (alone, both) = (of(MemoryKind::ReadOut), of(MemoryKind::Ngram));
        let last = |losses: [f64; 20]| losses[12..].iter().sum::<f64>() / 8.0;
        assert!(last(both) < 0.1 && last(alone) > 0.8, "{alone:?} {both:?}");
    }

    #[test]
    fn a_token_is_predicted_before_it_is_learned() {
        for kind in [MemoryKind::ReadOut, MemoryKind::Ngram] {
            let memory = || ReadMemory::new(kind, 3, 2, 0.8).unwrap();
            // Nothing is learned yet, whichever token comes first.
            for first in 0..3 {
                assert!((nats(&mut memory(), [first])[0] - 3f64.ln()).abs() < 1e-6);
            }
            // What is said of a token depends on the tokens before it alone.
            let said = |text: [usize; 6]| {
                let mut memory = memory();
                let predictions = text.map(|token| {
                    let prediction = memory.predict(&[1.0, 0.0], &[0.0; 3]);
                    memory.learn(&[1.0, 0.0], &prediction, token);
                    prediction.logits().to_vec()
                });
                predictions
            };
            let (one, other) = (said([0, 1, 2, 0, 1, 2]), said([0, 1, 2, 0, 2, 2]));
            assert_eq!(one[..5], other[..5]);
            assert_ne!(one[5], other[5]);
        }
    }

    #[test]
    fn a_new_document_follows_no_token() {
        let text = [0, 1, 0, 2, 0, 1, 0, 2];
        let mut memory = ReadMemory::new(MemoryKind::Ngram, 3, 2, 0.8).unwrap();
        nats(&mut memory, text);
        let of_last = memory.predict(&[1.0, 0.0], &[0.0; 3]);
        memory.begin();
        let of_none = memory.predict(&[1.0, 0.0], &[0.0; 3]);
        assert_ne!(of_last.logits(), of_none.logits());
    }
}
