//! SentencePiece's byte-pair encoding: of all neighbours whose union is a token, those of the best
//! score merge first; characters without a token become the tokens of their bytes.

use std::collections::HashMap;

use tokenizers::Tokenizer;
use tokenizers::decoders::byte_fallback::ByteFallback;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::decoders::strip::Strip;
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::{NormalizerWrapper, Prepend, Replace, Sequence};

use super::pieces::{Ends, Kind, MARK, Piece, add_special, numbers, owned, unmark};

/// Longer tokens are refused: a token's merges are found in time that grows with the square of its
/// length.
const MOST_BYTES: usize = 256;
/// More ways to merge, for each token, are refused. Llama's tokens have two each.
const MOST_MERGES: usize = 16;

/// The tokenizer of `pieces`, in which spaces are written as `space`; `prefix` puts one before a
/// text.
pub(super) fn tokenizer(pieces: &[Piece], space: &str, prefix: bool, ends: Ends) -> Result<Tokenizer, String> {
    let numbers = numbers(pieces)?;
    let mut model =
        BPE::builder().vocab_and_merges(owned(&numbers), merges(pieces, &numbers)?).byte_fallback(true).fuse_unk(true);
    if let Some(unknown) = pieces.iter().find(|piece| piece.kind == Kind::Unknown) {
        model = model.unk_token(unknown.text.into());
    }
    let mut tokenizer = Tokenizer::new(model.build().map_err(|e| e.to_string())?);

    let mut normalizers: Vec<NormalizerWrapper> = Vec::new();
    let mut decoders = Vec::from_iter(unmark(pieces)?);
    if prefix {
        normalizers.push(Prepend::new(space.into()).into());
    }
    if space != " " {
        normalizers.push(Replace::new(" ", space).map_err(|e| e.to_string())?.into());
        decoders.push(Replace::new(space, " ").map_err(|e| e.to_string())?.into());
    }
    decoders.extend([ByteFallback::new().into(), Fuse::new().into()]);
    if prefix {
        decoders.push(Strip::new(' ', 1, 0).into());
    }
    tokenizer.with_normalizer(Some(Sequence::new(normalizers))).map_err(|e| e.to_string())?;
    tokenizer.with_decoder(Some(tokenizers::decoders::sequence::Sequence::new(decoders)));
    add_special(&mut tokenizer, pieces, ends)?;
    Ok(tokenizer)
}

/// The text of a token that is not UTF-8, which no text becomes: a byte, or what bytes are shown
/// as.
pub(super) fn text_of(bytes: &[u8], number: usize) -> String {
    match bytes {
        [byte] => format!("<0x{byte:02X}>{MARK}{number}"),
        _ => format!("{}{MARK}{number}", String::from_utf8_lossy(bytes)),
    }
}

/// Every way to make a token of two others, best score first. Among equals the longer left part is
/// first, which is mostly the pair further left.
pub(super) fn merges(pieces: &[Piece], numbers: &HashMap<&str, u32>) -> Result<Vec<(String, String)>, String> {
    let merged = |kind| matches!(kind, Kind::Normal | Kind::UserDefined);
    let is_part = |text: &str| numbers.get(text).is_some_and(|&number| merged(pieces[number as usize].kind));
    let mut found: Vec<(f32, &str, &str)> = Vec::new();
    for (number, piece) in pieces.iter().enumerate().filter(|(_, piece)| merged(piece.kind)) {
        if piece.text.len() > MOST_BYTES {
            return Err(format!("token {number} has {} bytes; more than {MOST_BYTES} are refused", piece.text.len()));
        }
        let splits = piece.text.char_indices().skip(1).map(|(at, _)| piece.text.split_at(at));
        // -0 and 0 are the same score, and are not in the order of `total_cmp`.
        found.extend(splits.filter(|(a, b)| is_part(a) && is_part(b)).map(|(a, b)| (piece.score + 0.0, a, b)));
        if found.len() > MOST_MERGES * pieces.len() {
            return Err(format!("its tokens merge in more than {MOST_MERGES} ways each; no such vocabulary is known"));
        }
    }
    found.sort_by(|(score_a, a, _), (score_b, b, _)| score_b.total_cmp(score_a).then(b.len().cmp(&a.len())));
    Ok(found.into_iter().map(|(_, a, b)| (a.to_owned(), b.to_owned())).collect())
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// The definition: merge the best pair of neighbours, leftmost among equals, until there is
    /// none.
    fn reference(pieces: &[Piece], text: &str) -> Vec<u32> {
        let number = |text: &str| pieces.iter().position(|piece| piece.text == text);
        let mut parts: Vec<String> = format!(" {text}").chars().map(String::from).collect();
        loop {
            let mut best: Option<(f32, usize)> = None;
            for at in 1..parts.len() {
                let union = parts[at - 1].clone() + &parts[at];
                let score = number(&union).map(|n| pieces[n].score);
                if let Some(score) = score.filter(|&score| best.is_none_or(|(least, _)| score > least)) {
                    best = Some((score, at));
                }
            }
            let Some((_, at)) = best else { break };
            let right = parts.remove(at);
            parts[at - 1] += &right;
        }
        let tokens = parts.iter().flat_map(|part| match number(part) {
            Some(number) => vec![number as u32],
            None => part.bytes().map(|byte| number(&format!("<0x{byte:02X}>")).unwrap() as u32).collect(),
        });
        tokens.collect()
    }

    #[test]
    fn merges_by_score_as_the_definition() {
        let bytes: Vec<String> = (0..=255).map(|byte| format!("<0x{byte:02X}>")).collect();
        let mut random = ChaCha8Rng::seed_from_u64(5);
        for _ in 0..100 {
            let mut texts: Vec<String> = [" ", "a", "b", "c"].map(String::from).into();
            for _ in 0..20 {
                let [a, b] = [0, 1].map(|_| texts[random.random_range(0..texts.len())].clone());
                if a.len() + b.len() < 8 && !texts.contains(&(a.clone() + &b)) {
                    texts.push(a + &b);
                }
            }
            let plain = |text| Piece { text, score: 0.0, kind: Kind::Normal };
            let mut pieces = vec![Piece { text: "<s>", score: 0.0, kind: Kind::Control }];
            pieces.extend(bytes.iter().map(|byte| Piece { kind: Kind::Byte, ..plain(byte) }));
            // Distinct scores in any order.
            let mut scores: Vec<f32> = (0..texts.len()).map(|i| -(i as f32)).collect();
            scores.iter_mut().for_each(|score| *score += random.random_range(0..9) as f32 * 3.1);
            pieces.extend(texts.iter().zip(&scores).map(|(text, &score)| Piece { score, ..plain(text) }));
            let tokenizer = tokenizer(&pieces, " ", true, Ends { begin: Some(0), end: None }).unwrap();

            for _ in 0..20 {
                let text: String = (0..random.random_range(1..15))
                    .map(|_| [' ', 'a', 'b', 'c', 'é'][random.random_range(0..5)])
                    .collect();
                let encoded = tokenizer.encode(text.as_str(), true).unwrap();
                assert_eq!(encoded.get_ids()[0], 0);
                assert_eq!(tokenizer.decode(encoded.get_ids(), true).unwrap(), text);
                assert_eq!(&encoded.get_ids()[1..], reference(&pieces, &text), "{text:?} by {texts:?} {scores:?}");
            }
            let saved = Tokenizer::from_bytes(tokenizer.to_string(false).unwrap()).unwrap();
            assert_eq!(saved.encode("a bcé", true).unwrap(), tokenizer.encode("a bcé", true).unwrap());
        }
    }

    #[test]
    fn hostile_lists_are_refused() {
        let none = Ends { begin: None, end: None };
        let refused = |texts: &[String], part: &str| {
            let pieces: Vec<Piece> = texts.iter().map(|text| Piece { text, score: 0.0, kind: Kind::Normal }).collect();
            let error = tokenizer(&pieces, " ", true, none).unwrap_err();
            assert!(error.contains(part), "{error}");
        };
        refused(&["a".into(), "a".into()], "same");
        refused(&["a".repeat(1000)], "1000 bytes");
        refused(&(1..200).map(|n| "a".repeat(n)).collect::<Vec<_>>(), "ways");
        let pieces = [Piece { text: "", score: f32::NAN, kind: Kind::Control }];
        tokenizer(&pieces, " ", true, none).unwrap();
        assert!(tokenizer(&pieces, " ", true, Ends { begin: Some(7), end: None }).is_err());
    }
}
