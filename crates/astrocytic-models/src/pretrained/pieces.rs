//! What tokenizers stored as lists of tokens share: the vocabulary, special tokens, and tokens put around a text.

use std::collections::HashMap;

use tokenizers::models::bpe::Vocab;
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
