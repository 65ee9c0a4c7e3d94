//! Where a step stands: rotary angles on keys and queries, or a memory of distances beside the
//! neuronal one.

use burn::config::Config;
use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::{Device, Int, Tensor};

use crate::tensor::{full_precision, real};

pub use crate::ops::rotate;

/// How steps know their place.
#[derive(Config, Debug, Copy, PartialEq)]
#[non_exhaustive]
pub enum PositionConfig {
    /// They do not, but for decay and convolution.
    None,
    /// Rotary angles on q and k before the feature map (arXiv 2104.09864).
    Rotary {
        /// Base of the wave lengths, usually 10,000.
        theta: f64,
    },
    /// Astrocyte memory of distances, `H_astro = Σ φ(r_t) v_tᵀ` with `r_tj = exp(−|t − j| · scale)`
    /// projected by a learned matrix (arXiv 2312.10925, section 3). Read like the neuronal memory,
    /// but the calcium does not count it.
    Distance {
        /// Inverse of the length, in steps, over which processes are neighbours.
        scale: f64,
        /// Longest sequence; it must be known in advance.
        max_steps: usize,
    },
}

/// The keys of the distance memory: `r_t W` before the feature map.
#[derive(Module, Debug)]
pub struct DistanceKeys {
    /// W, `[max_steps, d]`, shared by all heads.
    pub projection: Param<Tensor<2>>,
    scale: f64,
}

impl DistanceKeys {
    /// Keys of size d for sequences of up to `max_steps`.
    pub fn new(scale: f64, max_steps: usize, d: usize, device: &Device) -> Self {
        // Rows of r sum to about 2 / scale; the projection keeps r_t W of unit size.
        let std = (scale / 2.0).min(1.0).sqrt();
        let projection = Initializer::Normal { mean: 0.0, std }.init([max_steps, d], device);
        Self { projection, scale }
    }

    /// `r_t W` for given positions.
    ///
    /// # Shapes
    /// - positions `[batch, steps]`, each below `max_steps`; what lies beyond is at the distance
    ///   that it is
    /// - returns `[batch, 1, steps, d]`
    pub fn forward(&self, positions: Tensor<2, Int>) -> Tensor<4> {
        let [batch, steps] = positions.dims();
        let projection = full_precision(self.projection.val());
        let [max_steps, d] = projection.dims();
        let places = Tensor::<1, Int>::arange(0..max_steps as i64, &projection.device());
        let distance = positions.reshape([batch, steps, 1]) - places.reshape([1, 1, max_steps]);
        let nearness = real(distance.abs(), &projection).mul_scalar(-self.scale).exp();
        nearness.matmul(projection.unsqueeze()).reshape([batch, 1, steps, d])
    }
}
