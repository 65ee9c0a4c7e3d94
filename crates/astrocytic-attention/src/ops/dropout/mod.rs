//! Dropout (arXiv 1207.0580) as one operation, whose mask costs no random number an element.

#[cfg(feature = "host-kernels")]
mod host;

use burn::nn::Dropout;
use burn::tensor::Tensor;

/// `x` with a share of its elements set to zero and the others scaled up, as the layer does it: in
/// training alone. Which ones follows from the state of the device's random numbers.
pub fn dropout<const D: usize>(x: Tensor<D>, layer: &Dropout) -> Tensor<D> {
    #[cfg(feature = "host-kernels")]
    {
        let is_on = layer.prob > 0.0 && layer.training.is_enabled() && x.device().is_autodiff();
        if let Some(dropped) = is_on.then(|| host::run(&x, layer.prob)).flatten() {
            return dropped;
        }
    }
    layer.forward(x)
}
