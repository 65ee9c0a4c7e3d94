//! What a conversion did: losses, errors of each layer, speed and state.

use std::time::Instant;

use astrocytic_attention::ops::cross_entropy;
use astrocytic_models::Decoder;
use astrocytic_models::conversion::{Inputs, Swappable, seen_by_attention};
use burn::tensor::{Device, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::rows::Rows;

/// Rows of a batch of measurements.
const BATCH: usize = 16;

/// A layer against the original's, with the original's inputs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LayerError {
    /// Place of the block.
    pub layer: usize,
    /// Root mean square of the output's difference, relative to the original's output.
    pub output: f64,
    /// Total variation between the rows of weights, from 0 to 1.
    pub weights: f64,
    /// Mean entropy of the rows of weights, nats.
    pub entropy: f64,
    /// The original's.
    pub original_entropy: f64,
}

/// Cost of a token at a position.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Speed {
    /// Tokens before it.
    pub position: usize,
    /// Tokens a second in generation, one sequence.
    pub tokens_per_s: f64,
    /// Bytes of state.
    pub state_bytes: u64,
}

/// Mean −ln p of the rows' tokens.
pub(super) fn loss(model: &Decoder, rows: &Rows, device: &Device) -> f64 {
    let all: Vec<usize> = (0..rows.count()).collect();
    let sums = all.chunks(BATCH).map(|part| {
        let batch = rows.batch(part, device);
        let logits = model.forward(batch.inputs);
        let [count, steps, vocabulary] = logits.dims();
        let loss = cross_entropy(logits.reshape([count * steps, vocabulary]), &batch.targets);
        f64::from(loss.into_scalar::<f32>()) * part.len() as f64
    });
    sums.sum::<f64>() / rows.count() as f64
}

/// How far each of the layers is from the original's.
pub(super) fn layers<M: Swappable>(original: &M, model: &M, layers: &[usize], inputs: &Inputs) -> Vec<LayerError> {
    let seen = seen_by_attention(original, inputs);
    let number = |x: Tensor<1>| f64::from(x.into_scalar::<f32>());
    let measure = |&layer: &usize| {
        let [x, expected] = seen[layer].clone();
        let input = || inputs.attention(x.clone()).with_weights();
        let found = model.blocks()[layer].attention.forward(input());
        let weights = original.blocks()[layer].attention.forward(input()).weights.expect("asked for");
        let error = (found.context - expected.clone()).square().mean();
        let found_weights = found.weights.unwrap_or_else(|| weights.zeros_like());
        // Rows of padded steps are 0.
        let rows = number(weights.clone().sum()).max(1.0);
        let entropy =
            |weights: &Tensor<4>| -number((weights.clone() * weights.clone().clamp_min(1e-12).log()).sum()) / rows;
        let variation = (found_weights.clone() - weights.clone()).abs().sum().mul_scalar(0.5);
        LayerError {
            layer,
            output: (number(error) / number(expected.square().mean()).max(1e-30)).sqrt(),
            weights: number(variation) / rows,
            entropy: entropy(&found_weights),
            original_entropy: entropy(&weights),
        }
    };
    layers.iter().map(measure).collect()
}

/// Attention weights of a layer, mean over heads, the original's and the model's with the original's input, of one row:
/// `steps × steps` numbers each.
pub(super) fn maps<M: Swappable>(original: &M, model: &M, layer: usize, row: &Inputs) -> [Vec<f32>; 2] {
    let [x, _] = seen_by_attention(original, row)[layer].clone();
    [original, model].map(|model| {
        let weights = model.blocks()[layer].attention.forward(row.attention(x.clone()).with_weights()).weights;
        weights.map_or_else(Vec::new, |weights| weights.mean_dim(1).into_data().iter::<f32>().collect())
    })
}

/// The cosine of each row of `a` with that of `b`: `[texts, d_model]` to `[texts, 1]`.
pub(super) fn cosines(a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
    let length = |x: &Tensor<2>| x.clone().square().sum_dim(1).sqrt().clamp_min(1e-12);
    let lengths = length(&a) * length(&b);
    (a * b).sum_dim(1) / lengths
}

/// Tokens a second after each of those positions, one sequence.
pub(super) fn speed(model: &Decoder, positions: &[usize], device: &Device) -> Vec<Speed> {
    positions
        .iter()
        .map(|&position| {
            let vocabulary = model.config().vocabulary;
            let tokens = |start: usize, count: usize| {
                let ids: Vec<i32> = (start..start + count).map(|i| (i * 7919 % vocabulary) as i32).collect();
                Tensor::<2, Int>::from_data(TensorData::new(ids, [1, count]), device)
            };
            // One more than is timed follows the position.
            let left = model.config().positions.map_or(usize::MAX, |most| most - position - 1);
            let timed = left.min(MEASURED);
            let mut cache = model.empty_cache(1);
            model.forward_cache(tokens(0, position), &mut cache);
            let mut step = |i: usize| model.forward_cache(tokens(position + i, 1), &mut cache).into_data();
            step(0);
            let mut times: Vec<f64> = (1..=timed)
                .map(|i| {
                    let started = Instant::now();
                    step(i);
                    started.elapsed().as_secs_f64()
                })
                .collect();
            times.sort_by(f64::total_cmp);
            Speed { position, tokens_per_s: 1.0 / times[timed / 2], state_bytes: model.config().state_bytes(position) }
        })
        .collect()
}

/// Tokens whose time is taken, or as many as there are positions for.
const MEASURED: usize = 41;
/// For a token to read, one that is not timed and one that is.
pub(super) const FEWEST_POSITIONS: usize = 3;

#[cfg(test)]
mod tests {
    use astrocytic_attention::{AttentionConfig, SoftmaxAttentionConfig};
    use astrocytic_models::DecoderConfig;

    use super::*;

    #[test]
    fn a_short_model_is_timed_to_its_last_position() {
        let device = Device::flex();
        let softmax = SoftmaxAttentionConfig::new(16, 2).with_causal(true);
        for most in [FEWEST_POSITIONS, 16, 128] {
            let attention = AttentionConfig::Softmax(softmax.clone());
            let config = DecoderConfig::new(20, 16, 1, 16, attention).with_positions(Some(most));
            let found = speed(&config.init_seeded(1, &device), &[most / 2], &device);
            assert!(found[0].tokens_per_s.is_finite() && found[0].tokens_per_s > 0.0, "{most}: {found:?}");
        }
    }
}
