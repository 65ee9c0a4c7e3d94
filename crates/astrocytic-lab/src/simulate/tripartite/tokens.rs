//! Random tokens, and the attention that is computed of them directly.

use astrocytic_dynamics::softmax::of;

use super::report::TripartiteConfig;
use crate::simulate::random::{normals, seeded};

/// Size of queries and keys.
const KEY_SIZE: usize = 4;
/// Standard deviation of their numbers: scores of about 1.
const KEY_SCALE: f64 = 0.7;

/// Tokens, and what they are in the hidden layer.
pub(super) struct Tokens {
    /// Features of the keys, `[tokens][features]`.
    pub(super) keys: Vec<Vec<f64>>,
    /// Features of the queries.
    pub(super) queries: Vec<Vec<f64>>,
    /// Values, `[tokens][outputs]`.
    pub(super) values: Vec<Vec<f64>>,
    /// Keys and queries themselves.
    raw: [Vec<Vec<f64>>; 2],
}

/// Random queries, keys and values, and positive random features of them: `e^{w x − |x|²/2} / √m`
/// (arXiv 2009.14794).
pub(super) fn tokens(config: &TripartiteConfig) -> Tokens {
    let mut rng = seeded(config.seed);
    let directions = normals(&mut rng, config.features, KEY_SIZE, 1.0);
    let [keys, queries] = [(); 2].map(|()| normals(&mut rng, config.tokens, KEY_SIZE, KEY_SCALE));
    let values = normals(&mut rng, config.tokens, config.outputs, 1.0);
    let features = |x: &Vec<f64>| -> Vec<f64> {
        let half = x.iter().map(|x| x * x).sum::<f64>() / 2.0;
        let of = |w: &Vec<f64>| (dot(w, x) - half).exp() / (config.features as f64).sqrt();
        directions.iter().map(of).collect()
    };
    Tokens {
        keys: keys.iter().map(features).collect(),
        queries: queries.iter().map(features).collect(),
        values,
        raw: [keys, queries],
    }
}

impl Tokens {
    /// Weights `[T, T]` and outputs of causal softmax attention whose scores lose `−log a` with
    /// every step back.
    pub(super) fn softmax_attention(&self, decay: f64) -> (Vec<f64>, Vec<Vec<f64>>) {
        let [keys, queries] = &self.raw;
        let count = keys.len();
        let mut weights = vec![0.0; count * count];
        let mut outputs = Vec::new();
        for (t, query) in queries.iter().enumerate() {
            let score = |s: usize| dot(query, &keys[s]) + decay.ln() * (t - s) as f64;
            let row = of(&(0..=t).map(score).collect::<Vec<f64>>());
            weights[t * count..][..=t].copy_from_slice(&row);
            let output = |i: usize| row.iter().zip(&self.values).map(|(w, v)| w * v[i]).sum();
            outputs.push((0..self.values[0].len()).map(output).collect());
        }
        (weights, outputs)
    }

    /// Weights `[T, T]` of causal attention by the features, with that decay a token.
    pub(super) fn feature_attention(&self, decay: f64) -> Vec<f64> {
        let count = self.keys.len();
        let mut weights = vec![0.0; count * count];
        for t in 0..count {
            let row: Vec<f64> =
                (0..=t).map(|s| dot(&self.queries[t], &self.keys[s]) * decay.powi((t - s) as i32)).collect();
            let sum: f64 = row.iter().sum();
            weights[t * count..][..=t].iter_mut().zip(row).for_each(|(weight, w)| *weight = w / sum);
        }
        weights
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
