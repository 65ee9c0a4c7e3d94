//! Brings a corpus or a model from where it is published, checks it against its sha256 and unpacks it.

mod archive;
mod packages;
mod progress;
mod source;
mod url;
mod wanted;

pub use packages::{Client, Package};
pub use source::Source;

pub(crate) use source::{Fields, bring, sha256};
pub(crate) use wanted::Wanted;
