//! Astrocytic attention for [Burn](https://burn.dev): self-attention as a network of neurons and astrocytes computes it
//! (Kozachkov, Kastanenka, Krotov, PNAS 2023, doi 10.1073/pnas.2219150120).
//!
//! [`AstrocyticAttention`] is used as `burn::nn::attention::MultiHeadAttention` is, with a memory of constant size
//! instead of the T×T matrix:
//!
//! ```
//! use astrocytic_attention::{AstrocyticAttentionConfig, AttentionInput};
//! use burn::tensor::{Device, Distribution, Tensor};
//!
//! let device = Device::flex();
//! let attention = AstrocyticAttentionConfig::tripartite(64, 4).init(&device);
//! let x = Tensor::<3>::random([2, 10, 64], Distribution::Default, &device);
//! let whole = attention.forward(AttentionInput::self_attn(x.clone())).context;
//!
//! // The same, a step at a time: the state does not grow.
//! let mut state = attention.empty_state(2);
//! for t in 0..10 {
//!     let step = AttentionInput::self_attn(x.clone().narrow(1, t, 1));
//!     let context = attention.forward_state(step, &mut state).context;
//!     assert!(context.all_close(whole.clone().narrow(1, t, 1), Some(1e-4), Some(1e-5)));
//! }
//! ```

mod astrocytic;
mod attention;
mod compaction;
mod conversion;
mod convolution;
pub mod debug;
pub mod decay;
pub mod drop_in;
mod error;
pub mod feature_map;
mod input;
mod kernel;
pub mod ops;
pub mod position;
mod softmax;
mod tensor;
mod tensor_map;

pub use astrocytic::{AstrocyticAttention, AstrocyticAttentionConfig, AttentionState, Normalizer};
pub use attention::{Attention, AttentionCache, AttentionCacheRecord, AttentionConfig, GrowingCache, NoAttention};
pub use convolution::ShortConvolution;
pub use decay::DecayConfig;
pub use error::AttentionError;
pub use feature_map::FeatureMapConfig;
pub use input::{AttentionInput, AttentionOutput};
pub use ops::{CALCIUM_FLOOR, Form, Plasticity};
pub use position::PositionConfig;
pub use softmax::{KeyValueCache, SoftmaxAttention, SoftmaxAttentionConfig};
