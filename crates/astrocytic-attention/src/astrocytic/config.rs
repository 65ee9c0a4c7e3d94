//! Configuration of astrocytic attention, and the presets of the literature.

use burn::config::Config;
use burn::nn::Initializer;

use crate::decay::DecayConfig;
use crate::error::AttentionError;
use crate::feature_map::FeatureMapConfig;
use crate::ops::{LARGEST_CHUNK, Plasticity};
use crate::position::PositionConfig;

/// What a read is divided by.
#[derive(Config, Debug, Copy, PartialEq)]
#[non_exhaustive]
pub enum Normalizer {
    /// The calcium: `n = φ(q) · g^α`, floored at 1e-18 (Kozachkov et al., PNAS 2023, eq. 12, with α = 1). Another α is
    /// the presynaptic non-linearity of arXiv 2312.10925 and is followed by an RMS norm, because the scale drifts as
    /// t^{1−α}.
    Calcium {
        /// Exponent α in (0, 1].
        alpha: f64,
    },
    /// RMS norm of each head's read, with a learned scale.
    Rms,
    /// Nothing.
    None,
}

/// Configuration of [`AstrocyticAttention`](crate::AstrocyticAttention). Every option can be switched by itself.
#[derive(Config, Debug, PartialEq)]
pub struct AstrocyticAttentionConfig {
    /// Width of the input and the output.
    pub d_model: usize,
    /// Number of query heads; divides `d_model`.
    pub n_heads: usize,
    /// Number of key and value heads, a divisor of `n_heads` (grouped-query attention); `None` is `n_heads`.
    pub kv_heads: Option<usize>,
    /// Whether step t sees only steps up to t. A causal `mask_attn` says the same at run time.
    #[config(default = false)]
    pub causal: bool,
    /// Feature map φ of keys and queries (hidden-layer firing).
    #[config(default = "FeatureMapConfig::Elu")]
    pub feature_map: FeatureMapConfig,
    /// Decay of the memory (leak of synapse and calcium).
    #[config(default = "DecayConfig::None")]
    pub decay: DecayConfig,
    /// What a read is divided by (feedback of the astrocyte process).
    #[config(default = "Normalizer::Calcium { alpha: 1.0 }")]
    pub normalizer: Normalizer,
    /// How a write changes the memory.
    #[config(default = "Plasticity::Hebbian")]
    pub plasticity: Plasticity,
    /// Write strength from the input, `β = b_max sigmoid(x w + b)` for each head (graded release); off is β = 1.
    #[config(default = false)]
    pub write_gate: bool,
    /// The largest strength b_max that the write gate gives; other than 1 only with it. Above 1 the delta rule can turn a memory's sign, which tells
    /// even from odd (negative eigenvalues, arXiv 2411.12537); above 2 the memory would grow.
    #[config(default = 1.0)]
    pub largest_write: f64,
    /// Probability that a head's write fails, in training only and without rescaling (unreliable release).
    #[config(default = 0.0)]
    pub write_dropout: f64,
    /// Width of the short causal convolution on q, k and v: 0 (off) or 2 to 8 (calcium spreading to neighbours).
    #[config(default = 0)]
    pub convolution: usize,
    /// Gate the reads with `silu(x W + b)` (gliotransmission).
    #[config(default = false)]
    pub output_gate: bool,
    /// How steps know their place.
    #[config(default = "PositionConfig::None")]
    pub position: PositionConfig,
    /// Steps that a softmax window sees exactly, beside the memory of those before: 0 is off.
    #[config(default = 0)]
    pub window: usize,
    /// Whether there is a memory: off leaves the window alone, the control of every hybrid.
    #[config(default = true)]
    pub memory: bool,
    /// Steps in a chunk of the chunkwise form, 1 to 128: larger ones only cost time.
    #[config(default = 64)]
    pub chunk: usize,
    /// Biases in the four projections.
    #[config(default = true)]
    pub bias: bool,
    /// Initialisation of the projections.
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

    /// Refuses other sizes than those of a layer whose projections are to be taken over.
    pub(crate) fn has_sizes(&self, wanted: [usize; 3]) -> Result<(), AttentionError> {
        let own = [self.d_model, self.n_heads, self.key_heads()];
        if own == wanted {
            return Ok(());
        }
        Err(AttentionError::Config(format!(
            "d_model, n_heads, kv_heads = {own:?} must be those of the layer to convert, {wanted:?}"
        )))
    }

    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// [`AttentionError::Config`] with the field, its value and what would do.
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
        if !(1..=LARGEST_CHUNK).contains(&self.chunk) {
            return fault(format!("chunk = {} must be 1 to {LARGEST_CHUNK}", self.chunk));
        }
        if !(0.0..1.0).contains(&self.write_dropout) {
            return fault(format!("write_dropout = {} must be in [0, 1)", self.write_dropout));
        }
        if !(self.largest_write > 0.0 && self.largest_write <= 2.0) {
            return fault(format!("largest_write = {} must be above 0 and at most 2", self.largest_write));
        }
        if self.largest_write != 1.0 && !self.write_gate {
            return fault(format!(
                "largest_write = {} is what a write gate gives; set write_gate = true",
                self.largest_write
            ));
        }
        if let Err(text) = self.feature_map.validate() {
            return fault(text);
        }
        if let Normalizer::Calcium { alpha } = self.normalizer {
            if !(alpha > 0.0 && alpha <= 1.0) {
                return fault(format!("normalizer: calcium exponent alpha = {alpha} must be in (0, 1]"));
            }
            if self.plasticity == Plasticity::Delta {
                return fault("normalizer: the delta rule has no calcium; use Rms or None".into());
            }
            if !self.feature_map.has_positive_kernel() {
                return fault(format!(
                    "normalizer: calcium needs a positive kernel, which feature_map = {:?} is not; \
                                      use Rms or another map",
                    self.feature_map
                ));
            }
            if alpha != 1.0 && !self.feature_map.has_positive_features() {
                return fault(format!(
                    "normalizer: an exponent needs features ≥ 0, which {:?} are not",
                    self.feature_map
                ));
            }
        }
        let plain = self.normalizer == (Normalizer::Calcium { alpha: 1.0 });
        let fits = self.causal && plain && !matches!(self.position, PositionConfig::Distance { .. });
        if self.window > 0 && !fits {
            return fault(format!(
                "window = {}: a window shares its normaliser with the memory and looks back; it needs causal = true, a \
                 calcium normaliser without exponent, and no distance memory",
                self.window
            ));
        }
        if !self.memory && self.window == 0 {
            return fault("memory = false leaves nothing without a window; use AttentionConfig::Off".into());
        }
        if self.plasticity == Plasticity::Delta && matches!(self.position, PositionConfig::Distance { .. }) {
            return fault("position: the sum of a key and a distance key is longer than the delta rule bears".into());
        }
        match self.position {
            PositionConfig::Rotary { .. } if self.head_size() % 2 == 1 => {
                fault(format!("position: rotary needs an even head size, got {}", self.head_size()))
            }
            PositionConfig::Rotary { theta } if !(theta.is_finite() && theta > 0.0) => {
                fault(format!("position: rotary theta = {theta} must be above 0"))
            }
            PositionConfig::Distance { scale, max_steps } if !(scale > 0.0 && scale.is_finite()) || max_steps == 0 => {
                fault(format!("position: distance scale = {scale} and max_steps = {max_steps} must be above 0"))
            }
            _ => Ok(()),
        }
    }
}
