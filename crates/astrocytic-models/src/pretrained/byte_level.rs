//! Byte-pair encoding over bytes, as GPT-2's: tokens, and merges in their order.

use std::collections::HashMap;

use tokenizers::decoders;
use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{PreTokenizerWrapper, SplitDelimiterBehavior, Tokenizer};

use super::pieces::{Ends, Piece, add_special, numbers, owned, unmark};
use super::scored;

/// How Llama 3 splits a text.
const LLAMA_3: &str = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|\
                       [ ]?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/// How a text is split before bytes merge, by GGUF's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Splitting {
    Gpt2,
    /// Every digit a word of its own, then as GPT-2.
    Digits,
    Llama3,
}

impl Splitting {
    pub(super) fn from_name(name: &str) -> Option<Self> {
        match name {
            "gpt-2" | "gpt2" | "phi-2" | "olmo" | "mpt" | "jina-en" | "jina-es" | "jina-de" => Some(Self::Gpt2),
            "smollm" | "starcoder" | "refact" | "command-r" | "codeshell" => Some(Self::Digits),
            "llama-bpe" | "llama3" | "llama-v3" | "smaug-bpe" | "dbrx" | "falcon3" => Some(Self::Llama3),
            _ => None,
        }
    }

    fn pre_tokenizer(self) -> tokenizers::Result<PreTokenizerWrapper> {
        let gpt2 = ByteLevel::new(false, true, true);
        let then: [PreTokenizerWrapper; 2] = match self {
            Self::Gpt2 => return Ok(gpt2.into()),
            Self::Digits => [Digits::new(true).into(), gpt2.into()],
            Self::Llama3 => {
                let pattern = SplitPattern::Regex(LLAMA_3.into());
                let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false)?;
                [split.into(), gpt2.use_regex(false).into()]
            }
        };
        Ok(Sequence::new(then.into()).into())
    }
}

/// The text of a token that is not UTF-8: a character for each byte.
pub(super) fn text_of(bytes: &[u8], _: usize) -> String {
    let printed = |byte: u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..);
    let character = |&byte: &u8| match printed(byte) {
        true => char::from(byte),
        // The others follow from 256 on.
        false => char::from_u32(256 + (0..byte).filter(|&other| !printed(other)).count() as u32).unwrap_or_default(),
    };
    bytes.iter().map(character).collect()
}

/// The tokenizer of `pieces` and of `merges`, each two tokens with a space between; without them by
/// the pieces' scores.
pub(super) fn tokenizer(
    pieces: &[Piece],
    merges: Option<&[&str]>,
    splitting: Splitting,
    ends: Ends,
) -> Result<Tokenizer, String> {
    let numbers = numbers(pieces)?;
    let pairs = match merges {
        Some(merges) => pairs(merges, &numbers)?,
        None => scored::merges(pieces, &numbers)?,
    };
    let model = BPE::builder().vocab_and_merges(owned(&numbers), pairs).ignore_merges(splitting == Splitting::Llama3);
    let mut tokenizer = Tokenizer::new(model.build().map_err(|e| e.to_string())?);
    tokenizer.with_pre_tokenizer(Some(splitting.pre_tokenizer().map_err(|e| e.to_string())?));
    let bytes = ByteLevel::new(false, true, true);
    match unmark(pieces)? {
        None => tokenizer.with_decoder(Some(bytes)),
        Some(unmark) => tokenizer.with_decoder(Some(decoders::sequence::Sequence::new(vec![unmark, bytes.into()]))),
    };
    add_special(&mut tokenizer, pieces, ends)?;
    Ok(tokenizer)
}

fn pairs(merges: &[&str], numbers: &HashMap<&str, u32>) -> Result<Vec<(String, String)>, String> {
    let mut union = String::new();
    let mut pairs = Vec::with_capacity(merges.len());
    for &merge in merges {
        let refuse = || format!("merge {merge:?} is not of two tokens that make a third");
        // The library relies on this.
        let (left, right) = merge.split_once(' ').ok_or_else(refuse)?;
        union.clear();
        union.extend([left, right]);
        if [left, right, &union].iter().any(|&text| !numbers.contains_key(text)) {
            return Err(refuse());
        }
        pairs.push((left.to_owned(), right.to_owned()));
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pretrained::pieces::Kind;

    #[test]
    fn texts_come_back_and_digits_stand_alone() {
        let mut alphabet: Vec<String> = ByteLevel::alphabet().into_iter().map(String::from).collect();
        alphabet.sort();
        let words = ["Ġa", "ab", "11", "Ġab", "<|end|>"];
        let texts: Vec<&str> = alphabet.iter().map(String::as_str).chain(words).collect();
        let kind = |text: &str| if text == "<|end|>" { Kind::Control } else { Kind::Normal };
        let pieces: Vec<Piece> = texts.iter().map(|&text| Piece { text, score: 0.0, kind: kind(text) }).collect();
        let merges = ["Ġ a", "a b", "1 1", "Ġa b"];
        for (name, digits) in [("gpt-2", vec!["11", "1"]), ("smollm", vec!["1"; 3]), ("llama-bpe", vec!["11", "1"])] {
            let splitting = Splitting::from_name(name).unwrap();
            let ends = Ends { begin: None, end: Some(260) };
            let tokenizer = tokenizer(&pieces, Some(&merges), splitting, ends).unwrap();
            let tokens = |text: &str| tokenizer.encode(text, false).unwrap().get_tokens().to_vec();
            assert_eq!(tokens("111"), digits, "{name}");
            assert_eq!(tokens("ab ab<|end|>"), ["ab", "Ġab", "<|end|>"], "{name}");
            let text = "ab  é\n\n x1\u{1F600} 's";
            let encoded = tokenizer.encode(text, true).unwrap();
            assert_eq!(encoded.get_ids().last(), Some(&260));
            assert_eq!(tokenizer.decode(encoded.get_ids(), true).unwrap(), text, "{name}");
            let saved = Tokenizer::from_bytes(tokenizer.to_string(false).unwrap()).unwrap();
            assert_eq!(saved.encode(text, true).unwrap(), encoded);
        }
        assert_eq!(Splitting::from_name("other"), None);
    }

    #[test]
    fn bytes_that_are_no_text_are_decoded_as_bytes() {
        let all: Vec<u8> = (0..=255).collect();
        let alphabet: std::collections::HashSet<char> = text_of(&all, 0).chars().collect();
        assert_eq!(alphabet, ByteLevel::alphabet().into_iter().collect());
        assert_eq!(text_of(b" a\xFF\xAD", 0), "Ġa\u{FF}\u{143}");
    }

    #[test]
    fn merges_that_are_none_are_refused() {
        let pieces = ["a", "b", "ab"].map(|text| Piece { text, score: 0.0, kind: Kind::Normal });
        let none = Ends { begin: None, end: None };
        for merge in ["ab", "a c", "ab ab", "", " ", "a  b"] {
            let error = tokenizer(&pieces, Some(&[merge]), Splitting::Gpt2, none).unwrap_err();
            assert!(error.contains("merge"), "{error}");
        }
    }
}
