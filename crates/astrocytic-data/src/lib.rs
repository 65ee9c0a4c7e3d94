//! Text to learn from: named corpora, any file, and a generated language whose entropy is known.
//!
//! ```
//! use astrocytic_data::{Batches, Corpus, Tokenizer, TokenizerKind, subset};
//!
//! let corpus = Corpus::generated(5_000, 0);
//! let texts: Vec<&str> = corpus.train.iter().map(|document| document.text.as_str()).collect();
//! let tokenizer = Tokenizer::train(TokenizerKind::BytePair { vocabulary: 300 }, &texts)?;
//! let train = tokenizer.encode_documents(&corpus.train)?;
//! let batches = Batches::new(subset(&train, 0, 4_096), 64, 8, 0)?;
//! assert_eq!(batches.batch(0).inputs.len(), 8 * 64);
//! # Ok::<(), astrocytic_data::DataError>(())
//! ```

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
pub use tokenizer::{Tokenizer, TokenizerKind};
