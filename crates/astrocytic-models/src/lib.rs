//! Models over any attention: a decoder language model and an encoder classifier, in
//! [Burn](https://burn.dev).
//!
//! Both are written once; which attention they have is a field of their configuration.
//!
//! ```
//! use astrocytic_attention::{AstrocyticAttentionConfig, AttentionConfig};
//! use astrocytic_models::DecoderConfig;
//! use burn::tensor::{Device, Int, Tensor};
//!
//! let attention = AttentionConfig::Astrocytic(AstrocyticAttentionConfig::tripartite(32, 2));
//! let model = DecoderConfig::new(100, 32, 2, 96, attention).init(&Device::flex());
//! let tokens = Tensor::<2, Int>::from_data([[1, 2, 3], [4, 5, 6]], &Device::flex());
//! assert_eq!(model.forward(tokens).dims(), [2, 3, 100]);
//! ```

mod block;
mod boundaries;
pub mod conversion;
mod decoder;
mod encoder;
mod from_pretrained;
mod generate;
pub mod memory;
pub mod pretrained;
mod recurrent_memory;
mod sampling;
mod segments;
mod store;
mod text_encoder;
mod transformer_encoder;

pub use block::{Block, BlockConfig, FeedForward, FeedForwardConfig, Norm};
pub use boundaries::Boundaries;
pub use decoder::{Decoder, DecoderCache, DecoderConfig, SwappedLayer, draw_parameters};
pub use encoder::{Encoder, EncoderConfig};
pub use generate::Generator;
pub use sampling::Sampling;
pub use segments::{Segment, SegmentsConfig};
pub use store::{ModelError, Saved, load, save, saved};
pub use text_encoder::{TextEncoder, TextEncoderConfig};
pub use transformer_encoder::{
    TransformerEncoder, TransformerEncoderAutoregressiveCache, TransformerEncoderConfig, TransformerEncoderInput,
    TransformerEncoderLayer,
};

/// The examples of the README and of the book.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../../../README.md")]
    struct Readme;
    #[doc = include_str!("../../../book/src/attention.md")]
    struct Attention;
    #[doc = include_str!("../../../book/src/models.md")]
    struct Models;
    #[doc = include_str!("../../../book/src/simulations.md")]
    struct Simulations;
}
