//! A sliding softmax window beside the memory: the last steps are seen exactly, what is older through the memory, both under
//! one normaliser (LoLCATs, arXiv 2410.10254, eq. 7; Based, arXiv 2402.18668). It is short-term memory beside the synapses'.
//!
//! With W steps in the window, s = q·k/√d and γ a learned factor of each head:
//! `y_i = (γ Σ_{i−W<j≤i} e^{s_ij − c_i} v_j + N_i) / (γ Σ_{i−W<j≤i} e^{s_ij − c_i} + n_i)`, where N and n are what the memory
//! reads of the steps up to i − W. c is the largest s, so that nothing overflows; where the feature map imitates e^s itself
//! (Taylor), c is at least 0 and N and n are scaled by e^{−c} too, and the sum is one softmax.

use burn::tensor::{Bool, Tensor};

use super::AstrocyticAttention;
use super::project::Projected;
use super::state::AttentionState;
use crate::compaction::Compaction;
use crate::ops::{
    self, CALCIUM_FLOOR, Feature, Form, MemoryInputs, MemorySpec, MemoryState, Plasticity, memory_attention,
};
use crate::tensor::{contiguous, full_precision, share_heads};

/// What hides a score: as good as −∞, and finite.
const HIDDEN: f64 = -1e30;

/// The window's share, before the normaliser.
struct Window {
    /// `Σ e^{s − c} v` and, as the last column, `Σ e^{s − c}`: `[batch, heads, steps, d + 1]`.
    pub sums: Tensor<4>,
    /// c, `[batch, heads, steps, 1]`.
    pub largest: Tensor<4>,
}

/// Sums over the last `width` steps of each.
///
/// # Shapes
/// - query: `[batch, heads, steps, d]`
/// - key: `[batch, heads, width + steps, d]`, the steps before the first included
/// - value: `[batch, heads, width + steps, d + 1]`, with a last column of ones; 0 where there is no step
fn attend(query: Tensor<4>, key: Tensor<4>, value: Tensor<4>, width: usize) -> Window {
    let [batch, heads, steps, d] = query.dims();
    // Steps that are not finite are kept out of the products, where 0 times them would reach earlier steps.
    let nothing = |x: &Tensor<4>| x.clone().detach().mul_scalar(0.0).sum_dim(3);
    let faults = nothing(&key) + nothing(&value);
    let faulty = faults.clone().is_nan();
    let [key, value] = [key, value].map(|x| {
        let dims = x.dims();
        x.mask_fill(faulty.clone().expand(dims), 0.0)
    });
    let faults = faults.cumsum(2).narrow(2, width, steps);
    let block = width.min(steps);
    let blocks = steps.div_ceil(block);
    let missing = blocks * block - steps;
    let fill = |x: Tensor<4>, rows: usize| match rows {
        0 => x,
        _ => {
            let [batch, heads, _, size] = x.dims();
            let zeros = Tensor::zeros([batch, heads, rows, size], (&x.device(), x.dtype()));
            Tensor::cat(vec![x, zeros], 2)
        }
    };
    // Each block of queries with its own steps and the `width` before it.
    let query = fill(query, missing).reshape([batch, heads, blocks, block, d]);
    let around = |x: Tensor<4>| {
        let size = x.dims()[3];
        if blocks == 1 {
            return x.unsqueeze_dim::<5>(2);
        }
        let x = fill(x, missing);
        let part =
            |start: usize| x.clone().narrow(2, start, blocks * block).reshape([batch, heads, blocks, block, size]);
        Tensor::cat(vec![part(0), part(width)], 3)
    };
    let (key, value) = (around(key), around(value));
    let [.., seen, columns] = value.dims();

    let scores = query.mul_scalar((d as f64).powf(-0.5)).matmul(key.transpose());
    // Query r of a block sees the keys r + 1 to r + width, if they are steps.
    let device = scores.device();
    let too_new = Tensor::<2, Bool>::tril_mask([block, seen], width as i64, &device);
    let in_time = Tensor::<2, Bool>::tril_mask([block, seen], 0, &device);
    let band = too_new.bool_or(in_time.bool_not()).unsqueeze::<5>();
    let no_step = value.clone().narrow(4, columns - 1, 1).equal_elem(0.0).transpose();
    let shape = scores.dims();
    let hidden = band.expand(shape).bool_or(no_step.expand(shape));
    let scores = scores.mask_fill(hidden.clone(), HIDDEN);
    // A constant of the row, without a gradient.
    let largest = scores.clone().detach().max_dim(4).clamp_min(HIDDEN / 2.0);
    let exponentials = (scores - largest.clone()).exp().mask_fill(hidden, 0.0);
    let whole = |x: Tensor<5>, size: usize| {
        let x = x.reshape([batch, heads, blocks * block, size]);
        if missing == 0 { x } else { x.narrow(2, 0, steps) }
    };
    Window { sums: whole(exponentials.matmul(value), columns) + faults, largest: whole(largest, 1) }
}

/// The exponentials behind those sums as a matrix, `[batch, heads, steps, steps]`, of a sequence with nothing before it.
fn dense(query: Tensor<4>, key: Tensor<4>, value: Tensor<4>, largest: &Tensor<4>, width: usize) -> Tensor<4> {
    let [batch, heads, steps, d] = query.dims();
    let columns = value.dims()[3];
    let key = key.narrow(2, width, steps);
    let is_step = value.narrow(2, width, steps).narrow(3, columns - 1, 1).transpose();
    let scores = query.mul_scalar((d as f64).powf(-0.5)).matmul(key.transpose());
    let device = scores.device();
    let too_new = Tensor::<2, Bool>::tril_mask([steps, steps], 0, &device);
    let in_time = Tensor::<2, Bool>::tril_mask([steps, steps], -(width as i64), &device);
    let hidden = too_new.bool_or(in_time.bool_not()).unsqueeze::<4>().expand([batch, heads, steps, steps]);
    let exponentials = (scores - largest.clone()).mask_fill(hidden.clone(), 0.0).exp();
    exponentials.mask_fill(hidden, 0.0) * is_step
}

impl AstrocyticAttention {
    /// Reads from the window and from the memory behind it, `[batch, steps, heads, d]`, and the weights where asked for.
    pub(super) fn attend_with_window(
        &self,
        projected: Projected,
        form: Form,
        state: &mut AttentionState,
        remember: bool,
        with_weights: bool,
        compaction: Option<&Compaction>,
    ) -> (Tensor<4>, Option<Tensor<4>>) {
        let width = self.config.window;
        let Projected { query, key, value, log_decay, strength, .. } = projected;
        let [batch, key_heads, steps, d] = key.dims();
        // Beside each value a one, which counts, and β, which the memory scales it with when the window has passed; all 0
        // at a padded step.
        let ones = Tensor::<3>::ones([batch, key_heads, steps], (&key.device(), key.dtype()));
        let ones = compaction.map_or(ones.clone(), |compaction| compaction.silence(ones));
        let strength = strength.unwrap_or_else(|| ones.clone()).unsqueeze_dim::<4>(3);
        let ones = ones.unsqueeze_dim::<4>(3);
        let value = Tensor::cat(vec![value * ones.clone(), ones.clone(), strength], 3);
        let [recent_key, recent_value] = state.recent.take().expect("empty_state has a window's steps");
        let keys = Tensor::cat(vec![recent_key, key], 2);
        let values = Tensor::cat(vec![recent_value, value], 2);
        if remember {
            // The last steps of each row that are not padded.
            let last = |x: &Tensor<4>| match compaction {
                None => contiguous(x.clone().narrow(2, steps, width)),
                Some(compaction) => compaction.window(x.clone(), width),
            };
            state.recent = Some([last(&keys), last(&values)]);
        }
        let counted = values.clone().narrow(3, 0, d + 1);
        let shared = |x: Tensor<4>| share_heads(x, self.config.n_heads);
        let Window { sums, largest } = attend(query.clone(), shared(keys.clone()), shared(counted.clone()), width);
        let scale = self.window_scale.as_ref().expect("init gives a window its scale").val().exp();
        let scale = full_precision(scale).reshape([1, self.config.n_heads, 1, 1]);
        let (exact, shrunk) = if self.config.feature_map.imitates_softmax() {
            // One scale for both.
            let common = largest.clone().clamp_min(0.0);
            ((largest.clone() - common.clone()).exp(), (-common).exp())
        } else {
            (largest.ones_like(), largest.ones_like())
        };
        let mut sums = sums * exact.clone() * scale.clone();
        let mut weights = with_weights.then(|| {
            let dense = dense(query.clone(), shared(keys.clone()), shared(counted.clone()), &largest, width);
            dense * exact.clone() * scale.clone()
        });
        if self.config.memory {
            // A step leaves the window as another comes: at a padded one nothing does.
            let strength = values.narrow(3, d + 1, 1).narrow(2, 0, steps) * ones;
            let written = counted.narrow(2, 0, steps) * strength;
            let mapped = self.map(Projected {
                query,
                key: keys.narrow(2, 0, steps),
                value: written,
                log_decay,
                strength: None,
                distance: None,
            });
            let calcium = state.calcium.clone().expect("a window goes with calcium").unsqueeze_dim::<4>(3);
            let before = Tensor::cat(vec![state.memory.clone(), calcium], 3);
            let spec = MemorySpec {
                plasticity: Plasticity::Hebbian,
                feature: Feature::identity(),
                unit: false,
                calcium: false,
                causal: true,
                form,
            };
            weights = weights.map(|weights| {
                // What is written at a step is what left the window then: `width` steps older.
                let older =
                    ops::weights(mapped.query.clone(), &mapped.writes, Plasticity::Hebbian, true) * shrunk.clone();
                let older = older * shared(mapped.writes.value.clone().narrow(3, d, 1)).transpose();
                if steps <= width {
                    return weights;
                }
                let newest =
                    Tensor::zeros([batch, self.config.n_heads, steps, width], (&older.device(), older.dtype()));
                weights + Tensor::cat(vec![older.narrow(3, width, steps - width), newest], 3)
            });
            let x = MemoryInputs::heads_last(mapped.query, mapped.writes);
            let before = remember.then_some(MemoryState { memory: before, calcium: None });
            let (older, after) = memory_attention(&spec, x, before, remember);
            if let Some(after) = after {
                state.memory = after.memory.clone().narrow(3, 0, d);
                state.calcium = Some(after.memory.narrow(3, d, 1).squeeze_dim(3));
            }
            sums = sums + older.swap_dims(1, 2) * shrunk;
        }
        let n = sums.clone().narrow(3, d, 1).clamp_min(CALCIUM_FLOOR);
        let weights = weights.map(|weights| weights / n.clone());
        ((sums.narrow(3, 0, d) / n).swap_dims(1, 2), weights)
    }
}
