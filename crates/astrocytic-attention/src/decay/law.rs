//! What a decay is: the trait that each decay's file implements.

use std::fmt::Debug;

use burn::tensor::Tensor;

/// One number for each head.
pub(crate) enum Rates {
    /// The decay has none.
    Nothing,
    /// They stay as they are.
    Constant(Vec<f64>),
    /// Training starts at them.
    Trained(Vec<f64>),
}

/// How log a ≤ 0 of a head at a step follows from the head's rate and, where there is a gate, from
/// `z = x w + b`.
///
/// The reference functions are plain f64, share no code with [`forward`](Self::forward) and are
/// what tests hold it to.
pub(crate) trait Law: Debug {
    /// The rate of each head.
    fn rates(&self, heads: usize) -> Rates;

    /// Where the biases b of the gate start; `None` has no gate.
    fn biases(&self, _heads: usize) -> Option<Vec<f64>> {
        None
    }

    /// Rate and bias with which a gate whose weights are 0 leaves `−log a = leak`; `None` has no
    /// gate.
    fn open(&self, _leak: f64) -> Option<[f64; 2]> {
        None
    }

    /// log a, which expands to `[batch, heads, steps]`, from z `[batch, heads, steps]` and the
    /// rates `[1, heads, 1]`.
    fn forward(&self, z: Option<Tensor<3>>, rate: Option<Tensor<3>>) -> Tensor<3>;

    /// log a of one head at one step; z and the rate are 0 where there is none that is trained.
    fn reference(&self, head: usize, z: f64, rate: f64) -> f64;

    /// Gradients of [`reference`](Self::reference) by z and the rate.
    fn reference_vjp(&self, head: usize, z: f64, rate: f64, d_log_decay: f64) -> [f64; 2];
}

/// x with `softplus(x) = y`, for y > 0.
pub(super) fn inverse_softplus(y: f64) -> f64 {
    y.exp_m1().ln()
}

/// Where a head stands among all, 0 to 1.
pub(crate) fn place(head: usize, heads: usize) -> f64 {
    if heads == 1 { 0.5 } else { head as f64 / (heads - 1) as f64 }
}
