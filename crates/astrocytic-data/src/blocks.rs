//! Blocks: what a text without documents is cut into.

use crate::error::DataError;

/// Bytes of a block.
const BLOCK: usize = 2_000;
/// Documents that can be dealt to three splits.
const FEWEST: usize = 3;

/// The documents, or blocks of them where they are too few for three splits.
///
/// # Errors
/// For a text that is too short for that too.
pub(crate) fn divisible(name: &str, documents: Vec<String>) -> Result<Vec<String>, DataError> {
    if documents.len() >= FEWEST {
        return Ok(documents);
    }
    let text = documents.concat();
    let blocks = blocks(&text);
    if blocks.len() < FEWEST {
        // A block is at most twice as long as it need be.
        let least = (2 * FEWEST - 1) * BLOCK;
        let reason = format!("is too short to be split ({} bytes); give at least {least} bytes", text.len());
        return Err(DataError::text(name, reason));
    }
    Ok(blocks)
}

/// Paragraphs joined to blocks of at least [`BLOCK`] bytes; a longer paragraph is cut at line ends
/// or spaces.
pub(crate) fn blocks(text: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while rest.len() > BLOCK {
        let tail = rest.char_indices().find(|(at, _)| *at >= BLOCK).map_or("", |(at, _)| &rest[at..]);
        let start = rest.len() - tail.len();
        let window = &tail[..tail.char_indices().find(|(at, _)| *at >= BLOCK).map_or(tail.len(), |(at, _)| at)];
        let end = ["\n\n", "\n", " "].iter().find_map(|mark| window.find(mark).map(|at| at + mark.len()));
        let (block, after) = rest.split_at(start + end.unwrap_or(window.len()));
        blocks.push(block.to_string());
        rest = after;
    }
    match blocks.last_mut() {
        // A last piece of a few bytes would be a unit of its own in the statistics.
        Some(last) if rest.len() < BLOCK / 2 => last.push_str(rest),
        _ => blocks.push(rest.to_string()),
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_the_text_and_neither_tiny_nor_huge() {
        let paragraph = "word and naïve word. ".repeat(30);
        let text = format!("{paragraph}\n\n").repeat(40);
        for text in [text.clone(), text.replace("\n\n", "\n"), "é".repeat(20_000), "x".repeat(9_000)] {
            let blocks = blocks(&text);
            assert_eq!(blocks.concat(), text);
            assert!(blocks.iter().all(|b| b.len() >= BLOCK / 2 && b.len() <= 3 * BLOCK), "{}", blocks.len());
        }
        // The size that the error asks for is enough, however the text is broken.
        for space in (1..2 * BLOCK).step_by(7) {
            let text = "x".repeat(space - 1) + " ";
            let text = &text.repeat(10 * BLOCK / space + 1)[..(2 * FEWEST - 1) * BLOCK];
            assert!(divisible("t", vec![text.into()]).unwrap().len() >= FEWEST, "{space}");
        }
    }
}
