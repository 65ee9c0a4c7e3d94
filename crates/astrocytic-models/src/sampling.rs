//! How a token is drawn from logits.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// How the next token is drawn from the logits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Divides the logits; 0 takes the likeliest token.
    pub temperature: f64,
    /// Keeps this many of the likeliest tokens; 0 keeps all.
    pub top_k: usize,
    /// Keeps the likeliest tokens that together reach this probability; 1 keeps all.
    pub top_p: f64,
    /// Seed of the draws.
    pub seed: u64,
}

impl Sampling {
    /// One token. Every draw takes one number from `random`, so that streams stay aligned.
    ///
    /// # Panics
    /// For no logits.
    pub fn draw(&self, logits: &[f64], random: &mut ChaCha8Rng) -> u32 {
        let uniform: f64 = random.random();
        let mut order: Vec<usize> = (0..logits.len()).collect();
        // Where all are kept their order does not matter, and a sort takes longer than the rest.
        let keeps_all = self.top_k == 0 && self.top_p >= 1.0 && self.temperature > 0.0;
        if !keeps_all {
            order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]).then(a.cmp(&b)));
        }
        if self.temperature == 0.0 {
            return order[0] as u32;
        }
        if self.top_k > 0 {
            order.truncate(self.top_k);
        }
        let largest = order.iter().map(|&i| logits[i]).fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = order.iter().map(|&i| ((logits[i] - largest) / self.temperature).exp()).collect();
        let all: f64 = weights.iter().sum();
        let mut kept = 0;
        let mut mass = 0.0;
        while kept < weights.len() && (kept == 0 || mass < self.top_p * all) {
            mass += weights[kept];
            kept += 1;
        }
        let mut left = uniform * mass;
        for (i, weight) in weights[..kept].iter().enumerate() {
            left -= weight;
            if left < 0.0 {
                return order[i] as u32;
            }
        }
        order[kept - 1] as u32
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn frequencies(sampling: Sampling, logits: &[f64]) -> Vec<f64> {
        let mut random = ChaCha8Rng::seed_from_u64(sampling.seed);
        let mut counts = vec![0.0; logits.len()];
        for _ in 0..20_000 {
            counts[sampling.draw(logits, &mut random) as usize] += 1.0 / 20_000.0;
        }
        counts
    }

    #[test]
    fn draws_follow_the_probabilities_that_are_kept() {
        let logits = [0.1f64.ln(), 0.6f64.ln(), 0.3f64.ln()];
        let all = Sampling { temperature: 1.0, top_k: 0, top_p: 1.0, seed: 3 };
        for (sampling, expected) in [
            (all, [0.1, 0.6, 0.3]),
            (Sampling { top_k: 2, ..all }, [0.0, 2.0 / 3.0, 1.0 / 3.0]),
            (Sampling { top_p: 0.5, ..all }, [0.0, 1.0, 0.0]),
            (Sampling { temperature: 0.0, ..all }, [0.0, 1.0, 0.0]),
            (Sampling { temperature: 0.5, ..all }, [0.01 / 0.46, 0.36 / 0.46, 0.09 / 0.46]),
        ] {
            for (found, expected) in frequencies(sampling, &logits).iter().zip(expected) {
                assert!((found - expected).abs() < 0.015, "{sampling:?}: {found} for {expected}");
            }
        }
    }
}
