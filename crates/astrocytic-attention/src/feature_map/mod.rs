//! Feature maps φ: what the hidden layer fires for a key or a query.
//!
//! Each map is a file of its own with one function of a tensor `[batch, heads, steps, d]`.

mod dpfp;
mod elu;
mod hedgehog;
mod positive_random;
mod projection;
mod random_matrix;
mod relu;
mod silu;
mod taylor;
mod trigonometric;

use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::kernel::element_wise::{ElementWise, Feature};
use elu::Elu;
use relu::Relu;
use silu::Silu;

pub use crate::tensor::l2_normalize;
pub use projection::Projection;

/// Which feature map φ keys and queries pass through. With the delta rule any of them is followed by [`l2_normalize`].
#[derive(Config, Debug, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FeatureMapConfig {
    /// `elu(x) + 1`, m = d (arXiv 2006.16236, eq. 7).
    Elu,
    /// `max(x, 0)`, m = d.
    Relu,
    /// `x`, m = d: for the delta rule, or with an RMS norm.
    Identity,
    /// `x · sigmoid(x)`, m = d (as Gated DeltaNet uses it, arXiv 2412.06464).
    Silu,
    /// Softmax over `[xW, −xW]` with a learned W, m = 2d (Hedgehog, arXiv 2402.04347).
    Hedgehog,
    /// Positive random features of the softmax kernel (FAVOR+, arXiv 2009.14794, lemma 1), block-orthogonal.
    PositiveRandom {
        /// Number of features m.
        features: usize,
        /// Seed of the random directions.
        seed: u64,
    },
    /// Trigonometric random features of the Gaussian kernel on unit vectors (RFA, arXiv 2103.02143, eq. 3). Their estimate
    /// of it can be negative, so they go with an RMS norm.
    Trigonometric {
        /// Number of features m, even.
        features: usize,
        /// Seed of the random directions.
        seed: u64,
    },
    /// Second-order Taylor expansion of exp, m = 1 + d + d(d + 1)/2 (Based, arXiv 2402.18668).
    Taylor,
    /// Deterministic parameter-free projection, m = 2dν (arXiv 2102.11174, eq. 37).
    Dpfp {
        /// Number of shifts ν, at least 1.
        nu: usize,
    },
}

impl FeatureMapConfig {
    /// Number of features m for vectors of size `d`.
    pub fn features(&self, d: usize) -> usize {
        match *self {
            Self::Elu | Self::Relu | Self::Identity | Self::Silu => d,
            Self::Hedgehog => 2 * d,
            Self::PositiveRandom { features, .. } | Self::Trigonometric { features, .. } => features,
            Self::Taylor => 1 + d + taylor::pairs(d),
            Self::Dpfp { nu } => 2 * d * nu,
        }
    }

    /// Whether every feature is ≥ 0 or the kernel itself is, so that a calcium normaliser is safe.
    pub fn has_positive_kernel(&self) -> bool {
        !matches!(self, Self::Identity | Self::Silu | Self::Trigonometric { .. })
    }

    /// The map as one that kernels apply on the way, where it works element by element.
    pub fn element_wise(&self) -> Option<Feature> {
        match self {
            Self::Identity => Some(Feature::identity()),
            Self::Elu => Some(Feature::of::<Elu>()),
            Self::Relu => Some(Feature::of::<Relu>()),
            Self::Silu => Some(Feature::of::<Silu>()),
            _ => None,
        }
    }

    /// Floating-point operations for one vector of size `d`; an exp or a division counts as one.
    pub fn flops(&self, d: usize) -> f64 {
        let (m, d) = (self.features(d) as f64, d as f64);
        match self {
            Self::Elu | Self::Relu | Self::Silu => 4.0 * d,
            Self::Identity => 0.0,
            Self::Hedgehog => 2.0 * d * d + 4.0 * m,
            Self::PositiveRandom { .. } => 2.0 * m * d + 2.0 * d + 3.0 * m,
            Self::Trigonometric { .. } => m * d + 3.0 * d + 2.0 * m,
            Self::Taylor => 2.0 * m * d,
            Self::Dpfp { .. } => 2.0 * d + m,
        }
    }

    /// Makes the map for vectors `[batch, heads, steps, d]`. Maps of random features with the same seed are the same
    /// for a head of keys and every head of queries that shares it (`heads` a multiple of `key_heads`).
    pub fn init(&self, heads: usize, key_heads: usize, d: usize, device: &Device) -> FeatureMap {
        let projection = match *self {
            Self::Hedgehog => {
                let eye = Tensor::<2>::eye(d, device).unsqueeze::<3>();
                Some(Projection::trained(eye.repeat_dim(0, heads)))
            }
            Self::PositiveRandom { features, seed } => {
                Some(Projection::buffer(random_matrix::directions(seed, heads, key_heads, features, d, device)))
            }
            Self::Trigonometric { features, seed } => {
                Some(Projection::buffer(random_matrix::directions(seed, heads, key_heads, features / 2, d, device)))
            }
            _ => None,
        };
        FeatureMap { projection, config: *self }
    }
}

/// Whether a vector is a key or a query: some maps scale queries freely, because a normaliser divides it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// A vector that is written.
    Key,
    /// A vector that reads.
    Query,
}

/// A feature map φ. Made by [`FeatureMapConfig::init`].
#[derive(Module, Debug)]
pub struct FeatureMap {
    /// Hedgehog's W `[heads, d, d]`, or the random directions Ω `[heads, directions, d]`, which are never trained.
    pub projection: Option<Projection>,
    #[module(skip)]
    config: FeatureMapConfig,
}

impl FeatureMap {
    /// Whether its projection is random directions, which are a buffer and never trained.
    pub fn is_random(&self) -> bool {
        matches!(self.config, FeatureMapConfig::PositiveRandom { .. } | FeatureMapConfig::Trigonometric { .. })
    }

    /// See [`FeatureMapConfig::element_wise`].
    pub(crate) fn element_wise(&self) -> Option<Feature> {
        self.config.element_wise()
    }

    /// φ(x).
    ///
    /// # Shapes
    /// - x: `[batch, heads, steps, d]`
    /// - returns `[batch, heads, steps, m]`
    pub fn forward(&self, x: Tensor<4>, side: Side) -> Tensor<4> {
        let dtype = x.dtype();
        let projection = || {
            let projection = self.projection.as_ref().map(|p| p.val().cast(dtype).unsqueeze::<4>());
            projection.expect("init makes a projection for every map that has one")
        };
        match self.config {
            FeatureMapConfig::Elu => Elu::map(x),
            FeatureMapConfig::Relu => Relu::map(x),
            FeatureMapConfig::Identity => x,
            FeatureMapConfig::Silu => Silu::map(x),
            FeatureMapConfig::Hedgehog => hedgehog::map(x, projection()),
            FeatureMapConfig::PositiveRandom { .. } => positive_random::map(x, projection(), side),
            FeatureMapConfig::Trigonometric { .. } => trigonometric::map(x, projection()),
            FeatureMapConfig::Taylor => taylor::map(x),
            FeatureMapConfig::Dpfp { nu } => dpfp::map(x, nu),
        }
    }
}
