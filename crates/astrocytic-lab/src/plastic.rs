//! A read-out that goes on learning from the text it reads: after each token, `W ← W + rate · (onehot − p) hᵀ / |h|²`, the
//! normalised delta rule. It is the gradient of the token's loss by the read-out alone (dynamic evaluation, arXiv 1709.07432,
//! of one layer), it needs nothing but what the synapse has at hand, and its state is constant in size. Biologically: slow
//! plasticity that prediction errors gate.

use crate::results::DocumentLoss;

/// Rates that are tried on the tuning split.
pub(crate) const RATES: [f32; 4] = [0.1, 0.2, 0.4, 0.8];

/// What the read-out has learned of one document.
pub(crate) struct PlasticReadOut {
    /// Added to its weights, `[vocabulary, d_model]`.
    learned: Vec<f32>,
    rate: f32,
}

impl PlasticReadOut {
    /// One that has learned nothing.
    pub(crate) fn new(vocabulary: usize, d_model: usize, rate: f32) -> Self {
        Self { learned: vec![0.0; vocabulary * d_model], rate }
    }

    /// Adds −ln p of a target to the loss and learns from it. `h` is what the read-out reads, `logits` what it says without
    /// what it has learned.
    pub(crate) fn read(&mut self, h: &[f32], logits: &[f32], target: usize, loss: &mut DocumentLoss) {
        let dot = |row: &[f32]| row.iter().zip(h).map(|(w, h)| w * h).sum::<f32>();
        let logits: Vec<f32> = logits.iter().zip(self.learned.chunks_exact(h.len())).map(|(z, w)| z + dot(w)).collect();
        let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = logits.iter().map(|z| (z - most).exp()).sum();
        loss.nats -= f64::from(logits[target] - most - sum.ln());
        loss.tokens += 1;
        let step = self.rate / dot(h).max(f32::MIN_POSITIVE);
        for (class, (w, z)) in self.learned.chunks_exact_mut(h.len()).zip(logits).enumerate() {
            let error = f32::from(u8::from(class == target)) - (z - most).exp() / sum;
            w.iter_mut().zip(h).for_each(|(w, h)| *w += step * error * h);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_the_losss_gradient_and_a_repeated_text_is_learned() {
        let (h, logits) = ([1.0, -2.0, 0.5], [0.3, -0.1, 0.7, 0.0]);
        let mut loss = DocumentLoss { nats: 0.0, tokens: 0 };
        let mut read_out = PlasticReadOut::new(4, 3, 0.01);
        read_out.read(&h, &logits, 1, &mut loss);
        let p: Vec<f64> = logits.iter().map(|&z: &f32| f64::from(z).exp()).collect();
        let all: f64 = p.iter().sum();
        assert!((loss.nats + (p[1] / all).ln()).abs() < 1e-6);
        for (class, w) in read_out.learned.chunks(3).enumerate() {
            for (w, h) in w.iter().zip(h) {
                let expected = 0.01 * (f64::from(u8::from(class == 1)) - p[class] / all) * f64::from(h) / 5.25;
                assert!((f64::from(*w) - expected).abs() < 1e-7);
            }
        }
        let mut read_out = PlasticReadOut::new(4, 3, 0.4);
        let mut losses = Vec::new();
        for _ in 0..50 {
            let mut loss = DocumentLoss { nats: 0.0, tokens: 0 };
            read_out.read(&h, &logits, 1, &mut loss);
            losses.push(loss.nats);
        }
        assert!(losses.windows(2).all(|pair| pair[1] < pair[0]) && losses[49] < 0.1, "{losses:?}");
    }
}
