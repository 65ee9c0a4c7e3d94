//! Softmax attention with the same surroundings as the astrocytic layer: the baseline and its controls.
//!
//! Burn's `MultiHeadAttention` has no rotary positions, grouped queries, convolution or gate, and a fair comparison
//! differs in the mixing of steps alone.

use burn::config::Config;
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Initializer, Linear, LinearConfig};
use burn::tensor::{Bool, Device, Int, Tensor, activation::softmax};

use crate::config::AstrocyticAttentionConfig;
use crate::convolution::ShortConvolution;
use crate::decay::{Decay, DecayConfig};
use crate::error::AttentionError;
use crate::input::{AttentionInput, AttentionOutput, Compaction};
use crate::ops::{gated_silu, softmax_attention, times_seen};
use crate::position::{PositionConfig, rotate};
use crate::state::{full_precision, own};
pub(crate) use crate::tensor::share_heads;

/// Configuration of [`SoftmaxAttention`].
#[derive(Config, Debug, PartialEq)]
pub struct SoftmaxAttentionConfig {
    /// Width of the input and the output.
    pub d_model: usize,
    /// Number of query heads; divides `d_model`.
    pub n_heads: usize,
    /// Number of key and value heads, a divisor of `n_heads`; `None` is `n_heads`.
    pub kv_heads: Option<usize>,
    /// Whether step t sees only steps up to t.
    #[config(default = false)]
    pub causal: bool,
    /// Base of rotary positions on q and k; `None` is no positions.
    pub rotary_theta: Option<f64>,
    /// Width of the short causal convolution on q, k and v, 0 (off) or 2 to 8.
    #[config(default = 0)]
    pub convolution: usize,
    /// Gate the reads with `silu(x W + b)`.
    #[config(default = false)]
    pub output_gate: bool,
    /// Dropout of the attention weights.
    #[config(default = 0.0)]
    pub dropout: f64,
    /// Biases in the four projections.
    #[config(default = true)]
    pub bias: bool,
    /// Initialisation of the projections.
    #[config(default = "Initializer::KaimingUniform{gain: 1.0 / 3f64.sqrt(), fan_out_only: false}")]
    pub initializer: Initializer,
}

/// Multi-head softmax attention (arXiv 1706.03762) with optional rotary positions, convolution and gate.
#[derive(Module, Debug)]
pub struct SoftmaxAttention {
    /// To the query space.
    pub query: Linear,
    /// To the key space.
    pub key: Linear,
    /// To the value space.
    pub value: Linear,
    /// From the heads back to `d_model`.
    pub output: Linear,
    /// Dropout of the weights.
    pub dropout: Dropout,
    /// Short convolutions on q, k and v.
    pub convolution: Option<[ShortConvolution; 3]>,
    /// Gate on the reads.
    pub gate: Option<Linear>,
    /// What scores fade by: softmax attention that forgets (Forgetting Transformer, arXiv 2503.02130), the control for
    /// memories that leak. Made by [`AttentionConfig::Forgetting`](crate::AttentionConfig::Forgetting).
    pub decay: Option<Decay>,
    #[module(skip)]
    config: SoftmaxAttentionConfig,
}

/// Keys and values of the steps seen so far: grows with them.
#[derive(Debug, Clone)]
pub struct KeyValueCache {
    /// Keys and values, `[batch, key heads, room, d]` each, a column more where they fade; `None` before the first step. The
    /// room doubles when it is full, so that a step need not copy those before it.
    room: Option<[Tensor<4>; 2]>,
    /// Steps in it.
    length: usize,
    /// Which of them are padded, `[batch, steps]`; `None` is none.
    pub padded: Option<Tensor<2, Bool>>,
    /// Steps seen by each row, padded ones left out, `[batch]`.
    pub position: Tensor<1, Int>,
    /// Last steps of q, k and v before the convolution.
    pub history: Option<[Tensor<3>; 3]>,
}

impl KeyValueCache {
    /// Keys and values seen, `[batch, key heads, steps, d]` each, a column more where they fade.
    pub fn steps(&self) -> Option<[Tensor<4>; 2]> {
        self.room.clone().map(|room| room.map(|x| x.narrow(2, 0, self.length)))
    }

    /// The last `most` steps, without the graph of their gradients.
    pub fn truncate(self, most: usize) -> Self {
        let kept = self.length.min(most);
        let last = |x: Tensor<4>| own(x.narrow(2, self.length - kept, kept)).detach();
        Self {
            room: self.room.filter(|_| kept > 0).map(|room| room.map(last)),
            length: kept,
            padded: self.padded.filter(|_| kept > 0).map(|padded| padded.narrow(1, self.length - kept, kept)),
            position: self.position,
            history: self.history.map(|history| history.map(Tensor::detach)),
        }
    }

    /// Adds keys and values and returns all.
    fn append(&mut self, new: [Tensor<4>; 2]) -> [Tensor<4>; 2] {
        let [batch, heads, steps, d] = new[0].dims();
        let needed = self.length + steps;
        let mut room = self.room.take();
        if room.as_ref().is_none_or(|room| room[0].dims()[2] < needed) {
            let size = needed.next_power_of_two().max(LEAST_ROOM);
            let options = (&new[0].device(), new[0].dtype());
            let larger = || Tensor::zeros([batch, heads, size, d], options);
            let seen = [0..batch, 0..heads, 0..self.length, 0..d];
            room = Some(match room {
                Some(full) => full.map(|x| larger().slice_assign(seen.clone(), x.narrow(2, 0, self.length))),
                None => [larger(), larger()],
            });
        }
        let [keys, values] = room.expect("made where there was none");
        let place = [0..batch, 0..heads, self.length..needed, 0..d];
        let [new_keys, new_values] = new;
        // Nobody else holds them, so they are written in place.
        self.room = Some([keys.slice_assign(place.clone(), new_keys), values.slice_assign(place, new_values)]);
        self.length = needed;
        self.steps().expect("just put there")
    }
}

/// Steps that a cache first has room for.
const LEAST_ROOM: usize = 64;

impl SoftmaxAttentionConfig {
    /// Number of key and value heads.
    pub fn key_heads(&self) -> usize {
        self.kv_heads.unwrap_or(self.n_heads)
    }

    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// [`AttentionError::Config`] with the field and what would do.
    pub fn validate(&self) -> Result<(), AttentionError> {
        let fault = |text: String| Err(AttentionError::Config(text));
        let Self { d_model, n_heads, .. } = *self;
        if n_heads == 0 || d_model == 0 || d_model % n_heads != 0 {
            return fault(format!("n_heads = {n_heads} must divide d_model = {d_model}, both above 0"));
        }
        let kv_heads = self.key_heads();
        if kv_heads == 0 || n_heads % kv_heads != 0 {
            return fault(format!("kv_heads = {kv_heads} must divide n_heads = {n_heads}"));
        }
        if self.convolution == 1 || self.convolution > 8 {
            return fault(format!("convolution = {} must be 0 (off) or 2 to 8", self.convolution));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return fault(format!("dropout = {} must be in [0, 1)", self.dropout));
        }
        if self.rotary_theta.is_some() && (d_model / n_heads) % 2 == 1 {
            return fault(format!("rotary_theta needs an even head size, got {}", d_model / n_heads));
        }
        if let Some(theta) = self.rotary_theta.filter(|theta| !(theta.is_finite() && *theta > 0.0)) {
            return fault(format!("rotary_theta = {theta} must be above 0"));
        }
        Ok(())
    }

    /// Makes the layer with a decay of its own for each key head and step, by which its scores fade.
    ///
    /// # Panics
    /// As [`init`](Self::init), and unless it is causal.
    pub fn init_forgetting(&self, device: &Device) -> SoftmaxAttention {
        assert!(self.causal, "scores fade in causal attention only");
        let decay = DecayConfig::Gated.init(self.d_model, self.key_heads(), device);
        SoftmaxAttention { decay: Some(decay), ..self.init(device) }
    }

    /// Makes the layer.
    ///
    /// # Panics
    /// Where [`validate`](Self::validate) refuses the configuration.
    pub fn init(&self, device: &Device) -> SoftmaxAttention {
        self.validate().unwrap_or_else(|fault| panic!("{fault}"));
        let d = self.d_model / self.n_heads;
        let key_width = self.key_heads() * d;
        let linear = |d_output: usize| {
            let config = LinearConfig::new(self.d_model, d_output).with_initializer(self.initializer.clone());
            config.with_bias(self.bias).init(device)
        };
        SoftmaxAttention {
            query: linear(self.d_model),
            key: linear(key_width),
            value: linear(key_width),
            output: linear(self.d_model),
            dropout: DropoutConfig::new(self.dropout).init(),
            convolution: (self.convolution > 0).then(|| {
                [self.d_model, key_width, key_width].map(|w| ShortConvolution::new(w, self.convolution, device))
            }),
            gate: self.output_gate.then(|| linear(self.d_model)),
            decay: None,
            config: self.clone(),
        }
    }
}

impl SoftmaxAttention {
    /// The plain astrocytic configuration that has a place for all that the layer has.
    pub fn plain_config(&self) -> AstrocyticAttentionConfig {
        let old = &self.config;
        AstrocyticAttentionConfig::new(old.d_model, old.n_heads)
            .with_kv_heads(old.kv_heads)
            .with_causal(old.causal)
            .with_bias(old.bias)
            .with_position(old.rotary_theta.map_or(PositionConfig::None, |theta| PositionConfig::Rotary { theta }))
            .with_convolution(old.convolution)
            .with_output_gate(old.output_gate)
            .with_decay(self.decay.as_ref().map_or(DecayConfig::None, |_| DecayConfig::Gated))
    }

    /// The configuration it was made with.
    pub fn config(&self) -> &SoftmaxAttentionConfig {
        &self.config
    }

    /// A cache that has seen nothing.
    pub fn empty_cache(&self, batch: usize) -> KeyValueCache {
        let weight = self.query.weight.val();
        let like = Tensor::<3>::zeros([1, 1, 1], (&weight.device(), weight.dtype()));
        let history = self.convolution.as_ref().map(|[q, k, v]| [q, k, v].map(|f| f.empty_history(batch, &like)));
        KeyValueCache {
            room: None,
            length: 0,
            padded: None,
            position: Tensor::zeros([batch], &weight.device()),
            history,
        }
    }

    /// Attends. Masks as in Burn's layer: true is hidden; a query that sees nothing reads 0.
    ///
    /// # Shapes
    /// - query: `[batch, steps_q, d_model]`; key, value: `[batch, steps_k, d_model]`
    ///
    /// # Panics
    /// Where [`try_forward`](Self::try_forward) has an error.
    pub fn forward(&self, input: AttentionInput) -> AttentionOutput {
        self.try_forward(input).unwrap_or_else(|fault| panic!("{fault}"))
    }

    /// As [`forward`](Self::forward).
    ///
    /// # Errors
    /// For shapes that do not fit.
    pub fn try_forward(&self, input: AttentionInput) -> Result<AttentionOutput, AttentionError> {
        input.check_shapes(self.config.d_model, self.config.causal)?;
        let cache = &mut self.empty_cache(input.query.dims()[0]);
        Ok(self.attend(input, cache, self.config.causal, true))
    }

    /// Queries, keys and values of each head as the scores see them, rotated where positions are, from the first step on; key heads
    /// are given to all query heads of their group: `[batch, heads, steps, d]` each.
    ///
    /// # Panics
    /// For a layer with a short convolution or a decay, or another width than `[batch, steps, d_model]`.
    pub fn heads(&self, x: Tensor<3>) -> [Tensor<4>; 3] {
        assert!(self.convolution.is_none(), "heads: a short convolution comes between projections and heads");
        assert!(self.decay.is_none(), "heads: the scores of this layer fade");
        let d = self.config.d_model / self.config.n_heads;
        let positions = Tensor::arange(0..x.dims()[1] as i64, &x.device()).unsqueeze::<2>();
        let [query, key, value] = [&self.query, &self.key, &self.value].map(|projection| {
            let x = projection.forward(x.clone());
            let [batch, steps, width] = x.dims();
            x.reshape([batch, steps, width / d, d]).swap_dims(1, 2)
        });
        let rotated = |x: Tensor<4>| match self.config.rotary_theta {
            Some(theta) => rotate(x, positions.clone(), theta),
            None => x,
        };
        [rotated(query), rotated(key), value].map(|x| share_heads(x, self.config.n_heads))
    }

    /// Attends causally to what the cache holds and to the given steps, and keeps them. Padding stays hidden; a
    /// `mask_attn` is of the given steps and needs an empty cache. Weights, where asked for, are those of all steps.
    ///
    /// # Shapes
    /// - query, key, value: `[batch, steps, d_model]`, any number of steps, the new ones only
    ///
    /// # Panics
    /// Where [`try_forward_cache`](Self::try_forward_cache) has an error.
    pub fn forward_cache(&self, input: AttentionInput, cache: &mut KeyValueCache) -> AttentionOutput {
        self.try_forward_cache(input, cache).unwrap_or_else(|fault| panic!("{fault}"))
    }

    /// As [`forward_cache`](Self::forward_cache). After an error the cache is as it was.
    ///
    /// # Errors
    /// For shapes that do not fit, another batch size than the cache's, and a `mask_attn` where it has seen steps.
    pub fn try_forward_cache(
        &self,
        input: AttentionInput,
        cache: &mut KeyValueCache,
    ) -> Result<AttentionOutput, AttentionError> {
        input.check_shapes(self.config.d_model, true)?;
        let (batch, rows) = (input.query.dims()[0], cache.position.dims()[0]);
        if batch != rows {
            return Err(AttentionError::Shape(format!("batch {batch} is not that of the cache, {rows}")));
        }
        if cache.length > 0 && input.mask_attn.is_some() {
            return Err(AttentionError::Shape("mask_attn needs an empty cache".into()));
        }
        Ok(self.attend(input, cache, true, false))
    }

    /// `fresh` says that the cache has seen nothing.
    fn attend(&self, input: AttentionInput, cache: &mut KeyValueCache, causal: bool, fresh: bool) -> AttentionOutput {
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
