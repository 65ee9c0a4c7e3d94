//! Swaps the attention of a trained model: which layers, by which astrocytic attention, and what goes into and comes
//! out of the layers that are to be matched.

mod error;
mod layers;
mod preset;
mod swappable;

pub use error::ConversionError;
pub use layers::LayerChoice;
pub use preset::{PRESETS, Preset, default_preset, preset};
pub use swappable::{Inputs, Swappable, seen_by_attention};
