#![doc = include_str!("../README.md")]
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod astrocytic;
mod attention;
mod compaction;
mod constant;
mod conversion;
mod convolution;
pub mod debug;
pub mod decay;
pub mod drop_in;
mod error;
pub mod feature_map;
mod initializer;
mod input;
mod kernel;
mod lstm;
mod mask;
pub mod ops;
pub mod position;
#[doc(hidden)]
pub mod reference;
mod softmax;
mod tensor;
mod tensor_map;

pub use astrocytic::{AstrocyticAttention, AstrocyticAttentionConfig, AttentionState, FurtherWrites, Normalizer};
pub use attention::{Attention, AttentionCache, AttentionCacheRecord, AttentionConfig, GrowingCache, NoAttention};
pub use convolution::ShortConvolution;
pub use decay::DecayConfig;
pub use error::AttentionError;
pub use feature_map::FeatureMapConfig;
pub use input::{AttentionInput, AttentionOutput};
pub use lstm::{Lstm, LstmConfig, LstmState};
pub use mask::AttentionMask;
pub use ops::{CALCIUM_FLOOR, Form, Plasticity};
pub use position::PositionConfig;
pub use softmax::{KeyValueCache, KeyValues, SoftmaxAttention, SoftmaxAttentionConfig};
