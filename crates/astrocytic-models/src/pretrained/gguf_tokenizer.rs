//! The tokenizer in GGUF's metadata: a list of tokens, and how they merge. Where the usual metadata
//! is missing the usual is taken for it, with a note.

use tokenizers::Tokenizer;

use super::byte_level::{self, Splitting};
use super::error::PretrainedError;
use super::fields::Fields;
use super::gguf_values::Arrays;
use super::pieces::{Distinct, Ends, Kind, Piece, is_byte};
use super::scored;

const TOKENS: &str = "tokenizer.ggml.tokens";
const SCORES: &str = "tokenizer.ggml.scores";
const TYPES: &str = "tokenizer.ggml.token_type";
const MERGES: &str = "tokenizer.ggml.merges";
const PRE: &str = "tokenizer.ggml.pre";

/// Reads the tokenizer; `None` where the metadata say that there is none.
pub(super) fn read(fields: &Fields, arrays: &Arrays, vocabulary: usize) -> Result<Option<Tokenizer>, PretrainedError> {
    let fail = |reason: String| PretrainedError::tokenizer(fields.path, reason);
    let is_byte_level = match fields.text_or("tokenizer.ggml.model", "no_vocab")? {
        "no_vocab" | "none" => return Ok(None),
        "gpt2" => true,
        "llama" => false,
        other => return Err(fail(format!("tokenizer.ggml.model = {other:?} is not supported; gpt2 and llama are"))),
    };
    let lists = Lists::read(fields, arrays)?;
    let special = Special::read(fields, vocabulary, lists.tokens.len());
    let text_of = if is_byte_level { byte_level::text_of } else { scored::text_of };
    let Distinct { texts, notes } = Distinct::new(&lists.tokens, text_of);
    notes.into_iter().for_each(|note| fields.note(note));
    let pieces = texts.iter().zip(0u32..).map(|(text, number)| {
        let kind = lists.kind(number, text, &special, is_byte_level);
        Piece { text, score: lists.score(number, is_byte_level), kind }
    });
    let pieces: Vec<Piece> = pieces.collect();
    let missing = |name: &str| fields.note(format_args!("{name} is missing: earlier tokens merge first"));
    if !is_byte_level {
        if lists.scores.is_none() {
            missing(SCORES);
        }
        let prefix = fields.flag_or("tokenizer.ggml.add_space_prefix", true)?;
        return scored::tokenizer(&pieces, "▁", prefix, special.ends(fields, true)?).map(Some).map_err(fail);
    }
    let splitting = splitting(fields)?;
    let merges = merges(fields, arrays)?;
    if merges.is_none() {
        missing(MERGES);
    }
    let ends = special.ends(fields, splitting == Splitting::Llama3)?;
    byte_level::tokenizer(&pieces, merges.as_deref(), splitting, ends).map(Some).map_err(fail)
}

/// The lists of tokens, with as many scores and types where there are any.
struct Lists<'a> {
    tokens: Vec<&'a [u8]>,
    scores: Option<Vec<f32>>,
    types: Option<Vec<i32>>,
}

impl<'a> Lists<'a> {
    fn read(fields: &Fields, arrays: &Arrays<'a>) -> Result<Self, PretrainedError> {
        let malformed = |name| malformed(fields, name);
        let tokens = arrays.get(TOKENS).and_then(|array| array.strings()).ok_or_else(|| malformed(TOKENS))?;
        let scores = arrays.get(SCORES).map(|array| array.floats().ok_or_else(|| malformed(SCORES))).transpose()?;
        let types = arrays.get(TYPES).map(|array| array.integers().ok_or_else(|| malformed(TYPES))).transpose()?;
        for (name, count) in [(SCORES, scores.as_ref().map(Vec::len)), (TYPES, types.as_ref().map(Vec::len))] {
            if let Some(count) = count.filter(|&count| count != tokens.len()) {
                let reason = format!("{name} has {count} numbers for {} tokens", tokens.len());
                return Err(PretrainedError::tokenizer(fields.path, reason));
            }
        }
        Ok(Self { tokens, scores, types })
    }

    /// Without scores or merges earlier tokens merge first, which is how tokenizers are mostly
    /// written.
    fn score(&self, number: u32, is_byte_level: bool) -> f32 {
        match &self.scores {
            Some(scores) if !is_byte_level => scores[number as usize],
            _ => -(number as f32),
        }
    }

    fn kind(&self, number: u32, text: &str, special: &Special, is_byte_level: bool) -> Kind {
        match self.types.as_ref().map(|types| types[number as usize]) {
            // Ends are special whatever the list says of them.
            _ if Some(number) == special.begin || Some(number) == special.end => Kind::Control,
            Some(2) => Kind::Unknown,
            Some(3) => Kind::Control,
            Some(4) => Kind::UserDefined,
            Some(5) => Kind::Unused,
            Some(6) => Kind::Byte,
            _ if Some(number) == special.unknown => Kind::Unknown,
            Some(_) => Kind::Normal,
            None if !is_byte_level && is_byte(text) => Kind::Byte,
            None if !is_byte_level && special.unknown.is_none() && text == "<unk>" => Kind::Unknown,
            None => Kind::Normal,
        }
    }
}

/// Tokens that the metadata name.
struct Special {
    begin: Option<u32>,
    end: Option<u32>,
    unknown: Option<u32>,
}

impl Special {
    /// Those that both the model and the list of `count` tokens have.
    fn read(fields: &Fields, vocabulary: usize, count: usize) -> Self {
        let token = |name: &str| {
            let token = fields.token(&format!("tokenizer.ggml.{name}_token_id"), vocabulary);
            token.filter(|&token| (token as usize) < count)
        };
        Self { begin: token("bos"), end: token("eos"), unknown: token("unknown") }
    }

    /// What is put around a text; `begins` is whether it gets its beginning where nothing says so.
    fn ends(&self, fields: &Fields, begins: bool) -> Result<Ends, PretrainedError> {
        let begins = fields.flag_or("tokenizer.ggml.add_bos_token", begins)?;
        let ends = fields.flag_or("tokenizer.ggml.add_eos_token", false)?;
        Ok(Ends { begin: self.begin.filter(|_| begins), end: self.end.filter(|_| ends) })
    }
}

fn splitting(fields: &Fields) -> Result<Splitting, PretrainedError> {
    let name = fields.text_or(PRE, "")?;
    if let Some(splitting) = Splitting::from_name(name) {
        return Ok(splitting);
    }
    if !name.is_empty() && name != "default" {
        let reason = format!("{PRE} = {name:?} is not supported; gpt-2, smollm, llama-bpe and their like are");
        return Err(PretrainedError::tokenizer(fields.path, reason));
    }
    let what = if name.is_empty() { "is missing" } else { "= \"default\"" };
    fields.note(format_args!("{PRE} {what}: texts are split as by GPT-2, which may not be as the model was trained"));
    Ok(Splitting::Gpt2)
}

/// The merges, in their order; `None` where there are none.
fn merges<'a>(fields: &Fields, arrays: &Arrays<'a>) -> Result<Option<Vec<&'a str>>, PretrainedError> {
    let Some(array) = arrays.get(MERGES) else { return Ok(None) };
    let malformed = || malformed(fields, MERGES);
    let merges = array.strings().ok_or_else(malformed)?;
    merges.into_iter().map(|merge| str::from_utf8(merge).map_err(|_| malformed())).collect::<Result<_, _>>().map(Some)
}

fn malformed(fields: &Fields, name: &str) -> PretrainedError {
    PretrainedError::tokenizer(fields.path, format!("{name} is missing or not an array of what it should hold"))
}
