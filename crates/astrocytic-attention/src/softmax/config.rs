//! Configuration of softmax attention.

use burn::config::Config;
use burn::nn::Initializer;

use crate::error::AttentionError;

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
}
