//! A short causal filter for each channel as one operation.

#[cfg(feature = "host-kernels")]
mod host;

use burn::tensor::Tensor;

/// `y_t = Σ_j taps_j · x_{t − width + 1 + j}` for each channel.
///
/// # Shapes
/// - x: `[batch, steps, channels]`
/// - taps, the present last: `[channels, width]`
/// - history, the steps before: `[batch, width − 1, channels]`
/// - returns `[batch, steps, channels]`
pub fn short_convolution(x: Tensor<3>, taps: Tensor<2>, history: Tensor<3>) -> Tensor<3> {
    let ([_, steps, channels], [_, width]) = (x.dims(), taps.dims());
    #[cfg(feature = "host-kernels")]
    {
        if let Some(filtered) = host::run(&x, &taps, &history) {
            return filtered;
        }
    }
    let extended = Tensor::cat(vec![history, x], 1);
    let tap = |j: usize| {
        let weight = taps.clone().narrow(1, j, 1).reshape([1, 1, channels]);
        extended.clone().narrow(1, j, steps) * weight
    };
    (1..width).fold(tap(0), |sum, j| sum + tap(j))
}
