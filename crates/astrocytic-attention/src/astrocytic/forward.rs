//! A forward pass, phase by phase.

use burn::tensor::Tensor;

use super::AstrocyticAttention;
use super::state::AttentionState;
use crate::compaction::Compaction;
use crate::input::{AttentionInput, AttentionOutput};
use crate::ops::{Form, gated_silu, rms_norm};

impl AstrocyticAttention {
    /// With `remember`, goes on from `state` and leaves there what is remembered; else `state` is empty and is used up.
    pub(super) fn run(
        &self,
        input: AttentionInput,
        causal: bool,
        state: &mut AttentionState,
        remember: bool,
    ) -> AttentionOutput {
        let input = input.without_padded_numbers(causal);
        let [batch, steps, d_model] = input.query.dims();
        let dtype = input.query.dtype();
        let compaction = input.mask_pad.as_ref().map(Compaction::new);
        let query_compaction = compaction.as_ref().filter(|_| causal || input.shared);
        let form = input.form.unwrap_or(Form::Chunkwise(self.config.chunk));

        let compact = |x: &Tensor<3>, by: Option<&Compaction>| match by {
            Some(by) => by.compact(x.clone()),
            None => x.clone(),
        };
        let x_query = compact(&input.query, query_compaction);
        let x_key = compact(&input.key, compaction.as_ref());
        let x_value = if input.shared { x_key.clone() } else { compact(&input.value, compaction.as_ref()) };

        let sides = [query_compaction, compaction.as_ref()];
        let projected = self.project([&x_query, &x_key, &x_value], sides, state, remember);
        let (reads, weights) = if self.config.window > 0 {
            self.attend_with_window(projected, form, state, remember, input.weights, compaction.as_ref())
        } else if input.weights || !self.attends() {
            let mapped = self.map(projected);
            let weights = input.weights.then(|| self.weights(&mapped, causal));
            let (reads, n) = self.read(mapped, causal, form, state);
            let (reads, weights) = match n {
                Some(n) => (reads / n.clone(), weights.map(|weights| weights / n)),
                None => (reads, weights),
            };
            (reads.swap_dims(1, 2), weights)
        } else {
            (self.attend(projected, causal, form, state, remember), None)
        };

        let weights = weights.map(|weights| {
            let by_key = |w: Tensor<4>, c: &Compaction| c.restore_axis(w, 3);
            let weights = weights.cast(dtype);
            let weights = compaction.iter().fold(weights, by_key);
            query_compaction.iter().fold(weights, |w, c| c.restore_axis(w, 2))
        });
        let reads = match &self.norm {
            Some(norm) => rms_norm(reads, norm),
            None => reads,
        };
        let reads = reads.cast(dtype).reshape([batch, steps, d_model]);
        let reads = match &self.gate {
            Some(gate) => gated_silu(reads, gate.forward(x_query)),
            None => reads,
        };
        let reads = match query_compaction {
            Some(compaction) => compaction.restore(reads),
            None => reads,
        };
        AttentionOutput { context: self.output.forward(reads), weights }
    }
}
