//! Boxes within boxes, opened and closed: the named brackets of a Dyck language, in words.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::super::words::COLOURS;
use super::scene::{Question, State, aside, one, somebody};

/// Boxes open at once.
const DEEPEST: usize = 6;
/// Share of sentences that open and close nothing.
const ASIDES: f64 = 0.1;

struct Stack {
    colours: usize,
    open: Vec<usize>,
}

pub(super) fn begin(colours: usize, random: &mut ChaCha8Rng) -> (Box<dyn State>, String) {
    let first = random.random_range(0..colours);
    let told = format!("Open the {} box.", COLOURS[first]);
    (Box::new(Stack { colours, open: vec![first] }), told)
}

impl State for Stack {
    fn event(&mut self, random: &mut ChaCha8Rng) -> String {
        if random.random_bool(ASIDES) {
            return aside(random);
        }
        let name = somebody(random);
        let opens = match self.open.len() {
            0 => true,
            DEEPEST => false,
            _ => random.random(),
        };
        if opens {
            let next = random.random_range(0..self.colours);
            self.open.push(next);
            let colour = COLOURS[next];
            match random.random_range(0..3) {
                0 => format!("Open {colour}."),
                1 => format!("{name} opens a {colour} box."),
                _ => format!("Inside, open the {colour} box."),
            }
        } else {
            self.open.pop();
            match random.random_range(0..3) {
                0 => "Close it.".into(),
                1 => format!("{name} closes the last one."),
                _ => format!("It is closed by {name}."),
            }
        }
    }

    fn question(&self, random: &mut ChaCha8Rng) -> Question {
        let asked = one(&["Which box is open?", "What must be closed next?", "Which one was opened last?"], random);
        let stated = one(&["The innermost open box is", "Next to close is"], random);
        let answer = self.open.last().map_or("none", |&colour| COLOURS[colour]);
        Question { asked: asked.into(), stated: stated.into(), answer }
    }
}
