//! What is said of the next token before it is known.

/// Logits of the next token, and with them its probabilities.
#[derive(Debug, Clone)]
pub struct Prediction {
    logits: Vec<f32>,
    /// Of the logits.
    largest: f32,
    /// Of exp(logit − largest).
    sum: f32,
}

impl Prediction {
    pub(super) fn new(logits: Vec<f32>) -> Self {
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum = logits.iter().map(|z| (z - largest).exp()).sum();
        Self { logits, largest, sum }
    }

    /// The logits, `[vocabulary]`.
    pub fn logits(&self) -> &[f32] {
        &self.logits
    }

    /// −ln p of a token.
    ///
    /// # Panics
    /// For a token that is not in the vocabulary.
    pub fn nats(&self, token: usize) -> f64 {
        -f64::from(self.logits[token] - self.largest - self.sum.ln())
    }

    /// `onehot(target) − p`: the negative gradient of the target's −ln p by the logits, `[vocabulary]`.
    pub(super) fn errors(&self, target: usize) -> Vec<f32> {
        let error =
            |(class, z): (usize, &f32)| f32::from(u8::from(class == target)) - (z - self.largest).exp() / self.sum;
        self.logits.iter().enumerate().map(error).collect()
    }
}
