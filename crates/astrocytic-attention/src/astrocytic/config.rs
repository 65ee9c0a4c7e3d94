//! Configuration of astrocytic attention.

use burn::config::Config;
use burn::nn::Initializer;

use crate::decay::DecayConfig;
use crate::error::{AttentionError, in_words};
use crate::feature_map::FeatureMapConfig;
use crate::initializer::check_initializer;
use crate::ops::{LARGEST_CHUNK, Plasticity};
use crate::position::PositionConfig;

/// Features of a head beyond which a memory is of no use: that of Taylor's map of a head of 361.
const MOST_FEATURES: usize = 1 << 17;
/// Steps beyond which neither a window nor distance keys are of any use.
const MOST_STEPS: usize = 1 << 16;

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

/// Configuration of [`AstrocyticAttention`](crate::AstrocyticAttention). Every option can be
/// switched by itself.
#[derive(Config, Debug, PartialEq)]
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
    #[config(default = false)]
    pub causal: bool,
    /// Feature map φ of keys and queries (hidden-layer firing). Default: [`FeatureMapConfig::Elu`]
    #[config(default = "FeatureMapConfig::Elu")]
    pub feature_map: FeatureMapConfig,
    /// Decay of the memory (leak of synapse and calcium). Default: [`DecayConfig::None`]
    #[config(default = "DecayConfig::None")]
    pub decay: DecayConfig,
    /// What a read is divided by (feedback of the astrocyte process). Default:
    /// [`Normalizer::Calcium`] with α = 1
    #[config(default = "Normalizer::Calcium { alpha: 1.0 }")]
    pub normalizer: Normalizer,
    /// How a write changes the memory. Default: [`Plasticity::Hebbian`]
    #[config(default = "Plasticity::Hebbian")]
    pub plasticity: Plasticity,
    /// Write strength from the input, `β = b_max sigmoid(x w + b)` for each head (graded release);
    /// off is β = 1. Default: false
    #[config(default = false)]
    pub write_gate: bool,
    /// The largest strength b_max that the write gate gives; other than 1 only with it. Above 1 the
    /// delta rule can turn a memory's sign, which tells even from odd (negative eigenvalues, arXiv
    /// 2411.12537); above 2 the memory would grow. Default: 1.0
    #[config(default = 1.0)]
    pub largest_write: f64,
    /// Probability that a head's write fails, in training only and without rescaling (unreliable
    /// release). Default: 0.0
    #[config(default = 0.0)]
    pub write_dropout: f64,
    /// Width of the short causal convolution on q, k and v: 0 (off) or 2 to 8 (calcium spreading to
    /// neighbours). Default: 0
    #[config(default = 0)]
    pub convolution: usize,
    /// Gate the reads with `silu(x W + b)` (gliotransmission). Default: false
    #[config(default = false)]
    pub output_gate: bool,
    /// How steps know their place. Default: [`PositionConfig::None`]
    #[config(default = "PositionConfig::None")]
    pub position: PositionConfig,
    /// Steps that a softmax window sees exactly, beside the memory of those before: 0 is off.
    /// Default: 0
    #[config(default = 0)]
    pub window: usize,
    /// Whether there is a memory. Off leaves the window alone, which shows what a hybrid owes to
    /// its memory: feature map, decay and write gate stay in the configuration and are not used.
    /// Default: true
    #[config(default = true)]
    pub memory: bool,
    /// Steps in a chunk of the chunkwise form, 1 to 128: larger ones only cost time. Default: 64
    #[config(default = 64)]
    pub chunk: usize,
    /// Biases in the four projections. Default: true
    #[config(default = true)]
    pub bias: bool,
    /// Initialisation of the projections. Default: as Burn's `MultiHeadAttention`
    #[config(default = "Initializer::KaimingUniform{gain: 1.0 / 3f64.sqrt(), fan_out_only: false}")]
    pub initializer: Initializer,
}

impl AstrocyticAttentionConfig {
    /// Size of a head's queries, keys and values.
    pub fn head_size(&self) -> usize {
        self.d_model / self.n_heads
    }

    /// Number of key and value heads.
    pub fn key_heads(&self) -> usize {
        self.kv_heads.unwrap_or(self.n_heads)
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

    /// Checks that the settings fit each other.
    ///
    /// # Errors
    /// [`AttentionError::Config`] with the field, its value and what would do.
    pub fn validate(&self) -> Result<(), AttentionError> {
        let checks =
            [Self::check_sizes, Self::check_writes, Self::check_normalizer, Self::check_window, Self::check_position];
        checks.iter().try_for_each(|check| check(self)).map_err(AttentionError::Config)
    }

    fn check_sizes(&self) -> Result<(), String> {
        let Self { d_model, n_heads, convolution, chunk, .. } = *self;
        if n_heads == 0 || d_model == 0 || d_model % n_heads != 0 {
            return Err(format!("n_heads = {n_heads} must divide d_model = {d_model}, both above 0"));
        }
        let kv_heads = self.key_heads();
        if kv_heads == 0 || n_heads % kv_heads != 0 {
            return Err(format!("kv_heads = {kv_heads} must divide n_heads = {n_heads}"));
        }
        if convolution == 1 || convolution > 8 {
            return Err(format!("convolution = {convolution} must be 0 (off) or 2 to 8"));
        }
        if !(1..=LARGEST_CHUNK).contains(&chunk) {
            return Err(format!("chunk = {chunk} must be 1 to {LARGEST_CHUNK}"));
        }
        check_initializer(&self.initializer)?;
        self.feature_map.validate()?;
        match self.features() {
            0..=MOST_FEATURES => Ok(()),
            features => {
                Err(format!("feature_map: {features} features of a head, where at most {MOST_FEATURES} can be"))
            }
        }
    }

    fn check_writes(&self) -> Result<(), String> {
        let Self { write_dropout, largest_write, write_gate, .. } = *self;
        if !(0.0..1.0).contains(&write_dropout) {
            return Err(format!("write_dropout = {write_dropout} must be in [0, 1)"));
        }
        if !(largest_write > 0.0 && largest_write <= 2.0) {
            return Err(format!("largest_write = {largest_write} must be above 0 and at most 2"));
        }
        if largest_write != 1.0 && !write_gate {
            return Err(format!("largest_write = {largest_write} is what a write gate gives; set write_gate = true"));
        }
        Ok(())
    }

    fn check_normalizer(&self) -> Result<(), String> {
        let Normalizer::Calcium { alpha } = self.normalizer else { return Ok(()) };
        let map = self.feature_map;
        if !(alpha > 0.0 && alpha <= 1.0) {
            return Err(format!("normalizer: calcium exponent alpha = {alpha} must be in (0, 1]"));
        }
        if self.plasticity == Plasticity::Delta {
            return Err("normalizer: the delta rule has no calcium; use rms or none".into());
        }
        if !map.has_positive_kernel() {
            return Err(format!(
                "normalizer: calcium needs a positive kernel, which {} is not; use rms or another map",
                in_words(&map)
            ));
        }
        if alpha != 1.0 && !map.has_positive_features() {
            return Err(format!(
                "normalizer: an exponent needs features ≥ 0, which those of {} are not",
                in_words(&map)
            ));
        }
        Ok(())
    }

    fn check_window(&self) -> Result<(), String> {
        let window = self.window;
        let plain = self.normalizer == (Normalizer::Calcium { alpha: 1.0 });
        let fits = self.causal && plain && !matches!(self.position, PositionConfig::Distance { .. });
        if window > 0 && !fits {
            return Err(format!(
                "window = {window}: a window shares its normaliser with the memory and looks back; it needs causal = \
                 true, a calcium normaliser without exponent, and no distance memory"
            ));
        }
        if window > MOST_STEPS {
            return Err(format!("window = {window} must be at most {MOST_STEPS}"));
        }
        if !self.memory && window == 0 {
            return Err("memory = false leaves nothing without a window; write preset = \"off\" for none".into());
        }
        Ok(())
    }

    fn check_position(&self) -> Result<(), String> {
        match self.position {
            PositionConfig::Distance { .. } if self.plasticity == Plasticity::Delta => {
                Err("position: the sum of a key and a distance key is longer than the delta rule bears".into())
            }
            PositionConfig::Distance { scale, max_steps } if !(scale > 0.0 && scale.is_finite()) || max_steps == 0 => {
                Err(format!("position: distance scale = {scale} and max_steps = {max_steps} must be above 0"))
            }
            PositionConfig::Distance { max_steps, .. } if max_steps > MOST_STEPS => {
                Err(format!("position: max_steps = {max_steps} must be at most {MOST_STEPS}"))
            }
            PositionConfig::Rotary { .. } if self.head_size() % 2 == 1 => {
                Err(format!("position: rotary needs an even head size, got {}", self.head_size()))
            }
            PositionConfig::Rotary { theta } if !(theta.is_finite() && theta > 0.0) => {
                Err(format!("position: rotary theta = {theta} must be above 0"))
            }
            _ => Ok(()),
        }
    }
}
