//! Tokenizers from before tokenizer.json: BERT's vocab.txt, and GPT-2's vocab.json with merges.txt.

use std::collections::HashMap;

use serde_json::Value;
use tokenizers::decoders::wordpiece::WordPiece as WordPieceDecoder;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::{AddedToken, Tokenizer};

use super::error::PretrainedError;
use super::fields::{Fields, without_mark};
use super::tensors::File;

/// BERT's special tokens.
const SPECIAL: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/// Reads `file`, by its name; `texts` are the files beside it. One that is not read is named in a
/// note of `fields`.
pub(super) fn read(file: &File, texts: &[File], fields: &Fields) -> Result<Option<Tokenizer>, PretrainedError> {
    let fail = |reason: String| PretrainedError::tokenizer(&file.path, reason);
    let beside = |name: &str| texts.iter().find(|text| text.path.ends_with(name));
    let text = |file: &File| {
        String::from_utf8(without_mark(&file.bytes).to_vec()).map_err(|e| PretrainedError::tokenizer(&file.path, e))
    };
    let settings = beside("tokenizer_config.json");
    let settings = settings.and_then(|file| Fields::from_json(&file.path, &file.bytes).ok());
    let flag = |name: &str| settings.as_ref()?.get(name)?.as_bool();
    if file.path.ends_with("vocab.txt") {
        let small = flag("do_lower_case").unwrap_or(true);
        return word_pieces(&text(file)?, small).map(Some).map_err(fail);
    }
    if file.path.ends_with("vocab.json")
        && let Some(merges) = beside("merges.txt")
    {
        let space = flag("add_prefix_space").unwrap_or(false);
        return byte_pairs(&text(file)?, &text(merges)?, space).map(Some).map_err(fail);
    }
    let name = file.path.file_name().unwrap_or_default().to_string_lossy();
    fields.note(format_args!(
        "{name} is not read; make a tokenizer.json of it: in Python, \
         transformers.AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)"
    ));
    Ok(None)
}

/// A token a line.
fn word_pieces(text: &str, small: bool) -> Result<Tokenizer, String> {
    let lines = text.lines().map(|line| line.trim_end_matches('\r'));
    let vocabulary: HashMap<String, u32> =
        lines.map(String::from).zip(0..).filter(|(token, _)| !token.is_empty()).collect();
    let number = |name: &str| vocabulary.get(name).copied();
    let (Some(begin), Some(end), Some(_)) = (number("[CLS]"), number("[SEP]"), number("[UNK]")) else {
        return Err("has no [CLS], [SEP] or [UNK]; get the model's own".into());
    };
    let special: Vec<AddedToken> = SPECIAL
        .iter()
        .filter(|name| vocabulary.contains_key(**name))
        .map(|name| AddedToken::from(*name, true))
        .collect();
    let model = WordPiece::builder().vocab(vocabulary.into_iter().collect::<Vocab>()).unk_token("[UNK]".into());
    let mut tokenizer = Tokenizer::new(model.build().map_err(|e| e.to_string())?);
    tokenizer.with_normalizer(Some(BertNormalizer::new(true, true, None, small))).map_err(|e| e.to_string())?;
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    tokenizer.with_post_processor(Some(BertProcessing::new(("[SEP]".into(), end), ("[CLS]".into(), begin))));
    tokenizer.with_decoder(Some(WordPieceDecoder::default()));
    tokenizer.add_special_tokens(special).map_err(|e| e.to_string())?;
    Ok(tokenizer)
}

/// Numbers of tokens, and merges, the first one first.
fn byte_pairs(vocabulary: &str, merges: &str, space: bool) -> Result<Tokenizer, String> {
    let vocabulary: HashMap<String, Value> = serde_json::from_str(vocabulary).map_err(|e| e.to_string())?;
    let number = |(token, number): (String, Value)| {
        let number = number.as_u64().and_then(|number| u32::try_from(number).ok());
        number.map(|number| (token, number)).ok_or("a token without a number")
    };
    let vocabulary: HashMap<String, u32> = vocabulary.into_iter().map(number).collect::<Result<_, _>>()?;
    let lines = merges.lines().filter(|line| !line.starts_with("#version") && !line.trim().is_empty());
    let merges = lines.map(|line| {
        let (left, right) =
            line.trim_end().split_once(' ').ok_or_else(|| format!("merge {line:?} is not of two tokens"))?;
        match [left, right, &format!("{left}{right}")].iter().find(|token| !vocabulary.contains_key(**token)) {
            Some(token) => Err(format!("merge {line:?}: there is no token {token:?}")),
            None => Ok((left.to_string(), right.to_string())),
        }
    });
    let merges = merges.collect::<Result<Vec<_>, String>>()?;
    let special: Vec<AddedToken> = ["<|endoftext|>", "<s>", "</s>", "<unk>", "<pad>", "<mask>"]
        .into_iter()
        .filter(|name| vocabulary.contains_key(*name))
        .map(|name| AddedToken::from(name, true))
        .collect();
    let model = BPE::builder().vocab_and_merges(vocabulary.into_iter().collect::<Vocab>(), merges);
    let mut tokenizer = Tokenizer::new(model.build().map_err(|e| e.to_string())?);
    tokenizer.with_pre_tokenizer(Some(ByteLevel::new(space, true, true)));
    tokenizer.with_decoder(Some(ByteLevel::new(space, true, true)));
    tokenizer.add_special_tokens(special).map_err(|e| e.to_string())?;
    Ok(tokenizer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, bytes: &str) -> File {
        File { path: path.into(), bytes: bytes.into() }
    }

    #[test]
    fn older_files_are_read() {
        let none = || Fields::new("config.json".as_ref(), Default::default());
        let words = file("a/vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\nthe\ncat\n##s\n");
        let ids = |tokenizer: &Tokenizer, text: &str| tokenizer.encode(text, true).unwrap().get_ids().to_vec();
        let tokenizer = read(&words, &[], &none()).unwrap().unwrap();
        assert_eq!(ids(&tokenizer, "The cats"), [2, 4, 5, 6, 3]);
        assert_eq!(tokenizer.decode(&[2, 4, 5, 6, 3], true).unwrap(), "the cats");
        let cased = file("a/tokenizer_config.json", "{\"do_lower_case\": false}");
        assert_eq!(ids(&read(&words, &[cased], &none()).unwrap().unwrap(), "The cat"), [2, 1, 5, 3]);
        assert!(read(&file("vocab.txt", "the\n"), &[], &none()).is_err());

        let pairs = file("a/vocab.json", r#"{"a": 0, "b": 1, "ab": 2, "Ġ": 3, "<|endoftext|>": 4}"#);
        let merges = file("a/merges.txt", "#version: 0.2\na b\n");
        let tokenizer = read(&pairs, &[merges], &none()).unwrap().unwrap();
        assert_eq!(ids(&tokenizer, "ab ab<|endoftext|>"), [2, 3, 2, 4]);
        assert_eq!(tokenizer.decode(&[2, 3, 2, 4], true).unwrap(), "ab ab");
        assert!(read(&pairs, &[file("merges.txt", "a c")], &none()).is_err());

        for (name, bytes) in [("tokenizer.model", "\n"), ("vocab.json", "{}")] {
            let fields = none();
            assert!(read(&file(name, bytes), &[], &fields).unwrap().is_none());
            assert!(fields.into_notes()[0].contains(name));
        }
    }
}
