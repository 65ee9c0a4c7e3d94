//! Configuration of astrocytic attention.

use burn::config::{Config, config_to_json};
use burn::nn::Initializer;
use burn::serde::{Deserialize, Serialize};

use crate::decay::DecayConfig;
use crate::error::AttentionError;
use crate::feature_map::FeatureMapConfig;
use crate::ops::Plasticity;
use crate::position::PositionConfig;

/// What a read is divided by.
#[derive(Config, Debug, Copy, PartialEq)]
#[non_exhaustive]
pub enum Normalizer {
    /// The calcium: `n = φ(q) · g^α`, floored at 1e-18 (Kozachkov et al., PNAS 2023, eq. 12, with α
    /// = 1). Another α is the presynaptic non-linearity of arXiv 2312.10925 and is followed by an
    /// RMS norm, because the scale drifts as t^{1−α}.
    Calcium {
        /// Exponent α in (0, 1].
        alpha: f64,
    },
    /// RMS norm of each head's read, with a learned scale.
    Rms,
    /// Nothing.
    None,
}

/// Configuration of [`AstrocyticAttention`](crate::AstrocyticAttention), made by
/// [`new`](Self::new) or a preset, and the `with_` functions. Every option can be switched by
/// itself.
///
/// Its JSON is that of a derived `Config`, except that options which came later are left out where
/// they are off: files that were written before are read, and written again, as they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(crate = "burn::serde")]
pub struct AstrocyticAttentionConfig {
    /// Width of the input and the output.
    pub d_model: usize,
    /// Number of query heads; divides `d_model`.
    pub n_heads: usize,
    /// Number of key and value heads, a divisor of `n_heads` (grouped-query attention). Default:
    /// `None`, which is `n_heads`
    pub kv_heads: Option<usize>,
    /// Whether step t sees only steps up to t. A causal `mask_attn` says the same at run time.
    /// Default: false
    pub causal: bool,
    /// Feature map φ of keys and queries (hidden-layer firing). Default: [`FeatureMapConfig::Elu`]
    pub feature_map: FeatureMapConfig,
    /// Decay of the memory (leak of synapse and calcium). Default: [`DecayConfig::None`]
    pub decay: DecayConfig,
    /// What a read is divided by (feedback of the astrocyte process). Default:
    /// [`Normalizer::Calcium`] with α = 1
    pub normalizer: Normalizer,
    /// How a write changes the memory. Default: [`Plasticity::Hebbian`]
    pub plasticity: Plasticity,
    /// Write strength from the input, `β = b_max sigmoid(x w + b)` for each head (graded release);
    /// off is β = 1. Default: false
    pub write_gate: bool,
    /// The largest strength b_max that the write gate gives; other than 1 only with it. Above 1 the
    /// delta rule can turn a memory's sign, which tells even from odd (negative eigenvalues, arXiv
    /// 2411.12537); above 2 the memory would grow. Default: 1.0
    pub largest_write: f64,
    /// Probability that a head's write fails, in training only and without rescaling (unreliable
    /// release). Default: 0.0
    pub write_dropout: f64,
    /// Width of the short causal convolution on q, k and v: 0 (off) or 2 to 8 (calcium spreading to
    /// neighbours). Default: 0
    pub convolution: usize,
    /// Gate the reads with `silu(x W + b)` (gliotransmission). Default: false
    pub output_gate: bool,
    /// How steps know their place. Default: [`PositionConfig::None`]
    pub position: PositionConfig,
    /// Steps that a softmax window sees exactly, beside the memory of those before: 0 is off.
    /// Default: 0
    pub window: usize,
    /// Whether there is a memory. Off leaves the window alone, which shows what a hybrid owes to
    /// its memory: feature map, decay and write gate stay in the configuration and are not used.
    /// Default: true
    pub memory: bool,
    /// Steps in a chunk of the chunkwise form, 1 to 128: larger ones only cost time. Default: 64
    pub chunk: usize,
    /// Biases in the four projections. Default: true
    pub bias: bool,
    /// Initialisation of the projections. Default: as Burn's `MultiHeadAttention`
    pub initializer: Initializer,
    /// Strengths at which the write gates of the first and the last key head start, those between
    /// evenly spaced; needs `write_gate`. With the delta rule a strength of 1 overwrites what a key
    /// had stored, and one near 2 turns its sign and forgets nothing. Default: `None`, half of
    /// `largest_write` for all
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_write: Option<[f64; 2]>,
    /// −log a at which the decay gates of the first and the last decaying head start, those between
    /// geometrically spaced; needs a decay from the input. Default: `None`, as the decay says
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_leak: Option<[f64; 2]>,
    /// How many key heads, the first ones, forget nothing beside the others that decay (slow and
    /// fast time constants of astrocytes). Default: 0
    #[serde(default, skip_serializing_if = "is_zero")]
    pub undecayed_heads: usize,
    /// How many keys, values and strengths are written at each step, one after another, before it
    /// is read; the decay acts once, before the first (DeltaProduct, arXiv 2502.10297). With the
    /// delta rule one write of strength 2 is a reflection, and a rotation takes two. Default: 1
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub writes_per_step: usize,
    /// How many heads, the first ones, attend by softmax to all steps beside the others, which read
    /// a memory. They share projections, convolution and output gate; decay, write gate, position
    /// and norm are the memory's. Needs `causal`. Default: 0
    #[serde(default, skip_serializing_if = "is_zero")]
    pub softmax_heads: usize,
    /// Base of the rotary positions of the softmax heads; `None` gives them no positions. Default:
    /// `Some(10000.0)`
    #[serde(default = "usual_theta", skip_serializing_if = "is_usual_theta")]
    pub softmax_rotary_theta: Option<f64>,
}

fn usual_theta() -> Option<f64> {
    Some(10_000.0)
}

fn is_usual_theta(theta: &Option<f64>) -> bool {
    *theta == usual_theta()
}

fn one() -> usize {
    1
}

fn is_one(count: &usize) -> bool {
    *count == 1
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Config for AstrocyticAttentionConfig {}

impl std::fmt::Display for AstrocyticAttentionConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&config_to_json(self))
    }
}

/// The function that sets each option.
macro_rules! setters {
    ($($set:ident, $field:ident: $kind:ty;)*) => {
        impl AstrocyticAttentionConfig {
            $(
                #[doc = concat!("Sets [`", stringify!($field), "`](Self::", stringify!($field), ").")]
                pub fn $set(mut self, $field: $kind) -> Self {
                    self.$field = $field;
                    self
                }
            )*
        }
    };
}

setters! {
    with_kv_heads, kv_heads: Option<usize>;
    with_causal, causal: bool;
    with_feature_map, feature_map: FeatureMapConfig;
    with_decay, decay: DecayConfig;
    with_normalizer, normalizer: Normalizer;
    with_plasticity, plasticity: Plasticity;
    with_write_gate, write_gate: bool;
    with_largest_write, largest_write: f64;
    with_write_dropout, write_dropout: f64;
    with_convolution, convolution: usize;
    with_output_gate, output_gate: bool;
    with_position, position: PositionConfig;
    with_window, window: usize;
    with_memory, memory: bool;
    with_chunk, chunk: usize;
    with_bias, bias: bool;
    with_initializer, initializer: Initializer;
    with_initial_write, initial_write: Option<[f64; 2]>;
    with_initial_leak, initial_leak: Option<[f64; 2]>;
    with_undecayed_heads, undecayed_heads: usize;
    with_writes_per_step, writes_per_step: usize;
    with_softmax_heads, softmax_heads: usize;
    with_softmax_rotary_theta, softmax_rotary_theta: Option<f64>;
}

impl AstrocyticAttentionConfig {
    /// Linear attention over `n_heads` memories, all other options off.
    pub fn new(d_model: usize, n_heads: usize) -> Self {
        Self {
            d_model,
            n_heads,
            kv_heads: None,
            causal: false,
            feature_map: FeatureMapConfig::Elu,
            decay: DecayConfig::None,
            normalizer: Normalizer::Calcium { alpha: 1.0 },
            plasticity: Plasticity::Hebbian,
            write_gate: false,
            largest_write: 1.0,
            write_dropout: 0.0,
            convolution: 0,
            output_gate: false,
            position: PositionConfig::None,
            window: 0,
            memory: true,
            chunk: 64,
            bias: true,
            initializer: Initializer::KaimingUniform { gain: 1.0 / 3f64.sqrt(), fan_out_only: false },
            initial_write: None,
            initial_leak: None,
            undecayed_heads: 0,
            writes_per_step: 1,
            softmax_heads: 0,
            softmax_rotary_theta: usual_theta(),
        }
    }

    /// Size of a head's queries, keys and values.
    pub fn head_size(&self) -> usize {
        self.d_model / self.n_heads
    }

    /// Number of key and value heads.
    pub fn key_heads(&self) -> usize {
        self.kv_heads.unwrap_or(self.n_heads)
    }

    /// Number of key and value heads of the heads that attend by softmax.
    pub fn softmax_key_heads(&self) -> usize {
        self.softmax_heads * self.key_heads() / self.n_heads
    }

    /// Number of query heads that read a memory.
    pub fn memory_heads(&self) -> usize {
        self.n_heads - self.softmax_heads
    }

    /// Number of memories: the key and value heads that write one.
    pub fn memory_key_heads(&self) -> usize {
        self.key_heads() - self.softmax_key_heads()
    }

    /// Heads of queries, keys and values; of the latter those of all writes of a step.
    pub fn heads_of_channels(&self) -> [usize; 3] {
        let written = self.key_heads() + (self.writes_per_step - 1) * self.memory_key_heads();
        [self.n_heads, written, written]
    }

    /// Number of features m of each head.
    pub fn features(&self) -> usize {
        self.feature_map.features(self.head_size())
    }

    /// Refuses sizes other than those of the layer whose projections the new layer takes.
    pub(crate) fn has_sizes(&self, wanted: [usize; 3]) -> Result<(), AttentionError> {
        let sizes = [self.d_model, self.n_heads, self.key_heads()];
        if sizes == wanted {
            return Ok(());
        }
        Err(AttentionError::Config(format!(
            "d_model, n_heads, kv_heads = {sizes:?} must be those of the layer to convert, {wanted:?}"
        )))
    }
}
