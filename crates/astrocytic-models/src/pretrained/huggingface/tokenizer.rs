//! A tokenizer.json.

use serde_json::Value;
use tokenizers::normalizers::{self, Lowercase};
use tokenizers::{NormalizerWrapper, Tokenizer};

use crate::pretrained::error::PretrainedError;
use crate::pretrained::fields::{Fields, without_mark};
use crate::pretrained::panics::caught;
use crate::pretrained::tensors::File;

/// The tokenizer without the truncation and padding that its file may bring: they are one use's. In
/// small letters where Sentence Transformers makes them so.
pub(super) fn plain(mut tokenizer: Tokenizer, texts: &[File]) -> Tokenizer {
    // (Only a truncation can fail.)
    let _ = tokenizer.with_padding(None).with_truncation(None);
    let mut sentence = texts.iter().filter(|file| file.path.ends_with("sentence_bert_config.json"));
    let fields = sentence.next().and_then(|file| Fields::from_json(&file.path, &file.bytes).ok());
    if fields.is_some_and(|fields| fields.get("do_lower_case") == Some(&Value::Bool(true))) {
        let before = tokenizer.get_normalizer().cloned();
        let all = std::iter::once(NormalizerWrapper::from(Lowercase)).chain(before);
        let _ = tokenizer.with_normalizer(Some(normalizers::Sequence::new(all.collect())));
    }
    tokenizer
}

/// A tokenizer.json.
pub(super) fn read_tokenizer(file: &File) -> Result<Tokenizer, PretrainedError> {
    let fail = |reason: &dyn std::fmt::Display| PretrainedError::tokenizer(&file.path, reason);
    let json = without_mark(&file.bytes);
    check_merges(json).map_err(|reason| fail(&reason))?;
    // The library is written for files that its own tools made, and panics on some others.
    match caught(|| Tokenizer::from_bytes(json)) {
        Some(read) => read.map_err(|e| fail(&e)),
        None => Err(fail(&"malformed; make it again with the tokenizers library")),
    }
}

/// Refuses merges whose union is no token: the library takes it for granted and reads beyond a
/// buffer's end, a panic.
fn check_merges(json: &[u8]) -> Result<(), String> {
    let json: Value = serde_json::from_slice(json).map_err(|e| e.to_string())?;
    let model = &json["model"];
    let (Some(merges), Some(vocabulary)) = (model["merges"].as_array(), model["vocab"].as_object()) else {
        return Ok(());
    };
    let prefix = model["continuing_subword_prefix"].as_str().unwrap_or("");
    for merge in merges {
        let pair = match merge {
            Value::String(pair) => pair.split_once(' '),
            pair => pair[0].as_str().zip(pair[1].as_str()),
        };
        let union = pair.and_then(|(left, right)| Some(format!("{left}{}", right.strip_prefix(prefix)?)));
        if union.is_none_or(|union| !vocabulary.contains_key(&union)) {
            return Err(format!("merge {merge} does not make a token"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn merges_that_make_no_token_are_refused() {
        let json = |merges: Value, prefix: Value| {
            let model =
                json!({"vocab": {"a": 0, "##b": 1, "ab": 2}, "merges": merges, "continuing_subword_prefix": prefix});
            check_merges(json!({"model": model}).to_string().as_bytes())
        };
        json(json!([["a", "##b"]]), json!("##")).unwrap();
        json(json!(["a ##b"]), json!("##")).unwrap();
        for bad in [json!([["ab", "ab"]]), json!(["a"]), json!([3]), json!([["a", "##b"]])] {
            json(bad, json!(null)).unwrap_err();
        }
        json(json!([["a", "a"]]), json!("##")).unwrap_err();
        check_merges(b"[1]").unwrap();
        check_merges(b"[1").unwrap_err();
    }
}
