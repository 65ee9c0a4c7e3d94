//! Texts with a state: something happens sentence by sentence, and questions ask how things stand.

mod encode;
mod marked;
mod name;
mod story;
mod teller;
#[cfg(test)]
mod tests;
mod words;
mod worlds;

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::error::DataError;
use crate::files::write_atomically;
use crate::tokenizer::Tokenizer;

use super::splits::Examples;
use super::wanted::Wanted;

pub use name::{Answers, StateTask, Told};
pub use story::{Stories, Story};
pub use worlds::World;

/// How many times as long as the longest text that is trained on the texts of further tests are.
const LONGER: [u32; 2] = [2, 4];
/// Further tests have this share of the test's texts.
const SHARE_OF_LONGER: usize = 4;

impl StateTask {
    /// The stories.
    ///
    /// # Errors
    /// For a file that cannot be read or has no answers marked.
    pub fn stories(&self, wanted: &Wanted) -> Result<Stories, DataError> {
        match self {
            Self::Told(told) => Ok(told.stories(wanted)),
            Self::Marked { path, answers } => marked::stories(path, *answers),
        }
    }

    /// Writes the stories into a folder that "state:FOLDER" reads, each with how it was made.
    ///
    /// # Errors
    /// As [`stories`](Self::stories), and for a folder that cannot be written.
    pub fn write(&self, wanted: &Wanted, folder: &Path) -> Result<Vec<PathBuf>, DataError> {
        let Stories { splits, longer, .. } = self.stories(wanted)?;
        let named = [("train", splits.train), ("dev", splits.tuning), ("test", splits.test)];
        let longer = longer.into_iter().map(|(times, stories)| (format!("longer-{times}x"), stories));
        let mut written = Vec::new();
        for (name, stories) in named.map(|(name, stories)| (name.to_string(), stories)).into_iter().chain(longer) {
            let path = folder.join(format!("{name}.jsonl"));
            let line = |story: &Story| format!("{}\n", json!({ "text": story.marked(), "made": story.made }));
            let lines: String = stories.iter().map(line).collect();
            write_atomically(&path, lines.as_bytes()).map_err(|cause| DataError::file(&path, cause))?;
            written.push(path);
        }
        Ok(written)
    }

    /// The stories as examples.
    ///
    /// # Errors
    /// As [`stories`](Self::stories), and for texts that no tokenizer can be trained on.
    pub(super) fn examples(&self, wanted: &Wanted, tokenizer: Option<Tokenizer>) -> Result<Examples, DataError> {
        encode::examples(self.stories(wanted)?, wanted, tokenizer)
    }
}

impl Told {
    fn stories(&self, wanted: &Wanted) -> Stories {
        let longer = |times: u32| {
            let count = wanted.test.div_ceil(SHARE_OF_LONGER);
            (times, teller::tell(self, Some(times), count, wanted.seed))
        };
        Stories { splits: teller::splits(self, wanted), longer: LONGER.map(longer).into(), notes: vec![] }
    }
}
