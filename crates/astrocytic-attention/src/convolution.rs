//! Short causal convolution: calcium that spreads among neighbouring processes, a few steps long
//! (used before linear memories since H3, arXiv 2212.14052).

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor};

use crate::ops::short_convolution;
use crate::tensor::contiguous;

/// A causal filter for each channel. Starts as the identity.
#[derive(Module, Debug)]
pub struct ShortConvolution {
    /// Taps, the present last: `[channels, width]`.
    pub kernel: Param<Tensor<2>>,
}

impl ShortConvolution {
    /// A filter over `width` steps for `channels` channels.
    pub fn new(channels: usize, width: usize, device: &Device) -> Self {
        let past = Tensor::zeros([channels, width - 1], device);
        let present = Tensor::ones([channels, 1], device);
        Self { kernel: Param::from_tensor(Tensor::cat(vec![past, present], 1)) }
    }

    /// An empty history, `[batch, width − 1, channels]`.
    pub fn empty_history(&self, batch: usize, like: &Tensor<3>) -> Tensor<3> {
        let [channels, width] = self.kernel.dims();
        Tensor::zeros([batch, width - 1, channels], (&like.device(), like.dtype()))
    }

    /// Filters x and returns the history for what follows.
    ///
    /// # Shapes
    /// - x: `[batch, steps, channels]`
    /// - history, the steps before: `[batch, width − 1, channels]`
    /// - unpadded_len: how many leading steps of each row are not padded, `[batch]`; `None` is all
    pub fn forward(
        &self,
        x: Tensor<3>,
        history: Tensor<3>,
        unpadded_len: Option<&Tensor<1, Int>>,
    ) -> (Tensor<3>, Tensor<3>) {
        let [batch, steps, channels] = x.dims();
        let width = self.kernel.dims()[1];
        let filtered = short_convolution(x.clone(), self.kernel.val(), history.clone());
        if unpadded_len.is_none() && steps >= width - 1 {
            return (filtered, contiguous(x.narrow(1, steps + 1 - width, width - 1)));
        }
        let extended = Tensor::cat(vec![history, x], 1);
        let history = match unpadded_len {
            None => extended.narrow(1, steps, width - 1),
            Some(unpadded_len) => {
                let index = Tensor::<1, Int>::arange(0..(width - 1) as i64, &extended.device());
                let index = index.reshape([1, width - 1, 1]) + unpadded_len.clone().reshape([batch, 1, 1]);
                extended.gather(1, index.expand([batch, width - 1, channels]))
            }
        };
        (filtered, history)
    }
}
