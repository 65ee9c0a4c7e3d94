//! Rows of tokens to convert a model with: sampled from the model itself, or of a text.

use anyhow::{Result, bail};
use astrocytic_models::conversion::Inputs;
use astrocytic_models::{Decoder, Sampling};
use astrocytic_train::observer::Observer;
use astrocytic_train::seed::derive_seed;
use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// Rows that are sampled side by side.
const SIDE_BY_SIDE: usize = 64;

/// Rows of `steps + 1` tokens.
pub struct Rows {
    tokens: Vec<i32>,
    steps: usize,
}

/// Some rows.
pub struct RowBatch {
    /// `[rows, steps]`
    pub inputs: Tensor<2, Int>,
    /// The token after each.
    pub targets: Vec<i32>,
}

impl Rows {
    /// Rows that the model draws at temperature 1, each from `bos` on.
    pub fn sample(model: &Decoder, bos: u32, [count, steps]: [usize; 2], seed: u64, observer: &dyn Observer) -> Self {
        let device = model.embedding.weight.val().device();
        let sampling = Sampling { temperature: 1.0, top_k: 0, top_p: 1.0, seed };
        let mut rows = vec![vec![bos as i32]; count];
        for (part, rows) in rows.chunks_mut(SIDE_BY_SIDE).enumerate() {
            let mut random = ChaCha8Rng::seed_from_u64(derive_seed(seed, "rows", part as u64));
            let mut cache = model.empty_cache(rows.len());
            for _ in 0..steps {
                let last: Vec<i32> = rows.iter().map(|row| row[row.len() - 1]).collect();
                let last = Tensor::<2, Int>::from_data(TensorData::new(last, [rows.len(), 1]), &device);
                let logits = model.forward_cache(last, &mut cache);
                let vocabulary = logits.dims()[2];
                let logits: Vec<f64> = logits.into_data().iter::<f64>().collect();
                for (row, logits) in rows.iter_mut().zip(logits.chunks_exact(vocabulary)) {
                    row.push(sampling.draw(logits, &mut random) as i32);
                }
            }
            observer.advance(rows.len() as u64, "rows sampled from the model".into());
        }
        Self { tokens: rows.concat(), steps }
    }

    /// Rows of a text, one after another, each beginning with the last token of the one before.
    ///
    /// # Errors
    /// For fewer than `count` rows of tokens.
    pub fn of_text(tokens: &[u32], [count, steps]: [usize; 2]) -> Result<Self> {
        let needed = count * steps + 1;
        if tokens.len() < needed {
            bail!(
                "the text has {} tokens, {count} rows of {steps} need {needed}; ask for fewer or a longer text",
                tokens.len()
            );
        }
        let row = |i: usize| tokens[i * steps..=(i + 1) * steps].iter().map(|&token| token as i32);
        Ok(Self { tokens: (0..count).flat_map(row).collect(), steps })
    }

    /// Adds the rows to a digest.
    pub(super) fn digest(&self, digest: &mut Sha256) {
        digest.update((self.steps as u64).to_le_bytes());
        self.tokens.iter().for_each(|token| digest.update(token.to_le_bytes()));
    }

    /// Number of rows.
    pub fn count(&self) -> usize {
        self.tokens.len() / (self.steps + 1)
    }

    /// Steps of each.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Those rows.
    pub fn batch(&self, rows: &[usize], device: &Device) -> RowBatch {
        let width = self.steps + 1;
        let row = |&i: &usize| &self.tokens[i * width..(i + 1) * width];
        let inputs: Vec<i32> = rows.iter().flat_map(|i| &row(i)[..self.steps]).copied().collect();
        let targets = rows.iter().flat_map(|i| &row(i)[1..]).copied().collect();
        RowBatch { inputs: Tensor::from_data(TensorData::new(inputs, [rows.len(), self.steps]), device), targets }
    }

    /// The same as inputs alone.
    pub fn inputs(&self, rows: &[usize], device: &Device) -> Inputs {
        Inputs { tokens: self.batch(rows, device).inputs, padded: None }
    }

    /// The rows of a step: every row once in each pass, in an order that depends on seed and pass alone.
    pub fn of_step(&self, step: u64, size: usize, seed: u64) -> Vec<usize> {
        of_step(self.count(), step, size, seed)
    }
}

/// Of `count` things, those of a step: every one once in each pass, in an order that depends on seed and pass alone.
pub(super) fn of_step(count: usize, step: u64, size: usize, seed: u64) -> Vec<usize> {
    let size = size.min(count);
    let per_pass = (count / size) as u64;
    let mut order: Vec<usize> = (0..count).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(derive_seed(seed, "order", step / per_pass)));
    let first = (step % per_pass) as usize * size;
    order[first..first + size].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_comes_once_in_a_pass() {
        let tokens: Vec<u32> = (0..41).collect();
        let rows = Rows::of_text(&tokens, [10, 4]).unwrap();
        let pass = |pass: u64| {
            let mut rows: Vec<usize> = (0..5).flat_map(|step| rows.of_step(pass * 5 + step, 2, 1)).collect();
            let order = rows.clone();
            rows.sort_unstable();
            assert_eq!(rows, (0..10).collect::<Vec<_>>());
            order
        };
        assert_ne!(pass(0), pass(1));
        assert_eq!(pass(1), pass(1));
        let batch = rows.batch(&[1, 9], &Device::flex());
        assert_eq!(batch.targets, [5, 6, 7, 8, 37, 38, 39, 40]);
        assert_eq!(batch.inputs.into_data().iter::<i32>().collect::<Vec<_>>(), [4, 5, 6, 7, 36, 37, 38, 39]);
        assert!(Rows::of_text(&tokens, [11, 4]).is_err());
    }
}
