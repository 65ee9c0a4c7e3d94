//! Burn's `TransformerEncoder` with any of its attention layers swapped: the same names, numbers
//! and records.
//!
//! Code over `burn::nn::transformer` changes its `use` line; with every layer vanilla the outputs
//! keep their bits.

use astrocytic_attention::drop_in::{MhaCache, MhaInput, MultiHeadAttention, MultiHeadAttentionConfig};
use astrocytic_attention::ops::dropout;
use astrocytic_attention::{AstrocyticAttentionConfig, AttentionError, AttentionMask};
use burn::config::Config;
use burn::module::Module;
use burn::nn::activation::ActivationConfig;
use burn::nn::transformer::{self as vanilla, PositionWiseFeedForward, PositionWiseFeedForwardConfig};
use burn::nn::{Dropout, DropoutConfig, Initializer, LayerNorm, LayerNormConfig};
use burn::tensor::{Bool, Device, Tensor};

/// Configuration of a [`TransformerEncoder`]: that of Burn's, whose JSON it reads, and what attends
/// in each layer.
#[derive(Config, Debug)]
pub struct TransformerEncoderConfig {
    /// Width of the stream.
    pub d_model: usize,
    /// Hidden width of the feed-forward layers.
    pub d_ff: usize,
    /// Number of heads; divides `d_model`.
    pub n_heads: usize,
    /// Number of layers.
    pub n_layers: usize,
    /// Dropout of vanilla attention's weights, of the feed-forward layers and of what is added to
    /// the stream.
    #[config(default = 0.1)]
    pub dropout: f64,
    /// Norms before attention and feed-forward instead of after.
    #[config(default = false)]
    pub norm_first: bool,
    /// Softmax with one more in the denominator; astrocytic layers refuse it.
    #[config(default = false)]
    pub quiet_softmax: bool,
    /// Initialisation of attention and feed-forward layers.
    #[config(default = "Initializer::KaimingUniform{gain: 1.0 / 3f64.sqrt(), fan_out_only: false}")]
    pub initializer: Initializer,
    /// Activation between the two feed-forward layers.
    #[config(default = "ActivationConfig::Gelu")]
    pub activation: ActivationConfig,
    /// What a norm adds to the variance.
    #[config(default = 1e-5)]
    pub layer_norm_eps: f64,
    /// What takes the place of attention in each layer, first to last; `None`, and a layer beyond
    /// the list, is Burn's own attention.
    pub attention: Option<Vec<Option<AstrocyticAttentionConfig>>>,
}

/// Burn's encoder over attention that can be swapped, layer by layer.
///
/// # Params
///
/// - `layers`: `mha`, `pwff`, `norm_1` and `norm_2` each, named as in Burn's own encoder: its
///   records load.
///
/// Should be created with [`TransformerEncoderConfig`], or from Burn's trained encoder with `From`
/// or [`from_burn`](Self::from_burn).
///
/// ```
/// use astrocytic_attention::AstrocyticAttentionConfig;
/// use astrocytic_models::{TransformerEncoder, TransformerEncoderInput};
/// use burn::nn::transformer;
/// use burn::tensor::{Device, Tensor};
///
/// let device = Device::flex();
/// let trained = transformer::TransformerEncoderConfig::new(64, 256, 4, 6).init(&device);
/// let memory = AstrocyticAttentionConfig::linear(64, 4);
/// let encoder = TransformerEncoder::from_burn(&trained, 3..6, &memory)?; // the upper half, its weights kept
/// let encoded = encoder.forward(TransformerEncoderInput::new(Tensor::zeros([2, 10, 64], &device)));
/// assert_eq!(encoded.dims(), [2, 10, 64]);
/// # Ok::<(), astrocytic_attention::AttentionError>(())
/// ```
#[derive(Module, Debug)]
pub struct TransformerEncoder {
    /// The layers, first to last.
    pub layers: Vec<TransformerEncoderLayer>,
    /// Width of the stream.
    pub d_model: usize,
    /// Hidden width of the feed-forward layers.
    pub d_ff: usize,
    /// Number of heads.
    pub n_heads: usize,
    /// Number of layers.
    pub n_layers: usize,
    /// Dropout.
    pub dropout: f64,
    /// Whether norms come first.
    pub norm_first: bool,
    /// Whether vanilla layers have the quiet softmax.
    pub quiet_softmax: bool,
}

/// One layer: attention and feed-forward, each added to the stream, with a norm before or after.
#[derive(Module, Debug)]
pub struct TransformerEncoderLayer {
    /// Attention, Burn's own or astrocytic.
    pub mha: MultiHeadAttention,
    /// Feed-forward layer.
    pub pwff: PositionWiseFeedForward,
    /// Norm of the feed-forward's input.
    pub norm_1: LayerNorm,
    /// Norm of the attention's input, or of the layer's output where norms come last.
    pub norm_2: LayerNorm,
    /// Dropout of what is added to the stream.
    pub dropout: Dropout,
    /// Whether norms come first.
    pub norm_first: bool,
}

/// Input of a [`TransformerEncoder`].
#[derive(Debug, Clone)]
pub struct TransformerEncoderInput {
    tensor: Tensor<3>,
    mask_pad: Option<Tensor<2, Bool>>,
    mask_attn: Option<AttentionMask>,
}

/// What a [`TransformerEncoder`] keeps between the calls of one sequence that grows.
pub struct TransformerEncoderAutoregressiveCache {
    layers: Vec<LayerCache>,
}

struct LayerCache {
    mha: MhaCache,
    pwff: Computed,
    norm_1: Computed,
    norm_2: Computed,
}

/// What has been computed of a function of single steps, `[batch, steps, d_model]`.
#[derive(Default)]
struct Computed(Option<Tensor<3>>);

impl Computed {
    /// `f(x)`, for which `f` sees the new steps alone.
    fn extend(&mut self, x: Tensor<3>, f: impl Fn(Tensor<3>) -> Tensor<3>) -> Tensor<3> {
        let all = match self.0.take() {
            Some(before) => {
                let (seen, steps) = (before.dims()[1], x.dims()[1]);
                assert!(steps > seen, "encoder cache: it has seen {seen} steps, the input has {steps} and needs more");
                Tensor::cat(vec![before, f(x.narrow(1, seen, steps - seen))], 1)
            }
            None => f(x),
        };
        self.0.insert(all).clone()
    }
}

impl TransformerEncoderInput {
    /// From a stream `[batch, steps, d_model]`.
    pub fn new(tensor: Tensor<3>) -> Self {
        Self { tensor, mask_pad: None, mask_attn: None }
    }

    /// Padding, `[batch, steps]`, true where padded.
    pub fn mask_pad(mut self, mask_pad: Tensor<2, Bool>) -> Self {
        self.mask_pad = Some(mask_pad);
        self
    }

    /// Attention mask, `[batch, steps, steps]`, true where hidden. Astrocytic layers honour a
    /// causal and an empty one.
    pub fn mask_attn(mut self, mask_attn: impl Into<AttentionMask>) -> Self {
        self.mask_attn = Some(mask_attn.into());
        self
    }

    fn attention(&self, x: Tensor<3>) -> MhaInput {
        let mut input = MhaInput::self_attn(x);
        if let Some(mask) = &self.mask_pad {
            input = input.mask_pad(mask.clone());
        }
        if let Some(mask) = &self.mask_attn {
            input = input.mask_attn(mask.clone());
        }
        input
    }
}

impl TransformerEncoderConfig {
    /// The same with `attention` in the place of Burn's in some layers (counted from 0), or in all:
    /// `0..n_layers`.
    pub fn with_astrocytic(
        mut self,
        layers: impl IntoIterator<Item = usize>,
        attention: &AstrocyticAttentionConfig,
    ) -> Self {
        let list = self.attention.get_or_insert_default();
        for layer in layers {
            list.resize(list.len().max(layer + 1), None);
            list[layer] = Some(attention.clone());
        }
        self
    }

    /// Checks the configuration.
    ///
    /// # Errors
    /// [`AttentionError::Config`], which names the field and what it may be.
    pub fn validate(&self) -> Result<(), AttentionError> {
        let fault = |text: String| Err(AttentionError::Config(text));
        if self.d_ff == 0 {
            return fault("d_ff = 0 must be above 0".into());
        }
        if !(self.layer_norm_eps >= 0.0 && self.layer_norm_eps.is_finite()) {
            return fault(format!("layer_norm_eps = {} must be 0 or above", self.layer_norm_eps));
        }
        let listed = self.attention.iter().flatten();
        if listed.clone().count() > self.n_layers {
            return fault(format!("attention names layer {}, of n_layers = {}", listed.count() - 1, self.n_layers));
        }
        self.mha(None).validate()?;
        for (i, layer) in listed.enumerate() {
            let named = |e| match e {
                AttentionError::Config(text) => AttentionError::Config(format!("layer {i}: {text}")),
                other => other,
            };
            self.mha(layer.as_ref()).validate().map_err(named)?;
        }
        Ok(())
    }

    /// Makes the encoder.
    ///
    /// # Panics
    /// If [`validate`](Self::validate) refuses the configuration.
    pub fn init(&self, device: &Device) -> TransformerEncoder {
        self.validate().unwrap_or_else(|fault| panic!("{fault}"));
        let attention = |i: usize| self.attention.as_ref().and_then(|list| list.get(i)?.as_ref());
        TransformerEncoder {
            layers: (0..self.n_layers).map(|i| self.layer(attention(i), device)).collect(),
            d_model: self.d_model,
            d_ff: self.d_ff,
            n_heads: self.n_heads,
            n_layers: self.n_layers,
            dropout: self.dropout,
            norm_first: self.norm_first,
            quiet_softmax: self.quiet_softmax,
        }
    }

    fn mha(&self, astrocytic: Option<&AstrocyticAttentionConfig>) -> MultiHeadAttentionConfig {
        MultiHeadAttentionConfig::new(self.d_model, self.n_heads)
            .with_initializer(self.initializer.clone())
            .with_dropout(self.dropout)
            .with_quiet_softmax(self.quiet_softmax)
            .with_astrocytic(astrocytic.cloned())
    }

    fn layer(&self, astrocytic: Option<&AstrocyticAttentionConfig>, device: &Device) -> TransformerEncoderLayer {
        let norm = || LayerNormConfig::new(self.d_model).with_epsilon(self.layer_norm_eps).init(device);
        TransformerEncoderLayer {
            mha: self.mha(astrocytic).init(device),
            pwff: PositionWiseFeedForwardConfig::new(self.d_model, self.d_ff)
                .with_initializer(self.initializer.clone())
                .with_dropout(self.dropout)
                .with_activation(self.activation.clone())
                .init(device),
            norm_1: norm(),
            norm_2: norm(),
            dropout: DropoutConfig::new(self.dropout).init(),
            norm_first: self.norm_first,
        }
    }
}

/// Burn's trained encoder with its weights kept, every layer vanilla: the same outputs to the bit.
impl From<vanilla::TransformerEncoder> for TransformerEncoder {
    fn from(encoder: vanilla::TransformerEncoder) -> Self {
        let layer = |layer: vanilla::TransformerEncoderLayer| TransformerEncoderLayer {
            mha: layer.mha.into(),
            pwff: layer.pwff,
            norm_1: layer.norm_1,
            norm_2: layer.norm_2,
            dropout: layer.dropout,
            norm_first: layer.norm_first,
        };
        Self {
            layers: encoder.layers.into_iter().map(layer).collect(),
            d_model: encoder.d_model,
            d_ff: encoder.d_ff,
            n_heads: encoder.n_heads,
            n_layers: encoder.n_layers,
            dropout: encoder.dropout,
            norm_first: encoder.norm_first,
            quiet_softmax: encoder.quiet_softmax,
        }
    }
}

impl TransformerEncoder {
    /// Burn's trained encoder with its weights kept and the attention of the given layers (counted
    /// from 0) swapped.
    ///
    /// # Errors
    /// As [`swap`](Self::swap).
    pub fn from_burn(
        encoder: &vanilla::TransformerEncoder,
        layers: impl IntoIterator<Item = usize>,
        attention: &AstrocyticAttentionConfig,
    ) -> Result<Self, AttentionError> {
        let mut own = Self::from(encoder.clone());
        own.swap(layers, attention)?;
        Ok(own)
    }

    /// Puts astrocytic attention in the place of Burn's in the given layers (counted from 0);
    /// query, key, value and output projections stay, as [`MultiHeadAttention::swap`] says.
    ///
    /// # Errors
    /// For a layer that there is not, and as [`MultiHeadAttention::swap`]; the encoder is then left
    /// as it was.
    pub fn swap(
        &mut self,
        layers: impl IntoIterator<Item = usize>,
        attention: &AstrocyticAttentionConfig,
    ) -> Result<(), AttentionError> {
        let mut swapped = self.layers.clone();
        for i in layers {
            let count = swapped.len();
            let missing = || AttentionError::Config(format!("swap: there is no layer {i}, the encoder has {count}"));
            swapped.get_mut(i).ok_or_else(missing)?.mha.swap(attention)?;
        }
        self.layers = swapped;
        Ok(())
    }

    /// Encodes.
    ///
    /// # Shapes
    /// - tensor: `[batch, steps, d_model]`
    /// - returns `[batch, steps, d_model]`
    ///
    /// # Panics
    /// For shapes that do not fit, and masks that an astrocytic layer cannot honour.
    pub fn forward(&self, input: TransformerEncoderInput) -> Tensor<3> {
        let x = input.tensor.clone();
        self.layers.iter().fold(x, |x, layer| layer.forward(x, &input))
    }

    /// Encodes a sequence that grows: every call is given all steps so far and computes those that
    /// are new. With vanilla layers a first call may have several steps (of which each sees all,
    /// unless `mask_attn` is causal), and each later call has one step more; astrocytic layers are
    /// causal and take any number.
    ///
    /// # Shapes
    /// - tensor: `[batch, steps, d_model]`
    /// - returns `[batch, steps, d_model]`
    ///
    /// # Panics
    /// As [`forward`](Self::forward), for a cache of another encoder, and for steps that do not go
    /// on from the cache's.
    pub fn forward_autoregressive_inference(
        &self,
        input: TransformerEncoderInput,
        cache: &mut TransformerEncoderAutoregressiveCache,
    ) -> Tensor<3> {
        let (layers, cached) = (self.layers.len(), cache.layers.len());
        assert_eq!(layers, cached, "encoder cache: it has {cached} layers, the encoder {layers}");
        let x = input.tensor.clone();
        self.layers.iter().zip(&mut cache.layers).fold(x, |x, (layer, cache)| layer.forward_cache(x, &input, cache))
    }

    /// A cache that has seen nothing.
    pub fn new_autoregressive_cache(&self) -> TransformerEncoderAutoregressiveCache {
        let empty = |_| LayerCache {
            mha: MhaCache::autoregressive(),
            pwff: Computed::default(),
            norm_1: Computed::default(),
            norm_2: Computed::default(),
        };
        TransformerEncoderAutoregressiveCache { layers: self.layers.iter().map(empty).collect() }
    }
}

impl TransformerEncoderLayer {
    fn forward(&self, x: Tensor<3>, input: &TransformerEncoderInput) -> Tensor<3> {
        self.run(
            x,
            |x| self.mha.forward(input.attention(x)).context,
            |x| self.pwff.forward(x),
            |x| self.norm_1.forward(x),
            |x| self.norm_2.forward(x),
        )
    }

    fn forward_cache(&self, x: Tensor<3>, input: &TransformerEncoderInput, cache: &mut LayerCache) -> Tensor<3> {
        let LayerCache { mha, pwff, norm_1, norm_2 } = cache;
        self.run(
            x,
            |x| self.mha.forward_cache(input.attention(x), mha).context,
            |x| pwff.extend(x, |x| self.pwff.forward(x)),
            |x| norm_1.extend(x, |x| self.norm_1.forward(x)),
            |x| norm_2.extend(x, |x| self.norm_2.forward(x)),
        )
    }

    /// The layer, whichever way its parts are computed.
    fn run(
        &self,
        x: Tensor<3>,
        attend: impl FnOnce(Tensor<3>) -> Tensor<3>,
        feed_forward: impl FnOnce(Tensor<3>) -> Tensor<3>,
        norm_1: impl FnOnce(Tensor<3>) -> Tensor<3>,
        norm_2: impl FnOnce(Tensor<3>) -> Tensor<3>,
    ) -> Tensor<3> {
        let add = |x: Tensor<3>, y: Tensor<3>| x + dropout(y, &self.dropout);
        if self.norm_first {
            let x = add(x.clone(), attend(norm_2(x)));
            add(x.clone(), feed_forward(norm_1(x)))
        } else {
            let x = norm_1(add(x.clone(), attend(x)));
            norm_2(add(x.clone(), feed_forward(x)))
        }
    }
}
