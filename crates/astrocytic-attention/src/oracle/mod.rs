//! The layer once more, in plain f64 on slices: no Burn, no batch, one function an equation.
//!
//! Beside each function `f` stands its gradient `f_vjp`, written by hand: it takes the inputs of `f` and the gradient
//! of some loss by its outputs, and returns the gradient of that loss by its inputs. Slow and plain, so that it can be
//! trusted: central differences hold it, and it holds the Burn module. Arrays are row-major, T is the number of steps,
//! d the size of a head, m its number of features, d_v the size of its values.

mod algebra;
#[cfg(test)]
mod check;
pub mod convolution;
pub mod decay;
pub mod feature_map;
pub mod layer;
pub mod linear;
pub mod memory;
pub mod normalizer;
pub mod position;
pub mod window;

pub use decay::Decay;
pub use feature_map::{FeatureMap, Side};
pub use layer::{Gradients, Input, LayerSpec, State, Weights, backward, forward, stabilizers};
pub use memory::Plasticity;
pub use normalizer::Normalizer;
pub use position::Position;
