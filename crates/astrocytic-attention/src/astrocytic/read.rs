//! What queries read from the memory.

use burn::tensor::Tensor;

use super::call::Call;
use super::project::{Mapped, Projected};
use super::several_writes::of_steps;
use super::state::AttentionState;
use super::{AstrocyticAttention, Normalizer};
use crate::ops::{
    self, CALCIUM_FLOOR, Feature, MemoryInputs, MemorySpec, MemoryState, Plasticity, Writes, memory_attention,
};
use crate::tensor::share_heads;

impl AstrocyticAttention {
    /// Whether the layer is what [`memory_attention`] computes: no exponent on the calcium, no
    /// distance memory.
    pub(super) fn attends(&self) -> bool {
        let straight = !matches!(self.config.normalizer, Normalizer::Calcium { alpha } if alpha != 1.0);
        straight && self.distance.is_none()
    }

    /// Runs the memory as one operation: reads, normalised, `[batch, steps_q, heads, d]`.
    pub(super) fn attend(&self, projected: Projected, call: &Call, state: &mut AttentionState) -> Tensor<4> {
        let feature = self.query_map.element_wise();
        let calcium = matches!(self.config.normalizer, Normalizer::Calcium { .. });
        let unit = self.config.plasticity == Plasticity::Delta;
        let spec = MemorySpec {
            plasticity: self.config.plasticity,
            feature: feature.unwrap_or(Feature::identity()),
            unit: unit && feature.is_some(),
            calcium,
            causal: call.causal,
            form: call.form,
        };
        let (query, writes) = match feature {
            Some(_) => {
                let Projected { query, key, value, log_decay, strength, .. } = projected;
                (query, Writes { key, value, log_decay, strength })
            }
            None => {
                let Mapped { query, writes, .. } = self.map(projected);
                (query, writes)
            }
        };
        let x = MemoryInputs::heads_last(query, writes);
        let before =
            call.remember.then(|| MemoryState { memory: state.memory.clone(), calcium: state.calcium.clone() });
        let (reads, after) = memory_attention(&spec, x, before, call.remember);
        if let Some(MemoryState { memory, calcium }) = after {
            (state.memory, state.calcium) = (memory, calcium);
        }
        reads
    }

    /// Runs the memory from parts, where weights are asked for or the calcium is bent: reads and,
    /// with calcium, the normaliser `[batch, heads, steps_q, 1]`.
    pub(super) fn read(
        &self,
        mapped: Mapped,
        call: &Call,
        state: &mut AttentionState,
    ) -> (Tensor<4>, Option<Tensor<4>>) {
        let Mapped { query, mut writes, distance } = mapped;
        let plasticity = self.config.plasticity;
        let run = |query: Tensor<4>, writes: Writes, memory: Tensor<4>| {
            if call.causal {
                ops::causal(query, writes, memory, plasticity, call.form)
            } else {
                let memory = ops::write(writes, memory, plasticity, call.form);
                (ops::read(query, memory.clone()), memory)
            }
        };
        let Normalizer::Calcium { alpha } = self.config.normalizer else {
            writes.key = add(writes.key, distance);
            let (reads, memory) = run(query, writes, state.memory.clone());
            state.memory = memory;
            return (reads, None);
        };
        let calcium = state.calcium.take().expect("empty_state has calcium for a calcium normaliser");
        let (reads, n) = if alpha == 1.0 && distance.is_none() {
            let (reads, n, memory, calcium) = ops::with_calcium(query, writes, state.memory.clone(), calcium, run);
            (state.memory, state.calcium) = (memory, Some(calcium));
            (reads, n)
        } else {
            let (trace, calcium) = ops::calcium_trace(&writes, calcium, call.form);
            let trace = if call.causal {
                ops::after_last_writes(trace, self.config.writes_per_step)
            } else {
                calcium.clone().unsqueeze_dim(2)
            };
            state.calcium = Some(calcium);
            let bent = trace.clamp_min(CALCIUM_FLOOR).powf_scalar(alpha);
            let n = (query.clone() * share_heads(bent, self.config.memory_heads())).sum_dim(3);
            writes.key = add(writes.key, distance);
            let (reads, memory) = run(query, writes, state.memory.clone());
            state.memory = memory;
            (reads, n)
        };
        (reads, Some(n.clamp_min(CALCIUM_FLOOR)))
    }

    /// Weights before the normaliser, `[batch, heads, steps_q, steps_k]`, those of a step's writes
    /// summed.
    pub(super) fn weights(&self, mapped: &Mapped, causal: bool) -> Tensor<4> {
        let mut writes = mapped.writes.clone();
        writes.key = add(writes.key, mapped.distance.clone());
        let weights = ops::weights(mapped.query.clone(), &writes, self.config.plasticity, causal);
        of_steps(weights, self.config.writes_per_step)
    }
}

fn add(key: Tensor<4>, distance: Option<Tensor<4>>) -> Tensor<4> {
    match distance {
        Some(distance) => key + distance,
        None => key,
    }
}
