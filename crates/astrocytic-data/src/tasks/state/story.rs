//! Texts in which questions are asked.

use std::fmt::Write;

use super::super::splits::Splits;

/// A text in which questions are asked, and how it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
    /// The text.
    pub text: String,
    /// (place, answer): the byte of the text behind which the answer is expected; in the order of
    /// places.
    pub questions: Vec<(usize, String)>,
    /// How it was made: its world, events and seed, or its file and line.
    pub made: String,
}

/// The stories of a task, and of further tests: how many times as long, and which.
pub struct Stories {
    /// In three splits.
    pub splits: Splits<Story>,
    /// Longer ones; what they ask for lies beyond the length that is trained on.
    pub longer: Vec<(u32, Vec<Story>)>,
    /// What was guessed or left out in reading them.
    pub notes: Vec<String>,
}

impl Story {
    /// The text with its answers in square brackets, as "state:FILE" reads it.
    pub fn marked(&self) -> String {
        let (mut marked, mut told) = (String::new(), 0);
        for (place, answer) in &self.questions {
            // (Writing to a string cannot fail.)
            let _ = write!(marked, "{} [{answer}]", &self.text[told..*place]);
            told = *place;
        }
        marked + &self.text[told..]
    }
}
