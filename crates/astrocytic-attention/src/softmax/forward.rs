//! A forward pass, phase by phase.

use burn::tensor::Tensor;

use super::weigh::{Hidden, weigh};
use super::{KeyValueCache, SoftmaxAttention};
use crate::compaction::Compaction;
use crate::input::{AttentionInput, AttentionOutput};
use crate::ops::memory::spec::FORGOTTEN;
use crate::ops::{dropout, gated_silu, softmax_attention};
use crate::position::rotate;
use crate::tensor::{full_precision, share_heads};

impl SoftmaxAttention {
    /// One pass over `input`. With `fresh` the cache is empty and nothing is written to it.
    pub(super) fn attend(
        &self,
        input: AttentionInput,
        cache: &mut KeyValueCache,
        causal: bool,
        fresh: bool,
    ) -> AttentionOutput {
        let input = input.without_padded_numbers(causal);
        let (key_steps, past) = (input.key.dims()[1], cache.length());
        let dtype = input.query.dtype();
        let [query, mut key, mut value] = self.project(&input, cache, causal, fresh);
        if !fresh {
            [key, value] = cache.append([key, value]);
        }
        cache.hide(input.mask_pad, past, key_steps);

        // The layer decides, not the input: its projections are on an autodiff device when it is in
        // training.
        let drops = self.dropout.prob > 0.0 && query.device().is_autodiff();
        let (reads, weights) = if input.weights || drops || cache.padded().is_some() || input.mask_attn.is_some() {
            let [key, value] = [key, value].map(|x| share_heads(x, self.config.n_heads));
            let causal = causal.then_some(past);
            let hidden = Hidden { causal, padded: cache.padded(), given: input.mask_attn.map(|mask| mask.hidden()) };
            let (reads, weights) = weigh([query, key, value], hidden, |weights| dropout(weights, &self.dropout));
            (reads, input.weights.then(|| weights.cast(dtype)))
        } else {
            let [query, key, value] = [query, key, value].map(|x| x.swap_dims(1, 2));
            (softmax_attention(query, key, value, causal), None)
        };
        AttentionOutput { context: self.to_context(reads, input.query), weights }
    }

    /// Queries, keys and values as scores see them, `[batch, heads, steps, d]` each, with a column
    /// more where they fade.
    fn project(&self, input: &AttentionInput, cache: &mut KeyValueCache, causal: bool, fresh: bool) -> [Tensor<4>; 3] {
        let [batch, steps, d_model] = input.query.dims();
        let key_steps = input.key.dims()[1];
        // Convolution and positions know no padding; keys and values stay where they are, and the
        // padded are hidden.
        let compaction = input.mask_pad.as_ref().map(Compaction::new);
        let of_query = compaction.as_ref().filter(|_| causal || input.shared);
        let sides = [of_query, compaction.as_ref(), compaction.as_ref()];
        let channels = [
            self.query.forward(input.query.clone()),
            self.key.forward(input.key.clone()),
            self.value.forward(input.value.clone()),
        ];
        let channels = self.convolve(channels, sides, cache);
        let d = d_model / self.config.n_heads;
        let [mut query, mut key, value] = channels.map(|x| {
            let [batch, steps, width] = x.dims();
            x.reshape([batch, steps, width / d, d]).swap_dims(1, 2)
        });
        if let Some(theta) = self.config.rotary_theta {
            let start = (!fresh).then(|| cache.position.clone().unsqueeze_dim::<2>(1));
            let places = |steps: usize, side: Option<&Compaction>| {
                let within = match side {
                    Some(side) => side.place(),
                    None => Tensor::arange(0..steps as i64, &input.query.device()).unsqueeze::<2>(),
                };
                match &start {
                    Some(start) => start.clone().expand([batch, steps]) + within.expand([batch, steps]),
                    None => within,
                }
            };
            query = rotate(query, places(steps, of_query), theta);
            key = rotate(key, places(key_steps, compaction.as_ref()), theta);
        }
        cache.advance(key_steps, compaction.as_ref());
        match self.log_decay(input) {
            Some(log_decay) => fade([query, key, value].map(full_precision), log_decay, cache),
            None => [query, key, value],
        }
    }

    /// The short convolution of each channel, over steps that are not padded.
    fn convolve(
        &self,
        channels: [Tensor<3>; 3],
        sides: [Option<&Compaction>; 3],
        cache: &mut KeyValueCache,
    ) -> [Tensor<3>; 3] {
        let (Some(filters), Some(history)) = (&self.convolution, &mut cache.history) else { return channels };
        let mut all = filters.iter().zip(sides).zip(history);
        channels.map(|x| {
            let ((filter, side), history) = all.next().expect("three each");
            let x = side.map_or(x.clone(), |side| side.compact(x));
            let (filtered, last) = filter.forward(x, history.clone(), side.map(|side| &side.unpadded_len));
            *history = last;
            side.map_or(filtered.clone(), |side| side.restore(filtered))
        })
    }

    /// log a of each key head and step, 0 at padded ones: `[batch, key heads, steps]`.
    fn log_decay(&self, input: &AttentionInput) -> Option<Tensor<3>> {
        let log_decay = self.decay.as_ref()?.forward(&input.key)?;
        Some(match &input.mask_pad {
            Some(padded) => {
                let hidden = padded.clone().unsqueeze_dim::<3>(1).expand(log_decay.dims());
                log_decay.mask_fill(hidden, 0.0)
            }
            None => log_decay,
        })
    }

    /// From reads to the context: the gate and the output projection.
    fn to_context(&self, reads: Tensor<4>, x_query: Tensor<3>) -> Tensor<3> {
        let [batch, steps, d_model] = x_query.dims();
        let reads = match &self.decay {
            Some(_) => reads.narrow(3, 0, d_model / self.config.n_heads).cast(x_query.dtype()),
            None => reads,
        };
        let reads = reads.reshape([batch, steps, d_model]);
        let reads = match &self.gate {
            Some(gate) => gated_silu(reads, gate.forward(x_query)),
            None => reads,
        };
        self.output.forward(reads)
    }
}

/// Queries, keys and values whose scores are `q·k/√d + Σ log a` over the steps from the key's next
/// to the query's, padded ones left out.
///
/// With c the sum from the first step on this is `q·k/√d − c_k` but for c_q, which is the same for
/// all keys of a query. A column more holds c, in f32 or wider; values get one of zeros. In f32 c
/// is good to 1e-3 up to some 10,000, which decays as they begin reach after 100,000 steps and
/// more.
fn fade([query, key, value]: [Tensor<4>; 3], log_decay: Tensor<3>, cache: &KeyValueCache) -> [Tensor<4>; 3] {
    let [batch, _, _, d] = query.dims();
    let [_, key_heads, key_steps, _] = key.dims();
    // −∞ has no differences.
    let forgotten = log_decay.clone().lower_elem(FORGOTTEN);
    let log_decay = log_decay.mask_fill(forgotten, FORGOTTEN);
    let mut faded = log_decay.neg().cumsum(2).cast(key.dtype()).unsqueeze_dim::<4>(3);
    if let Some([keys, _]) = cache.steps() {
        faded = faded + keys.narrow(2, cache.length() - 1, 1).narrow(3, d, 1).expand([batch, key_heads, key_steps, 1]);
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
