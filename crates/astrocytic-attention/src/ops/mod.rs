//! The operations of an attention layer and of the block around it, each with the forms that
//! compute it.
//!
//! [`memory_attention`] is the memory of tripartite synapses: three composed forms of one
//! recurrence and a kernel for the processor. Beside it stand its baselines, softmax attention and
//! a long short-term memory, and what a transformer block needs. On a device without kernels an
//! operation is composed of Burn's own.

mod cross_entropy;
mod dropout;
mod gated_silu;
mod lstm;
pub(crate) mod memory;
mod rms_norm;
mod rotary;
mod short_convolution;
mod softmax;

pub use crate::kernel::element_wise::Feature;
pub use cross_entropy::cross_entropy;
pub use dropout::dropout;
pub use gated_silu::gated_silu;
pub use lstm::lstm;
pub(crate) use memory::forms::with_calcium;
pub use memory::forms::{calcium_trace, causal, weights, write};
pub use memory::memory_attention;
pub(crate) use memory::sparse_reads::after_last_writes;
pub(crate) use memory::spec::LARGEST_CHUNK;
pub use memory::spec::{CALCIUM_FLOOR, Form, MemoryInputs, MemorySpec, MemoryState, Plasticity};
pub use memory::writes::{Writes, read};
pub use rms_norm::rms_norm;
pub use rotary::rotate;
pub use short_convolution::short_convolution;
pub use softmax::softmax_attention;
pub(crate) use softmax::times_seen;
