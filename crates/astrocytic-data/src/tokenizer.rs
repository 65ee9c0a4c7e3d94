//! Character and byte-pair tokenizers, by the `tokenizers` crate, saved as the tokenizer.json that others read.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tokenizers::AddedToken;
use tokenizers::decoders::byte_level::ByteLevel as ByteLevelDecoder;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::fixed_length::FixedLength;

use crate::corpus::Document;
use crate::error::DataError;
use crate::files::write_atomically;
use crate::tokens::TokenizedDocument;

/// The token that ends a document, and that a document's first token is predicted from.
const END: &str = "<|end|>";
/// The same in tokenizers of others, Llama's and GPT-2's.
const DELIMITERS: [&str; 3] = [END, "<s>", "<|endoftext|>"];
/// What a character tokenizer makes of a character that it does not know.
const UNKNOWN: &str = "<unk>";
/// Bytes and the end token.
const SMALLEST_BYTE_PAIR: usize = 257;

/// How text becomes tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum TokenizerKind {
    /// Each Unicode scalar value that the training text has; "char".
    Characters,
    /// Byte pairs (arXiv 1508.07909) over bytes, so that any text comes back whole; "bpe:SIZE".
    BytePair {
        /// Number of tokens, at least 257.
        vocabulary: usize,
    },
}

impl fmt::Display for TokenizerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Characters => f.write_str("char"),
            Self::BytePair { vocabulary } => write!(f, "bpe:{vocabulary}"),
        }
    }
}

impl FromStr for TokenizerKind {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        let size = text.strip_prefix("bpe:").and_then(|size| size.parse().ok());
        match (text, size) {
            ("char", _) => Ok(Self::Characters),
            (_, Some(vocabulary)) if vocabulary >= SMALLEST_BYTE_PAIR => Ok(Self::BytePair { vocabulary }),
            _ => Err(DataError::Tokenizer(format!(
                "unknown tokenizer \"{text}\"; use \"char\" or \"bpe:SIZE\" with a size of at least {SMALLEST_BYTE_PAIR}"
            ))),
        }
    }
}

impl TryFrom<String> for TokenizerKind {
    type Error = DataError;

    fn try_from(text: String) -> Result<Self, DataError> {
        text.parse()
    }
}

impl From<TokenizerKind> for String {
    fn from(kind: TokenizerKind) -> Self {
        kind.to_string()
    }
}

/// A trained tokenizer.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    end: u32,
    /// Tokens of the model that it is for; a text with a token beyond is refused.
    vocabulary: usize,
}

impl Tokenizer {
    /// Trains on the given texts: the training split alone.
    ///
    /// # Errors
    /// Where the texts are empty, or the library refuses.
    pub fn train(kind: TokenizerKind, texts: &[&str]) -> Result<Self, DataError> {
        if texts.iter().all(|text| text.is_empty()) {
            return Err(DataError::Tokenizer("there is no text to train it on".into()));
        }
        let inner = match kind {
            TokenizerKind::Characters => characters(texts)?,
            TokenizerKind::BytePair { vocabulary } => byte_pairs(vocabulary, texts)?,
        };
        Self::new(inner)
    }

    fn new(mut inner: tokenizers::Tokenizer) -> Result<Self, DataError> {
        // A text that happens to spell the end token is text.
        inner.set_encode_special_tokens(true);
        let end = DELIMITERS.iter().find_map(|token| inner.token_to_id(token));
        let known = || DataError::Tokenizer(format!("it has none of {}; train it here", DELIMITERS.join(" ")));
        let end = end.ok_or_else(known)?;
        let size = inner.get_vocab_size(true);
        if let Some((token, id)) = inner.get_vocab(true).into_iter().find(|(_, id)| *id as usize >= size) {
            return Err(DataError::Tokenizer(format!("token \"{token}\" has the id {id} among {size} tokens")));
        }
        Ok(Self { inner, end, vocabulary: size })
    }

    /// For a model of so many tokens. Tokens that were added to it may be beyond; texts that have one are refused.
    ///
    /// # Errors
    /// Where others are beyond, or the end token is: it is another model's.
    pub fn for_model(self, vocabulary: usize) -> Result<Self, DataError> {
        let added = self.inner.get_added_tokens_decoder();
        let mut beyond = self.inner.get_vocab(true).into_iter().filter(|(_, id)| *id as usize >= vocabulary);
        match beyond.find(|(_, id)| !added.contains_key(id) || *id == self.end) {
            Some((token, id)) => Err(DataError::Tokenizer(format!(
                "its token {id}, {token:?}, is beyond the model's {vocabulary}; they do not belong together"
            ))),
            None => Ok(Self { vocabulary, ..self }),
        }
    }

    /// Reads a tokenizer.json.
    ///
    /// # Errors
    /// For a file that is missing or no tokenizer with an end token.
    pub fn load(path: &Path) -> Result<Self, DataError> {
        let bytes = std::fs::read(path).map_err(|e| DataError::file(path, e))?;
        let inner = tokenizers::Tokenizer::from_bytes(bytes)
            .map_err(|e| DataError::Tokenizer(format!("{}: {e}", path.display())))?;
        Self::new(inner)
    }

    /// Writes a tokenizer.json, beside and renamed.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), DataError> {
        let text = self.inner.to_string(true).map_err(wrong)?;
        write_atomically(path, text.as_bytes()).map_err(|e| DataError::file(path, e))
    }

    /// The library's tokenizer.
    pub fn into_inner(self) -> tokenizers::Tokenizer {
        self.inner
    }

    /// Number of tokens.
    pub fn vocabulary_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The token that ends a document.
    pub fn end_id(&self) -> u32 {
        self.end
    }

    /// Tokens of a text, without an end.
    ///
    /// # Errors
    /// Where the library refuses.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, DataError> {
        let ids = self.inner.encode_fast(text, false).map_err(wrong)?.get_ids().to_vec();
        match ids.iter().find(|&&id| id as usize >= self.vocabulary) {
            Some(&id) => Err(DataError::Tokenizer(format!(
                "the text has the token {:?}, {id}, which is beyond the model's {}; take it out",
                self.inner.id_to_token(id).unwrap_or_default(),
                self.vocabulary
            ))),
            None => Ok(ids),
        }
    }

    /// Tokens of documents, each with its end.
    ///
    /// # Errors
    /// Where the library refuses.
    pub fn encode_documents(&self, documents: &[Document]) -> Result<Vec<TokenizedDocument>, DataError> {
        let encode = |document: &Document| {
            let mut ids = self.encode(&document.text)?;
            ids.push(self.end);
            Ok(TokenizedDocument { ids, nats: document.nats, bytes: document.text.len() })
        };
        documents.iter().map(encode).collect()
    }

    /// The text of tokens; the end token is left out.
    ///
    /// # Errors
    /// Where the library refuses.
    pub fn decode(&self, ids: &[u32]) -> Result<String, DataError> {
        self.inner.decode(ids, true).map_err(wrong)
    }

    /// Decodes a stream of tokens.
    pub fn decode_stream(&self) -> DecodeStream<'_> {
        DecodeStream { tokenizer: self, ids: Vec::new(), emitted: 0 }
    }
}

/// Text of tokens as they come, whole characters only.
pub struct DecodeStream<'a> {
    tokenizer: &'a Tokenizer,
    ids: Vec<u32>,
    /// Bytes of the text of `ids` that were given out.
    emitted: usize,
}

impl DecodeStream<'_> {
    /// The text that this token completes, if it completes any.
    pub fn push(&mut self, id: u32) -> Option<String> {
        self.ids.push(id);
        let text = self.tokenizer.decode(&self.ids).ok()?;
        // A character whose bytes are not all there yet shows as one replacement character at the end; what stands
        // before it is final. A token may end one character and begin the next, so tokens wait until all are whole.
        let whole = text.strip_suffix('\u{fffd}').unwrap_or(&text);
        let fresh = whole.get(self.emitted..).unwrap_or_default().to_string();
        self.emitted = whole.len();
        if whole.len() == text.len() {
            self.ids.clear();
            self.emitted = 0;
        }
        (!fresh.is_empty()).then_some(fresh)
    }
}

fn characters(texts: &[&str]) -> Result<tokenizers::Tokenizer, DataError> {
    let known: BTreeSet<char> = texts.iter().flat_map(|text| text.chars()).collect();
    let words = [END.to_string(), UNKNOWN.to_string()].into_iter().chain(known.into_iter().map(String::from));
    let vocabulary = words.zip(0..).collect();
    let model = WordLevel::builder().vocab(vocabulary).unk_token(UNKNOWN.into()).build().map_err(wrong)?;
    let mut inner = tokenizers::Tokenizer::new(model);
    inner.with_pre_tokenizer(Some(FixedLength { length: 1 }));
    inner.with_decoder(Some(Fuse::new()));
    inner.add_special_tokens([special(END), special(UNKNOWN)]).map_err(wrong)?;
    Ok(inner)
}

fn byte_pairs(vocabulary: usize, texts: &[&str]) -> Result<tokenizers::Tokenizer, DataError> {
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
    inner.train(&mut trainer, texts.iter()).map_err(wrong)?;
    Ok(inner)
}

fn special(token: &str) -> AddedToken {
    AddedToken::from(token, true)
}

fn wrong(error: impl fmt::Display) -> DataError {
    DataError::Tokenizer(error.to_string())
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const TEXT: &str = "The whale, the whale! Call me Ishmael — naïve 🐳 as I am.\n\tThe end of the whale.";

    #[test]
    fn text_comes_back_whole_and_streams_in_whole_characters() {
        for kind in [TokenizerKind::Characters, TokenizerKind::BytePair { vocabulary: 280 }] {
            let tokenizer = Tokenizer::train(kind, &[TEXT]).unwrap();
            let ids = tokenizer.encode(TEXT).unwrap();
            assert_eq!(tokenizer.decode(&ids).unwrap(), TEXT, "{kind}");
            let mut stream = tokenizer.decode_stream();
            let streamed: String = ids.iter().filter_map(|&id| stream.push(id)).collect();
            assert_eq!(streamed, TEXT, "{kind}");
            assert!(ids.iter().all(|&id| (id as usize) < tokenizer.vocabulary_size() && id != tokenizer.end_id()));
        }
        let unseen = "Ξένος <|end|> \0 \u{1F9E0}";
        let tokenizer = Tokenizer::train(TokenizerKind::BytePair { vocabulary: 280 }, &[TEXT]).unwrap();
        assert_eq!(tokenizer.decode(&tokenizer.encode(unseen).unwrap()).unwrap(), unseen);
    }

    #[test]
    fn any_text_comes_back_and_any_tokens_stream_as_they_decode() {
        let mut random = ChaCha8Rng::seed_from_u64(0);
        let training = "ооооововововаоваова молоко около колокола 漢字仮名交じり文 ".repeat(20);
        for vocabulary in [257, 263, 270, 300] {
            let tokenizer = Tokenizer::train(TokenizerKind::BytePair { vocabulary }, &[&training]).unwrap();
            let streamed = |ids: &[u32]| {
                let mut stream = tokenizer.decode_stream();
                ids.iter().filter_map(|&id| stream.push(id)).collect::<String>()
            };
            for _ in 0..200 {
                let length = random.random_range(0..40);
                // Letters of the training text, whose tokens straddle characters, or anything at all.
                let known: Vec<char> = training.chars().take(60).collect();
                let text: String = (0..length)
                    .map(|_| match random.random_range(0..3) {
                        0 => random.random::<char>(),
                        _ => known[random.random_range(0..known.len())],
                    })
                    .filter(|&c| c != '\u{fffd}')
                    .collect();
                let ids = tokenizer.encode(&text).unwrap();
                assert_eq!(tokenizer.decode(&ids).unwrap(), text);
                assert_eq!(streamed(&ids), text, "{vocabulary}");
                let ids: Vec<u32> = (0..length).map(|_| random.random_range(1..vocabulary as u32)).collect();
                let decoded = tokenizer.decode(&ids).unwrap();
                assert_eq!(streamed(&ids), decoded.strip_suffix('\u{fffd}').unwrap_or(&decoded), "{vocabulary}");
            }
        }
    }

    #[test]
    fn training_twice_gives_the_same_bytes_and_a_file_gives_the_same_tokenizer() {
        let folder = tempfile::tempdir().unwrap();
        for kind in [TokenizerKind::Characters, TokenizerKind::BytePair { vocabulary: 300 }] {
            let paths = ["a.json", "b.json"].map(|name| folder.path().join(name));
            for path in &paths {
                Tokenizer::train(kind, &[TEXT, "other text"]).unwrap().save(path).unwrap();
            }
            let [a, b] = paths.clone().map(|path| std::fs::read(path).unwrap());
            assert_eq!(a, b, "{kind}");
            let (fresh, loaded) =
                (Tokenizer::train(kind, &[TEXT, "other text"]).unwrap(), Tokenizer::load(&paths[0]).unwrap());
            assert_eq!(fresh.encode(TEXT).unwrap(), loaded.encode(TEXT).unwrap());
        }
    }

    #[test]
    fn kinds_are_read_as_they_are_written() {
        for kind in [TokenizerKind::Characters, TokenizerKind::BytePair { vocabulary: 512 }] {
            assert_eq!(kind.to_string().parse::<TokenizerKind>().unwrap(), kind);
        }
        assert!("bpe:100".parse::<TokenizerKind>().unwrap_err().to_string().contains("257"));
        assert!("words".parse::<TokenizerKind>().is_err());
    }

    #[test]
    fn added_tokens_may_be_beyond_the_model_until_a_text_has_one() {
        let tokenizer = || Tokenizer::train(TokenizerKind::BytePair { vocabulary: 257 }, &["a b c"]).unwrap();
        let size = tokenizer().vocabulary_size();
        let mut padded = tokenizer();
        padded.inner.add_tokens([AddedToken::from("<pad>", false)]).unwrap();
        let padded = padded.for_model(size).unwrap();
        padded.encode("a b").unwrap();
        let fault = padded.encode("a <pad>").unwrap_err().to_string();
        assert!(fault.contains("<pad>") && fault.lines().count() == 1, "{fault}");
        let fault = tokenizer().for_model(size - 1).err().unwrap().to_string();
        assert!(fault.contains("do not belong together"), "{fault}");
    }
}
