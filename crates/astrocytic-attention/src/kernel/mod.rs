//! What the kernels of operations share: views of tensors, scratch memory, small products, vector
//! arithmetic, and the way from tensors of any backend to a kernel and back.
//!
//! The results of a kernel do not depend on the number of threads. Sums stay inside a task; if one
//! cannot, its parts depend on the shapes alone and are added in order.

pub(crate) mod dispatch;
pub(crate) mod element_wise;
#[cfg(feature = "host-kernels")]
pub(crate) mod heads;
#[cfg(feature = "host-kernels")]
pub(crate) mod host;
#[cfg(feature = "host-kernels")]
pub(crate) mod operation;
#[cfg(feature = "host-kernels")]
pub(crate) mod product;
#[cfg(feature = "host-kernels")]
pub(crate) mod real;
#[cfg(feature = "host-kernels")]
pub(crate) mod scratch;

/// The most work, in multiplications, that one thread does alone: to wake another takes as long.
#[cfg(feature = "host-kernels")]
pub(crate) const LITTLE: usize = 1 << 16;
