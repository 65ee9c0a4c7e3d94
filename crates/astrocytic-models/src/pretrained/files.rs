//! The files that make up a model.

use super::tensors::File;

/// The files of a model, in memory.
#[derive(Debug, Clone)]
pub enum Files {
    /// config.json, one safetensors file or more, and tokenizer.json.
    HuggingFace {
        /// config.json.
        config: File,
        /// The safetensors files that share the tensors.
        weights: Vec<File>,
        /// tokenizer.json, or what stood in its place before there was one: vocab.txt, vocab.json
        /// or tokenizer.model.
        tokenizer: Option<File>,
        /// Sentence Transformers' modules.json and its pooling's config.json.
        sentence: Vec<File>,
        /// generation_config.json, tokenizer_config.json, special_tokens_map.json,
        /// sentence_bert_config.json and merges.txt: how texts become tokens, and where they begin
        /// and end.
        texts: Vec<File>,
    },
    /// A GGUF file, which holds everything, or all its parts in any order.
    Gguf(Vec<File>),
    /// llama2.c's weights, and its tokenizer.
    Llama2c {
        /// The weights.
        model: File,
        /// The tokenizer.
        tokenizer: Option<File>,
    },
}
