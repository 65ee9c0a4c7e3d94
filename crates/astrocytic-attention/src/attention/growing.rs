//! A sequence that every call is given whole, for layers that take new steps alone.

use burn::tensor::Tensor;

use super::Attention;
use super::cache::{GrowingCache, Seen};
use crate::error::AttentionError;
use crate::input::{AttentionInput, AttentionOutput};
use crate::mask::MaskKind;

impl Attention {
    /// Computes the contexts of the new steps and returns all.
    pub(super) fn forward_growing(
        &self,
        input: AttentionInput,
        cache: &mut GrowingCache,
    ) -> Result<AttentionOutput, AttentionError> {
        let of_burn = matches!(cache.seen, Seen::Projected(_));
        if of_burn || cache.keys_stay {
            let text = "the cache is of Burn's own layer or of cross-attention, which needs keys that stay";
            return Err(AttentionError::Shape(text.into()));
        }
        let [batch, _, d_model] = input.query.dims();
        let [rows, seen, width] = cache.contexts.as_ref().map_or([batch, 0, d_model], Tensor::dims);
        if [rows, width] != [batch, d_model] {
            let text = format!("{:?} does not go on from the cache's {:?}", input.query.dims(), [rows, seen, width]);
            return Err(AttentionError::Shape(text));
        }
        let new = if seen > 0 { new_steps(input, seen)? } else { input };
        let output = match &mut cache.seen {
            Seen::Layer(layer) => self.try_forward_cache(new, layer)?,
            nothing => {
                let mut layer = self.empty_cache(new.query.dims()[0]);
                let output = self.try_forward_cache(new, &mut layer)?;
                *nothing = Seen::Layer(Box::new(layer));
                output
            }
        };
        let context = match cache.contexts.take() {
            Some(contexts) => Tensor::cat(vec![contexts, output.context], 1),
            None => output.context,
        };
        cache.contexts = Some(context.clone());
        Ok(AttentionOutput { context, weights: output.weights })
    }
}

/// The steps of a growing sequence that are not among the first `seen`.
fn new_steps(input: AttentionInput, seen: usize) -> Result<AttentionInput, AttentionError> {
    let [batch, steps, _] = input.query.dims();
    if steps <= seen || input.key.dims()[1] != steps || input.value.dims()[1] != steps {
        return Err(AttentionError::Shape(format!(
            "the cache has seen {seen} steps; query {:?}, key {:?} and value {:?} must have those and new ones",
            input.query.dims(),
            input.key.dims(),
            input.value.dims()
        )));
    }
    if let Some(mask) = input.mask_pad.as_ref().filter(|mask| mask.dims() != [batch, steps]) {
        return Err(AttentionError::Shape(format!("mask_pad must be [{batch}, {steps}], got {:?}", mask.dims())));
    }
    let new = steps - seen;
    let late = |x: Tensor<3>| x.narrow(1, seen, new);
    let visible = match &input.mask_attn {
        Some(mask) if mask.dims() != [batch, steps, steps] => {
            let text = format!("mask_attn must be [{batch}, {steps}, {steps}], got {:?}", mask.dims());
            return Err(AttentionError::Shape(text));
        }
        // All layers share the answer for the whole mask. Parts are read only of an unusual one.
        Some(mask) => mask.kind() != MaskKind::Other || mask.part([seen, new], [0, seen]).kind() == MaskKind::Empty,
        None => true,
    };
    let new = AttentionInput {
        query: late(input.query),
        key: late(input.key),
        value: late(input.value),
        mask_pad: input.mask_pad.map(|mask| mask.narrow(1, seen, new)),
        mask_attn: input
            .mask_attn
            .clone()
            .filter(|mask| mask.kind() == MaskKind::Other)
            .map(|mask| mask.part([seen, new], [seen, new])),
        ..input
    };
    if !visible {
        return Err(AttentionError::UnsupportedMask);
    }
    // Behind a cache attention is causal by itself.
    new.mask_is_causal()?;
    Ok(AttentionInput { mask_attn: None, ..new })
}
