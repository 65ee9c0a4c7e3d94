//! Random directions for random features: block-orthogonal, with the lengths of Gaussian vectors
//! (arXiv 2009.14794, section 2.4). Seeded, kept in the checkpoint, never trained.

use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// Ω `[heads, directions, d]`; query heads that share a key head have its directions.
pub(super) fn directions(
    seed: u64,
    heads: usize,
    key_heads: usize,
    count: usize,
    d: usize,
    device: &Device,
) -> Tensor<3> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut values = Vec::with_capacity(heads * count * d);
    for _ in 0..key_heads {
        let head = block_orthogonal(count, d, &mut random);
        for _ in 0..heads / key_heads {
            values.extend_from_slice(&head);
        }
    }
    Tensor::from_data(TensorData::new(values, [heads, count, d]), device)
}

/// `rows × d`, row-major: blocks of d orthogonal rows, each with the length of a fresh Gaussian
/// vector.
pub fn block_orthogonal(rows: usize, d: usize, random: &mut ChaCha8Rng) -> Vec<f64> {
    let mut result = Vec::with_capacity(rows * d);
    while result.len() < rows * d {
        let mut block: Vec<Vec<f64>> = Vec::with_capacity(d);
        while block.len() < d && result.len() + block.len() * d < rows * d {
            let mut row = gaussian(d, random);
            // Twice, because one pass of Gram–Schmidt loses digits.
            for _ in 0..2 {
                for earlier in &block {
                    let overlap: f64 = row.iter().zip(earlier).map(|(a, b)| a * b).sum();
                    row.iter_mut().zip(earlier).for_each(|(a, b)| *a -= overlap * b);
                }
            }
            let length = norm(&row);
            row.iter_mut().for_each(|a| *a /= length);
            block.push(row);
        }
        for row in block {
            let length = norm(&gaussian(d, random));
            result.extend(row.iter().map(|a| a * length));
        }
    }
    result
}

fn gaussian(d: usize, random: &mut ChaCha8Rng) -> Vec<f64> {
    (0..d).map(|_| StandardNormal.sample(random)).collect()
}

fn norm(row: &[f64]) -> f64 {
    row.iter().map(|a| a * a).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_block_are_orthogonal_and_as_long_as_gaussian_vectors() {
        let (rows, d) = (24, 8);
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let omega = block_orthogonal(rows, d, &mut random);
        let row = |i: usize| &omega[i * d..(i + 1) * d];
        for i in 0..rows {
            for j in 0..i {
                if i / d == j / d {
                    let overlap: f64 = row(i).iter().zip(row(j)).map(|(a, b)| a * b).sum();
                    assert!(overlap.abs() < 1e-12 * norm(row(i)) * norm(row(j)), "{i} {j} {overlap}");
                }
            }
        }
        let many = block_orthogonal(4_000, d, &mut random);
        let mean_square = many.iter().map(|a| a * a).sum::<f64>() / 4_000.0;
        assert!((mean_square - d as f64).abs() < 0.3, "{mean_square}");
    }
}
