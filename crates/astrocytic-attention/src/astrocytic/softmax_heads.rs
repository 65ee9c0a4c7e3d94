//! Heads that attend by softmax beside those that read a memory: what has to be recalled word for
//! word, and what has to be tracked, in one layer.

use burn::tensor::{Int, Tensor};

use super::AstrocyticAttention;
use super::call::Call;
use super::state::AttentionState;
use crate::compaction::Compaction;
use crate::ops::softmax_attention;
use crate::position::rotate;
use crate::softmax::weigh::{Hidden, weigh};
use crate::tensor::share_heads;

/// q `[batch, softmax heads, steps, d]`, and k and v of their key heads.
pub(super) type SoftmaxHeads = [Tensor<4>; 3];

impl AstrocyticAttention {
    /// Takes the first heads of the channels of q, k and v `[batch, steps, heads · d]` for softmax,
    /// turned to their places, and leaves those of the memories.
    pub(super) fn take_softmax_heads(
        &self,
        channels: &mut [Tensor<3>; 3],
        positions: &Tensor<2, Int>,
    ) -> Option<SoftmaxHeads> {
        let (config, d) = (&self.config, self.config.head_size());
        if config.softmax_heads == 0 {
            return None;
        }
        let heads = [config.softmax_heads, config.softmax_key_heads(), config.softmax_key_heads()];
        let mut heads = heads.into_iter();
        let [query, key, value] = channels.each_mut().map(|x| {
            let ([batch, steps, width], heads) = (x.dims(), heads.next().expect("three each"));
            let first = x.clone().narrow(2, 0, heads * d);
            *x = x.clone().narrow(2, heads * d, width - heads * d);
            first.reshape([batch, steps, heads, d]).swap_dims(1, 2)
        });
        let turned = |x: Tensor<4>| match config.softmax_rotary_theta {
            Some(theta) => rotate(x, positions.clone(), theta),
            None => x,
        };
        Some([turned(query), turned(key), value])
    }

    /// What the softmax heads read of all steps so far, `[batch, steps, softmax heads, d]`, and
    /// their weights of the given steps where asked for.
    pub(super) fn attend_by_softmax(
        &self,
        [query, key, value]: SoftmaxHeads,
        call: &Call,
        state: &mut AttentionState,
    ) -> (Tensor<4>, Option<Tensor<4>>) {
        let (past, steps) = (state.softmax.length(), key.dims()[2]);
        let [key, value] = if call.remember {
            let all = state.softmax.append([key, value]);
            state.softmax.hide(call.compaction.map(Compaction::padded), past, steps);
            all
        } else {
            [key, value]
        };
        // Padded steps of this call stand behind the others, where causality hides them.
        let padded = state.softmax.padded.clone().filter(|_| past > 0);
        if !call.weights && padded.is_none() {
            let [query, key, value] = [query, key, value].map(|x| x.swap_dims(1, 2));
            return (softmax_attention(query, key, value, true), None);
        }
        let [key, value] = [key, value].map(|x| share_heads(x, self.config.softmax_heads));
        let hidden = Hidden { causal: Some(past), padded, given: None };
        let (reads, weights) = weigh([query, key, value], hidden, |weights| weights);
        (reads, call.weights.then(|| weights.narrow(3, past, steps)))
    }
}
