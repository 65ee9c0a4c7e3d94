//! A forward pass, phase by phase.

use burn::tensor::Tensor;

use super::AstrocyticAttention;
use super::call::Call;
use super::project::Projected;
use super::state::AttentionState;
use crate::compaction::Compaction;
use crate::input::{AttentionInput, AttentionOutput};
use crate::ops::{Form, gated_silu, rms_norm};

impl AstrocyticAttention {
    /// With `remember`, goes on from `state` and leaves there what is remembered; else `state` is
    /// empty and is used up.
    pub(super) fn run(
        &self,
        input: AttentionInput,
        causal: bool,
        state: &mut AttentionState,
        remember: bool,
    ) -> AttentionOutput {
        let input = input.without_padded_numbers(causal);
        let dtype = input.query.dtype();
        let compaction = input.mask_pad.as_ref().map(Compaction::new);
        let call = &Call {
            causal,
            form: input.form.unwrap_or(Form::Chunkwise(self.config.chunk)),
            remember,
            weights: input.weights,
            compaction: compaction.as_ref(),
            query_compaction: compaction.as_ref().filter(|_| causal || input.shared),
        };
        let compact = |x: Tensor<3>, by: Option<&Compaction>| match by {
            Some(by) => by.compact(x),
            None => x,
        };
        let x_query = compact(input.query, call.query_compaction);
        let x_key = compact(input.key, call.compaction);
        let x_value = if input.shared { x_key.clone() } else { compact(input.value, call.compaction) };

        let (projected, softmax) = self.project([&x_query, &x_key, &x_value], call, state);
        let (reads, weights) = self.mix(projected, call, state);
        let reads = match &self.norm {
            Some(norm) => rms_norm(reads, norm),
            None => reads,
        };
        let (reads, weights) = match softmax {
            Some(heads) => {
                let (exact, exact_weights) = self.attend_by_softmax(heads, call, state);
                let both = exact_weights.zip(weights).map(|(exact, weights)| {
                    let dtype = weights.dtype();
                    Tensor::cat(vec![exact.cast(dtype), weights], 1)
                });
                (Tensor::cat(vec![exact.cast(dtype), reads.cast(dtype)], 2), both)
            }
            None => (reads.cast(dtype), weights),
        };

        let weights = weights.map(|weights| {
            let weights = weights.cast(dtype);
            let weights = call.compaction.iter().fold(weights, |w, c| c.restore_axis(w, 3));
            call.query_compaction.iter().fold(weights, |w, c| c.restore_axis(w, 2))
        });
        AttentionOutput { context: self.to_context(reads, x_query, call), weights }
    }

    /// From queries, keys and values of the memories to reads `[batch, steps_q, heads, d]` and, where
    /// asked for, weights.
    fn mix(&self, projected: Projected, call: &Call, state: &mut AttentionState) -> (Tensor<4>, Option<Tensor<4>>) {
        if self.config.window > 0 {
            return self.attend_with_window(projected, call, state);
        }
        if self.attends() && !call.weights {
            return (self.attend(projected, call, state), None);
        }
        let mapped = self.map(projected);
        let weights = call.weights.then(|| self.weights(&mapped, call.causal));
        let (reads, n) = self.read(mapped, call, state);
        let (reads, weights) = match n {
            Some(n) => (reads / n.clone(), weights.map(|weights| weights / n)),
            None => (reads, weights),
        };
        (reads.swap_dims(1, 2), weights)
    }

    /// From reads to the context: gate, output projection.
    fn to_context(&self, reads: Tensor<4>, x_query: Tensor<3>, call: &Call) -> Tensor<3> {
        let reads = reads.reshape(x_query.dims());
        let reads = match &self.gate {
            Some(gate) => gated_silu(reads, gate.forward(x_query)),
            None => reads,
        };
        let reads = match call.query_compaction {
            Some(compaction) => compaction.restore(reads),
            None => reads,
        };
        self.output.forward(reads)
    }
}
