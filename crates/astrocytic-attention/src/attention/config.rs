//! Which attention a model has, chosen from a configuration file.

use burn::config::Config;

use crate::astrocytic::AstrocyticAttentionConfig;
use crate::error::AttentionError;
use crate::softmax::SoftmaxAttentionConfig;

/// Which attention a model has.
#[derive(Config, Debug, PartialEq)]
#[non_exhaustive]
pub enum AttentionConfig {
    /// A memory of tripartite synapses.
    Astrocytic(AstrocyticAttentionConfig),
    /// Softmax over all steps.
    Softmax(SoftmaxAttentionConfig),
    /// The same, causal, with scores that fade by a gated decay (Forgetting Transformer, arXiv 2503.02130): the control for a
    /// memory that leaks.
    Forgetting(SoftmaxAttentionConfig),
    /// Returns 0: the control that shows whether attention mattered.
    Off,
}

impl AttentionConfig {
    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// [`AttentionError::Config`] with the field and what would do.
    pub fn validate(&self) -> Result<(), AttentionError> {
        match self {
            Self::Astrocytic(config) => config.validate(),
            Self::Softmax(config) => config.validate(),
            Self::Forgetting(config) if !config.causal => {
                Err(AttentionError::Config("softmax attention that forgets needs causal = true".into()))
            }
            Self::Forgetting(config) => config.validate(),
            Self::Off => Ok(()),
        }
    }

    /// Width of input and output; `None` where any will do.
    pub fn d_model(&self) -> Option<usize> {
        match self {
            Self::Astrocytic(config) => Some(config.d_model),
            Self::Softmax(config) | Self::Forgetting(config) => Some(config.d_model),
            Self::Off => None,
        }
    }

    /// Whether step t sees only steps up to t.
    pub fn is_causal(&self) -> bool {
        match self {
            Self::Astrocytic(config) => config.causal,
            Self::Softmax(config) | Self::Forgetting(config) => config.causal,
            Self::Off => true,
        }
    }
}
