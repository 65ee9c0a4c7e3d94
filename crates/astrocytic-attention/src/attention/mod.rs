//! Any attention, chosen by configuration: what a model is written over.

mod cache;
mod config;

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Device;

pub use cache::AttentionCache;
pub use config::AttentionConfig;

use crate::astrocytic::{AstrocyticAttention, AstrocyticAttentionConfig};
use crate::error::AttentionError;
use crate::input::{AttentionInput, AttentionOutput};
use crate::softmax::SoftmaxAttention;

/// An attention layer of any kind. Made by [`AttentionConfig::init`].
#[derive(Module, Debug)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant)]
pub enum Attention {
    /// A memory of tripartite synapses.
    Astrocytic(AstrocyticAttention),
    /// Softmax over all steps, with scores that fade or not.
    Softmax(SoftmaxAttention),
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
        match self {
            Self::Astrocytic(config) => Attention::Astrocytic(config.init(device)),
            Self::Softmax(config) => Attention::Softmax(config.init(device)),
            Self::Off => Attention::Off(NoAttention),
        }
    }
}

impl Attention {
    /// The same layer with another attention and its four projections kept; everything else is new, and as near to the
    /// old as it can be before it is trained.
    ///
    /// # Errors
    /// Where the sizes are not this layer's, where `config` lacks what it has ([`AstrocyticAttention::from_softmax`]), and
    /// for a layer that returns 0 or a softmax layer in the place of another.
    pub fn swap(&self, config: &AttentionConfig) -> Result<Self, AttentionError> {
        match (self, config) {
            (_, AttentionConfig::Off) => Ok(Self::Off(NoAttention)),
            (Self::Softmax(layer), AttentionConfig::Astrocytic(config)) => {
                Ok(Self::Astrocytic(AstrocyticAttention::from_softmax(layer, config)?))
            }
            (Self::Astrocytic(layer), AttentionConfig::Astrocytic(config)) => {
                Ok(Self::Astrocytic(layer.with_config(config)?))
            }
            (Self::Off(_), _) => Err(AttentionError::Config("the layer returns 0: it has nothing to keep".into())),
            _ => Err(AttentionError::Config("a layer can be swapped for an astrocytic one or none".into())),
        }
    }

    /// The plain astrocytic configuration that has a place for all that the layer has; `None` for one that returns 0.
    pub fn plain_config(&self) -> Option<AstrocyticAttentionConfig> {
        match self {
            Self::Astrocytic(layer) => {
                let old = layer.config();
                Some(
                    AstrocyticAttentionConfig::new(old.d_model, old.n_heads)
                        .with_kv_heads(old.kv_heads)
                        .with_causal(old.causal)
                        .with_bias(old.bias)
                        .with_position(old.position)
                        .with_convolution(old.convolution)
                        .with_output_gate(old.output_gate)
                        .with_decay(old.decay)
                        .with_write_gate(old.write_gate)
                        .with_largest_write(old.largest_write)
                        .with_window(old.window),
                )
            }
            Self::Softmax(layer) => Some(layer.plain_config()),
            Self::Off(_) => None,
        }
    }

    /// The configuration of the layer.
    pub fn config(&self) -> AttentionConfig {
        match self {
            Self::Astrocytic(layer) => AttentionConfig::Astrocytic(layer.config().clone()),
            Self::Softmax(layer) => AttentionConfig::Softmax(layer.config().clone()),
            Self::Off(_) => AttentionConfig::Off,
        }
    }

    /// The projection from the heads back to `d_model`; a layer that returns 0 has none.
    pub fn output_mut(&mut self) -> Option<&mut Linear> {
        match self {
            Self::Astrocytic(layer) => Some(&mut layer.output),
            Self::Softmax(layer) => Some(&mut layer.output),
            Self::Off(_) => None,
        }
    }

    /// Attends; shapes as in the layer itself.
    ///
    /// # Panics
    /// Where [`try_forward`](Self::try_forward) has an error.
    pub fn forward(&self, input: AttentionInput) -> AttentionOutput {
        self.try_forward(input).unwrap_or_else(|fault| panic!("{fault}"))
    }

    /// As [`forward`](Self::forward).
    ///
    /// # Errors
    /// As the layer itself.
    pub fn try_forward(&self, input: AttentionInput) -> Result<AttentionOutput, AttentionError> {
        match self {
            Self::Astrocytic(layer) => layer.try_forward(input),
            Self::Softmax(layer) => layer.try_forward(input),
            Self::Off(_) => Ok(nothing(input)),
        }
    }

    /// A cache that has seen nothing.
    pub fn empty_cache(&self, batch: usize) -> AttentionCache {
        match self {
            Self::Astrocytic(layer) => AttentionCache::Memory(layer.empty_state(batch)),
            Self::Softmax(layer) => AttentionCache::KeyValue(layer.empty_cache(batch)),
            Self::Off(_) => AttentionCache::Empty,
        }
    }

    /// Attends causally to what the cache holds and to the given new steps `[batch, steps, d_model]`, paddings included, and
    /// keeps them.
    ///
    /// # Panics
    /// Where [`try_forward_cache`](Self::try_forward_cache) has an error.
    pub fn forward_cache(&self, input: AttentionInput, cache: &mut AttentionCache) -> AttentionOutput {
        self.try_forward_cache(input, cache).unwrap_or_else(|fault| panic!("{fault}"))
    }

    /// As [`forward_cache`](Self::forward_cache). After an error the cache is as it was.
    ///
    /// # Errors
    /// As the layer itself, and for a cache that was made by another kind of layer.
    pub fn try_forward_cache(
        &self,
        input: AttentionInput,
        cache: &mut AttentionCache,
    ) -> Result<AttentionOutput, AttentionError> {
        match (self, cache) {
            (Self::Astrocytic(layer), AttentionCache::Memory(state)) => layer.try_forward_state(input, state),
            (Self::Softmax(layer), AttentionCache::KeyValue(cache)) => layer.try_forward_cache(input, cache),
            (Self::Off(_), AttentionCache::Empty) => Ok(nothing(input)),
            _ => Err(AttentionError::Shape("the cache was made by another kind of layer".into())),
        }
    }
}

/// What a layer returns that returns 0. (Not 0 times the input, which may not be finite.)
fn nothing(input: AttentionInput) -> AttentionOutput {
    AttentionOutput { context: input.query.zeros_like(), weights: None }
}
