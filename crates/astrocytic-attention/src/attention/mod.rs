//! Any attention, chosen by configuration: what a model is written over.

mod burn_layer;
mod cache;
mod config;
mod growing;
mod module;

use burn::module::Module;
use burn::nn::Linear;
use burn::nn::attention::{MultiHeadAttention, MultiHeadAttentionConfig};
use burn::tensor::Device;

pub use cache::{AttentionCache, AttentionCacheRecord, GrowingCache};
pub use config::AttentionConfig;

use crate::astrocytic::{AstrocyticAttention, AstrocyticAttentionConfig};
use crate::error::AttentionError;
use crate::input::{AttentionInput, AttentionOutput};
use crate::lstm::Lstm;
use crate::softmax::SoftmaxAttention;

/// An attention layer of any kind, which [`swap`](Self::swap) puts another in the place of. Made by
/// [`AttentionConfig::init`], or from Burn's trained layer with `From`.
///
/// In records and in parameter groups the enum leaves no trace: parameters are `query.weight` and
/// so on, whichever layer that has them it is, as in `burn::nn::attention::MultiHeadAttention`. A record of a
/// model over Burn's layer loads into one over this.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant)]
pub enum Attention {
    /// A memory of tripartite synapses.
    Astrocytic(AstrocyticAttention),
    /// Softmax over all steps, with scores that fade or not.
    Softmax(SoftmaxAttention),
    /// Burn's own layer, to the bit.
    Burn(MultiHeadAttention),
    /// A long short-term memory, which tracks a state and recalls nothing.
    Lstm(Lstm),
    /// Returns 0.
    Off(NoAttention),
}

/// The layer that returns 0.
#[derive(Module, Debug)]
pub struct NoAttention;

impl AttentionConfig {
    /// Makes the layer.
    ///
    /// # Panics
    /// Where [`validate`](Self::validate) refuses the configuration.
    pub fn init(&self, device: &Device) -> Attention {
        self.validate().unwrap_or_else(|fault| panic!("{fault}"));
        match self {
            Self::Astrocytic(config) => Attention::Astrocytic(config.init(device)),
            Self::Softmax(config) => Attention::Softmax(config.init(device)),
            Self::Burn(config) => Attention::Burn(config.init(device)),
            Self::Lstm(config) => Attention::Lstm(config.init(device)),
            Self::Off => Attention::Off(NoAttention),
        }
    }
}

impl From<MultiHeadAttention> for Attention {
    fn from(layer: MultiHeadAttention) -> Self {
        Self::Burn(layer)
    }
}

impl Attention {
    /// Replaces this layer by one of another configuration.
    ///
    /// The weights and biases of `query`, `key`, `value` and `output` stay, with their parameter
    /// ids (and so an optimizer's state). What else stays is said at
    /// [`AstrocyticAttention::from_mha`], [`from_softmax`](AstrocyticAttention::from_softmax) and
    /// [`with_config`](AstrocyticAttention::with_config). Everything else is new from `config`,
    /// with open gates. The outputs change; brief training brings them back.
    ///
    /// # Errors
    /// Where the sizes are not this layer's, where `config` has no place for what it has, for an
    /// LSTM or a layer that returns 0, and for another target than an astrocytic layer or none. The
    /// layer is then left as it was.
    pub fn swap(&mut self, config: impl Into<AttentionConfig>) -> Result<(), AttentionError> {
        let fault = |text: &str| Err(AttentionError::Config(text.into()));
        *self = match (&*self, config.into()) {
            (_, AttentionConfig::Off) => Self::Off(NoAttention),
            (Self::Off(_), _) => return fault("swap: the layer returns 0, it has nothing to keep"),
            (Self::Lstm(_), _) => return fault("swap: an LSTM has no queries, keys and values to keep"),
            (layer, AttentionConfig::Astrocytic(config)) => Self::Astrocytic(match layer {
                Self::Astrocytic(layer) => layer.with_config(&config)?,
                Self::Softmax(layer) => AstrocyticAttention::from_softmax(layer, &config)?,
                Self::Burn(layer) => AstrocyticAttention::from_mha(layer, &config)?,
                Self::Lstm(_) | Self::Off(_) => unreachable!("refused above"),
            }),
            _ => return fault("swap: a layer can be swapped for an astrocytic one or none"),
        };
        Ok(())
    }

    /// The plain astrocytic configuration that has a place for all that the layer has; `None` for
    /// an LSTM and a layer that returns 0.
    pub fn plain_config(&self) -> Option<AstrocyticAttentionConfig> {
        match self {
            Self::Astrocytic(layer) => Some(layer.plain_config()),
            Self::Softmax(layer) => Some(layer.plain_config()),
            Self::Burn(layer) => {
                let config = AstrocyticAttentionConfig::new(layer.d_model, layer.n_heads);
                Some(config.with_bias(layer.query.bias.is_some()))
            }
            Self::Lstm(_) | Self::Off(_) => None,
        }
    }

    /// The configuration of the layer. (Burn's does not keep its `initializer`: the default stands
    /// for it.)
    pub fn config(&self) -> AttentionConfig {
        match self {
            Self::Astrocytic(layer) => AttentionConfig::Astrocytic(layer.config().clone()),
            Self::Softmax(layer) => AttentionConfig::Softmax(layer.config().clone()),
            Self::Burn(layer) => AttentionConfig::Burn(
                MultiHeadAttentionConfig::new(layer.d_model, layer.n_heads)
                    .with_dropout(layer.dropout.prob)
                    .with_min_float(layer.min_float)
                    .with_quiet_softmax(layer.quiet_softmax)
                    .with_query_bias(layer.query.bias.is_some())
                    .with_key_bias(layer.key.bias.is_some())
                    .with_value_bias(layer.value.bias.is_some())
                    .with_output_bias(layer.output.bias.is_some()),
            ),
            Self::Lstm(layer) => AttentionConfig::Lstm(layer.config().clone()),
            Self::Off(_) => AttentionConfig::Off,
        }
    }

    /// The projection from the heads, or an LSTM's state, back to `d_model`; a layer that returns 0 has none.
    pub fn output_mut(&mut self) -> Option<&mut Linear> {
        match self {
            Self::Astrocytic(layer) => Some(&mut layer.output),
            Self::Softmax(layer) => Some(&mut layer.output),
            Self::Burn(layer) => Some(&mut layer.output),
            Self::Lstm(layer) => Some(&mut layer.output),
            Self::Off(_) => None,
        }
    }

    /// Attends. Burn's layer always returns its weights, the others where they are asked for (an
    /// LSTM has none and refuses); the `form` of a recurrence means nothing to layers without a
    /// memory.
    ///
    /// # Shapes
    /// - query: `[batch, steps_q, d_model]`; key, value: `[batch, steps_k, d_model]`
    /// - context: `[batch, steps_q, d_model]`
    ///
    /// # Panics
    /// Where [`try_forward`](Self::try_forward) has an error.
    pub fn forward(&self, input: AttentionInput) -> AttentionOutput {
        self.try_forward(input).unwrap_or_else(|fault| panic!("{fault}"))
    }

    /// As [`forward`](Self::forward).
    ///
    /// # Errors
    /// For shapes that do not fit, and masks that the layer cannot honour.
    pub fn try_forward(&self, input: AttentionInput) -> Result<AttentionOutput, AttentionError> {
        match self {
            Self::Astrocytic(layer) => layer.try_forward(input),
            Self::Softmax(layer) => layer.try_forward(input),
            Self::Burn(layer) => burn_layer::forward(layer, input),
            Self::Lstm(layer) => layer.try_forward(input),
            Self::Off(_) => Ok(zeros(input)),
        }
    }

    /// The cache before the first step, for calls that are given new steps.
    pub fn empty_cache(&self, batch: usize) -> AttentionCache {
        match self {
            Self::Astrocytic(layer) => AttentionCache::Memory(layer.empty_state(batch)),
            Self::Softmax(layer) => AttentionCache::KeyValue(layer.empty_cache(batch)),
            Self::Burn(layer) => AttentionCache::KeyValue(burn_layer::empty_cache(layer, batch)),
            Self::Lstm(layer) => AttentionCache::Lstm(layer.empty_state(batch)),
            Self::Off(_) => AttentionCache::Empty,
        }
    }

    /// Attends to what the cache holds and to the given steps, and remembers them.
    ///
    /// With a cache of [`empty_cache`](Self::empty_cache) the given steps are the new ones alone,
    /// and attention is causal.
    ///
    /// With [`AttentionCache::autoregressive`] they are all steps so far, and so are the contexts,
    /// of which only the new ones are computed: Burn's way. Its own layer then does as Burn says:
    /// the first call may have several steps, each of which sees all unless `mask_attn` is causal,
    /// and each later call has one step more. Other layers are causal and take any number of new
    /// steps; their weights are those of the new steps.
    ///
    /// # Shapes
    /// - query, key, value, context: `[batch, steps, d_model]`; masks of these steps
    ///
    /// # Panics
    /// Where [`try_forward_cache`](Self::try_forward_cache) has an error.
    pub fn forward_cache(&self, input: AttentionInput, cache: &mut AttentionCache) -> AttentionOutput {
        self.try_forward_cache(input, cache).unwrap_or_else(|fault| panic!("{fault}"))
    }

    /// As [`forward_cache`](Self::forward_cache). After an error the cache is as it was.
    ///
    /// # Errors
    /// As [`try_forward`](Self::try_forward), for steps that do not go on from the cache's, and for
    /// a cache that another kind of layer or one of another configuration made.
    pub fn try_forward_cache(
        &self,
        input: AttentionInput,
        cache: &mut AttentionCache,
    ) -> Result<AttentionOutput, AttentionError> {
        match (self, cache) {
            (Self::Astrocytic(layer), AttentionCache::Memory(state)) => layer.try_forward_state(input, state),
            (Self::Softmax(layer), AttentionCache::KeyValue(cache)) => layer.try_forward_cache(input, cache),
            (Self::Burn(layer), AttentionCache::KeyValue(cache)) => burn_layer::forward_cache(layer, input, cache),
            (Self::Burn(layer), AttentionCache::Growing(cache)) => burn_layer::forward_growing(layer, input, cache),
            (Self::Lstm(layer), AttentionCache::Lstm(state)) => layer.try_forward_state(input, state),
            (layer, AttentionCache::Growing(cache)) => layer.forward_growing(input, cache),
            (Self::Off(_), AttentionCache::Empty) => Ok(zeros(input)),
            _ => Err(AttentionError::Shape("the cache was made by another kind of layer".into())),
        }
    }
}

/// The output of a layer that returns 0. (Not 0 times the input, which may not be finite.)
fn zeros(input: AttentionInput) -> AttentionOutput {
    AttentionOutput { context: input.query.zeros_like(), weights: None }
}
