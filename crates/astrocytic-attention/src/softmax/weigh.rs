//! Softmax attention with its weights: for those who ask for them, and for what hides keys.

use burn::tensor::{Bool, Tensor, activation::softmax};

use crate::ops::times_seen;

/// What queries do not see.
pub(crate) struct Hidden {
    /// What comes after them: how many keys stand before the first query.
    pub causal: Option<usize>,
    /// Padded keys, `[batch, keys]`.
    pub padded: Option<Tensor<2, Bool>>,
    /// Pairs, `[batch, queries, keys]`.
    pub given: Option<Tensor<3, Bool>>,
}

/// With the matrix of weights whole: reads `[batch, steps, heads, d]` and weights
/// `[batch, heads, steps, keys]`.
pub(crate) fn weigh(
    [query, key, value]: [Tensor<4>; 3],
    hidden: Hidden,
    dropout: impl FnOnce(Tensor<4>) -> Tensor<4>,
) -> (Tensor<4>, Tensor<4>) {
    let Hidden { causal, padded, given } = hidden;
    let [batch, heads, steps, d] = query.dims();
    let all = key.dims()[2];
    let shape = [batch, heads, steps, all];
    let scores = query.mul_scalar((d as f64).powf(-0.5)).matmul(key.transpose());
    let later = causal
        .filter(|_| steps > 1)
        .map(|past| Tensor::<2, Bool>::tril_mask([steps, all], past as i64, &scores.device()).unsqueeze::<4>());
    let padded = padded.map(|mask| mask.reshape([batch, 1, 1, all]));
    let given = given.map(|mask| mask.reshape([batch, 1, steps, all]));
    let masks = [later, padded, given].into_iter().flatten().map(|mask| mask.expand(shape));
    let weights = match masks.reduce(|a, b| a.bool_or(b)) {
        // A finite fill keeps a row without any visible key finite; the second mask makes it 0.
        Some(hidden) => softmax(scores.mask_fill(hidden.clone(), -1e9), 3).mask_fill(hidden, 0.0),
        None => softmax(scores, 3),
    };
    let weights = dropout(weights);
    let reads = match causal {
        Some(past) => times_seen(weights.clone(), value, past),
        None => weights.clone().matmul(value),
    };
    (reads.swap_dims(1, 2), weights)
}
