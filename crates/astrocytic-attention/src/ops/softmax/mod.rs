//! Softmax attention as one operation: the baseline deserves a fast op as well.

#[cfg(feature = "host-kernels")]
mod host;

use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Tensor};

use crate::tensor::share_heads;

/// `softmax(q kᵀ / √d) v`, each key head for a group of query heads. With `causal` the last query sees all keys, the one
/// before it one less, and so on.
///
/// On flex and ndarray it is a kernel of its own whose memory is linear in the steps; other devices compose Burn's
/// operations.
///
/// # Shapes
/// - query: `[batch, steps_q, heads, d]`; key, value: `[batch, steps, key heads, d]`, at least as many steps with `causal`
/// - returns `[batch, steps_q, heads, d]`
///
/// # Panics
/// For shapes that do not fit, and with `causal` for more queries than keys.
pub fn softmax_attention(query: Tensor<4>, key: Tensor<4>, value: Tensor<4>, causal: bool) -> Tensor<4> {
    let ([batch, steps, heads, d], [_, all, key_heads, _]) = (query.dims(), key.dims());
    let fits = key.dims() == [batch, all, key_heads, d] && value.dims() == key.dims();
    assert!(fits && key_heads > 0 && heads % key_heads == 0, "softmax attention: shapes do not fit");
    assert!(!causal || steps <= all, "softmax attention: {steps} causal queries for {all} keys");
    #[cfg(feature = "host-kernels")]
    {
        if let Some(reads) = host::run(&query, &key, &value, causal) {
            return reads;
        }
    }
    compose(query, key, value, causal)
}

/// The same with the whole matrix of weights, in Burn's operations.
fn compose(query: Tensor<4>, key: Tensor<4>, value: Tensor<4>, causal: bool) -> Tensor<4> {
    let [query, key, value] = [query, key, value].map(|x| x.swap_dims(1, 2));
    let [batch, heads, steps, d] = query.dims();
    let [key, value] = [key, value].map(|x| share_heads(x, heads));
    let all = key.dims()[2];
    let scores = query.mul_scalar((d as f64).powf(-0.5)).matmul(key.transpose());
    let reads = if causal && steps > 1 {
        let past = all - steps;
        let hidden = Tensor::<2, Bool>::tril_mask([steps, all], past as i64, &scores.device()).unsqueeze::<4>();
        let scores = scores.mask_fill(hidden.expand([batch, heads, steps, all]), f32::NEG_INFINITY);
        times_seen(softmax(scores, 3), value, past)
    } else {
        softmax(scores, 3).matmul(value)
    };
    reads.swap_dims(1, 2)
}

/// Causal weights times values. A value that is not finite reaches its own step and those after it, where 0 times it would
/// reach those before it too.
///
/// # Shapes
/// - weights: `[batch, heads, steps, past + steps]`; value: `[batch, heads, past + steps, d]`
pub(crate) fn times_seen(weights: Tensor<4>, value: Tensor<4>, past: usize) -> Tensor<4> {
    let [_, _, steps, _] = weights.dims();
    let faults = value.clone().detach().mul_scalar(0.0).sum_dim(3);
    let faulty = faults.clone().is_nan().expand(value.dims());
    weights.matmul(value.mask_fill(faulty, 0.0)) + faults.cumsum(2).narrow(2, past, steps)
}
