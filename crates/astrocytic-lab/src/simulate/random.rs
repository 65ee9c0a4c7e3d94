//! Random numbers of the demonstrations.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// Normal numbers, `[rows][size]`.
pub(super) fn normals(rng: &mut ChaCha8Rng, rows: usize, size: usize, scale: f64) -> Vec<Vec<f64>> {
    let mut one = || -> f64 { scale * Distribution::<f64>::sample(&StandardNormal, rng) };
    (0..rows).map(|_| (0..size).map(|_| one()).collect()).collect()
}

/// The generator of a seed.
pub(super) fn seeded(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}
