//! Tokenizers made from a text.

use std::collections::BTreeSet;

use tokenizers::AddedToken;
use tokenizers::decoders::byte_level::ByteLevel as ByteLevelDecoder;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::fixed_length::FixedLength;

use crate::error::DataError;

/// The token that ends a document, and that a document's first token is predicted from.
pub(super) const END: &str = "<|end|>";
/// What a character tokenizer makes of a character that it does not know.
const UNKNOWN: &str = "<unk>";

/// Each character that the texts have.
pub(super) fn characters(texts: &[&str]) -> Result<tokenizers::Tokenizer, DataError> {
    let known: BTreeSet<char> = texts.iter().flat_map(|text| text.chars()).collect();
    let words = [END.to_string(), UNKNOWN.to_string()].into_iter().chain(known.into_iter().map(String::from));
    let vocabulary = words.zip(0..).collect();
    let model =
        WordLevel::builder().vocab(vocabulary).unk_token(UNKNOWN.into()).build().map_err(DataError::tokenizer)?;
    let mut inner = tokenizers::Tokenizer::new(model);
    inner.with_pre_tokenizer(Some(FixedLength { length: 1 }));
    inner.with_decoder(Some(Fuse::new()));
    inner.add_special_tokens([special(END), special(UNKNOWN)]).map_err(DataError::tokenizer)?;
    Ok(inner)
}

/// Byte pairs, the commonest of the texts first.
pub(super) fn byte_pairs(vocabulary: usize, texts: &[&str]) -> Result<tokenizers::Tokenizer, DataError> {
    let mut inner = tokenizers::Tokenizer::new(BPE::default());
    inner.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)));
    inner.with_decoder(Some(ByteLevelDecoder::new(false, true, true)));
    let trainer = BpeTrainerBuilder::new()
        .vocab_size(vocabulary)
        .show_progress(false)
        .special_tokens(vec![special(END)])
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    let mut trainer = TrainerWrapper::from(trainer);
    inner.train(&mut trainer, texts.iter()).map_err(DataError::tokenizer)?;
    Ok(inner)
}

fn special(token: &str) -> AddedToken {
    AddedToken::from(token, true)
}
