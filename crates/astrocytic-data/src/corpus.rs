//! A corpus: documents dealt to training, tuning and test.

use std::path::Path;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::datasets::{self, Cache, Split};
use crate::error::DataError;
use crate::grammar;

/// Share of the documents (or of the text) in the tuning split, and again in the test split.
const HELD_OUT: f64 = 0.05;
/// Bytes of a block that a text without documents is cut into.
const BLOCK: usize = 2_000;
/// Documents that can be dealt to three splits.
const FEWEST: usize = 3;
/// Seed by which documents are dealt to the splits: one split for everybody.
const SPLIT_SEED: u64 = 0;

/// A piece of text that stands by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The text.
    pub text: String,
    /// Its exact −ln p, where the source is known.
    pub nats: Option<f64>,
}

/// Documents in three splits that share none.
#[derive(Debug, Clone, PartialEq)]
pub struct Corpus {
    /// Name or path.
    pub name: String,
    /// To learn from.
    pub train: Vec<Document>,
    /// To choose rates and to stop by.
    pub tuning: Vec<Document>,
    /// To report, read once.
    pub test: Vec<Document>,
}

impl Corpus {
    /// The built-in language: training text of about `words` words, tuning and test text of 40,000 words each.
    pub fn generated(words: usize, seed: u64) -> Self {
        let split = |stream: u64, words: usize| {
            let documents = grammar::generate(seed, stream, words);
            documents.into_iter().map(|d| Document { text: d.text, nats: Some(d.nats) }).collect()
        };
        Self { name: "generated".into(), train: split(0, words), tuning: split(1, 40_000), test: split(2, 40_000) }
    }

    /// A named corpus, fetched where it is not in the cache, "generated", or a text file.
    ///
    /// # Errors
    /// For a name that is neither, a failed download, or a text that cannot be used.
    pub fn load(name: &str, cache: &Cache) -> Result<Self, DataError> {
        if name == "generated" {
            return Ok(Self::generated(400_000, 0));
        }
        let unknown = match datasets::show(name) {
            Ok(dataset) => {
                let documents = datasets::documents(&dataset, cache)?;
                return match dataset.split {
                    Split::Random => Self::deal(name, documents),
                    Split::Contiguous => Self::cut(name, documents),
                };
            }
            Err(unknown) => unknown,
        };
        let path = Path::new(name);
        if path.exists() { Self::open_file(path) } else { Err(unknown) }
    }

    /// A UTF-8 text file.
    ///
    /// # Errors
    /// For a file that is missing, empty, not UTF-8 or too short to be split.
    pub fn open_file(path: &Path) -> Result<Self, DataError> {
        Self::from_text(&path.display().to_string(), &read_text(path)?)
    }

    /// A text without documents: blocks of paragraphs, the first 90 % to train on, then tuning, then test.
    ///
    /// # Errors
    /// For a text that is empty or too short to be split.
    pub fn from_text(name: &str, text: &str) -> Result<Self, DataError> {
        if text.trim().is_empty() {
            return Err(DataError::text(name, "is empty; give a text"));
        }
        Self::cut(name, blocks(text))
    }

    fn cut(name: &str, documents: Vec<String>) -> Result<Self, DataError> {
        let documents = divisible(name, documents)?;
        let held_out = ((documents.len() as f64 * HELD_OUT).ceil() as usize).max(1);
        let mut documents: Vec<Document> = documents.into_iter().map(|text| Document { text, nats: None }).collect();
        let test = documents.split_off(documents.len() - held_out);
        let tuning = documents.split_off(documents.len() - held_out);
        Ok(Self { name: name.into(), train: documents, tuning, test })
    }

    fn deal(name: &str, mut documents: Vec<String>) -> Result<Self, DataError> {
        documents.shuffle(&mut ChaCha8Rng::seed_from_u64(SPLIT_SEED));
        Self::cut(name, documents)
    }
}

/// A file as UTF-8 text without zero bytes.
pub(crate) fn read_text(path: &Path) -> Result<String, DataError> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|e| DataError::file(path, e))?;
    let text = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        DataError::text(&name, format!("is not UTF-8 text (byte {at}); convert it, for example with iconv"))
    })?;
    match text.find('\0') {
        Some(at) => Err(DataError::text(&name, format!("is a binary file (byte {at} is zero); give a text"))),
        None => Ok(text),
    }
}

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

/// Paragraphs joined to blocks of at least [`BLOCK`] bytes; a longer paragraph is cut at line ends or spaces.
fn blocks(text: &str) -> Vec<String> {
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
        // A last piece of a few bytes would be a document of its own weight in the bootstrap.
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

    #[test]
    fn splits_share_nothing_and_lose_nothing() {
        let documents: Vec<String> = (0..100).map(|i| format!("document {i}")).collect();
        for corpus in [Corpus::deal("d", documents.clone()).unwrap(), Corpus::cut("c", documents.clone()).unwrap()] {
            let sizes = [corpus.train.len(), corpus.tuning.len(), corpus.test.len()];
            assert_eq!(sizes, [90, 5, 5]);
            let mut all: Vec<String> =
                [corpus.train, corpus.tuning, corpus.test].into_iter().flatten().map(|d| d.text).collect();
            all.sort();
            let mut expected = documents.clone();
            expected.sort();
            assert_eq!(all, expected);
        }
    }

    #[test]
    fn texts_that_cannot_be_used_say_why() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text");
        for (bytes, part) in [
            (&b""[..], "empty"),
            (b"  \n", "empty"),
            (b"too short", "too short"),
            (b"abc\xff\xfe", "byte 3"),
            (b"abc\0def", "binary"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let error = Corpus::open_file(&path).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        let error = Corpus::load("no-such", &Cache::new(folder.path())).unwrap_err().to_string();
        assert!(error.contains("moby-dick") && error.contains("generated"), "{error}");
    }
}
