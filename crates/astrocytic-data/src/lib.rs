#![doc = include_str!("../README.md")]
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod batches;
mod blocks;
mod cache;
mod corpus;
pub mod datasets;
mod decode_stream;
mod documents;
mod error;
mod evaluation_windows;
mod examples;
mod fetch;
mod files;
pub mod grammar;
pub mod labelled;
pub mod models;
mod table;
pub mod tasks;
mod text;
mod token_blocks;
mod token_classes;
mod tokenized_corpus;
mod tokenizer;

pub use batches::{Batch, Batches};
pub use cache::Cache;
pub use corpus::{Corpus, Document};
pub use decode_stream::DecodeStream;
pub use documents::{TokenizedDocument, subset};
pub use error::DataError;
pub use evaluation_windows::{EvaluationBatch, EvaluationWindows};
pub use fetch::{Client, FETCH_EVENTS, Package, Source};
pub use files::{Scratch, sha256_of, write_atomically};
pub use text::{Text, read_text};
pub use token_classes::{TokenClass, token_classes};
pub use tokenized_corpus::TokenizedCorpus;
pub use tokenizer::{Tokenizer, TokenizerKind};
