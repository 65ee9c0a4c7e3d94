//! Softmax attention with the same surroundings as the astrocytic layer: the baseline.
//!
//! Burn's `MultiHeadAttention` has no rotary positions, grouped queries, convolution or gate, and a
//! fair comparison differs in the mixing of steps alone.

mod cache;
mod config;
mod forward;
mod key_values;
pub(crate) mod weigh;

use burn::module::{Content, DisplaySettings, Module, ModuleDisplay};
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

pub use cache::KeyValueCache;
pub use config::SoftmaxAttentionConfig;
pub use key_values::KeyValues;

use crate::convolution::ShortConvolution;
use crate::decay::{Decay, DecayConfig};
use crate::error::AttentionError;
use crate::input::{AttentionInput, AttentionOutput};
use crate::position::rotate;
use crate::tensor::share_heads;

/// Multi-head softmax attention (arXiv 1706.03762) with optional rotary positions, convolution and
/// gate.
#[derive(Module, Debug)]
#[module(custom_display)]
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
    /// By what scores fade, for each key head and step: softmax attention that forgets.
    pub decay: Option<Decay>,
    #[module(skip)]
    config: SoftmaxAttentionConfig,
}

impl ModuleDisplay for SoftmaxAttention {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new().with_new_line_after_attribute(false).optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        let config = &self.config;
        content
            .add("d_model", &config.d_model)
            .add("n_heads", &config.n_heads)
            .add("kv_heads", &config.key_heads())
            .add("causal", &config.causal)
            .add_debug_attribute("rotary_theta", &config.rotary_theta)
            .add_debug_attribute("decay", &config.decay)
            .add("convolution", &config.convolution)
            .add("output_gate", &config.output_gate)
            .add("dropout", &config.dropout)
            .optional()
    }
}

impl SoftmaxAttentionConfig {
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
            decay: (self.decay != DecayConfig::None).then(|| self.decay.init(self.d_model, self.key_heads(), device)),
            config: self.clone(),
        }
    }
}

impl SoftmaxAttention {
    /// The configuration it was made with.
    pub fn config(&self) -> &SoftmaxAttentionConfig {
        &self.config
    }

    /// The cache before the first step.
    pub fn empty_cache(&self, batch: usize) -> KeyValueCache {
        let weight = self.query.weight.val();
        let like = Tensor::<3>::zeros([1, 1, 1], (&weight.device(), weight.dtype()));
        let history = self.convolution.as_ref().map(|[q, k, v]| [q, k, v].map(|f| f.empty_history(batch, &like)));
        KeyValueCache::new(batch, history, &weight.device())
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

    /// Queries, keys and values of each head as the scores see them, from the first step on:
    /// `[batch, heads, steps, d]` each. Rotary positions are applied, and each query head has the
    /// keys and values of its group.
    ///
    /// # Panics
    /// For a layer with a short convolution or a decay, or another width than
    /// `[batch, steps, d_model]`.
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

    /// Attends causally to the steps in the cache and to the given ones, and adds these to the
    /// cache.
    ///
    /// Padded steps stay hidden. A `mask_attn` is of the given steps and needs an empty cache.
    /// Weights, where asked for, are those of all steps.
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
    /// For shapes that do not fit, another batch size than the cache's, a `mask_attn` where it has
    /// seen steps, and the cache of a layer of another configuration.
    pub fn try_forward_cache(
        &self,
        input: AttentionInput,
        cache: &mut KeyValueCache,
    ) -> Result<AttentionOutput, AttentionError> {
        input.check_shapes(self.config.d_model, true)?;
        let SoftmaxAttentionConfig { d_model, n_heads, convolution, .. } = self.config;
        let (key_heads, d) = (self.config.key_heads(), d_model / n_heads);
        let widths = [d_model, key_heads * d, key_heads * d];
        let history = (convolution > 0).then(|| widths.map(|width| [convolution - 1, width]));
        cache.check(&input, [key_heads, d + usize::from(self.decay.is_some())], history)?;
        Ok(self.attend(input, cache, true, false))
    }
}
