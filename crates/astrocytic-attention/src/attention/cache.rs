//! What any attention layer remembers between calls.

use crate::astrocytic::AttentionState;
use crate::softmax::KeyValueCache;

/// What an attention layer remembers between calls.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant)]
pub enum AttentionCache {
    /// Constant in size.
    Memory(AttentionState),
    /// Grows with every step.
    KeyValue(KeyValueCache),
    /// Nothing.
    Empty,
}

impl AttentionCache {
    /// What goes on to the next window in training, without the graph of gradients (truncated backpropagation through
    /// time): a memory whole, of keys and values those of the last `most` steps.
    pub fn truncate(self, most: usize) -> Self {
        match self {
            Self::Memory(state) => Self::Memory(state.detach()),
            Self::KeyValue(cache) => Self::KeyValue(cache.truncate(most)),
            Self::Empty => Self::Empty,
        }
    }
}
