//! What a layer refuses, and why.

/// A configuration or an input that the layer cannot honour.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AttentionError {
    /// A configuration that makes no sense.
    #[error("attention config: {0}")]
    Config(String),
    /// A mask that a memory of constant size cannot honour.
    #[error(
        "mask_attn: only the causal mask of generate_autoregressive_mask or an all-false mask is supported, because a \
         memory cannot hide single steps from single queries; use `causal` in the config, or mask_pad for padding"
    )]
    UnsupportedMask,
    /// A conversion that would lose what the layer to convert has, and what to do about it.
    #[error("conversion: the layer's {0} would be lost; {1}")]
    NotKept(&'static str, &'static str),
    /// Shapes that do not fit.
    #[error("attention input: {0}")]
    Shape(String),
}

/// A variant as people write it: "relu-squared" of `ReluSquared`.
pub(crate) fn in_words(variant: &impl std::fmt::Debug) -> String {
    let name = format!("{variant:?}");
    let mut words = String::new();
    for c in name.chars().take_while(char::is_ascii_alphanumeric) {
        if c.is_ascii_uppercase() && !words.is_empty() {
            words.push('-');
        }
        words.push(c.to_ascii_lowercase());
    }
    words
}
