//! The names of `burn::nn::attention` over a layer that can be swapped: a model that holds a `MultiHeadAttention` changes
//! its `use` line, loads its old records, and then swaps attention in one line.
//!
//! ```
//! use astrocytic_attention::AstrocyticAttentionConfig;
//! // Before: use burn::nn::attention::{MhaInput, MultiHeadAttention, MultiHeadAttentionConfig};
//! use astrocytic_attention::drop_in::{MhaInput, MultiHeadAttention, MultiHeadAttentionConfig};
//! use burn::tensor::{Device, Tensor};
//!
//! let device = Device::flex();
//! let mut attention: MultiHeadAttention = MultiHeadAttentionConfig::new(64, 4).init(&device); // or a record loaded
//! attention.swap(&AstrocyticAttentionConfig::linear(64, 4))?;
//! let context = attention.forward(MhaInput::self_attn(Tensor::zeros([2, 10, 64], &device))).context;
//! assert_eq!(context.dims(), [2, 10, 64]);
//! # Ok::<(), astrocytic_attention::AttentionError>(())
//! ```
//!
//! What a swap keeps: the weights and biases of `query`, `key`, `value` and `output`, their names in records and their
//! parameter ids (and so an optimizer's state). What is new: the parts that the astrocytic configuration switches on.
//! What is dropped: dropout of the attention weights, which a memory never makes (the nearest is `write_dropout`), and
//! `min_float`, since a memory leaves out what is hidden. Masks mean the same, with two differences: a query that sees
//! nothing reads 0 instead of the mean of all values, and of `mask_attn` only the causal and the empty are possible;
//! another is refused.

use burn::config::Config;
use burn::module::{Content, Devices, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor};
use burn::nn::Initializer;
use burn::nn::attention as vanilla;
use burn::tensor::{Device, Tensor};

pub use burn::nn::attention::{
    GeneratePaddingMask, SeqLengthOption, generate_autoregressive_mask, generate_padding_mask,
};

pub use crate::input::{AttentionInput as MhaInput, AttentionOutput as MhaOutput};

use crate::astrocytic::{AstrocyticAttention, AstrocyticAttentionConfig, AttentionState};
use crate::error::AttentionError;

/// Configuration of a [`MultiHeadAttention`]: that of Burn's layer, whose JSON it reads, and what takes its place.
#[derive(Config, Debug)]
pub struct MultiHeadAttentionConfig {
    /// Width of the input and the output.
    pub d_model: usize,
    /// Number of heads; divides `d_model`.
    pub n_heads: usize,
    /// Dropout of the attention weights; an astrocytic layer has none.
    #[config(default = 0.1)]
    pub dropout: f64,
    /// Score of what is hidden; an astrocytic layer leaves it out.
    #[config(default = -1.0e4)]
    pub min_float: f64,
    /// Softmax with one more in the denominator; an astrocytic layer refuses it.
    #[config(default = false)]
    pub quiet_softmax: bool,
    /// Initialisation of the projections.
    #[config(default = "Initializer::KaimingUniform{gain: 1.0 / 3f64.sqrt(), fan_out_only: false}")]
    pub initializer: Initializer,
    /// Bias of the key projection.
    #[config(default = true)]
    pub key_bias: bool,
    /// Bias of the value projection.
    #[config(default = true)]
    pub value_bias: bool,
    /// Bias of the query projection.
    #[config(default = true)]
    pub query_bias: bool,
    /// Bias of the output projection.
    #[config(default = true)]
    pub output_bias: bool,
    /// The memory in place of softmax; `None` is Burn's own layer. Its `initializer` is for what Burn's layer does not
    /// have; in place of its `bias` stands `query_bias`.
    pub astrocytic: Option<AstrocyticAttentionConfig>,
}

/// Burn's `MultiHeadAttention`, or the astrocytic layer that has taken its place.
///
/// In records and in parameter groups the enum leaves no trace: parameters are `query.weight` and so on either way, as
/// in Burn's own layer.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant)]
pub enum MultiHeadAttention {
    /// Burn's own layer, to the bit.
    Vanilla(vanilla::MultiHeadAttention),
    /// A memory of tripartite synapses.
    Astrocytic(AstrocyticAttention),
}

/// What a [`MultiHeadAttention`] keeps between the calls of [`forward_cache`](MultiHeadAttention::forward_cache).
pub struct MhaCache(Seen);

#[allow(clippy::large_enum_variant)]
enum Seen {
    Nothing,
    /// Burn's cache and the queries in it.
    Vanilla(vanilla::MhaCache, usize),
    /// The memory, and the contexts read so far, `[batch, steps, d_model]`.
    Astrocytic(AttentionState, Tensor<3>),
}

impl MhaCache {
    /// An empty cache of self-attention.
    pub fn autoregressive() -> Self {
        Self(Seen::Nothing)
    }

    /// An empty cache of queries over keys and values that stay; vanilla layers only.
    pub fn autoregressive_cross_attention() -> Self {
        Self(Seen::Vanilla(vanilla::MhaCache::autoregressive_cross_attention(), 0))
    }
}

impl MultiHeadAttentionConfig {
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
        if !(0.0..1.0).contains(&self.dropout) {
            return fault(format!("dropout = {} must be in [0, 1)", self.dropout));
        }
        match &self.astrocytic {
            Some(_) if self.quiet_softmax => {
                fault("quiet_softmax = true has no counterpart in an astrocytic layer; set it to false".into())
            }
            Some(_) if [self.key_bias, self.value_bias, self.output_bias] != [self.query_bias; 3] => {
                fault("an astrocytic layer has biases in all four projections or in none; set all four alike".into())
            }
            Some(config) => config.validate().and_then(|()| config.has_sizes([d_model, n_heads, n_heads])),
            None => Ok(()),
        }
    }

    /// Makes the layer. Vanilla and astrocytic layers draw the same projections from the same seed.
    ///
    /// # Panics
    /// Where [`validate`](Self::validate) refuses the configuration.
    pub fn init(&self, device: &Device) -> MultiHeadAttention {
        self.validate().unwrap_or_else(|fault| panic!("{fault}"));
        let burn = vanilla::MultiHeadAttentionConfig {
            d_model: self.d_model,
            n_heads: self.n_heads,
            dropout: self.dropout,
            min_float: self.min_float,
            quiet_softmax: self.quiet_softmax,
            initializer: self.initializer.clone(),
            key_bias: self.key_bias,
            value_bias: self.value_bias,
            query_bias: self.query_bias,
            output_bias: self.output_bias,
        };
        let mut layer = MultiHeadAttention::Vanilla(burn.init(device));
        if let Some(config) = &self.astrocytic {
            layer.swap(config).unwrap_or_else(|fault| panic!("{fault}"));
        }
        layer
    }
}

impl From<vanilla::MultiHeadAttention> for MultiHeadAttention {
    fn from(layer: vanilla::MultiHeadAttention) -> Self {
        Self::Vanilla(layer)
    }
}

impl MultiHeadAttention {
    /// Puts an astrocytic layer in the place of Burn's: the four projections stay, everything else is new from `config`.
    /// What is kept and what is dropped: the [module's page](self). The outputs change; brief training brings them back.
    ///
    /// # Errors
    /// Where the sizes are not the layer's, heads are grouped, the layer has a quiet softmax or biases in some projections
    /// only, or it is swapped already; it is then left as it was.
    pub fn swap(&mut self, config: &AstrocyticAttentionConfig) -> Result<(), AttentionError> {
        let Self::Vanilla(layer) = self else {
            return Err(AttentionError::Config("swap: the layer is astrocytic already".into()));
        };
        *self = Self::Astrocytic(AstrocyticAttention::from_mha(layer, config)?);
        Ok(())
    }

    /// Attends. A vanilla layer always returns its weights, an astrocytic one where they are asked for; the `form` of a
    /// recurrence means nothing to a vanilla one.
    ///
    /// # Shapes
    /// - query: `[batch, steps_q, d_model]`; key, value: `[batch, steps_k, d_model]`
    /// - context: `[batch, steps_q, d_model]`
    ///
    /// # Panics
    /// For shapes that do not fit, and masks that an astrocytic layer cannot honour.
    pub fn forward(&self, input: MhaInput) -> MhaOutput {
        match self {
            Self::Vanilla(layer) => output(layer.forward(vanilla_input(input))),
            Self::Astrocytic(layer) => layer.forward(input),
        }
    }

    /// Attends to a sequence that grows: every call is given all steps so far and returns all contexts, but computes
    /// only those of the new steps. An astrocytic layer attends causally, whatever the mask; a vanilla one as Burn's:
    /// the first call may have several steps, and sees all of them unless `mask_attn` is causal; each later call has one
    /// step more.
    ///
    /// # Shapes
    /// - query, key, value: `[batch, steps, d_model]`; masks of all these steps
    /// - context: `[batch, steps, d_model]`; weights of an astrocytic layer: of the new steps alone
    ///
    /// # Panics
    /// As [`forward`](Self::forward), for steps that do not go on from the cache's, and for a cache of another kind.
    pub fn forward_cache(&self, input: MhaInput, cache: &mut MhaCache) -> MhaOutput {
        let steps = input.query.dims()[1];
        if matches!((self, &cache.0), (Self::Vanilla(_), Seen::Nothing)) {
            cache.0 = Seen::Vanilla(vanilla::MhaCache::autoregressive(), 0);
        }
        match (self, &mut cache.0) {
            (Self::Vanilla(layer), Seen::Vanilla(cache, seen)) => {
                assert!(*seen == 0 || steps == *seen + 1, "attention cache: {steps} steps cannot follow {seen} by one");
                *seen = steps;
                output(layer.forward_cache(vanilla_input(input), cache))
            }
            (Self::Astrocytic(layer), seen @ Seen::Nothing) => {
                let mut state = layer.empty_state(input.query.dims()[0]);
                let output = layer.forward_state(input, &mut state);
                *seen = Seen::Astrocytic(state, output.context.clone());
                output
            }
            (Self::Astrocytic(layer), Seen::Astrocytic(state, contexts)) => {
                let new = new_steps(input, contexts.dims()[1]).unwrap_or_else(|fault| panic!("{fault}"));
                let output = layer.forward_state(new, state);
                *contexts = Tensor::cat(vec![contexts.clone(), output.context], 1);
                MhaOutput { context: contexts.clone(), weights: output.weights }
            }
            (Self::Vanilla(_), _) => panic!("attention cache: it is of an astrocytic layer"),
            (Self::Astrocytic(_), _) => panic!("attention cache: it is of a vanilla layer or of cross-attention"),
        }
    }
}

fn vanilla_input(input: MhaInput) -> vanilla::MhaInput {
    let mut own = vanilla::MhaInput::new(input.query, input.key, input.value);
    if let Some(mask) = input.mask_pad {
        own = own.mask_pad(mask);
    }
    if let Some(mask) = input.mask_attn {
        own = own.mask_attn(mask);
    }
    own
}

fn output(output: vanilla::MhaOutput) -> MhaOutput {
    MhaOutput { context: output.context, weights: Some(output.weights) }
}

/// The steps of a growing sequence that are not among the first `seen`.
fn new_steps(input: MhaInput, seen: usize) -> Result<MhaInput, AttentionError> {
    let [batch, steps, _] = input.query.dims();
    if steps <= seen || input.key.dims()[1] != steps || input.value.dims()[1] != steps {
        return Err(AttentionError::Shape(format!(
            "the cache has seen {seen} steps; query {:?}, key {:?} and value {:?} must have those and new ones",
            input.query.dims(),
            input.key.dims(),
            input.value.dims()
        )));
    }
    let new = steps - seen;
    let late = |x: Tensor<3>| x.narrow(1, seen, new);
    let mask_attn = match input.mask_attn {
        Some(mask) if mask.dims() != [batch, steps, steps] => {
            return Err(AttentionError::Shape(format!(
                "mask_attn must be [{batch}, {steps}, {steps}], got {:?}",
                mask.dims()
            )));
        }
        Some(mask) => {
            let rows = mask.narrow(1, seen, new);
            if rows.clone().narrow(2, 0, seen).any().into_scalar::<bool>() {
                return Err(AttentionError::UnsupportedMask);
            }
            Some(rows.narrow(2, seen, new))
        }
        None => None,
    };
    if let Some(mask) = input.mask_pad.as_ref().filter(|mask| mask.dims() != [batch, steps]) {
        return Err(AttentionError::Shape(format!("mask_pad must be [{batch}, {steps}], got {:?}", mask.dims())));
    }
    Ok(MhaInput {
        query: late(input.query),
        key: late(input.key),
        value: late(input.value),
        mask_pad: input.mask_pad.map(|mask| mask.narrow(1, seen, new)),
        mask_attn,
        ..input
    })
}

/// The layer inside, whichever it is.
macro_rules! inside {
    ($of:expr, $layer:ident => $result:expr) => {
        match $of {
            MultiHeadAttention::Vanilla($layer) => $result,
            MultiHeadAttention::Astrocytic($layer) => $result,
        }
    };
}

/// The same kind of layer made from the one inside.
macro_rules! changed {
    ($of:expr, $layer:ident => $result:expr) => {
        match $of {
            MultiHeadAttention::Vanilla($layer) => MultiHeadAttention::Vanilla($result),
            MultiHeadAttention::Astrocytic($layer) => MultiHeadAttention::Astrocytic($result),
        }
    };
}

// By hand because a derived one adds the variant to every parameter's name, and records of Burn's layer would not load.
impl Module for MultiHeadAttention {
    fn collect_devices(&self, devices: Devices) -> Devices {
        inside!(self, layer => layer.collect_devices(devices))
    }

    fn fork(self, device: &Device) -> Self {
        changed!(self, layer => layer.fork(device))
    }

    fn to_device(self, device: &Device) -> Self {
        changed!(self, layer => layer.to_device(device))
    }

    fn train(self) -> Self {
        changed!(self, layer => layer.train())
    }

    fn valid(&self) -> Self {
        changed!(self, layer => layer.valid())
    }

    fn materialize(self) -> Self {
        changed!(self, layer => layer.materialize())
    }

    fn visit<Visitor: ModuleVisitor>(&self, visitor: &mut Visitor) {
        inside!(self, layer => layer.visit(visitor))
    }

    fn map<Mapper: ModuleMapper>(self, mapper: &mut Mapper) -> Self {
        changed!(self, layer => layer.map(mapper))
    }
}

impl ModuleDisplayDefault for MultiHeadAttention {
    fn content(&self, content: Content) -> Option<Content> {
        inside!(self, layer => content.add_single(layer).optional())
    }

    fn num_params(&self) -> usize {
        Module::num_params(self)
    }
}

impl ModuleDisplay for MultiHeadAttention {}

impl std::fmt::Display for MultiHeadAttention {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        inside!(self, layer => std::fmt::Display::fmt(layer, f))
    }
}
