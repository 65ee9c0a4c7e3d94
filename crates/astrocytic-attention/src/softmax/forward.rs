//! A forward pass, phase by phase.

use burn::tensor::{Bool, Int, Tensor, activation::softmax};

use super::{KeyValueCache, SoftmaxAttention};
use crate::compaction::Compaction;
use crate::input::{AttentionInput, AttentionOutput};
use crate::ops::memory::spec::FORGOTTEN;
use crate::ops::{gated_silu, softmax_attention, times_seen};
use crate::position::rotate;
use crate::tensor::{full_precision, share_heads};

impl SoftmaxAttention {
    /// `fresh` says that the cache has seen nothing.
    pub(super) fn attend(
        &self,
        input: AttentionInput,
        cache: &mut KeyValueCache,
        causal: bool,
        fresh: bool,
    ) -> AttentionOutput {
        let input = input.without_padded_numbers(causal);
        let [batch, steps, d_model] = input.query.dims();
        let key_steps = input.key.dims()[1];
        let (device, dtype) = (input.query.device(), input.query.dtype());
        let past = cache.length;
        let log_decay = self.decay.as_ref().and_then(|decay| decay.forward(&input.key));

        // Convolution and positions know no padding; keys and values stay where they are, and the padded are hidden.
        let compaction = input.mask_pad.as_ref().map(Compaction::new);
        let of_query = compaction.as_ref().filter(|_| causal || input.shared);
        let sides = [of_query, compaction.as_ref(), compaction.as_ref()];
        let mut channels =
            [self.query.forward(input.query.clone()), self.key.forward(input.key), self.value.forward(input.value)];
        if let (Some(filters), Some(history)) = (&self.convolution, &mut cache.history) {
            for (i, side) in sides.into_iter().enumerate() {
                let x = side.map_or(channels[i].clone(), |side| side.compact(channels[i].clone()));
                let (filtered, last) = filters[i].forward(x, history[i].clone(), side.map(|side| &side.kept));
                channels[i] = side.map_or(filtered.clone(), |side| side.restore(filtered));
                history[i] = last;
            }
        }
        let d = d_model / self.config.n_heads;
        let [mut query, mut key, mut value] = channels.map(|x| {
            let [batch, steps, width] = x.dims();
            x.reshape([batch, steps, width / d, d]).swap_dims(1, 2)
        });
        if let Some(theta) = self.config.rotary_theta {
            let start = cache.position.clone().unsqueeze_dim::<2>(1);
            let positions = |steps: usize, side: Option<&Compaction>| {
                let own = match side {
                    Some(side) => side.place(),
                    None => Tensor::arange(0..steps as i64, &device).unsqueeze::<2>(),
                };
                if fresh { own } else { start.clone().expand([batch, steps]) + own.expand([batch, steps]) }
            };
            query = rotate(query, positions(steps, of_query), theta);
            key = rotate(key, positions(key_steps, compaction.as_ref()), theta);
        }
        cache.position = match &compaction {
            Some(compaction) => cache.position.clone() + compaction.kept.clone(),
            None => cache.position.clone().add_scalar(key_steps as i64),
        };
        if let Some(mut log_decay) = log_decay {
            if let Some(padded) = &input.mask_pad {
                log_decay = log_decay
                    .mask_fill(padded.clone().unsqueeze_dim::<3>(1).expand([batch, key.dims()[1], key_steps]), 0.0);
            }
            [query, key, value] = fade([query, key, value].map(full_precision), log_decay, cache);
        }
        if !fresh {
            [key, value] = cache.append([key, value]);
        }
        if cache.padded.is_some() || input.mask_pad.is_some() {
            let none = |steps| Tensor::<2, Int>::zeros([batch, steps], &device).bool();
            let before = cache.padded.take().unwrap_or_else(|| none(past));
            let now = input.mask_pad.unwrap_or_else(|| none(key_steps));
            cache.padded = Some(if past == 0 { now } else { Tensor::cat(vec![before, now], 1) });
        }

        // The layer decides, not the input: its projections are on an autodiff device when it is in training.
        let dropping = self.dropout.prob > 0.0 && query.device().is_autodiff();
        let (reads, weights) = if input.weights || dropping || cache.padded.is_some() || input.mask_attn.is_some() {
            let [key, value] = [key, value].map(|x| share_heads(x, self.config.n_heads));
            let (reads, weights) = self.weigh(query, key, value, causal, past, cache, input.mask_attn);
            (reads, input.weights.then(|| weights.cast(dtype)))
        } else {
            let [query, key, value] = [query, key, value].map(|x| x.swap_dims(1, 2));
            (softmax_attention(query, key, value, causal), None)
        };
        let reads = match &self.decay {
            Some(_) => reads.narrow(3, 0, d).cast(dtype),
            None => reads,
        };
        let reads = reads.reshape([batch, steps, d_model]);
        let reads = match &self.gate {
            Some(gate) => gated_silu(reads, gate.forward(input.query)),
            None => reads,
        };
        AttentionOutput { context: self.output.forward(reads), weights }
    }

    /// With the matrix of weights whole: reads `[batch, steps, heads, d]` and weights `[batch, heads, steps, keys]`.
    #[allow(clippy::too_many_arguments)]
    fn weigh(
        &self,
        query: Tensor<4>,
        key: Tensor<4>,
        value: Tensor<4>,
        causal: bool,
        past: usize,
        cache: &KeyValueCache,
        mask_attn: Option<Tensor<3, Bool>>,
    ) -> (Tensor<4>, Tensor<4>) {
        let [batch, heads, steps, d] = query.dims();
        let all = key.dims()[2];
        let shape = [batch, heads, steps, all];
        let scores = query.mul_scalar((d as f64).powf(-0.5)).matmul(key.transpose());
        let causal_mask = (causal && steps > 1)
            .then(|| Tensor::<2, Bool>::tril_mask([steps, all], past as i64, &scores.device()).unsqueeze::<4>());
        let padded = cache.padded.clone().map(|mask| mask.reshape([batch, 1, 1, all]));
        let given = mask_attn.map(|mask| mask.reshape([batch, 1, steps, all]));
        let masks = [causal_mask, padded, given].into_iter().flatten().map(|mask| mask.expand(shape));
        let weights = match masks.reduce(|a, b| a.bool_or(b)) {
            // A finite fill keeps a row without any visible key finite; the second mask makes it 0.
            Some(hidden) => softmax(scores.mask_fill(hidden.clone(), -1e9), 3).mask_fill(hidden, 0.0),
            None => softmax(scores, 3),
        };
        let weights = self.dropout.forward(weights);
        let reads = if causal { times_seen(weights.clone(), value, past) } else { weights.clone().matmul(value) };
        (reads.swap_dims(1, 2), weights)
    }
}

/// Queries, keys and values whose scores are `q·k/√d + Σ log a` over the steps from the key's next to the query's, padded ones
/// left out. With c the sum from the first step on this is `q·k/√d − c_k` but for c_q, which is the same for all keys of a
/// query; a column more holds it, in f32 or wider. Values get one of zeros. In f32 c is good to 1e-3 up to some 10,000, which
/// decays as they begin reach after 100,000 steps and more.
fn fade([query, key, value]: [Tensor<4>; 3], log_decay: Tensor<3>, cache: &KeyValueCache) -> [Tensor<4>; 3] {
    let [batch, _, _, d] = query.dims();
    let [_, key_heads, key_steps, _] = key.dims();
    // −∞ has no differences.
    let forgotten = log_decay.clone().lower_elem(FORGOTTEN);
    let log_decay = log_decay.mask_fill(forgotten, FORGOTTEN);
    let mut faded = log_decay.neg().cumsum(2).cast(key.dtype()).unsqueeze_dim::<4>(3);
    if let Some([keys, _]) = cache.steps() {
        faded = faded + keys.narrow(2, cache.length - 1, 1).narrow(3, d, 1).expand([batch, key_heads, key_steps, 1]);
    }
    // The scores are divided by the root of the new size.
    let root = ((d + 1) as f64).sqrt();
    let one = query.zeros_like().narrow(3, 0, 1).add_scalar(root);
    let zero = Tensor::zeros([batch, key_heads, key_steps, 1], (&value.device(), value.dtype()));
    [
        Tensor::cat(vec![query.mul_scalar(root / (d as f64).sqrt()), one], 3),
        Tensor::cat(vec![key, faded], 3),
        Tensor::cat(vec![value, zero], 3),
    ]
}
