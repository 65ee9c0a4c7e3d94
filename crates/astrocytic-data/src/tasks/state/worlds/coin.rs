//! A coin: two sides, turned over or not.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::scene::{Question, State, one, somebody};

const SIDES: [&str; 2] = ["heads", "tails"];

struct Coin {
    side: usize,
}

pub(super) fn begin(random: &mut ChaCha8Rng) -> (Box<dyn State>, String) {
    let side = random.random_range(0..2);
    let shown = SIDES[side];
    let name = somebody(random);
    let told = match random.random_range(0..3) {
        0 => format!("The coin shows {shown}."),
        1 => format!("A coin lies on the table and shows {shown}."),
        _ => format!("{name} lays down a coin that shows {shown}."),
    };
    (Box::new(Coin { side }), told)
}

impl State for Coin {
    fn event(&mut self, random: &mut ChaCha8Rng) -> String {
        let name = somebody(random);
        if random.random() {
            self.side = 1 - self.side;
            match random.random_range(0..3) {
                0 => format!("{name} turns it over."),
                1 => format!("{name} flips the coin."),
                _ => format!("It is turned over by {name}."),
            }
        } else {
            match random.random_range(0..3) {
                0 => format!("{name} leaves it."),
                1 => format!("{name} looks at the coin."),
                _ => format!("It is left alone by {name}."),
            }
        }
    }

    fn question(&self, random: &mut ChaCha8Rng) -> Question {
        let asked = one(&["What does it show?", "Which side is up?", "What does the coin show now?"], random);
        let stated = one(&["Now it shows", "The coin shows"], random);
        Question { asked: asked.into(), stated: stated.into(), answer: SIDES[self.side] }
    }
}
