//! Where a pretrained model's texts begin and end: what its files say, else what its tokenizer's
//! tokens are called.

use serde_json::Value;
use tokenizers::Tokenizer;

use super::fields::Fields;
use super::panics::caught;
use super::tensors::File;
use crate::boundaries::Boundaries;

/// Usual names of a token that begins a text.
const BEGINS: [&str; 6] = ["<s>", "<|begin_of_text|>", "<|startoftext|>", "<bos>", "[BOS]", "<|endoftext|>"];
/// And that ends one.
const ENDS: [&str; 8] =
    ["</s>", "<|end_of_text|>", "<|endoftext|>", "<eos>", "[EOS]", "<|eot_id|>", "<|im_end|>", "<|end|>"];

/// What files say.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub begin: Option<u32>,
    pub end: Vec<u32>,
    /// Whether a text that is encoded gets the token that begins it; `None` leaves it to the
    /// tokenizer.
    pub adds_begin: Option<bool>,
}

impl Said {
    /// By Hugging Face's config.json, and by the files beside it, which go before. Nothing is
    /// computed with them: one that cannot be read is left out with a note.
    pub(super) fn hugging_face<'a>(
        config: &Fields,
        others: &'a [File],
        tokenizer: Option<&Tokenizer>,
        vocabulary: usize,
    ) -> Self {
        let read = |file: &'a File| match Fields::from_json(&file.path, &file.bytes) {
            Ok(fields) => Some(fields),
            Err(error) => {
                config.note(format_args!("not read: {error}"));
                None
            }
        };
        let json = |file: &&File| file.path.extension().is_some_and(|extension| extension == "json");
        let others: Vec<Fields<'a>> = others.iter().filter(json).filter_map(read).collect();
        let all = || others.iter().chain([config]);
        let numbers = |name: &'static str| all().flat_map(move |fields| fields.tokens(name, vocabulary));
        let called = |name: &'static str| {
            let token = all().filter_map(move |fields| match fields.get(name)? {
                Value::Object(token) => token.get("content")?.as_str(),
                token => token.as_str(),
            });
            let numbers = token.filter_map(|text| tokenizer?.token_to_id(text));
            numbers.filter(|&number| (number as usize) < vocabulary)
        };
        let end = numbers("eos_token_id").chain(called("eos_token")).collect();
        let begin = numbers("bos_token_id").chain(called("bos_token")).next();
        let adds_begin = all().find_map(|fields| fields.get("add_bos_token")?.as_bool());
        others.into_iter().flat_map(Fields::into_notes).for_each(|note| config.note(note));
        Self { begin, end, adds_begin }
    }

    /// With what the tokenizer shows.
    pub(super) fn complete(self, tokenizer: Option<&Tokenizer>, vocabulary: usize) -> Boundaries {
        let known = |token: &u32| (*token as usize) < vocabulary;
        let usual = |names: &[&str]| names.iter().find_map(|name| tokenizer?.token_to_id(name)).filter(known);
        let mut end: Vec<u32> = Vec::new();
        for token in self.end {
            if !end.contains(&token) {
                end.push(token);
            }
        }
        if end.is_empty() {
            end.extend(usual(&ENDS));
        }
        let begin = self.begin.or_else(|| usual(&BEGINS)).or_else(|| end.first().copied());
        let mut before = tokenizer.map(before).unwrap_or_default();
        before.retain(known);
        match self.adds_begin {
            Some(true) if before.is_empty() => before.extend(begin),
            Some(false) => before.retain(|&token| Some(token) != begin),
            _ => {}
        }
        Boundaries { begin, end, before }
    }
}

/// Usual names of tokens that end what one side of a talk says. Files of before 2024 do not number
/// them.
const TURN_ENDS: [&str; 6] = ["<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|eom_id|>"];

/// The special tokens that end a turn by their name.
pub(super) fn turn_ends(tokenizer: Option<&Tokenizer>) -> Vec<u32> {
    let Some(tokenizer) = tokenizer else { return Vec::new() };
    let special = |name: &&&str| tokenizer.get_added_vocabulary().is_special_token(name);
    TURN_ENDS.iter().filter(special).filter_map(|name| tokenizer.token_to_id(name)).collect()
}

/// What the tokenizer puts before a text.
fn before(tokenizer: &Tokenizer) -> Vec<u32> {
    let Some(Ok(encoding)) = caught(|| tokenizer.encode("a", true)) else { return Vec::new() };
    let special = encoding.get_ids().iter().zip(encoding.get_special_tokens_mask());
    special.take_while(|(_, special)| **special == 1).map(|(&token, _)| token).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokenizers::AddedToken;
    use tokenizers::models::wordlevel::WordLevel;
    use tokenizers::processors::template::TemplateProcessing;

    use super::*;

    /// A tokenizer of "a" and of special tokens, from 1; it puts `template` before a text.
    fn tokenizer(special: &[&str], template: &str) -> Tokenizer {
        let vocabulary = [("a".to_string(), 0)].into_iter().collect();
        let mut tokenizer =
            Tokenizer::new(WordLevel::builder().vocab(vocabulary).unk_token("a".into()).build().unwrap());
        tokenizer
            .add_special_tokens(special.iter().map(|text| AddedToken::from(*text, true)).collect::<Vec<_>>())
            .unwrap();
        if !template.is_empty() {
            let numbers = special.iter().zip(1..).map(|(text, number)| (text.to_string(), number)).collect::<Vec<_>>();
            let template = TemplateProcessing::builder().try_single(template).unwrap().special_tokens(numbers).build();
            tokenizer.with_post_processor(Some(template.unwrap()));
        }
        tokenizer
    }

    #[test]
    fn texts_begin_and_end_as_the_files_say() {
        let ids = |text: &str| -> Value { serde_json::from_str(text).unwrap() };
        let boundaries =
            |begin, end: &[u32], before: &[u32]| Boundaries { begin, end: end.into(), before: before.into() };
        let llama = || tokenizer(&["<s>", "</s>", "<|eot_id|>"], "<s> $A");
        let llama3 = || tokenizer(&["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"], "<|begin_of_text|> $A");
        let gpt2 = || tokenizer(&["<|endoftext|>"], "");
        let odd = || tokenizer(&["<x>", "<y>", "<z>"], "<x> $A <y>");
        let none = json!({});
        for (tokenizer, config, generation, names, expected, notes) in [
            (llama(), json!({"bos_token_id": 1, "eos_token_id": 2}), &none, &none, boundaries(Some(1), &[2], &[1]), 0),
            // Several ends, in config.json, in generation_config.json or by name, are all ends.
            (llama(), json!({"eos_token_id": [3, 2]}), &none, &none, boundaries(Some(1), &[3, 2], &[1]), 0),
            (
                llama(),
                json!({"bos_token_id": 1, "eos_token_id": 2}),
                &ids(r#"{"eos_token_id": [2, 3]}"#),
                &none,
                boundaries(Some(1), &[2, 3], &[1]),
                0,
            ),
            (
                odd(),
                none.clone(),
                &none,
                &json!({"eos_token": {"content": "<z>"}, "bos_token": "<x>"}),
                boundaries(Some(1), &[3], &[1]),
                0,
            ),
            // What no file says is told by the usual names.
            (llama3(), none.clone(), &none, &none, boundaries(Some(1), &[2], &[1]), 0),
            (
                gpt2(),
                json!({"bos_token_id": 50256, "eos_token_id": 50256}),
                &none,
                &none,
                boundaries(Some(1), &[1], &[]),
                2,
            ),
            (
                gpt2(),
                json!({"bos_token_id": null, "eos_token_id": []}),
                &none,
                &none,
                boundaries(Some(1), &[1], &[]),
                1,
            ),
            (odd(), json!({"bos_token_id": -1, "eos_token_id": "</s>"}), &none, &none, boundaries(None, &[], &[1]), 2),
            (odd(), json!({"eos_token_id": [100, 3]}), &none, &none, boundaries(Some(3), &[3], &[1]), 0),
            // The tokenizer's settings say whether a text gets its beginning.
            (gpt2(), none.clone(), &none, &json!({"add_bos_token": true}), boundaries(Some(1), &[1], &[1]), 0),
            (llama(), none.clone(), &none, &json!({"add_bos_token": false}), boundaries(Some(1), &[2], &[]), 0),
        ] {
            let file = |json: &Value| File { path: "f.json".into(), bytes: json.to_string().into() };
            let (config, others) = (file(&config), [file(generation), file(names)]);
            let fields = Fields::from_json(&config.path, &config.bytes).unwrap();
            let said = Said::hugging_face(&fields, &others, Some(&tokenizer), 4);
            let what = String::from_utf8_lossy(&config.bytes);
            assert_eq!(said.complete(Some(&tokenizer), 4), expected, "{what}");
            assert_eq!(fields.into_notes().len(), notes, "{what}");
        }
    }

    #[test]
    fn a_file_that_computes_nothing_and_cannot_be_read_is_left_out() {
        let broken = File { path: "generation_config.json".into(), bytes: b"{".to_vec() };
        let fields = Fields::from_json("config.json".as_ref(), b"{\"eos_token_id\": 2}").unwrap();
        let said = Said::hugging_face(&fields, &[broken], None, 4);
        assert_eq!(said.complete(None, 4), Boundaries { begin: Some(2), end: vec![2], before: Vec::new() });
        assert!(fields.into_notes()[0].contains("generation_config.json"));
    }
}
