//! Text of tokens as they come: the same text as that of all of them at once.
//!
//! A decoder of the `tokenizers` crate is a chain of stages from pieces to text. Here each stage gives a piece as soon as no
//! later one can change it. (The library's own stream gives up where a later piece changes the text before it, as the bytes
//! of a character do, and keeps the text that is held back at the end.)

use tokenizers::decoders::DecoderWrapper;
use tokenizers::decoders::strip::Strip;
use tokenizers::{Decoder, Tokenizer};

use crate::error::DataError;

/// What stands for bytes that are no character, or not yet.
const REPLACEMENT: char = '\u{fffd}';

/// Decodes tokens one by one. Made by [`Tokenizer::decode_stream`](crate::Tokenizer::decode_stream).
pub struct DecodeStream<'a> {
    tokenizer: &'a Tokenizer,
    stages: Vec<Stage>,
    /// Text of the prompt that the stages still hold; it is not given.
    known: String,
}

impl<'a> DecodeStream<'a> {
    pub(crate) fn new(tokenizer: &'a Tokenizer) -> Self {
        let mut stages = Vec::new();
        match tokenizer.get_decoder() {
            Some(decoder) => add_stages(decoder, &mut false, &mut stages),
            None => stages.push(Stage::Join { begun: false }),
        }
        Self { tokenizer, stages, known: String::new() }
    }

    /// Goes on after the tokens of a prompt, whose own text is not given again.
    ///
    /// # Errors
    /// Where the library refuses.
    pub fn after(mut self, prompt: &[u32]) -> Result<Self, DataError> {
        let mut given = String::new();
        for &token in prompt {
            given += &self.push(token)?;
        }
        let whole = Self { stages: self.stages.clone(), known: String::new(), ..self };
        self.known = whole.finish()?;
        Ok(self)
    }

    /// The text that this token completes, which may be none.
    ///
    /// # Errors
    /// Where the library refuses.
    pub fn push(&mut self, token: u32) -> Result<String, DataError> {
        let added = self.tokenizer.get_added_vocabulary();
        let piece = self.tokenizer.id_to_token(token).filter(|piece| !added.is_special_token(piece));
        let pieces = run(&mut self.stages, Vec::from_iter(piece))?;
        Ok(self.fresh(pieces))
    }

    /// The text that waited for tokens to come.
    ///
    /// # Errors
    /// Where the library refuses.
    pub fn finish(mut self) -> Result<String, DataError> {
        let mut text = String::new();
        for first in 0..self.stages.len() {
            let pieces = self.stages[first].finish()?;
            let pieces = run(&mut self.stages[first + 1..], pieces)?;
            text += &self.fresh(pieces);
        }
        Ok(text)
    }

    /// Pieces without what is known of them.
    fn fresh(&mut self, pieces: Vec<String>) -> String {
        let text = pieces.concat();
        if let Some(rest) = self.known.strip_prefix(&text) {
            self.known = rest.to_string();
            return String::new();
        }
        let known = std::mem::take(&mut self.known);
        // Where tokens changed the prompt's last characters, those come again.
        text.strip_prefix(&known).map(str::to_string).unwrap_or(text)
    }
}

/// Pieces through all stages.
fn run(stages: &mut [Stage], mut pieces: Vec<String>) -> Result<Vec<String>, DataError> {
    for stage in stages {
        let mut next = Vec::new();
        for piece in pieces {
            next.extend(stage.push(piece)?);
        }
        pieces = next;
    }
    Ok(pieces)
}

/// A stage of a decoder, with what it holds back.
#[derive(Clone)]
enum Stage {
    /// No decoder: pieces with spaces between.
    Join { begun: bool },
    /// Each piece by itself, but that the first may be treated in another way.
    Each { decoder: DecoderWrapper, begun: bool },
    /// The last piece is treated in another way, so one waits.
    ButLast { decoder: DecoderWrapper, last: Option<String> },
    /// A piece that repeats the one before is dropped.
    Repeats { decoder: DecoderWrapper, last: Option<String> },
    /// Pieces that are bytes wait for the next that is none: together they are characters, or none of them is.
    ByteFallback { decoder: DecoderWrapper, bytes: Vec<String> },
    /// All pieces are bytes of one text. Those wait whose characters are not whole.
    ByteLevel { decoder: DecoderWrapper, pieces: Vec<String>, given: usize },
    /// Cuts characters off the ends of one text.
    Ends { strip: Strip, left: usize, held: usize },
    /// All of one text at once, in the end.
    Whole { decoder: DecoderWrapper, text: String },
}

/// The stages of a decoder. `fused` is whether pieces are parts of one text by then.
fn add_stages(decoder: &DecoderWrapper, fused: &mut bool, stages: &mut Vec<Stage>) {
    let owned = decoder.clone();
    stages.push(match decoder {
        DecoderWrapper::Sequence(sequence) => {
            return sequence.get_decoders().iter().for_each(|decoder| add_stages(decoder, fused, stages));
        }
        DecoderWrapper::Fuse(_) => {
            *fused = true;
            return;
        }
        DecoderWrapper::Strip(strip) if *fused => Stage::Ends { strip: strip.clone(), left: strip.start, held: 0 },
        _ if *fused => Stage::Whole { decoder: owned, text: String::new() },
        DecoderWrapper::ByteLevel(_) => {
            *fused = true;
            Stage::ByteLevel { decoder: owned, pieces: Vec::new(), given: 0 }
        }
        DecoderWrapper::ByteFallback(_) => Stage::ByteFallback { decoder: owned, bytes: Vec::new() },
        DecoderWrapper::BPE(_) => Stage::ButLast { decoder: owned, last: None },
        DecoderWrapper::CTC(_) => Stage::Repeats { decoder: owned, last: None },
        DecoderWrapper::Strip(_)
        | DecoderWrapper::Replace(_)
        | DecoderWrapper::Metaspace(_)
        | DecoderWrapper::WordPiece(_) => Stage::Each { decoder: owned, begun: false },
    });
}

impl Stage {
    fn push(&mut self, piece: String) -> Result<Vec<String>, DataError> {
        match self {
            Self::Join { begun } => {
                let space = if std::mem::replace(begun, true) { " " } else { "" };
                Ok(vec![format!("{space}{piece}")])
            }
            // (The library's has no answer for pieces shorter than what it cuts.)
            Self::Each { decoder: DecoderWrapper::Strip(strip), .. } => {
                let (start, stop) = ends(strip, &piece);
                Ok(vec![piece[start..stop].to_string()])
            }
            Self::Each { decoder, begun } => {
                let before = std::mem::replace(begun, true).then(String::new);
                let pieces = chain(decoder, before.into_iter().chain([piece]).collect())?;
                Ok(pieces.into_iter().next_back().into_iter().collect())
            }
            Self::ButLast { decoder, last } => match last.replace(piece) {
                Some(before) => Ok(chain(decoder, vec![before, String::new()])?.into_iter().take(1).collect()),
                None => Ok(Vec::new()),
            },
            Self::Repeats { decoder, last } => {
                if last.as_ref() == Some(&piece) {
                    return Ok(Vec::new());
                }
                *last = Some(piece.clone());
                chain(decoder, vec![piece])
            }
            Self::ByteFallback { decoder, bytes } => {
                if is_byte(&piece) {
                    bytes.push(piece);
                    return Ok(Vec::new());
                }
                let mut pieces = chain(decoder, std::mem::take(bytes))?;
                pieces.push(piece);
                Ok(pieces)
            }
            Self::ByteLevel { decoder, pieces, given } => {
                pieces.push(piece);
                let text = chain(decoder, pieces.clone())?.concat();
                // A character whose bytes are not all there yet shows as one replacement at the end; what stands before
                // is final.
                let whole = text.trim_end_matches(REPLACEMENT);
                let fresh = whole.get(*given..).unwrap_or_default().to_string();
                *given = whole.len().max(*given);
                if whole.len() == text.len() {
                    (*pieces, *given) = (Vec::new(), 0);
                }
                Ok(vec![fresh])
            }
            Self::Ends { strip, left, held } => {
                let text = format!("{}{piece}", strip.content.to_string().repeat(std::mem::take(held)));
                let rest = text.trim_start_matches(strip.content);
                let here = (text.len() - rest.len()) / strip.content.len_utf8();
                let cut = here.min(*left);
                *left = if rest.is_empty() { *left - cut } else { 0 };
                let text = &text[cut * strip.content.len_utf8()..];
                let end = text.trim_end_matches(strip.content);
                let waiting = ((text.len() - end.len()) / strip.content.len_utf8()).min(strip.stop);
                *held = waiting;
                Ok(vec![text[..text.len() - waiting * strip.content.len_utf8()].to_string()])
            }
            Self::Whole { text, .. } => {
                *text += &piece;
                Ok(Vec::new())
            }
        }
    }

    /// What it holds back, when there is nothing to come.
    fn finish(&mut self) -> Result<Vec<String>, DataError> {
        match self {
            // What `Ends` holds is cut.
            Self::Join { .. } | Self::Each { .. } | Self::Repeats { .. } | Self::Ends { .. } => Ok(Vec::new()),
            Self::ButLast { decoder, last } => last.take().map_or(Ok(Vec::new()), |last| chain(decoder, vec![last])),
            Self::ByteFallback { decoder, bytes } => chain(decoder, std::mem::take(bytes)),
            Self::ByteLevel { decoder, pieces, given } => {
                let text = chain(decoder, std::mem::take(pieces))?.concat();
                Ok(vec![text.get(*given..).unwrap_or_default().to_string()])
            }
            Self::Whole { decoder, text } => chain(decoder, vec![std::mem::take(text)]),
        }
    }
}

fn chain(decoder: &DecoderWrapper, pieces: Vec<String>) -> Result<Vec<String>, DataError> {
    if pieces.is_empty() { Ok(pieces) } else { decoder.decode_chain(pieces).map_err(DataError::tokenizer) }
}

/// As the library's [`ByteFallback`](tokenizers::decoders::byte_fallback::ByteFallback) has it.
fn is_byte(piece: &str) -> bool {
    let digits = piece.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
    digits.is_some_and(|digits| piece.len() == 6 && u8::from_str_radix(digits, 16).is_ok())
}

/// Where a piece starts and stops without what is cut off its ends.
fn ends(strip: &Strip, piece: &str) -> (usize, usize) {
    let width = strip.content.len_utf8();
    let from_start = piece.len() - piece.trim_start_matches(strip.content).len();
    let start = from_start.min(strip.start * width);
    let from_stop = piece.len() - piece[start..].trim_end_matches(strip.content).len() - start;
    (start, piece.len() - from_stop.min(strip.stop * width))
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use tokenizers::AddedToken;
    use tokenizers::models::wordlevel::WordLevel;

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

    /// Decoders by their JSON: all the kinds there are, and chains of them as models have them and as none has.
    fn decoders() -> Vec<Option<DecoderWrapper>> {
        let replace = r#"{"type":"Replace","pattern":{"String":"▁"},"content":" "}"#;
        let unmark = r#"{"type":"Replace","pattern":{"Regex":"[0-9]+"},"content":""}"#;
        let bytes = r#"{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true}"#;
        let fallback = r#"{"type":"ByteFallback"}"#;
        let fuse = r#"{"type":"Fuse"}"#;
        let strip =
            |start: usize, stop: usize| format!(r#"{{"type":"Strip","content":" ","start":{start},"stop":{stop}}}"#);
        let metaspace = |scheme: &str| {
            format!(r#"{{"type":"Metaspace","replacement":"▁","prepend_scheme":"{scheme}","split":true}}"#)
        };
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
        let parsed =
            jsons.iter().map(|json| Some(serde_json::from_str(json).unwrap_or_else(|e| panic!("{json}: {e}"))));
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
                // Some pieces alone, so that runs of bytes and of spaces are common; and a token that there is not.
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
                let streamed: String = text
                    .chars()
                    .map(|c| stream.push(tokenizer.token_to_id(&c.to_string()).unwrap()).unwrap())
                    .collect();
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
}
