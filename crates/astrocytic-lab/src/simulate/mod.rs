//! Demonstrations of the networks behind the module: each a page of plots and its figures.
//!
//! The networks are those of the dynamics crate; here they are given something to do, measured and
//! drawn.

mod associative_memory;
mod feature_maps;
mod page;
mod paper_figure;
mod random;
mod softmax;
mod tripartite;

pub use associative_memory::{Capacity, MemoryConfig, MemoryReport, associative_memory};
pub use paper_figure::{LayerMapError, MapError, PaperFigureConfig, PaperFigureReport, paper_figure};
pub use softmax::{SoftmaxConfig, SoftmaxReport, softmax};
pub use tripartite::{FittedDecay, SeparationError, TripartiteConfig, TripartiteReport, tripartite};
