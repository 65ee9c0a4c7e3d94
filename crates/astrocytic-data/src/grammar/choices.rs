//! The choices by which a text is made.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Where choices come from.
pub(super) trait Choices {
    /// The index of one of the weights, drawn in proportion to them.
    fn choose(&mut self, weights: &[f64]) -> usize;

    /// Yes with probability p.
    fn flip(&mut self, p: f64) -> bool {
        self.choose(&[p, 1.0 - p]) == 0
    }
}

/// Random choices that count their −ln p.
pub(super) struct Draws {
    pub(super) random: ChaCha8Rng,
    pub(super) nats: f64,
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
