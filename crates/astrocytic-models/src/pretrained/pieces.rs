//! What tokenizers stored as lists of tokens share: the vocabulary, special tokens, and tokens put
//! around a text.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use tokenizers::decoders::DecoderWrapper;
use tokenizers::models::bpe::Vocab;
use tokenizers::normalizers::Replace;
use tokenizers::normalizers::replace::ReplacePattern;
use tokenizers::processors::template::{SpecialToken, TemplateProcessing};
use tokenizers::{AddedToken, Tokenizer};

/// A token of a list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece<'a> {
    pub text: &'a str,
    /// Where tokens are merged by score: higher is earlier.
    pub score: f32,
    pub kind: Kind,
}

/// What a token is for, in SentencePiece's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

/// Tokens put around a text that is encoded with special tokens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends {
    pub begin: Option<u32>,
    pub end: Option<u32>,
}

/// Before the number of a token whose text is another's or not its own. No text has this character,
/// which Unicode leaves unassigned for ever, so that no text becomes such a token.
pub(super) const MARK: char = '\u{10FFFE}';

/// Texts of tokens, no two the same, as a vocabulary needs them.
pub(super) struct Distinct<'a> {
    pub texts: Vec<Cow<'a, str>>,
    /// What the list had that it should not.
    pub notes: Vec<String>,
}

impl<'a> Distinct<'a> {
    /// Of bytes that are not UTF-8 `text_of` gives the text, with the token's number. Of tokens
    /// with the same text the last has it, as in llama.cpp; the others are marked.
    pub(super) fn new(tokens: &[&'a [u8]], text_of: fn(&[u8], usize) -> String) -> Self {
        let (mut not_text, mut repeated) = (Vec::new(), Vec::new());
        let mut texts: Vec<Cow<str>> = Vec::with_capacity(tokens.len());
        for (number, bytes) in tokens.iter().enumerate() {
            texts.push(str::from_utf8(bytes).map_or_else(
                |_| {
                    not_text.push(number);
                    text_of(bytes, number).into()
                },
                Cow::from,
            ));
        }
        let mut seen = HashSet::with_capacity(texts.len());
        for (number, text) in texts.iter().enumerate().rev() {
            if !seen.insert(text.as_ref()) {
                repeated.push(number);
            }
        }
        repeated.reverse();
        let mut notes = Vec::new();
        for (numbers, what) in
            [(&not_text, "not UTF-8: taken as bytes"), (&repeated, "there again: no text becomes this")]
        {
            if let [first, others @ ..] = &numbers[..] {
                let more = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
                notes.push(format!("token {first}{more}, {:?}, is {what}", String::from_utf8_lossy(tokens[*first])));
            }
        }
        for number in repeated {
            texts[number] = format!("{}{MARK}{number}", texts[number]).into();
        }
        Self { texts, notes }
    }
}

/// Takes the mark and the number away, where any of the tokens has them.
pub(super) fn unmark(pieces: &[Piece]) -> Result<Option<DecoderWrapper>, String> {
    if !pieces.iter().any(|piece| piece.text.contains(MARK)) {
        return Ok(None);
    }
    let pattern = ReplacePattern::Regex(format!("{MARK}[0-9]+"));
    Replace::new(pattern, "").map(|replace| Some(replace.into())).map_err(|e| e.to_string())
}

/// Whether a token stands for one byte, as `<0x0A>` does.
pub(super) fn is_byte(text: &str) -> bool {
    let digits = text.strip_prefix("<0x").and_then(|text| text.strip_suffix('>'));
    digits.is_some_and(|digits| digits.len() == 2 && u8::from_str_radix(digits, 16).is_ok())
}

/// Numbers of the tokens by their text.
pub(super) fn numbers<'a>(pieces: &[Piece<'a>]) -> Result<HashMap<&'a str, u32>, String> {
    let mut numbers = HashMap::with_capacity(pieces.len());
    for (number, piece) in (0u32..).zip(pieces) {
        if let Some(other) = numbers.insert(piece.text, number) {
            return Err(format!("tokens {other} and {number} are the same, {:?}", piece.text));
        }
    }
    Ok(numbers)
}

/// The numbers as the model of a tokenizer owns them.
pub(super) fn owned(numbers: &HashMap<&str, u32>) -> Vocab {
    numbers.iter().map(|(&text, &number)| (text.to_owned(), number)).collect()
}

/// Marks what is found as it stands in a text and not by merging, and puts `ends` around a text.
pub(super) fn add_special(tokenizer: &mut Tokenizer, pieces: &[Piece], ends: Ends) -> Result<(), String> {
    // An empty text would be found everywhere.
    let added = pieces.iter().filter(|piece| !piece.text.is_empty());
    let added = added.filter_map(|piece| match piece.kind {
        Kind::Unknown | Kind::Control => Some(AddedToken::from(piece.text, true).normalized(false)),
        Kind::UserDefined => Some(AddedToken::from(piece.text, false).normalized(false)),
        Kind::Normal | Kind::Unused | Kind::Byte => None,
    });
    tokenizer.add_special_tokens(added).map_err(|e| e.to_string())?;

    let special = |name: &str, number: Option<u32>| -> Result<Option<SpecialToken>, String> {
        let Some(number) = number else { return Ok(None) };
        let piece = pieces.get(number as usize).ok_or_else(|| format!("its token {number} is not in its list"))?;
        SpecialToken::new(name.into(), vec![number], vec![piece.text.into()]).map(Some).map_err(|e| e.to_string())
    };
    let (begin, end) = (special("begin", ends.begin)?, special("end", ends.end)?);
    if begin.is_none() && end.is_none() {
        return Ok(());
    }
    let around = |sequence: &str, kind: u32| {
        let begin = begin.as_ref().map(|_| format!("begin:{kind} ")).unwrap_or_default();
        let end = end.as_ref().map(|_| format!(" end:{kind}")).unwrap_or_default();
        format!("{begin}${sequence}:{kind}{end}")
    };
    let mut template = TemplateProcessing::builder();
    template.try_single(around("A", 0)).map_err(|e| e.to_string())?;
    template.try_pair(format!("{} {}", around("A", 0), around("B", 1))).map_err(|e| e.to_string())?;
    let special: Vec<SpecialToken> = begin.clone().into_iter().chain(end.clone()).collect();
    let template = template.special_tokens(special).build().map_err(|e| e.to_string())?;
    tokenizer.with_post_processor(Some(template));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_the_same_texts_has_it() {
        let tokens: [&[u8]; 6] = [b"a", b"", b"\xFF", b"a", b"", b"a"];
        let Distinct { texts, notes } = Distinct::new(&tokens, |bytes, number| format!("{bytes:?} {number}"));
        assert_eq!(texts, ["a\u{10FFFE}0", "\u{10FFFE}1", "[255] 2", "a\u{10FFFE}3", "", "a"]);
        assert_eq!(notes.len(), 2);
        assert!(notes[0].contains("token 2,") && notes[1].contains("token 0 and 2 more"), "{notes:?}");
    }
}
