//! What a feature map is: the trait that each map's file implements.

use std::fmt::Debug;

use burn::tensor::{Device, Tensor};

use super::projection::Projection;
use crate::kernel::element_wise::Feature;

/// Whether a vector is a key or a query: some maps scale queries freely, because a normaliser
/// divides it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// A vector that is written.
    Key,
    /// A vector that reads.
    Query,
}

/// More random features than any head is given.
pub(super) const MOST_RANDOM_FEATURES: usize = 1 << 14;

/// What of a feature map is never negative. Calcium can only divide by what is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Positive {
    /// Every feature, and so the kernel too.
    Features,
    /// The kernel `φ(q)·φ(k)`.
    Kernel,
    /// Neither.
    Nothing,
}

/// A feature map φ from vectors of size d to vectors of size m.
///
/// Its projection, where it has one, is a matrix `[rows, d]` for each head. The reference functions
/// are plain f64, share no code with [`forward`](Self::forward) and are what tests hold it to.
pub(crate) trait Map: Debug {
    /// Number of features m for vectors of size d.
    fn features(&self, d: usize) -> usize;

    /// What is never negative.
    fn positive(&self) -> Positive;

    /// Floating-point operations for one vector of size d; an exp or a division counts as one.
    fn flops(&self, d: usize) -> f64;

    /// Says why its parameters make no map.
    fn validate(&self) -> Result<(), String> {
        Ok(())
    }

    /// Whether `φ(q)·φ(k)` is `e^{q·k/√d}` in size too, so that one scale serves both it and a
    /// softmax.
    fn imitates_softmax(&self) -> bool {
        false
    }

    /// The projection of `heads` heads that share those of `key_heads`.
    fn projection(&self, _heads: usize, _key_heads: usize, _d: usize, _device: &Device) -> Option<Projection> {
        None
    }

    /// The map as one that kernels apply on the way, where it works element by element.
    fn element_wise(&self) -> Option<Feature> {
        None
    }

    /// φ of x `[batch, heads, steps, d]` and the projection `[1, heads, rows, d]`:
    /// `[batch, heads, steps, m]`.
    fn forward(&self, x: Tensor<4>, projection: Option<Tensor<4>>, side: Side) -> Tensor<4>;

    /// φ(x) of one vector and one head's projection, empty where there is none.
    fn reference(&self, x: &[f64], projection: &[f64], side: Side) -> Vec<f64>;

    /// Gradients of [`reference`](Self::reference) by x and the projection.
    fn reference_vjp(&self, x: &[f64], projection: &[f64], side: Side, d_y: &[f64]) -> (Vec<f64>, Vec<f64>);
}
