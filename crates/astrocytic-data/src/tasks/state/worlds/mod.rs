//! What stories are about: a state, what changes it, and what is asked of it.

mod boxes;
mod coin;
mod cups;
mod program;
mod stack;
mod walk;

use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::words::NAMES;

/// What a story is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum World {
    /// A coin that is turned over or not: Z₂, the parity of the turns.
    Coin,
    /// Days of the week, so many on or back: Z₇, sums around a circle.
    Walk,
    /// A ball under one of five cups that change places: S₅ by swaps.
    Cups,
    /// Things that are put into boxes and moved (entity tracking, arXiv 2305.02363): sets.
    Boxes,
    /// Registers that are set, copied and added to, modulo ten.
    Program,
    /// Boxes opened within boxes and closed again, at most six deep: a stack.
    Stack,
}

/// A question about the state as it is.
pub(super) struct Question {
    /// A sentence that asks: the answer comes behind it.
    pub asked: String,
    /// The beginning of a sentence that the answer ends.
    pub stated: String,
    pub answer: &'static str,
}

/// A state that sentences change.
pub(super) trait State {
    /// One thing that happens, or seems to.
    fn event(&mut self, random: &mut ChaCha8Rng) -> String;

    /// A question.
    fn question(&self, random: &mut ChaCha8Rng) -> Question;
}

impl World {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Coin, Self::Walk, Self::Cups, Self::Boxes, Self::Program, Self::Stack];

    /// Its name in the name of a task.
    pub fn name(self) -> &'static str {
        match self {
            Self::Coin => "coin",
            Self::Walk => "walk",
            Self::Cups => "cups",
            Self::Boxes => "boxes",
            Self::Program => "program",
            Self::Stack => "stack",
        }
    }

    /// Things of its state, where a task does not say how many: days of the circle, cups, boxes,
    /// registers, names of brackets.
    pub(super) fn usual_things(self) -> usize {
        match self {
            Self::Coin => 2,
            Self::Walk => 7,
            Self::Cups | Self::Stack => 5,
            Self::Boxes => 4,
            Self::Program => 3,
        }
    }

    /// How many things it can have.
    pub(super) fn possible_things(self) -> std::ops::RangeInclusive<usize> {
        match self {
            Self::Coin => 2..=2,
            Self::Walk => 2..=7,
            Self::Cups | Self::Boxes | Self::Stack => 2..=8,
            Self::Program => 1..=8,
        }
    }

    /// A state, and the sentence that tells it.
    pub(super) fn begin(self, things: usize, random: &mut ChaCha8Rng) -> (Box<dyn State>, String) {
        match self {
            Self::Coin => coin::begin(random),
            Self::Walk => walk::begin(things, random),
            Self::Cups => cups::begin(things, random),
            Self::Boxes => boxes::begin(things, random),
            Self::Program => program::begin(things, random),
            Self::Stack => stack::begin(things, random),
        }
    }
}

/// One of some words.
fn one<'a>(words: &[&'a str], random: &mut ChaCha8Rng) -> &'a str {
    words.choose(random).copied().unwrap_or_default()
}

/// Two of the first `count` numbers that differ.
fn two(count: usize, random: &mut ChaCha8Rng) -> [usize; 2] {
    let first = random.random_range(0..count);
    [first, (first + random.random_range(1..count)) % count]
}

/// Who does something.
fn somebody(random: &mut ChaCha8Rng) -> &'static str {
    one(&NAMES, random)
}

/// A sentence that changes no state.
fn aside(random: &mut ChaCha8Rng) -> String {
    let name = somebody(random);
    match random.random_range(0..5) {
        0 => format!("{name} sings."),
        1 => format!("{name} opens a window."),
        2 => format!("{name} looks away."),
        3 => "A clock strikes.".into(),
        _ => "Nobody moves.".into(),
    }
}
