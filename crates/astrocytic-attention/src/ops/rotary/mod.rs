//! Rotary positions (arXiv 2104.09864) as one operation.

#[cfg(feature = "host-kernels")]
mod host;

use burn::tensor::{Int, Tensor};

use crate::constant::constant;
use crate::tensor::{full_precision, real};

/// Turns pairs `(x_i, x_{i+d/2})` by `position · θ^{−2i/d}` (arXiv 2104.09864, the half-split
/// layout). Angles are single precision or better, whatever x and the device's default are.
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
    #[cfg(feature = "host-kernels")]
    {
        if let Some(turned) = host::run(&x, &positions, theta) {
            return turned;
        }
    }
    let half = d / 2;
    let [batch, steps] = positions.dims();
    let dtype = x.dtype();
    let x = full_precision(x);
    let wave = (0..half).map(|i| theta.powf(-2.0 * i as f64 / d as f64)).collect::<Vec<_>>();
    let wave = constant(wave, [1, 1, half], &x.device(), x.dtype());
    let angle = (real(positions, &x).reshape([batch, steps, 1]) * wave).unsqueeze_dim::<4>(1);
    let (cos, sin) = (angle.clone().cos(), angle.sin());
    let (left, right) = (x.clone().narrow(3, 0, half), x.narrow(3, half, half));
    let turned_left = left.clone() * cos.clone() - right.clone() * sin.clone();
    let turned_right = right * cos + left * sin;
    Tensor::cat(vec![turned_left, turned_right], 3).cast(dtype)
}
