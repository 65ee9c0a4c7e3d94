//! Files that people write: values as they say them, and faults with their places.

mod fault;
mod fields;
mod nearest;
mod source;
mod typed;

pub use fault::Fault;
pub(crate) use fields::fields_of;
pub use nearest::{did_you_mean, nearest};
pub(crate) use source::Source;
pub(crate) use typed::{kebab, typed};
