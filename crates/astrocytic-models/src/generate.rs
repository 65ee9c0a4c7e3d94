//! Sampling text from a decoder, a token at a time.

use astrocytic_attention::Form;
use burn::tensor::{Int, Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::decoder::{Decoder, DecoderCache};

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

/// Draws tokens one after another: an endless iterator.
pub struct Generator<'a> {
    model: &'a Decoder,
    sampling: Sampling,
    random: ChaCha8Rng,
    route: Route,
    /// Tokens that the model has not seen yet.
    pending: Vec<u32>,
}

/// How the logits of the next token are computed. Both give the same.
enum Route {
    /// From the state, a step at a time.
    Recurrent(Box<DecoderCache>),
    /// From the whole text, each time anew, with the T×T matrix.
    Parallel(Vec<u32>),
}

impl<'a> Generator<'a> {
    /// Continues `prompt`, which must not be empty, with each token's cost independent of the length for an astrocytic
    /// model.
    ///
    /// # Panics
    /// For an empty prompt.
    pub fn recurrent(model: &'a Decoder, prompt: &[u32], sampling: Sampling) -> Self {
        Self::new(model, prompt, sampling, Route::Recurrent(Box::new(model.empty_cache(1))))
    }

    /// The same text by the quadratic form: slow, to check against.
    ///
    /// # Panics
    /// For an empty prompt.
    pub fn parallel(model: &'a Decoder, prompt: &[u32], sampling: Sampling) -> Self {
        Self::new(model, prompt, sampling, Route::Parallel(Vec::new()))
    }

    fn new(model: &'a Decoder, prompt: &[u32], sampling: Sampling, route: Route) -> Self {
        assert!(!prompt.is_empty(), "generate: the prompt must have at least one token");
        let random = ChaCha8Rng::seed_from_u64(sampling.seed);
        Self { model, sampling, random, route, pending: prompt.to_vec() }
    }

    fn next_logits(&mut self) -> Vec<f64> {
        let device = self.model.embedding.weight.val().device();
        let tensor = |tokens: &[u32]| {
            let tokens: Vec<i64> = tokens.iter().map(|&t| i64::from(t)).collect();
            let shape = [1, tokens.len()];
            Tensor::<2, Int>::from_data(TensorData::new(tokens, shape), &device)
        };
        let logits = match &mut self.route {
            Route::Recurrent(cache) => self.model.forward_cache(tensor(&self.pending), cache),
            Route::Parallel(text) => {
                text.extend_from_slice(&self.pending);
                self.model.forward_form(tensor(text), Form::Parallel)
            }
        };
        let [_, steps, _] = logits.dims();
        logits.narrow(1, steps - 1, 1).into_data().iter::<f64>().collect()
    }
}

impl Iterator for Generator<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let logits = self.next_logits();
        let token = self.sampling.draw(&logits, &mut self.random);
        self.pending = vec![token];
        Some(token)
    }
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
