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

pub(super) fn read(fields: &Fields, arrays: &Arrays, vocabulary: usize) -> Result<Option<Tokenizer>, PretrainedError> {
    let fail = |reason: String| PretrainedError::tokenizer(fields.path, reason);
    let is_byte_level = match fields.text_or("tokenizer.ggml.model", "no_vocab")? {
        "no_vocab" | "none" => return Ok(None),
        "gpt2" => true,
        "llama" => false,
        other => return Err(fail(format!("tokenizer.ggml.model = {other:?} is not supported; gpt2 and llama are"))),
    };
    let malformed = |name: &str| fail(format!("{name} is missing or not an array of what it should hold"));
    let tokens = arrays.get(TOKENS).and_then(|array| array.strings()).ok_or_else(|| malformed(TOKENS))?;
    let scores = arrays.get(SCORES).map(|array| array.floats().ok_or_else(|| malformed(SCORES))).transpose()?;
    let types = arrays.get(TYPES).map(|array| array.integers().ok_or_else(|| malformed(TYPES))).transpose()?;
    for (name, count) in [(SCORES, scores.as_ref().map(Vec::len)), (TYPES, types.as_ref().map(Vec::len))] {
        if let Some(count) = count.filter(|&count| count != tokens.len()) {
            return Err(fail(format!("{name} has {count} numbers for {} tokens", tokens.len())));
        }
    }
    let known = |name: &str| fields.token(name, vocabulary).filter(|&token| (token as usize) < tokens.len());
    let [begin, end, unknown] = ["bos", "eos", "unknown"].map(|name| known(&format!("tokenizer.ggml.{name}_token_id")));
    let text_of = if is_byte_level { byte_level::text_of } else { scored::text_of };
    let Distinct { texts, notes } = Distinct::new(&tokens, text_of);
    notes.into_iter().for_each(|note| fields.note(note));

    // Without scores or merges earlier tokens merge first, which is how tokenizers are mostly
    // written.
    let by_number = scores.is_none() || is_byte_level;
    let pieces = texts.iter().zip(0u32..).map(|(text, number)| {
        let at = number as usize;
        let kind = match types.as_ref().map(|types| types[at]) {
            // Ends are special whatever the list says of them.
            _ if Some(number) == begin || Some(number) == end => Kind::Control,
            Some(2) => Kind::Unknown,
            Some(3) => Kind::Control,
            Some(4) => Kind::UserDefined,
            Some(5) => Kind::Unused,
            Some(6) => Kind::Byte,
            _ if Some(number) == unknown => Kind::Unknown,
            Some(_) => Kind::Normal,
            None if !is_byte_level && is_byte(text) => Kind::Byte,
            None if !is_byte_level && unknown.is_none() && text == "<unk>" => Kind::Unknown,
            None => Kind::Normal,
        };
        let score = if by_number { -(number as f32) } else { scores.as_ref().map_or(0.0, |scores| scores[at]) };
        Piece { text, score, kind }
    });
    let pieces: Vec<Piece> = pieces.collect();
    let ends = |begins: bool| -> Result<Ends, PretrainedError> {
        let begins = fields.flag_or("tokenizer.ggml.add_bos_token", begins)?;
        let ends = fields.flag_or("tokenizer.ggml.add_eos_token", false)?;
        Ok(Ends { begin: begin.filter(|_| begins), end: end.filter(|_| ends) })
    };
    let missing = |name: &str| fields.note(format_args!("{name} is missing: earlier tokens merge first"));
    if !is_byte_level {
        if scores.is_none() {
            missing(SCORES);
        }
        let prefix = fields.flag_or("tokenizer.ggml.add_space_prefix", true)?;
        return scored::tokenizer(&pieces, "▁", prefix, ends(true)?).map(Some).map_err(fail);
    }
    let name = fields.text_or(PRE, "")?;
    let splitting = match Splitting::from_name(name) {
        Some(splitting) => splitting,
        None if name.is_empty() || name == "default" => {
            let what = if name.is_empty() { "is missing" } else { "= \"default\"" };
            fields.note(format_args!(
                "{PRE} {what}: texts are split as by GPT-2, which may not be as the model was trained"
            ));
            Splitting::Gpt2
        }
        None => {
            return Err(fail(format!(
                "{PRE} = {name:?} is not supported; gpt-2, smollm, llama-bpe and their like are"
            )));
        }
    };
    let merges = match arrays.get(MERGES) {
        Some(array) => {
            let merges = array.strings().ok_or_else(|| malformed(MERGES))?;
            let merges = merges.into_iter().map(|merge| str::from_utf8(merge).map_err(|_| malformed(MERGES)));
            Some(merges.collect::<Result<Vec<_>, _>>()?)
        }
        None => {
            missing(MERGES);
            None
        }
    };
    let ends = ends(splitting == Splitting::Llama3)?;
    byte_level::tokenizer(&pieces, merges.as_deref(), splitting, ends).map(Some).map_err(fail)
}
