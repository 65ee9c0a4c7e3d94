#![doc = include_str!("../README.md")]
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod block;
mod boundaries;
pub mod conversion;
pub mod cost;
mod decoder;
mod encoder;
mod from_pretrained;
mod generate;
pub mod gradients;
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
