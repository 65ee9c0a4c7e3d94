//! Models that go on learning from the text they read: the memory of what is read.
//!
//! Each token is predicted before anything is learned from it, so that no loss is lower for having seen its answer.
//!
//! - [`PlasticReadOut`] steps the read-out's weights by the delta rule after each token.
//! - [`NGramMemory`] learns what followed the last one, two and three tokens, as an n-gram cache does.
//! - [`ReadMemory`] is the first, with or without the second, beside a model's own read-out.
//! - [`DynamicEvaluation`] steps all weights by gradient descent after each window.
//!
//! The first three need no gradient through the layers. [`Generator::remembering`](crate::Generator::remembering) continues
//! a text with a [`ReadMemory`]. [`MemoryConfig`] is what was chosen for a model, stored beside it.

mod clip;
mod config;
mod dynamic_evaluation;
mod kind;
mod ngram;
mod prediction;
mod read_memory;
mod read_out;

pub use config::MemoryConfig;
pub use dynamic_evaluation::DynamicEvaluation;
pub use kind::MemoryKind;
pub use ngram::NGramMemory;
pub use prediction::Prediction;
pub use read_memory::ReadMemory;
pub use read_out::PlasticReadOut;
