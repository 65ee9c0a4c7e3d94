//! A sliding softmax window beside the memory. The last steps are seen exactly, what is older
//! through the memory, both under one normaliser (LoLCATs, arXiv 2410.10254, eq. 7; Based, arXiv
//! 2402.18668). It is short-term memory beside the synapses'.
//!
//! With W steps in the window, s = q·k/√d and γ a learned factor of each head:
//!
//! ```text
//! y_i = (γ Σ e^{s_ij − c_i} v_j + N_i) / (γ Σ e^{s_ij − c_i} + n_i), sums over i − W < j ≤ i
//! ```
//!
//! N and n are what the memory reads of the steps up to i − W. c is the largest s, so that nothing
//! overflows. Where the feature map imitates e^s itself (Taylor), c is at least 0 and N and n are
//! scaled by e^{−c} too: the sum is one softmax.

use burn::tensor::Tensor;

use super::AstrocyticAttention;
use super::call::Call;
use super::project::Projected;
use super::state::AttentionState;
use super::window_sums::{Window, dense, window_sums};
use crate::ops::{self, CALCIUM_FLOOR, Feature, MemoryInputs, MemorySpec, MemoryState, Plasticity, memory_attention};
use crate::tensor::{contiguous, full_precision, share_heads};

/// The steps that queries may see: those of the window before the first, and the given ones.
struct Sight {
    /// `[batch, key heads, width + steps, d]`.
    keys: Tensor<4>,
    /// Values, each with a 1, which counts, and β, which the memory scales it with when the window
    /// has passed; all 0 where there is no step: `[batch, key heads, width + steps, d + 2]`.
    values: Tensor<4>,
    /// 1 for a given step, 0 for a padded one, `[batch, key heads, steps, 1]`.
    present: Tensor<4>,
}

impl Sight {
    /// Values with a 1 each, `[batch, key heads, width + steps, d + 1]`.
    fn counted(&self) -> Tensor<4> {
        let columns = self.values.dims()[3];
        self.values.clone().narrow(3, 0, columns - 1)
    }
}

/// What the two parts of a read are multiplied by before they are added.
struct Scales {
    /// Of the window beside γ, `[batch, heads, steps, 1]`.
    exact: Tensor<4>,
    /// γ, `[1, heads, 1, 1]`.
    gamma: Tensor<4>,
    /// Of the memory, `[batch, heads, steps, 1]`.
    older: Tensor<4>,
}

impl AstrocyticAttention {
    /// Reads from the window and from the memory behind it, `[batch, steps, heads, d]`, and the
    /// weights where asked for.
    pub(super) fn attend_with_window(
        &self,
        projected: Projected,
        call: &Call,
        state: &mut AttentionState,
    ) -> (Tensor<4>, Option<Tensor<4>>) {
        let (width, d) = (self.config.window, self.config.head_size());
        let sight = look_back(&projected, width, call, state);
        let query = projected.query.clone();
        let [keys, counted] = [sight.keys.clone(), sight.counted()].map(|x| share_heads(x, self.config.n_heads));
        let Window { sums, largest } = window_sums(query.clone(), keys.clone(), counted.clone(), width);
        let scales = self.scales(&largest);
        let scaled = |x: Tensor<4>| x * scales.exact.clone() * scales.gamma.clone();
        let mut sums = scaled(sums);
        let mut weights = call.weights.then(|| scaled(dense(query, keys, counted, &largest, width)));
        if self.config.memory {
            let (older, older_weights) = self.read_behind(projected, sight, scales.older, call, state);
            sums = sums + older;
            weights = weights.map(|weights| match older_weights {
                Some(older) => weights + older,
                None => weights,
            });
        }
        let n = sums.clone().narrow(3, d, 1).clamp_min(CALCIUM_FLOOR);
        let weights = weights.map(|weights| weights / n.clone());
        ((sums.narrow(3, 0, d) / n).swap_dims(1, 2), weights)
    }

    fn scales(&self, largest: &Tensor<4>) -> Scales {
        let gamma = self.window_scale.as_ref().expect("init gives a window its scale").val().exp();
        let gamma = full_precision(gamma).reshape([1, self.config.n_heads, 1, 1]);
        let (exact, older) = if self.config.feature_map.imitates_softmax() {
            // One scale for both.
            let common = largest.clone().clamp_min(0.0);
            ((largest.clone() - common.clone()).exp(), (-common).exp())
        } else {
            (largest.ones_like(), largest.ones_like())
        };
        Scales { exact, gamma, older }
    }

    /// What the memory reads of the steps that the window has passed, scaled: sums, and weights
    /// where asked for and there are such steps.
    fn read_behind(
        &self,
        projected: Projected,
        sight: Sight,
        scale: Tensor<4>,
        call: &Call,
        state: &mut AttentionState,
    ) -> (Tensor<4>, Option<Tensor<4>>) {
        let (width, d) = (self.config.window, self.config.head_size());
        let steps = projected.key.dims()[2];
        // A step leaves the window as another comes: at a padded one nothing does.
        let strength = sight.values.clone().narrow(3, d + 1, 1).narrow(2, 0, steps) * sight.present.clone();
        let left = Projected {
            key: sight.keys.clone().narrow(2, 0, steps),
            value: sight.counted().narrow(2, 0, steps) * strength,
            strength: None,
            distance: None,
            ..projected
        };
        let mapped = self.map(left);
        let weights = (call.weights && steps > width).then(|| {
            // What is written at a step is what left the window then: `width` steps older.
            let older = ops::weights(mapped.query.clone(), &mapped.writes, Plasticity::Hebbian, true) * scale.clone();
            let counts = mapped.writes.value.clone().narrow(3, d, 1);
            let older = older * share_heads(counts, self.config.n_heads).transpose();
            let [batch, heads, ..] = older.dims();
            let newest = Tensor::zeros([batch, heads, steps, width], (&older.device(), older.dtype()));
            Tensor::cat(vec![older.narrow(3, width, steps - width), newest], 3)
        });
        // The calcium is one more column of the memory, because values have a one.
        let before = call.remember.then(|| {
            let calcium = state.calcium.clone().expect("a window goes with calcium").unsqueeze_dim::<4>(3);
            MemoryState { memory: Tensor::cat(vec![state.memory.clone(), calcium], 3), calcium: None }
        });
        let spec = MemorySpec {
            plasticity: Plasticity::Hebbian,
            feature: Feature::identity(),
            unit: false,
            calcium: false,
            causal: true,
            form: call.form,
        };
        let inputs = MemoryInputs::heads_last(mapped.query, mapped.writes);
        let (sums, after) = memory_attention(&spec, inputs, before, call.remember);
        if let Some(after) = after {
            state.memory = after.memory.clone().narrow(3, 0, d);
            state.calcium = Some(after.memory.narrow(3, d, 1).squeeze_dim(3));
        }
        (sums.swap_dims(1, 2) * scale, weights)
    }
}

/// Puts the given steps behind those that the state remembers of the window, and remembers the last
/// of them.
fn look_back(projected: &Projected, width: usize, call: &Call, state: &mut AttentionState) -> Sight {
    let Projected { key, value, strength, .. } = projected;
    let [batch, key_heads, steps, _] = key.dims();
    let ones = Tensor::<3>::ones([batch, key_heads, steps], (&key.device(), key.dtype()));
    let present = match call.compaction {
        Some(compaction) => compaction.silence(ones),
        None => ones,
    };
    let strength = strength.clone().unwrap_or_else(|| present.clone()).unsqueeze_dim::<4>(3);
    let present = present.unsqueeze_dim::<4>(3);
    let value = Tensor::cat(vec![value.clone() * present.clone(), present.clone(), strength], 3);
    let [recent_key, recent_value] = state.recent.take().expect("empty_state has a window's steps");
    let keys = Tensor::cat(vec![recent_key, key.clone()], 2);
    let values = Tensor::cat(vec![recent_value, value], 2);
    if call.remember {
        // The last steps of each row that are not padded.
        let last = |x: &Tensor<4>| match call.compaction {
            None => contiguous(x.clone().narrow(2, steps, width)),
            Some(compaction) => compaction.window(x.clone(), width),
        };
        state.recent = Some([last(&keys), last(&values)]);
    }
    Sight { keys, values, present }
}
