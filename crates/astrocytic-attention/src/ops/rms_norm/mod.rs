//! Root-mean-square norm (arXiv 1910.07467) as one operation.

#[cfg(feature = "host-kernels")]
mod host;

use burn::nn::RmsNorm;
use burn::tensor::Tensor;

use crate::tensor::full_precision;

/// `x / √(mean x² + ε) · γ` over the last axis, in full precision for half.
///
/// # Panics
/// For a norm of another width.
pub fn rms_norm<const D: usize>(x: Tensor<D>, norm: &RmsNorm) -> Tensor<D> {
    let gamma = norm.gamma.val();
    assert_eq!(gamma.dims(), [x.dims()[D - 1]], "norm: its width is not that of the last axis");
    #[cfg(feature = "host-kernels")]
    {
        if let Some(normed) = host::run(&x, &gamma, norm.epsilon) {
            return normed;
        }
    }
    let dtype = x.dtype();
    let x = full_precision(x);
    let size = (x.clone().square().mean_dim(D - 1) + norm.epsilon).sqrt();
    (x / size * full_precision(gamma).unsqueeze()).cast(dtype)
}
