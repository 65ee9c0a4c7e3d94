//! What kind of word a token of a text belongs to: what can be known of it before it is read differs.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::documents::TokenizedDocument;
use crate::error::DataError;
use crate::tokenizer::Tokenizer;

/// The kind of word that a token belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenClass {
    /// A word with a digit.
    Number,
    /// A capitalised word of two letters or more that begins no sentence.
    Name,
    /// Another word that did not stand in the document before.
    First,
    /// Another word that did.
    Repeat,
    /// No word: spaces, punctuation, the end.
    Other,
}

/// The class of each token of a document. A token with parts of two words belongs to the first of them.
///
/// # Errors
/// Where a token cannot be decoded.
pub fn token_classes(tokenizer: &Tokenizer, document: &TokenizedDocument) -> Result<Vec<TokenClass>, DataError> {
    let (mut stream, mut text) = (tokenizer.decode_stream(), String::new());
    let mut ends = Vec::with_capacity(document.ids.len());
    for &id in &document.ids {
        text += &stream.push(id)?;
        ends.push(text.len());
    }
    text += &stream.finish()?;
    let words = words(&text);
    let mut begin = 0;
    let classes = ends.into_iter().map(|end| {
        // The first word that ends behind the token's beginning.
        let place = words.partition_point(|word| word.end <= begin);
        begin = end;
        words.get(place).filter(|word| word.begin < end).map_or(TokenClass::Other, |word| word.class)
    });
    Ok(classes.collect())
}

/// A word of a text, in bytes.
struct Word {
    begin: usize,
    end: usize,
    class: TokenClass,
}

/// Runs of letters and digits, with apostrophes and hyphens between them.
fn words(text: &str) -> Vec<Word> {
    let mut found: Vec<Word> = Vec::new();
    let mut known = BTreeSet::new();
    // Nothing, or what ended the last sentence, stands before the next word.
    let mut begins_sentence = true;
    let mut rest = 0;
    while let Some(begin) = text[rest..].find(char::is_alphanumeric).map(|offset| rest + offset) {
        begins_sentence |= text[rest..begin].contains(['.', '!', '?', ':', ';', '\n', '"', '“', '—']);
        let mut end = begin;
        let mut letters = text[begin..].char_indices().peekable();
        while let Some((offset, letter)) = letters.next() {
            let joins = "'’-".contains(letter) && letters.peek().is_some_and(|(_, next)| next.is_alphanumeric());
            if !letter.is_alphanumeric() && !joins {
                break;
            }
            end = begin + offset + letter.len_utf8();
        }
        let word = &text[begin..end];
        let is_new = known.insert(word.to_lowercase());
        let is_capitalised = word.starts_with(char::is_uppercase) && word.chars().count() > 1;
        let class = match is_new {
            _ if word.contains(|c: char| c.is_numeric()) => TokenClass::Number,
            _ if is_capitalised && !begins_sentence => TokenClass::Name,
            true => TokenClass::First,
            false => TokenClass::Repeat,
        };
        found.push(Word { begin, end, class });
        (begins_sentence, rest) = (false, end);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::Document;
    use crate::tokenizer::TokenizerKind;

    const TEXT: &str = "The whale swam. The whale met Ahab in 1851, and I saw Queequeg's boat; boat 2nd. Naïve whale!";

    #[test]
    fn words_have_classes() {
        let of = |class| -> Vec<&str> {
            words(TEXT).into_iter().filter(|word| word.class == class).map(|word| &TEXT[word.begin..word.end]).collect()
        };
        assert_eq!(of(TokenClass::Number), ["1851", "2nd"]);
        assert_eq!(of(TokenClass::Name), ["Ahab", "Queequeg's"]);
        assert_eq!(of(TokenClass::First), ["The", "whale", "swam", "met", "in", "and", "I", "saw", "boat", "Naïve"]);
        assert_eq!(of(TokenClass::Repeat), ["The", "whale", "boat", "whale"]);
    }

    #[test]
    fn tokens_have_the_class_of_their_word() {
        for kind in [TokenizerKind::Characters, TokenizerKind::BytePair { vocabulary: 300 }] {
            let tokenizer = Tokenizer::train(kind, &[TEXT]).unwrap();
            let documents = [Document { text: TEXT.into(), nats: None }];
            let document = &tokenizer.encode_documents(&documents).unwrap()[0];
            let classes = token_classes(&tokenizer, document).unwrap();
            assert_eq!((classes.len(), classes.last()), (document.ids.len(), Some(&TokenClass::Other)));
            let text_of = |class| {
                let ids = document.ids.iter().zip(&classes).filter(|(_, found)| **found == class);
                tokenizer.decode(&ids.map(|(id, _)| *id).collect::<Vec<_>>()).unwrap().replace(' ', "")
            };
            assert_eq!(text_of(TokenClass::Number), "18512nd", "{kind:?}");
            assert_eq!(text_of(TokenClass::Name), "AhabQueequeg's", "{kind:?}");
            assert!(text_of(TokenClass::Repeat).starts_with("Thewhale"), "{kind:?}");
        }
    }
}
