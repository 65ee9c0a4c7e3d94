//! Streams against the library's text of all tokens.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokenizers::decoders::DecoderWrapper;
use tokenizers::decoders::strip::Strip;
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::{AddedToken, Tokenizer};

use super::*;

/// Pieces as tokenizers of every kind have them.
const PIECES: &[&str] = &[
    "a",
    "b",
    " ",
    "  ",
    "▁",
    "▁a",
    "▁▁",
    "a▁b",
    "##c",
    "##",
    "d</w>",
    "</w>",
    "e f",
    ".",
    "?",
    "'s",
    " 's",
    "n't",
    "|",
    "<pad>",
    "<0xE2>",
    "<0x82>",
    "<0xAC>",
    "<0x41>",
    "<0x0A>",
    "<0xF0>",
    "<0x9F>",
    "<0xFF>",
    "Ġ",
    "Ġg",
    "â",
    "Ĥ",
    "¬",
    "Ã",
    "©",
    "é",
    "€",
    "\u{fffd}",
    "\u{fffd}\u{fffd}",
    "漢",
    "x\u{10FFFE}12",
];

/// Decoders by their JSON: all the kinds there are, and chains of them as models have them and as
/// none has.
fn decoders() -> Vec<Option<DecoderWrapper>> {
    let replace = r#"{"type":"Replace","pattern":{"String":"▁"},"content":" "}"#;
    let unmark = r#"{"type":"Replace","pattern":{"Regex":"[0-9]+"},"content":""}"#;
    let bytes = r#"{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true}"#;
    let fallback = r#"{"type":"ByteFallback"}"#;
    let fuse = r#"{"type":"Fuse"}"#;
    let strip =
        |start: usize, stop: usize| format!(r#"{{"type":"Strip","content":" ","start":{start},"stop":{stop}}}"#);
    let metaspace =
        |scheme: &str| format!(r#"{{"type":"Metaspace","replacement":"▁","prepend_scheme":"{scheme}","split":true}}"#);
    let pieces = |cleanup: bool| format!(r###"{{"type":"WordPiece","prefix":"##","cleanup":{cleanup}}}"###);
    let suffix = r#"{"type":"BPEDecoder","suffix":"</w>"}"#;
    let repeats = r#"{"type":"CTC","pad_token":"<pad>","word_delimiter_token":"|","cleanup":true}"#;
    let chain = |parts: &[&str]| format!(r#"{{"type":"Sequence","decoders":[{}]}}"#, parts.join(","));
    let llama = chain(&[replace, fallback, fuse, &strip(1, 0)]);
    let jsons = [
        bytes.into(),
        fallback.into(),
        fuse.into(),
        strip(1, 0),
        suffix.into(),
        repeats.into(),
        metaspace("always"),
        metaspace("never"),
        pieces(true),
        pieces(false),
        replace.into(),
        chain(&[unmark, bytes]),
        chain(&[unmark, replace, fallback, fuse, &strip(1, 0)]),
        chain(&[fallback, &metaspace("first")]),
        chain(&[replace, fallback, fuse, &strip(2, 0)]),
        chain(&[replace, fuse, &strip(1, 0), replace]),
        chain(&[bytes, replace, &pieces(true)]),
        chain(&[&pieces(true), suffix, fallback]),
        chain(&[repeats, fallback, bytes, bytes]),
        chain(&[&llama, fallback]),
        llama,
        chain(&[]),
    ];
    let parsed = jsons.iter().map(|json| Some(serde_json::from_str(json).unwrap_or_else(|e| panic!("{json}: {e}"))));
    [None].into_iter().chain(parsed).collect()
}

fn tokenizer(decoder: Option<DecoderWrapper>) -> Tokenizer {
    let vocabulary = PIECES.iter().map(|piece| piece.to_string()).zip(0..).collect();
    let model = WordLevel::builder().vocab(vocabulary).unk_token("a".into()).build().unwrap();
    let mut tokenizer = Tokenizer::new(model);
    tokenizer.add_special_tokens([AddedToken::from("<s>", true)]).unwrap();
    tokenizer.add_tokens([AddedToken::from("▁added <0x41>", false)]).unwrap();
    tokenizer.with_decoder(decoder);
    tokenizer
}

#[test]
fn streamed_text_is_the_text_of_all_tokens() {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    for decoder in decoders() {
        let tokenizer = tokenizer(decoder);
        let count = tokenizer.get_vocab_size(true) as u32;
        for _ in 0..2000 {
            // Some pieces alone, so that runs of bytes and of spaces are common; and a token that
            // there is not.
            let few: Vec<u32> = (0..random.random_range(1..6)).map(|_| random.random_range(0..count + 1)).collect();
            let tokens: Vec<u32> =
                (0..random.random_range(1..12)).map(|_| few[random.random_range(0..few.len())]).collect();
            let whole = tokenizer.decode(&tokens, true).unwrap();
            let split = random.random_range(0..=tokens.len());
            // (No tokens at all are no text, whatever the library says.)
            let prompt = if split == 0 { String::new() } else { tokenizer.decode(&tokens[..split], true).unwrap() };
            let mut stream = DecodeStream::new(&tokenizer).after(&tokens[..split]).unwrap();
            let mut text = String::new();
            for &token in &tokens[split..] {
                text += &stream.push(token).unwrap();
            }
            text += &stream.finish().unwrap();
            let what = || format!("{:?}, {tokens:?} from {split}: {whole:?}", tokenizer.get_decoder());
            match whole.strip_prefix(&prompt) {
                Some(rest) => assert_eq!(text, rest, "{}", what()),
                // The last characters of the prompt became others.
                None => assert!(whole.ends_with(&text) && split > 0, "{}, not {text:?}", what()),
            }
        }
    }
}

#[test]
fn ends_are_cut_of_the_whole_text() {
    for (start, stop) in [(0, 1), (1, 1), (2, 3)] {
        let strip = Strip::new(' ', start, stop);
        let decoders = vec![DecoderWrapper::Fuse(Default::default()), strip.into()];
        let tokenizer = tokenizer(Some(tokenizers::decoders::sequence::Sequence::new(decoders).into()));
        for text in ["   a  b    ", " ", "", "a"] {
            let mut stream = DecodeStream::new(&tokenizer);
            let streamed: String =
                text.chars().map(|c| stream.push(tokenizer.token_to_id(&c.to_string()).unwrap()).unwrap()).collect();
            let streamed = streamed + &stream.finish().unwrap();
            let cut_start = text.chars().take(start).take_while(|&c| c == ' ').count();
            let left = &text[cut_start..];
            let cut_stop = left.chars().rev().take(stop).take_while(|&c| c == ' ').count();
            assert_eq!(streamed, left[..left.len() - cut_stop], "{text:?}, {start} and {stop}");
        }
    }
}

#[test]
fn text_comes_as_soon_as_it_is_known() {
    let llama = decoders().into_iter().nth(21).flatten();
    let tokenizer = tokenizer(llama);
    let token = |piece: &str| tokenizer.token_to_id(piece).unwrap();
    let mut stream = DecodeStream::new(&tokenizer);
    let pieces = ["▁a", "b", "▁a", "<0xE2>", "<0x82>", "<0xAC>", "b"];
    let given = pieces.map(|piece| stream.push(token(piece)).unwrap());
    assert_eq!(given, ["a", "b", " a", "", "", "", "€b"]);
}
