//! What stories are about: a state, what changes it, and what is asked of it.

mod boxes;
mod coin;
mod cups;
mod program;
mod scene;
mod stack;
mod walk;

use rand_chacha::ChaCha8Rng;

pub(super) use scene::State;

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
