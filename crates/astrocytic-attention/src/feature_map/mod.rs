//! Feature maps φ: what the hidden layer fires for a key or a query.
//!
//! Each map is a file of its own, which says all that there is to say of it: its formula, its size, its cost, its kernel
//! and its reference. A new one is such a file, a variant of [`FeatureMapConfig`] with its line in `map`, a row of the
//! tests' list of variants, and a row of the book.

mod dpfp;
mod element_wise;
mod elu;
mod hedgehog;
mod identity;
mod map;
mod positive_random;
mod projection;
mod random_matrix;
mod relu;
mod relu_squared;
mod silu;
mod taylor;
mod trigonometric;

use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::kernel::element_wise::Feature;

pub use crate::tensor::l2_normalize;
pub use map::Side;
pub use projection::Projection;

use map::{Map, Positive};

/// Which feature map φ keys and queries pass through. With the delta rule any of them is followed by [`l2_normalize`].
#[derive(Config, Debug, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FeatureMapConfig {
    /// `elu(x) + 1`, m = d (arXiv 2006.16236, eq. 7).
    Elu,
    /// `max(x, 0)`, m = d.
    Relu,
    /// `max(x, 0)²`, m = d (squared ReLU, arXiv 2109.08668).
    ReluSquared,
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
    /// The map itself. Nothing else tells one variant from another.
    fn map(&self) -> Box<dyn Map> {
        match *self {
            Self::Elu => Box::new(elu::Elu),
            Self::Relu => Box::new(relu::Relu),
            Self::ReluSquared => Box::new(relu_squared::ReluSquared),
            Self::Identity => Box::new(identity::Identity),
            Self::Silu => Box::new(silu::Silu),
            Self::Hedgehog => Box::new(hedgehog::Hedgehog),
            Self::PositiveRandom { features, seed } => Box::new(positive_random::PositiveRandom { features, seed }),
            Self::Trigonometric { features, seed } => Box::new(trigonometric::Trigonometric { features, seed }),
            Self::Taylor => Box::new(taylor::Taylor),
            Self::Dpfp { nu } => Box::new(dpfp::Dpfp { nu }),
        }
    }

    /// Number of features m for vectors of size `d`.
    pub fn features(&self, d: usize) -> usize {
        self.map().features(d)
    }

    /// Whether every feature is ≥ 0, so that an exponent on the calcium is safe too.
    pub fn has_positive_features(&self) -> bool {
        self.map().positive() == Positive::Features
    }

    /// Whether every feature is ≥ 0 or the kernel itself is, so that a calcium normaliser is safe.
    pub fn has_positive_kernel(&self) -> bool {
        self.map().positive() != Positive::Nothing
    }

    /// Whether the kernel `φ(q)·φ(k)` is about `e^{q·k/√d}`, so that it adds up with the exponentials of a softmax.
    pub fn imitates_softmax(&self) -> bool {
        self.map().imitates_softmax()
    }

    /// The map as one that kernels apply on the way, where it works element by element.
    pub fn element_wise(&self) -> Option<Feature> {
        self.map().element_wise()
    }

    /// Floating-point operations for one vector of size `d`; an exp or a division counts as one.
    pub fn flops(&self, d: usize) -> f64 {
        self.map().flops(d)
    }

    /// Says why the parameters make no map.
    pub(crate) fn validate(&self) -> Result<(), String> {
        self.map().validate()
    }

    /// Makes the map for vectors `[batch, heads, steps, d]`. Maps of random features with the same seed are the same
    /// for a head of keys and every head of queries that shares it (`heads` a multiple of `key_heads`).
    pub fn init(&self, heads: usize, key_heads: usize, d: usize, device: &Device) -> FeatureMap {
        FeatureMap { projection: self.map().projection(heads, key_heads, d, device), config: *self }
    }

    /// φ(x) of one vector `[d]` in plain f64: the reference that tests hold [`FeatureMap::forward`] to.
    ///
    /// `projection` is that of one head, `[rows, d]`, or empty where the map has none.
    pub fn reference(&self, x: &[f64], projection: &[f64], side: Side) -> Vec<f64> {
        self.map().reference(x, projection, side)
    }

    /// Gradients of [`reference`](Self::reference) by x and the projection, for the gradient `d_y` of some loss by φ(x).
    pub fn reference_vjp(&self, x: &[f64], projection: &[f64], side: Side, d_y: &[f64]) -> (Vec<f64>, Vec<f64>) {
        self.map().reference_vjp(x, projection, side, d_y)
    }
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
        self.projection.as_ref().is_some_and(|projection| !projection.is_trained())
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
        let projection = self.projection.as_ref().map(|p| p.val().cast(dtype).unsqueeze::<4>());
        self.config.map().forward(x, projection, side)
    }
}
