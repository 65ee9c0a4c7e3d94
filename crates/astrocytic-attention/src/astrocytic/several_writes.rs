//! Several writes a step (DeltaProduct, arXiv 2502.10297): keys, values and strengths beyond the
//! first of each step, and how the writes of all steps stand one after another.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Int, Tensor};

use super::config::AstrocyticAttentionConfig;

/// The writes of a step beyond the first. `n − 1` of them stand side by side, each for all key
/// heads that write a memory.
#[derive(Module, Debug)]
pub struct FurtherWrites {
    /// To the key space, `d_model` to `(n − 1) · memories · head size`.
    pub key: Linear,
    /// To the value space, as `key`.
    pub value: Linear,
    /// Their strengths from the input, `d_model` to `(n − 1) · memories`, where writes have a gate.
    pub gate: Option<Linear>,
}

impl AstrocyticAttentionConfig {
    /// The projections of the writes of a step beyond the first, if there are any.
    pub(super) fn init_further(&self, device: &Device) -> Option<FurtherWrites> {
        let further = self.writes_per_step - 1;
        let width = further * self.memory_key_heads() * self.head_size();
        let linear = || {
            let config = LinearConfig::new(self.d_model, width).with_initializer(self.initializer.clone());
            config.with_bias(self.bias).init(device)
        };
        (further > 0).then(|| FurtherWrites {
            key: linear(),
            value: linear(),
            gate: self.write_gate.then(|| self.init_write_gate(further, device)),
        })
    }
}

/// What both projections make of x, side by side.
pub(super) fn both(first: &Linear, further: Option<&Linear>, x: &Tensor<3>) -> Tensor<3> {
    let of_first = first.forward(x.clone());
    match further {
        Some(further) => Tensor::cat(vec![of_first, further.forward(x.clone())], 2),
        None => of_first,
    }
}

/// The heads of all writes, the writes of a step one after another: `[batch, steps, writes · heads
/// · d]` to `[batch, heads, steps · writes, d]`.
pub(super) fn heads_in_turn(x: Tensor<3>, writes: usize, d: usize) -> Tensor<4> {
    let [batch, steps, width] = x.dims();
    x.reshape([batch, steps * writes, width / writes / d, d]).swap_dims(1, 2)
}

/// One number of each head, in the same order: `[batch, writes · heads, steps]` to `[batch, heads,
/// steps · writes]`.
pub(super) fn numbers_in_turn(x: Tensor<3>, writes: usize) -> Tensor<3> {
    let [batch, width, steps] = x.dims();
    x.swap_dims(1, 2).reshape([batch, steps * writes, width / writes]).swap_dims(1, 2)
}

/// A log decay that acts before the first write of a step: `[batch, heads, steps]` to `[batch,
/// heads, steps · writes]`.
pub(super) fn before_first(log_decay: Tensor<3>, writes: usize) -> Tensor<3> {
    let [batch, heads, steps] = log_decay.dims();
    if writes == 1 {
        return log_decay;
    }
    let none = Tensor::<4>::zeros([batch, heads, steps, writes - 1], (&log_decay.device(), log_decay.dtype()));
    Tensor::cat(vec![log_decay.unsqueeze_dim(3), none], 3).reshape([batch, heads, steps * writes])
}

/// The place of each write, which is that of its step.
pub(super) fn places_of_writes(positions: Tensor<2, Int>, writes: usize) -> Tensor<2, Int> {
    let [rows, steps] = positions.dims();
    positions.unsqueeze_dim::<3>(2).expand([rows, steps, writes]).reshape([rows, steps * writes])
}

/// Weights of writes summed over those of each step: `[batch, heads, queries, steps · writes]` to
/// `[batch, heads, queries, steps]`.
pub(super) fn of_steps(weights: Tensor<4>, writes: usize) -> Tensor<4> {
    let [batch, heads, queries, all] = weights.dims();
    if writes == 1 {
        return weights;
    }
    weights.reshape([batch, heads, queries, all / writes, writes]).sum_dim(4).squeeze_dim(4)
}
