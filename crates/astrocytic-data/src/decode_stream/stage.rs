//! Stages of a decoder, each with what it holds back.

use tokenizers::Decoder;
use tokenizers::decoders::DecoderWrapper;
use tokenizers::decoders::strip::Strip;

use crate::error::DataError;

/// What stands for bytes that are no character, or not yet.
const REPLACEMENT: char = '\u{fffd}';

/// A stage of a decoder, with what it holds back.
#[derive(Clone)]
pub(super) enum Stage {
    /// No decoder: pieces with spaces between.
    Join { begun: bool },
    /// Each piece by itself, but that the first may be treated in another way.
    Each { decoder: DecoderWrapper, begun: bool },
    /// The last piece is treated in another way, so one waits.
    ButLast { decoder: DecoderWrapper, last: Option<String> },
    /// A piece that repeats the one before is dropped.
    Repeats { decoder: DecoderWrapper, last: Option<String> },
    /// Pieces that are bytes wait for the next that is none: together they are characters, or none
    /// of them is.
    ByteFallback { decoder: DecoderWrapper, bytes: Vec<String> },
    /// All pieces are bytes of one text. Those wait whose characters are not whole.
    ByteLevel { decoder: DecoderWrapper, pieces: Vec<String>, given: usize },
    /// Cuts characters off the ends of one text.
    Ends { strip: Strip, left: usize, held: usize },
    /// All of one text at once, in the end.
    Whole { decoder: DecoderWrapper, text: String },
}

/// The stages of a decoder. `fused` is whether pieces are parts of one text by then.
pub(super) fn add_stages(decoder: &DecoderWrapper, fused: &mut bool, stages: &mut Vec<Stage>) {
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
    /// The pieces that this one completes.
    pub(super) fn push(&mut self, piece: String) -> Result<Vec<String>, DataError> {
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
                // A character whose bytes are not all there yet shows as one replacement at the
                // end; what stands before is final.
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
    pub(super) fn finish(&mut self) -> Result<Vec<String>, DataError> {
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
