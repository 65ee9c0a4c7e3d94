//! What a conversion refuses, and why.

use astrocytic_attention::AttentionError;

/// A conversion that cannot be made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConversionError {
    /// Layers that are written wrongly or that the model does not have.
    #[error("layers{0}")]
    Layers(String),
    /// A preset that there is not.
    #[error("unknown preset \"{name}\"; choose from {known}")]
    UnknownPreset {
        /// The name that was asked for.
        name: String,
        /// The names that there are.
        known: String,
    },
    /// An attention that does not fit.
    #[error(transparent)]
    Attention(#[from] AttentionError),
}
