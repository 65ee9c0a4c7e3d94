//! Things in boxes (after Kim and Schuster, Entity Tracking in Language Models, arXiv 2305.02363).

use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::super::words::{ITEMS, LETTERS};
use super::scene::{Question, State, aside, somebody, two};

/// Share of sentences that move nothing.
const ASIDES: f64 = 0.1;

struct Boxes {
    boxes: usize,
    /// The box of each thing; `None`: it is in none.
    places: Vec<Option<usize>>,
}

pub(super) fn begin(boxes: usize, random: &mut ChaCha8Rng) -> (Box<dyn State>, String) {
    let mut places = vec![None; boxes];
    let (first, place) = (random.random_range(0..places.len()), random.random_range(0..boxes));
    places[first] = Some(place);
    let (item, letter) = (ITEMS[first], LETTERS[place]);
    let told = match random.random_range(0..2) {
        0 => format!("Box {letter} holds the {item}."),
        _ => format!("The {item} is in box {letter}."),
    };
    (Box::new(Boxes { boxes, places }), told)
}

impl Boxes {
    /// Things in a box.
    fn within(&self, place: usize) -> Vec<usize> {
        (0..self.places.len()).filter(|&item| self.places[item] == Some(place)).collect()
    }

    fn put(&mut self, item: usize, place: usize, random: &mut ChaCha8Rng) -> String {
        let (name, thing, letter) = (somebody(random), ITEMS[item], LETTERS[place]);
        match self.places[item].replace(place) {
            None => match random.random_range(0..2) {
                0 => format!("Put the {thing} in {letter}."),
                _ => format!("{name} puts the {thing} into box {letter}."),
            },
            Some(before) => match random.random_range(0..3) {
                0 => format!("Move the {thing} from {} to {letter}.", LETTERS[before]),
                1 => format!("{name} moves the {thing} to {letter}."),
                _ => format!("Put the {thing} in {letter}."),
            },
        }
    }
}

impl State for Boxes {
    fn event(&mut self, random: &mut ChaCha8Rng) -> String {
        if random.random_bool(ASIDES) {
            return aside(random);
        }
        let name = somebody(random);
        match random.random_range(0..5) {
            // Everything in one box.
            0 => {
                let [from, to] = two(self.boxes, random);
                for item in self.within(from) {
                    self.places[item] = Some(to);
                }
                let (from, to) = (LETTERS[from], LETTERS[to]);
                match random.random_range(0..2) {
                    0 => format!("Move everything from {from} to {to}."),
                    _ => format!("{name} empties {from} into {to}."),
                }
            }
            1 => {
                let item = random.random_range(0..self.places.len());
                let thing = ITEMS[item];
                self.places[item] = None;
                format!("{name} takes the {thing} away.")
            }
            _ => {
                let item = random.random_range(0..self.places.len());
                let free: Vec<usize> = (0..self.boxes).filter(|&place| self.places[item] != Some(place)).collect();
                let place = free.choose(random).copied().unwrap_or(0);
                self.put(item, place, random)
            }
        }
    }

    fn question(&self, random: &mut ChaCha8Rng) -> Question {
        // Boxes that a word can tell: with one thing, or none.
        let told: Vec<usize> = (0..self.boxes).filter(|&place| self.within(place).len() <= 1).collect();
        match told.choose(random).filter(|_| random.random()) {
            Some(&place) => {
                let letter = LETTERS[place];
                let answer = self.within(place).first().map_or("nothing", |&item| ITEMS[item]);
                Question { asked: format!("What is in {letter}?"), stated: format!("Box {letter} holds"), answer }
            }
            None => {
                let item = random.random_range(0..self.places.len());
                let thing = ITEMS[item];
                let asked = format!("Where is the {thing}?");
                match self.places[item] {
                    Some(place) => Question { asked, stated: format!("The {thing} is in"), answer: LETTERS[place] },
                    None => Question { stated: asked.clone(), asked, answer: "nowhere" },
                }
            }
        }
    }
}
