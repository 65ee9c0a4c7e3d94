//! Configuration of softmax attention.

use burn::config::{Config, config_to_json};
use burn::nn::Initializer;
use burn::serde::{Deserialize, Serialize};

use crate::decay::DecayConfig;
use crate::error::{AttentionError, in_words};
use crate::initializer::check_initializer;

/// Configuration of [`SoftmaxAttention`](super::SoftmaxAttention), made by [`new`](Self::new) and
/// the `with_` functions.
///
/// Its JSON is that of a derived `Config`, except that `decay` is left out where nothing decays:
/// files that were written before there was a decay are read, and written again, as they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(crate = "burn::serde")]
pub struct SoftmaxAttentionConfig {
    /// Width of the input and the output.
    pub d_model: usize,
    /// Number of query heads; divides `d_model`.
    pub n_heads: usize,
    /// Number of key and value heads, a divisor of `n_heads` (grouped-query attention). Default:
    /// `None`, which is `n_heads`
    pub kv_heads: Option<usize>,
    /// Base of rotary positions on q and k. Default: `None`, no positions
    pub rotary_theta: Option<f64>,
    /// Whether step t sees only steps up to t. Default: false
    pub causal: bool,
    /// Width of the short causal convolution on q, k and v: 0 (off) or 2 to 8. Default: 0
    pub convolution: usize,
    /// Gate the reads with `silu(x W + b)`. Default: false
    pub output_gate: bool,
    /// Dropout of the attention weights. Default: 0.0
    pub dropout: f64,
    /// Biases in the four projections. Default: true
    pub bias: bool,
    /// Initialisation of the projections. Default: as Burn's `MultiHeadAttention`
    pub initializer: Initializer,
    /// By what the scores of earlier steps fade; needs `causal`. [`DecayConfig::Gated`] is the
    /// Forgetting Transformer (arXiv 2503.02130), [`DecayConfig::Fixed`] a linear bias for each
    /// head (ALiBi, arXiv 2108.12409). Default: [`DecayConfig::None`]
    #[serde(default = "no_decay", skip_serializing_if = "is_no_decay")]
    pub decay: DecayConfig,
}

fn no_decay() -> DecayConfig {
    DecayConfig::None
}

fn is_no_decay(decay: &DecayConfig) -> bool {
    *decay == DecayConfig::None
}

impl Config for SoftmaxAttentionConfig {}

impl std::fmt::Display for SoftmaxAttentionConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&config_to_json(self))
    }
}

impl SoftmaxAttentionConfig {
    /// Bidirectional softmax attention without positions, gate or decay.
    pub fn new(d_model: usize, n_heads: usize) -> Self {
        Self {
            d_model,
            n_heads,
            kv_heads: None,
            rotary_theta: None,
            causal: false,
            convolution: 0,
            output_gate: false,
            dropout: 0.0,
            bias: true,
            initializer: Initializer::KaimingUniform { gain: 1.0 / 3f64.sqrt(), fan_out_only: false },
            decay: DecayConfig::None,
        }
    }

    /// Sets [`kv_heads`](Self::kv_heads).
    pub fn with_kv_heads(self, kv_heads: Option<usize>) -> Self {
        Self { kv_heads, ..self }
    }

    /// Sets [`rotary_theta`](Self::rotary_theta).
    pub fn with_rotary_theta(self, rotary_theta: Option<f64>) -> Self {
        Self { rotary_theta, ..self }
    }

    /// Sets [`causal`](Self::causal).
    pub fn with_causal(self, causal: bool) -> Self {
        Self { causal, ..self }
    }

    /// Sets [`convolution`](Self::convolution).
    pub fn with_convolution(self, convolution: usize) -> Self {
        Self { convolution, ..self }
    }

    /// Sets [`output_gate`](Self::output_gate).
    pub fn with_output_gate(self, output_gate: bool) -> Self {
        Self { output_gate, ..self }
    }

    /// Sets [`dropout`](Self::dropout).
    pub fn with_dropout(self, dropout: f64) -> Self {
        Self { dropout, ..self }
    }

    /// Sets [`bias`](Self::bias).
    pub fn with_bias(self, bias: bool) -> Self {
        Self { bias, ..self }
    }

    /// Sets [`initializer`](Self::initializer).
    pub fn with_initializer(self, initializer: Initializer) -> Self {
        Self { initializer, ..self }
    }

    /// Sets [`decay`](Self::decay).
    pub fn with_decay(self, decay: DecayConfig) -> Self {
        Self { decay, ..self }
    }

    /// Number of key and value heads.
    pub fn key_heads(&self) -> usize {
        self.kv_heads.unwrap_or(self.n_heads)
    }

    /// Checks that the settings fit each other.
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
        if let Err(text) = check_initializer(&self.initializer) {
            return fault(text);
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
        if self.decay != DecayConfig::None && !self.causal {
            return fault(format!(
                "decay = {} needs causal = true: scores fade with the steps between",
                in_words(&self.decay)
            ));
        }
        Ok(())
    }
}
