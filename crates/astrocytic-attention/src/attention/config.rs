//! Which attention a model has, chosen from a configuration file.

use burn::config::{Config, config_to_json};
use burn::nn::attention::MultiHeadAttentionConfig;
use burn::serde::{Deserialize, Serialize};

use crate::astrocytic::AstrocyticAttentionConfig;
use crate::decay::DecayConfig;
use crate::error::AttentionError;
use crate::lstm::LstmConfig;
use crate::softmax::SoftmaxAttentionConfig;

/// Which attention a model has.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(crate = "burn::serde", from = "Stored", into = "Stored")]
#[non_exhaustive]
pub enum AttentionConfig {
    /// A memory of tripartite synapses.
    Astrocytic(AstrocyticAttentionConfig),
    /// Softmax over all steps, with scores that fade or not.
    Softmax(SoftmaxAttentionConfig),
    /// Burn's own multi-head attention.
    Burn(MultiHeadAttentionConfig),
    /// A long short-term memory, which tracks a state and recalls nothing.
    Lstm(LstmConfig),
    /// Returns 0: shows whether attention matters.
    Off,
}

/// An [`AttentionConfig`] in a file. Softmax attention with a gated decay is written as
/// `Forgetting`, as older versions wrote it: the names of stored runs are hashes of this text.
#[derive(Serialize, Deserialize)]
#[serde(crate = "burn::serde", rename = "AttentionConfig")]
enum Stored {
    Astrocytic(AstrocyticAttentionConfig),
    Softmax(SoftmaxAttentionConfig),
    Forgetting(SoftmaxAttentionConfig),
    Burn(MultiHeadAttentionConfig),
    Lstm(LstmConfig),
    Off,
}

impl From<Stored> for AttentionConfig {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::Astrocytic(config) => Self::Astrocytic(config),
            Stored::Softmax(config) => Self::Softmax(config),
            Stored::Forgetting(config) => Self::Softmax(config.with_decay(DecayConfig::Gated)),
            Stored::Burn(config) => Self::Burn(config),
            Stored::Lstm(config) => Self::Lstm(config),
            Stored::Off => Self::Off,
        }
    }
}

impl From<AttentionConfig> for Stored {
    fn from(config: AttentionConfig) -> Self {
        match config {
            AttentionConfig::Astrocytic(config) => Self::Astrocytic(config),
            AttentionConfig::Softmax(config) if config.decay == DecayConfig::Gated => {
                Self::Forgetting(config.with_decay(DecayConfig::None))
            }
            AttentionConfig::Softmax(config) => Self::Softmax(config),
            AttentionConfig::Burn(config) => Self::Burn(config),
            AttentionConfig::Lstm(config) => Self::Lstm(config),
            AttentionConfig::Off => Self::Off,
        }
    }
}

impl Config for AttentionConfig {}

impl std::fmt::Display for AttentionConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&config_to_json(self))
    }
}

impl PartialEq for AttentionConfig {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Astrocytic(a), Self::Astrocytic(b)) => a == b,
            (Self::Softmax(a), Self::Softmax(b)) => a == b,
            // Burn's has no equality of its own.
            (Self::Burn(a), Self::Burn(b)) => a.to_string() == b.to_string(),
            (Self::Lstm(a), Self::Lstm(b)) => a == b,
            (Self::Off, Self::Off) => true,
            _ => false,
        }
    }
}

impl From<AstrocyticAttentionConfig> for AttentionConfig {
    fn from(config: AstrocyticAttentionConfig) -> Self {
        Self::Astrocytic(config)
    }
}

impl From<&AstrocyticAttentionConfig> for AttentionConfig {
    fn from(config: &AstrocyticAttentionConfig) -> Self {
        Self::Astrocytic(config.clone())
    }
}

impl From<SoftmaxAttentionConfig> for AttentionConfig {
    fn from(config: SoftmaxAttentionConfig) -> Self {
        Self::Softmax(config)
    }
}

impl From<MultiHeadAttentionConfig> for AttentionConfig {
    fn from(config: MultiHeadAttentionConfig) -> Self {
        Self::Burn(config)
    }
}

impl From<LstmConfig> for AttentionConfig {
    fn from(config: LstmConfig) -> Self {
        Self::Lstm(config)
    }
}

impl From<&AttentionConfig> for AttentionConfig {
    fn from(config: &AttentionConfig) -> Self {
        config.clone()
    }
}

impl AttentionConfig {
    /// Checks that the settings fit each other.
    ///
    /// # Errors
    /// [`AttentionError::Config`] with the field and what would do.
    pub fn validate(&self) -> Result<(), AttentionError> {
        match self {
            Self::Astrocytic(config) => config.validate(),
            Self::Softmax(config) => config.validate(),
            Self::Burn(config) => validate_burn(config),
            Self::Lstm(config) => config.validate(),
            Self::Off => Ok(()),
        }
    }

    /// Width of input and output; `None` where any will do.
    pub fn d_model(&self) -> Option<usize> {
        match self {
            Self::Astrocytic(config) => Some(config.d_model),
            Self::Softmax(config) => Some(config.d_model),
            Self::Burn(config) => Some(config.d_model),
            Self::Lstm(config) => Some(config.d_model),
            Self::Off => None,
        }
    }

    /// Whether step t sees only steps up to t, whatever the mask.
    pub fn is_causal(&self) -> bool {
        match self {
            Self::Astrocytic(config) => config.causal,
            Self::Softmax(config) => config.causal,
            Self::Burn(_) => false,
            Self::Lstm(_) | Self::Off => true,
        }
    }
}

/// Burn checks none of this.
fn validate_burn(config: &MultiHeadAttentionConfig) -> Result<(), AttentionError> {
    let fault = |text: String| Err(AttentionError::Config(text));
    let MultiHeadAttentionConfig { d_model, n_heads, dropout, .. } = *config;
    if n_heads == 0 || d_model == 0 || d_model % n_heads != 0 {
        return fault(format!("n_heads = {n_heads} must divide d_model = {d_model}, both above 0"));
    }
    if !(0.0..1.0).contains(&dropout) {
        return fault(format!("dropout = {dropout} must be in [0, 1)"));
    }
    Ok(())
}
