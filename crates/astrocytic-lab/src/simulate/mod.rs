//! Demonstrations of the networks behind the module: each a page of plots and its figures.
//!
//! The networks are those of the dynamics crate; here they are given something to do, measured and drawn.

mod associative_memory;
mod feature_maps;
mod page;
mod paper_figure;
mod softmax;
mod tripartite;

pub use associative_memory::{Capacity, MemoryConfig, MemoryReport, associative_memory};
pub use paper_figure::{LayerMapError, MapError, PaperFigureConfig, PaperFigureReport, paper_figure};
pub use softmax::{SoftmaxConfig, SoftmaxReport, softmax};
pub use tripartite::{FittedDecay, SeparationError, TripartiteConfig, TripartiteReport, tripartite};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// Normal numbers, `[rows][size]`.
fn normals(rng: &mut ChaCha8Rng, rows: usize, size: usize, scale: f64) -> Vec<Vec<f64>> {
    let mut one = || -> f64 { scale * Distribution::<f64>::sample(&StandardNormal, rng) };
    (0..rows).map(|_| (0..size).map(|_| one()).collect()).collect()
}

fn seeded(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}
