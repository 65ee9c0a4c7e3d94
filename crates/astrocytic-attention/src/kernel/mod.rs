//! What the kernels of operations share: views of tensors, scratch memory, small products, vector arithmetic, and the way
//! from tensors of any backend to a kernel and back.
//!
//! Results of a kernel do not depend on the number of threads: no sum runs across tasks, or where one does its parts are
//! cut by shape alone and added in order.

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

/// Work, in multiplications, that is not worth a second thread: to wake one takes as long.
#[cfg(feature = "host-kernels")]
pub(crate) const LITTLE: usize = 1 << 16;
