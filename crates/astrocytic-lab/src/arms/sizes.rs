//! Sizes that all arms share.

/// Sizes that all arms share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sizes {
    /// Number of tokens known.
    pub vocabulary: usize,
    /// Width of the stream.
    pub d_model: usize,
    /// Number of blocks.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Dropout of embedding and branches.
    pub dropout: f64,
    /// Tokens that are read at once at most.
    pub context: usize,
    /// Whether blocks have feed-forward layers.
    pub feed_forward: bool,
}

/// Keys and values that an arm that carries them sees beside its window of `context` tokens: a
/// state that is many times the size of a memory's.
pub(crate) fn carried_tokens(context: usize) -> usize {
    4 * context
}
