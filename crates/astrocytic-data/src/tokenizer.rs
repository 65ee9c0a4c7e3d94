//! Character and byte-pair tokenizers, by the `tokenizers` crate, saved as the tokenizer.json that others read.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tokenizers::decoders::byte_level::ByteLevel as ByteLevelDecoder;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::models::{ModelWrapper, TrainerWrapper};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::fixed_length::FixedLength;
use tokenizers::{AddedToken, TruncationParams};

use crate::corpus::Document;
use crate::decode_stream::DecodeStream;
use crate::documents::TokenizedDocument;
use crate::error::DataError;
use crate::files::write_atomically;

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

/// How texts become tokens, and tokens texts.
#[derive(Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    end: Option<u32>,
    /// Tokens of the model that it is for; a text with a token beyond is refused.
    vocabulary: usize,
}

/// Any tokenizer of the library. Texts are encoded whole, alone and always alike: truncation, padding and the dropout of merges
/// that came with it are dropped.
impl From<tokenizers::Tokenizer> for Tokenizer {
    fn from(mut inner: tokenizers::Tokenizer) -> Self {
        // (Only truncation to nothing but special tokens can fail.)
        let _ = inner.with_padding(None).with_truncation(None);
        if let ModelWrapper::BPE(model) = inner.get_model()
            && model.dropout.is_some()
        {
            let mut model = model.clone();
            model.dropout = None;
            inner.with_model(model);
        }
        // A text that happens to spell the end token is text: here it is the first token. In others' tokenizers special
        // tokens are written by name.
        let is_ours = inner.token_to_id(END) == Some(0);
        inner.set_encode_special_tokens(is_ours);
        let end = DELIMITERS.iter().find_map(|token| inner.token_to_id(token));
        let largest = inner.get_vocab(true).into_values().max();
        let vocabulary = largest.map_or(0, |id| id as usize + 1);
        Self { inner, end, vocabulary }
    }
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
        Ok(inner.into())
    }

    /// For a model of so many tokens. Tokens that were added to it may be beyond; texts that have one are refused.
    ///
    /// # Errors
    /// Where others are beyond: it is another model's.
    pub fn for_model(self, vocabulary: usize) -> Result<Self, DataError> {
        let added = self.inner.get_added_tokens_decoder();
        let mut beyond = self.inner.get_vocab(true).into_iter().filter(|(_, id)| *id as usize >= vocabulary);
        match beyond.find(|(_, id)| !added.contains_key(id)) {
            Some((token, id)) => Err(DataError::Tokenizer(format!(
                "its token {id}, {token:?}, is beyond the model's {vocabulary}; they do not belong together"
            ))),
            None => Ok(Self { vocabulary, end: self.end.filter(|&end| (end as usize) < vocabulary), ..self }),
        }
    }

    /// Cuts texts to so many tokens, special ones included.
    ///
    /// # Errors
    /// Where special tokens alone are more.
    pub fn cut_to(mut self, max_length: usize) -> Result<Self, DataError> {
        let cut = TruncationParams { max_length, ..Default::default() };
        self.inner.with_truncation(Some(cut)).map_err(DataError::tokenizer)?;
        Ok(self)
    }

    /// Reads a tokenizer.json.
    ///
    /// # Errors
    /// For a file that is missing or no tokenizer.
    pub fn load(path: &Path) -> Result<Self, DataError> {
        let bytes = std::fs::read(path).map_err(|e| DataError::file(path, e))?;
        let inner = tokenizers::Tokenizer::from_bytes(bytes)
            .map_err(|e| DataError::Tokenizer(format!("{}: {e}", path.display())))?;
        Ok(inner.into())
    }

    /// What a tokenizer.json holds.
    ///
    /// # Errors
    /// Where the library refuses.
    pub fn to_json(&self) -> Result<String, DataError> {
        self.inner.to_string(true).map_err(DataError::tokenizer)
    }

    /// Writes a tokenizer.json, beside and renamed.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), DataError> {
        write_atomically(path, self.to_json()?.as_bytes()).map_err(|e| DataError::file(path, e))
    }

    /// The library's tokenizer, without truncation and padding.
    pub fn inner(&self) -> &tokenizers::Tokenizer {
        &self.inner
    }

    /// Number of tokens.
    pub fn vocabulary_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The token that ends a document.
    ///
    /// # Errors
    /// Where it is another's that has none.
    pub fn end_id(&self) -> Result<u32, DataError> {
        self.end.ok_or_else(|| DataError::Tokenizer("it has no token that ends a text".into()))
    }

    /// Tokens of a text, without an end.
    ///
    /// # Errors
    /// Where the library refuses, and for a token that the model does not have.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, DataError> {
        self.encode_as(text, false)
    }

    /// The same with the special tokens that the tokenizer puts around a text.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encode_with_special(&self, text: &str) -> Result<Vec<u32>, DataError> {
        self.encode_as(text, true)
    }

    fn encode_as(&self, text: &str, special: bool) -> Result<Vec<u32>, DataError> {
        let ids = self.inner.encode_fast(text, special).map_err(DataError::tokenizer)?.get_ids().to_vec();
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
        let end = self.end_id()?;
        let encode = |document: &Document| {
            let mut ids = self.encode(&document.text)?;
            ids.push(end);
            Ok(TokenizedDocument { ids, nats: document.nats, bytes: document.text.len() })
        };
        documents.iter().map(encode).collect()
    }

    /// The text of tokens; special tokens are left out.
    ///
    /// # Errors
    /// Where the library refuses.
    pub fn decode(&self, ids: &[u32]) -> Result<String, DataError> {
        let mut stream = self.decode_stream();
        let mut text = String::new();
        for &id in ids {
            text += &stream.push(id)?;
        }
        Ok(text + &stream.finish()?)
    }

    /// Decodes tokens as they come.
    pub fn decode_stream(&self) -> DecodeStream<'_> {
        DecodeStream::new(&self.inner)
    }
}

fn characters(texts: &[&str]) -> Result<tokenizers::Tokenizer, DataError> {
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
    inner.train(&mut trainer, texts.iter()).map_err(DataError::tokenizer)?;
    Ok(inner)
}

fn special(token: &str) -> AddedToken {
    AddedToken::from(token, true)
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
            let streamed: String = ids.iter().map(|&id| stream.push(id).unwrap()).collect();
            assert_eq!(streamed, TEXT, "{kind}");
            let end = tokenizer.end_id().unwrap();
            assert!(ids.iter().all(|&id| (id as usize) < tokenizer.vocabulary_size() && id != end));
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
                let text: String = ids.iter().map(|&id| stream.push(id).unwrap()).collect();
                text + &stream.finish().unwrap()
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
                assert_eq!(streamed(&ids), tokenizer.inner().decode(&ids, true).unwrap(), "{vocabulary}");
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
    fn what_comes_with_a_tokenizer_touches_no_text() {
        let plain = Tokenizer::train(TokenizerKind::BytePair { vocabulary: 300 }, &[TEXT]).unwrap();
        let mut inner = plain.inner().clone();
        let ModelWrapper::BPE(model) = inner.get_model() else { panic!("byte pairs") };
        let mut model = model.clone();
        model.dropout = Some(0.5);
        inner.with_model(model);
        inner.with_padding(Some(Default::default()));
        let cut = TruncationParams { max_length: 3, ..Default::default() };
        inner.with_truncation(Some(cut)).unwrap();
        let found = Tokenizer::from(inner);
        for _ in 0..5 {
            assert_eq!(found.encode(TEXT).unwrap(), plain.encode(TEXT).unwrap());
        }
        // A special token of another's tokenizer is written by name, whatever it is called.
        let mut inner = characters(&["ab"]).unwrap();
        assert_ne!(Tokenizer::from(inner.clone()).encode(END).unwrap(), [0]);
        let vocabulary = [("a".to_string(), 0), (END.to_string(), 1)].into_iter().collect();
        inner.with_model(WordLevel::builder().vocab(vocabulary).unk_token("a".into()).build().unwrap());
        let mut inner = tokenizers::Tokenizer::new(inner.get_model().clone());
        inner.add_special_tokens([special(END)]).unwrap();
        assert_eq!(Tokenizer::from(inner).encode("<|end|>").unwrap(), [1]);
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
