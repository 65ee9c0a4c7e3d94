//! What all worlds have: a state that sentences change, questions, and words about others.

use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::super::words::NAMES;

/// A question about the state as it is.
pub(in super::super) struct Question {
    /// A sentence that asks: the answer comes behind it.
    pub asked: String,
    /// The beginning of a sentence that the answer ends.
    pub stated: String,
    pub answer: &'static str,
}

/// A state that sentences change.
pub(in super::super) trait State {
    /// One thing that happens, or seems to.
    fn event(&mut self, random: &mut ChaCha8Rng) -> String;

    /// A question.
    fn question(&self, random: &mut ChaCha8Rng) -> Question;
}

/// One of some words.
pub(super) fn one<'a>(words: &[&'a str], random: &mut ChaCha8Rng) -> &'a str {
    words.choose(random).copied().unwrap_or_default()
}

/// Two of the first `count` numbers that differ.
pub(super) fn two(count: usize, random: &mut ChaCha8Rng) -> [usize; 2] {
    let first = random.random_range(0..count);
    [first, (first + random.random_range(1..count)) % count]
}

/// Who does something.
pub(super) fn somebody(random: &mut ChaCha8Rng) -> &'static str {
    one(&NAMES, random)
}

/// A sentence that changes no state.
pub(super) fn aside(random: &mut ChaCha8Rng) -> String {
    let name = somebody(random);
    match random.random_range(0..5) {
        0 => format!("{name} sings."),
        1 => format!("{name} opens a window."),
        2 => format!("{name} looks away."),
        3 => "A clock strikes.".into(),
        _ => "Nobody moves.".into(),
    }
}
