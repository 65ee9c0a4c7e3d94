//! A pretrained model as it was read.

use std::path::PathBuf;

use tokenizers::Tokenizer;

use super::config::PretrainedConfig;
use super::tensors::Tensors;
use crate::boundaries::Boundaries;

/// What the files of a pretrained model hold.
#[derive(Debug)]
pub struct Pretrained {
    /// Family and sizes.
    pub config: PretrainedConfig,
    /// Tensors under Hugging Face's names and layouts: just those of [`PretrainedConfig::shapes`].
    pub tensors: Tensors,
    /// The tokenizer, where there is one. A note says so where it has tokens beyond the vocabulary.
    pub tokenizer: Option<Tokenizer>,
    /// Where its texts begin and end.
    pub boundaries: Boundaries,
    /// Where it is from.
    pub path: PathBuf,
    /// What was guessed or left out in reading, a line each.
    pub notes: Vec<String>,
}
