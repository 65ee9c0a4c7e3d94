//! `simulate tripartite`: the network of neurons and astrocytes computes attention.

mod page;
mod report;
mod run;
mod tokens;

pub use report::{FittedDecay, SeparationError, TripartiteConfig, TripartiteReport};
pub use run::tripartite;
