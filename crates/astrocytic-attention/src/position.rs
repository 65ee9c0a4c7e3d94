//! Where a step stands: rotary angles on keys and queries, or a memory of distances beside the neuronal one.

use burn::config::Config;
use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::{Device, FloatDType, Int, Tensor, TensorData};

use crate::fused::{self, rotary::Rotary};
use crate::state::{full_dtype, full_precision};

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
    /// Astrocyte memory of distances, `H_astro = Σ φ(r_t) v_tᵀ` with `r_tj = exp(−|t − j| · scale)` projected by a
    /// learned matrix (arXiv 2312.10925, section 3). Read like the neuronal memory, but the calcium does not count it.
    Distance {
        /// Inverse of the length, in steps, over which processes are neighbours.
        scale: f64,
        /// Longest sequence; it must be known in advance.
        max_steps: usize,
    },
}

/// Turns pairs `(x_i, x_{i+d/2})` by `position · θ^{−2i/d}` (arXiv 2104.09864, the half-split layout). Angles are
/// single precision or better, whatever x and the device's default are.
///
/// # Shapes
/// - x: `[batch, heads, steps, d]`, d even
/// - positions: `[batch or 1, steps]`
///
/// # Panics
/// For an odd size d, or positions of other steps.
pub fn rotate(x: Tensor<4>, positions: Tensor<2, Int>, theta: f64) -> Tensor<4> {
    let d = x.dims()[3];
    let ([batch, _, steps, _], [rows, places]) = (x.dims(), positions.dims());
    let fits = (rows == 1 || rows == batch) && places == steps;
    assert!(fits, "rotary positions must be [1 or {batch}, {steps}], not [{rows}, {places}]");
    assert!(d.is_multiple_of(2), "rotary positions need an even size, got {d}");
    if x.shape().num_elements() > 0 {
        let places = real(positions.clone(), &x);
        let inputs = [Some(x.clone().swap_dims(1, 2).into()), Some(places.into()), None, None, None, None, None];
        if let Some(turned) = fused::run::<_, 4>(Rotary { theta }, inputs) {
            return turned.swap_dims(1, 2);
        }
    }
    let half = d / 2;
    let [batch, steps] = positions.dims();
    let dtype = x.dtype();
    let x = full_precision(x);
    let wave = (0..half).map(|i| theta.powf(-2.0 * i as f64 / d as f64)).collect::<Vec<_>>();
    let wave = Tensor::<3>::from_data(TensorData::new(wave, [1, 1, half]), (&x.device(), x.dtype()));
    let angle = (real(positions, &x).reshape([batch, steps, 1]) * wave).unsqueeze_dim::<4>(1);
    let (cos, sin) = (angle.clone().cos(), angle.sin());
    let (left, right) = (x.clone().narrow(3, 0, half), x.narrow(3, half, half));
    let turned_left = left.clone() * cos.clone() - right.clone() * sin.clone();
    let turned_right = right * cos + left * sin;
    Tensor::cat(vec![turned_left, turned_right], 3).cast(dtype)
}

/// Whole numbers in the precision that `like` is computed in. (`float()` would give the device's default, and bf16 has no
/// whole numbers of its own above 256.)
fn real<const D: usize, const E: usize>(places: Tensor<D, Int>, like: &Tensor<E>) -> Tensor<D> {
    places.cast(FloatDType::from(full_dtype(like.dtype())))
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
    /// - positions `[batch, steps]`, each below `max_steps`; what lies beyond is at the distance that it is
    /// - returns `[batch, 1, steps, d]`
    pub fn forward(&self, positions: Tensor<2, Int>) -> Tensor<4> {
        let [batch, steps] = positions.dims();
        let projection = full_precision(self.projection.val());
        let [max_steps, d] = projection.dims();
        let own = Tensor::<1, Int>::arange(0..max_steps as i64, &projection.device());
        let distance = positions.reshape([batch, steps, 1]) - own.reshape([1, 1, max_steps]);
        let nearness = real(distance.abs(), &projection).mul_scalar(-self.scale).exp();
        nearness.matmul(projection.unsqueeze()).reshape([batch, 1, steps, d])
    }
}
