//! A ball under one of some cups that change places.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::super::words::COLOURS;
use super::scene::{Question, State, aside, one, somebody, two};

/// Share of sentences that swap nothing.
const ASIDES: f64 = 0.15;

struct Cups {
    cups: usize,
    /// Where the ball is.
    ball: usize,
}

pub(super) fn begin(cups: usize, random: &mut ChaCha8Rng) -> (Box<dyn State>, String) {
    let ball = random.random_range(0..cups);
    let (colour, name) = (COLOURS[ball], somebody(random));
    let told = match random.random_range(0..3) {
        0 => format!("The ball is under the {colour} cup."),
        1 => format!("{name} puts the ball under {colour}."),
        _ => format!("Under the {colour} cup there is a ball."),
    };
    (Box::new(Cups { cups, ball }), told)
}

impl State for Cups {
    fn event(&mut self, random: &mut ChaCha8Rng) -> String {
        if random.random_bool(ASIDES) {
            return aside(random);
        }
        let [one, other] = two(self.cups, random);
        // What is under the one is under the other then.
        if self.ball == one {
            self.ball = other;
        } else if self.ball == other {
            self.ball = one;
        }
        let (one, other, name) = (COLOURS[one], COLOURS[other], somebody(random));
        match random.random_range(0..4) {
            0 => format!("Swap {one} and {other}."),
            1 => format!("{name} swaps {one} with {other}."),
            2 => format!("What is under {one} and {other} is exchanged."),
            _ => format!("{name} exchanges {one} and {other}."),
        }
    }

    fn question(&self, random: &mut ChaCha8Rng) -> Question {
        let asked = one(&["Where is the ball?", "Which cup has the ball?", "Under which cup is the ball now?"], random);
        let stated = one(&["The ball is under", "Now the ball is under"], random);
        Question { asked: asked.into(), stated: stated.into(), answer: COLOURS[self.ball] }
    }
}
