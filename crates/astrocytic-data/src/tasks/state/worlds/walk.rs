//! A walk around a circle of days.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::super::words::{DAYS, NUMBERS};
use super::scene::{Question, State, aside, one, somebody};

/// Days of the longest step.
const LONGEST_STEP: usize = 3;
/// Share of sentences that are no step.
const ASIDES: f64 = 0.15;

struct Walk {
    days: usize,
    day: usize,
}

pub(super) fn begin(days: usize, random: &mut ChaCha8Rng) -> (Box<dyn State>, String) {
    let day = random.random_range(0..days);
    let name = DAYS[day];
    let told = match random.random_range(0..3) {
        0 => format!("Start on {name}."),
        1 => format!("It is {name}."),
        _ => format!("The journey begins on {name}."),
    };
    // A shorter week is told, so that its end is known.
    let week = if days == DAYS.len() { String::new() } else { format!("After {} comes Monday. ", DAYS[days - 1]) };
    (Box::new(Walk { days, day }), week + &told)
}

impl State for Walk {
    fn event(&mut self, random: &mut ChaCha8Rng) -> String {
        if random.random_bool(ASIDES) {
            return aside(random);
        }
        let step = random.random_range(1..=LONGEST_STEP.min(self.days - 1));
        let (number, unit) = (NUMBERS[step], if step == 1 { "day" } else { "days" });
        let name = somebody(random);
        if random.random() {
            self.day = (self.day + step) % self.days;
            match random.random_range(0..3) {
                0 => format!("Go on {number} {unit}."),
                1 => format!("{name} goes on {number} {unit}."),
                _ => format!("Then go forward {number} {unit}."),
            }
        } else {
            self.day = (self.day + self.days - step) % self.days;
            match random.random_range(0..3) {
                0 => format!("Go back {number} {unit}."),
                1 => format!("{name} goes back {number} {unit}."),
                _ => format!("Then return {number} {unit}."),
            }
        }
    }

    fn question(&self, random: &mut ChaCha8Rng) -> Question {
        let asked = one(&["What day is it?", "Which day is it now?", "Where does this end?"], random);
        let stated = one(&["Now it is", "The day is"], random);
        Question { asked: asked.into(), stated: stated.into(), answer: DAYS[self.day] }
    }
}
