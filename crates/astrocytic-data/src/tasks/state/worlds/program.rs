//! A program of registers that count modulo ten.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::super::words::{DIGITS, REGISTERS};
use super::scene::{Question, State, one, two};

/// The largest number that is added or taken away.
const LARGEST_STEP: usize = 3;

struct Program {
    registers: Vec<usize>,
}

pub(super) fn begin(registers: usize, random: &mut ChaCha8Rng) -> (Box<dyn State>, String) {
    let registers: Vec<usize> = (0..registers).map(|_| random.random_range(0..10)).collect();
    let told: Vec<String> =
        registers.iter().zip(REGISTERS).map(|(&value, name)| format!("let {name} be {}.", DIGITS[value])).collect();
    (Box::new(Program { registers }), told.join(" "))
}

impl State for Program {
    fn event(&mut self, random: &mut ChaCha8Rng) -> String {
        let registers = &mut self.registers;
        let changed = random.random_range(0..registers.len());
        let name = REGISTERS[changed];
        let step = random.random_range(1..=LARGEST_STEP);
        match random.random_range(0..if registers.len() > 1 { 4 } else { 3 }) {
            0 => {
                registers[changed] = random.random_range(0..10);
                let value = DIGITS[registers[changed]];
                format!("{} {name} be {value}.", one(&["let", "now let"], random))
            }
            1 => {
                registers[changed] = (registers[changed] + step) % 10;
                match random.random_range(0..2) {
                    0 => format!("add {step} to {name}."),
                    _ => format!("increase {name} by {step}."),
                }
            }
            2 => {
                registers[changed] = (registers[changed] + 10 - step) % 10;
                match random.random_range(0..2) {
                    0 => format!("take {step} from {name}."),
                    _ => format!("decrease {name} by {step}."),
                }
            }
            _ => {
                let [to, from] = two(registers.len(), random);
                registers[to] = registers[from];
                match random.random_range(0..2) {
                    0 => format!("let {} be {}.", REGISTERS[to], REGISTERS[from]),
                    _ => format!("copy {} to {}.", REGISTERS[from], REGISTERS[to]),
                }
            }
        }
    }

    fn question(&self, random: &mut ChaCha8Rng) -> Question {
        let asked = random.random_range(0..self.registers.len());
        let name = REGISTERS[asked];
        let answer = DIGITS[self.registers[asked]];
        Question { asked: format!("print {name}."), stated: format!("now {name} is"), answer }
    }
}
