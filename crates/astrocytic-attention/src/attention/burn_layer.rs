//! Burn's own layer, called as the others are. Its outputs keep their bits.

use burn::nn::Linear;
use burn::nn::attention::{MhaInput, MhaOutput, MultiHeadAttention};
use burn::tensor::activation::{quiet_softmax, softmax};
use burn::tensor::{Bool, Tensor};

use super::cache::{GrowingCache, Seen};
use crate::compaction::Compaction;
use crate::error::AttentionError;
use crate::input::{AttentionInput, AttentionOutput};
use crate::softmax::KeyValueCache;

/// Burn's forward pass.
pub(super) fn forward(layer: &MultiHeadAttention, input: AttentionInput) -> Result<AttentionOutput, AttentionError> {
    input.check_tensors(layer.d_model)?;
    let mut theirs = MhaInput::new(input.query, input.key, input.value);
    if let Some(mask) = input.mask_pad {
        theirs = theirs.mask_pad(mask);
    }
    if let Some(mask) = input.mask_attn {
        theirs = theirs.mask_attn(mask.hidden());
    }
    let MhaOutput { weights, context } = layer.forward(theirs);
    Ok(AttentionOutput { context, weights: Some(weights) })
}

/// The cache before the first step, for calls that are given new steps.
pub(super) fn empty_cache(layer: &MultiHeadAttention, batch: usize) -> KeyValueCache {
    KeyValueCache::new(batch, None, &layer.query.weight.val().device())
}

/// Attends causally to what the cache holds and to the given new steps.
pub(super) fn forward_cache(
    layer: &MultiHeadAttention,
    input: AttentionInput,
    cache: &mut KeyValueCache,
) -> Result<AttentionOutput, AttentionError> {
    input.check_shapes(layer.d_model, true)?;
    cache.check(&input, [layer.n_heads, layer.d_k], None)?;
    let [batch, steps, _] = input.query.dims();
    let query = heads(layer, input.query, &layer.query);
    let new = [heads(layer, input.key, &layer.key), heads(layer, input.value, &layer.value)];
    let past = cache.length();
    let [key, value] = cache.append(new);
    let compaction = input.mask_pad.as_ref().map(Compaction::new);
    cache.advance(steps, compaction.as_ref());
    cache.hide(input.mask_pad, past, steps);
    let later = Tensor::<2, Bool>::tril_mask([steps, past + steps], past as i64, &query.device());
    let later = later.unsqueeze::<3>().expand([batch, steps, past + steps]);
    let hidden = match input.mask_attn {
        Some(mask) => later.bool_or(mask.hidden()),
        None => later,
    };
    let (reads, weights) = attend(layer, [query, key, value], cache.padded(), Some(hidden));
    Ok(AttentionOutput { context: layer.output.forward(reads), weights: Some(weights) })
}

/// Burn's `forward_cache`, whose cache is closed to other crates: the first call may have several
/// steps, each later one has one step more.
pub(super) fn forward_growing(
    layer: &MultiHeadAttention,
    input: AttentionInput,
    cache: &mut GrowingCache,
) -> Result<AttentionOutput, AttentionError> {
    input.check_tensors(layer.d_model)?;
    let before = match &cache.seen {
        Seen::Nothing => None,
        Seen::Projected(projected) => Some(projected.clone()),
        Seen::Layer(_) => return Err(AttentionError::Shape("the cache was made by another kind of layer".into())),
    };
    if let Some(before) = &before {
        check_growth(layer, &input, before, cache)?;
    }
    let last = |x: Tensor<3>| match before {
        Some(_) => {
            let steps = x.dims()[1];
            x.narrow(1, steps - 1, 1)
        }
        None => x,
    };
    let extend = |place: usize, x: Tensor<3>, linear: &Linear| match &before {
        Some(before) if place > 0 && cache.keys_stay => before[place].clone(),
        Some(before) => Tensor::cat(vec![before[place].clone(), heads(layer, last(x), linear)], 2),
        None => heads(layer, x, linear),
    };
    let projected =
        [extend(0, input.query, &layer.query), extend(1, input.key, &layer.key), extend(2, input.value, &layer.value)];
    let (reads, weights) = attend(layer, projected.clone(), input.mask_pad, input.mask_attn.map(|mask| mask.hidden()));
    let new = layer.output.forward(last(reads));
    let context = match cache.contexts.take() {
        Some(contexts) => Tensor::cat(vec![contexts, new], 1),
        None => new,
    };
    cache.seen = Seen::Projected(projected);
    cache.contexts = Some(context.clone());
    Ok(AttentionOutput { context, weights: Some(weights) })
}

/// Refuses steps that do not go on from those before by one.
fn check_growth(
    layer: &MultiHeadAttention,
    input: &AttentionInput,
    [queries, keys, values]: &[Tensor<4>; 3],
    cache: &GrowingCache,
) -> Result<(), AttentionError> {
    let fault = |text: String| Err(AttentionError::Shape(text));
    let [batch, heads, seen, d] = queries.dims();
    let key_shape = [batch, heads, keys.dims()[2], d];
    let of_layer = [batch, heads, d] == [input.query.dims()[0], layer.n_heads, layer.d_k];
    let contexts = cache.contexts.as_ref().map(Tensor::dims);
    if !of_layer
        || keys.dims() != key_shape
        || values.dims() != key_shape
        || contexts != Some([batch, seen, layer.d_model])
    {
        return fault("the cache was made by a layer of another configuration, or for another batch".into());
    }
    let steps = input.query.dims()[1];
    if steps != seen + 1 {
        return fault(format!("attention cache: {steps} steps cannot follow {seen} by one"));
    }
    let (key_steps, seen) = (input.key.dims()[1], keys.dims()[2]);
    if key_steps != if cache.keys_stay { seen } else { seen + 1 } {
        return fault(format!("attention cache: {key_steps} keys cannot follow {seen}"));
    }
    Ok(())
}

/// As in Burn, operation by operation: reads `[batch, steps, d_model]` and weights.
fn attend(
    layer: &MultiHeadAttention,
    [query, key, value]: [Tensor<4>; 3],
    mask_pad: Option<Tensor<2, Bool>>,
    mask_attn: Option<Tensor<3, Bool>>,
) -> (Tensor<3>, Tensor<4>) {
    let [batch, heads, steps, d] = query.dims();
    let mut scores = query.matmul(key.transpose()).div_scalar((layer.d_k as f32).sqrt());
    if let Some(mask) = mask_pad {
        let [batch, steps] = mask.dims();
        scores = scores.mask_fill(mask.reshape([batch, 1, 1, steps]), layer.min_float);
    }
    if let Some(mask) = mask_attn {
        let [batch, queries, keys] = mask.dims();
        scores = scores.mask_fill(mask.reshape([batch, 1, queries, keys]), layer.min_float);
    }
    let weights = if layer.quiet_softmax { quiet_softmax(scores, 3) } else { softmax(scores, 3) };
    let weights = layer.dropout.forward(weights);
    let reads = weights.clone().matmul(value).swap_dims(1, 2).reshape([batch, steps, heads * d]);
    (reads, weights)
}

/// `[batch, steps, d_model]` to `[batch, heads, steps, d]`.
fn heads(layer: &MultiHeadAttention, x: Tensor<3>, linear: &Linear) -> Tensor<4> {
    let [batch, steps, _] = x.dims();
    linear.forward(x).reshape([batch, steps, layer.n_heads, layer.d_k]).swap_dims(1, 2)
}
