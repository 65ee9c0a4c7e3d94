//! Configuration of a long short-term memory.

use burn::config::Config;
use burn::nn::Initializer;

use crate::error::AttentionError;
use crate::initializer::check_initializer;

/// Configuration of an [`Lstm`](super::Lstm).
#[derive(Config, Debug, PartialEq)]
pub struct LstmConfig {
    /// Width of the input and the output.
    pub d_model: usize,
    /// Size of the state. Default: `None`, which gives the layer as many parameters as the four
    /// projections of an attention layer of that width have
    pub hidden: Option<usize>,
    /// Initial bias of the forget gate; those of the others are 0. Default: 1.0, so that the layer
    /// remembers before it has learned anything (Gers et al. 2000; Jozefowicz et al. 2015, "An
    /// empirical exploration of recurrent network architectures")
    #[config(default = 1.0)]
    pub forget_bias: f64,
    /// Initialisation of the three matrices. Default: as Burn's `MultiHeadAttention`, uniform in
    /// ±1/√(inputs); the recurrent matrix is ±1/√hidden, as in common implementations of LSTMs
    #[config(default = "Initializer::KaimingUniform{gain: 1.0 / 3f64.sqrt(), fan_out_only: false}")]
    pub initializer: Initializer,
}

impl LstmConfig {
    /// Size of the state: [`hidden`](Self::hidden), or the whole number h for which the layer's
    /// `4 h (d_model + h + 1) + h d_model` parameters come nearest to `4 d_model²`.
    pub fn hidden_size(&self) -> usize {
        let d = self.d_model as f64;
        let linear = 5.0 * d + 4.0;
        let equal = ((linear * linear + 64.0 * d * d).sqrt() - linear) / 8.0;
        self.hidden.unwrap_or((equal.round() as usize).max(1))
    }

    /// Checks that the settings fit each other.
    ///
    /// # Errors
    /// [`AttentionError::Config`] with the field and what would do.
    pub fn validate(&self) -> Result<(), AttentionError> {
        let fault = |text: String| Err(AttentionError::Config(text));
        if self.d_model == 0 {
            return fault("d_model = 0 must be above 0".into());
        }
        if let Some(hidden) = self.hidden.filter(|hidden| !(1..=MOST_HIDDEN).contains(hidden)) {
            return fault(format!("hidden = {hidden} must be 1 to {MOST_HIDDEN}"));
        }
        if !self.forget_bias.is_finite() {
            return fault(format!("forget_bias = {} must be finite", self.forget_bias));
        }
        check_initializer(&self.initializer).map_err(AttentionError::Config)
    }
}

/// The largest state that can be asked for.
const MOST_HIDDEN: usize = 1 << 16;
