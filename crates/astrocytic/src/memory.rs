//! The memory of what is read, as options name it.

use astrocytic_models::memory::MemoryKind;
use clap::ValueEnum;

/// A memory that `train` and `generate` can use.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum MemoryName {
    /// Learns what followed the last one, two and three tokens, and a read-out.
    Ngram,
    /// Learns a read-out alone.
    ReadOut,
}

impl From<MemoryName> for MemoryKind {
    fn from(name: MemoryName) -> Self {
        match name {
            MemoryName::Ngram => Self::Ngram,
            MemoryName::ReadOut => Self::ReadOut,
        }
    }
}
