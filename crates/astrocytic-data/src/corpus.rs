//! A corpus: documents dealt to training, tuning and test.

use std::path::Path;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::blocks::{blocks, divisible};
use crate::cache::Cache;
use crate::datasets::{self, Split};
use crate::error::DataError;
use crate::grammar;
use crate::labelled::Form;
use crate::text::{Text, read_text};

/// Share of the documents (or of the text) in the tuning split, and again in the test split.
const HELD_OUT: f64 = 0.05;
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
    /// What was guessed in reading it, for the user to see.
    pub notes: Vec<String>,
}

impl Corpus {
    /// The built-in language: training text of about `words` words, tuning and test text of 40,000
    /// words each.
    pub fn generated(words: usize, seed: u64) -> Self {
        let split = |stream: u64, words: usize| {
            let documents = grammar::generate(seed, stream, words);
            documents.into_iter().map(|d| Document { text: d.text, nats: Some(d.nats) }).collect()
        };
        let [train, tuning, test] = [(0, words), (1, 40_000), (2, 40_000)].map(|(stream, words)| split(stream, words));
        Self { name: "generated".into(), train, tuning, test, notes: Vec::new() }
    }

    /// A named corpus, one that a TOML file describes as those of `datasets/` do, "generated", or a
    /// text file. What is not in the cache is fetched.
    ///
    /// # Errors
    /// For a name that is none of these, a failed download, or a text that cannot be used.
    pub fn load(name: &str, cache: &Cache) -> Result<Self, DataError> {
        if name == "generated" {
            return Ok(Self::generated(400_000, 0));
        }
        let path = Path::new(name);
        let dataset = match datasets::show(name) {
            Err(_) if path.extension().is_some_and(|end| end == "toml") => datasets::read(path)?,
            Err(_) if path.exists() => return Self::open_file(path),
            described => described?,
        };
        let documents = datasets::documents(&dataset, cache)?;
        match dataset.split {
            Split::Random => Self::deal(name, documents),
            Split::Contiguous => Self::cut(name, documents),
        }
    }

    /// A text file, read as [`read_text`] says.
    ///
    /// # Errors
    /// For a file that is missing, empty, no text or too short to be split.
    pub fn open_file(path: &Path) -> Result<Self, DataError> {
        let Text { text, mut notes } = read_text(path)?;
        if Form::of(path) != Form::Lines {
            notes.push(format!(
                "{0} is read as it stands, as one text; labelled:{0} reads texts and labels",
                path.display()
            ));
        }
        Ok(Self { notes, ..Self::from_text(&path.display().to_string(), &text)? })
    }

    /// A text without documents: blocks of paragraphs, the first 90 % to train on, then tuning,
    /// then test.
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
        Ok(Self { name: name.into(), train: documents, tuning, test, notes: Vec::new() })
    }

    fn deal(name: &str, mut documents: Vec<String>) -> Result<Self, DataError> {
        documents.shuffle(&mut ChaCha8Rng::seed_from_u64(SPLIT_SEED));
        Self::cut(name, documents)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            (b"abc\xff\xfe", "line 1"),
            (b"abc\0def", "binary"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let error = Corpus::open_file(&path).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        std::fs::write(&path, [b"caf\xe9\n".as_slice(), "naïve words \n".repeat(2_000).as_bytes()].concat()).unwrap();
        let corpus = Corpus::open_file(&path).unwrap();
        assert!(corpus.train[0].text.starts_with("café\nnaïve"));
        assert!(corpus.notes.len() == 1 && corpus.notes[0].contains("1 byte"), "{:?}", corpus.notes);
        let table = folder.path().join("reviews.CSV");
        std::fs::write(&table, "a text,its label\n".repeat(2_000)).unwrap();
        let notes = Corpus::open_file(&table).unwrap().notes;
        assert!(notes.len() == 1 && notes[0].contains("labelled:"), "{notes:?}");
        let error = Corpus::load("no-such", &Cache::new(folder.path())).unwrap_err().to_string();
        assert!(error.contains("moby-dick") && error.contains("generated"), "{error}");
    }
}
