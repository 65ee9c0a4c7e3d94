//! ListOps (Nangia and Bowman, arXiv 1804.06028), with the operations, depth and arguments of Long Range Arena (arXiv
//! 2011.04006, section 2.2.1) and expressions as short as wanted.

use std::ops::RangeInclusive;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::generate::generate;
use super::splits::Splits;
use super::wanted::Wanted;
use crate::examples::Example;

/// Ten digits, four openings, a closing, and the sign that asks for the value.
pub(super) const VOCABULARY: usize = 16;
const OPENINGS: u32 = 10;
const CLOSE: u32 = 14;
const EQUALS: u32 = 15;

/// Lengths of the longest expression that can be asked for.
pub(super) const LENGTHS: RangeInclusive<usize> = 32..=2_000;
/// Of digits; operations stand one above them at most.
const MOST_DEPTH: usize = 10;
const MOST_ARGUMENTS: usize = 10;
/// Share of arguments that are digits, above the greatest depth.
const DIGITS: f64 = 0.75;

/// Expressions of a quarter to the whole of `length` tokens, the sign that asks among them.
pub(super) fn examples(length: usize, wanted: &Wanted) -> Splits<Example> {
    generate(wanted, |_, random| {
        loop {
            let mut tokens = Vec::new();
            let value = operation(1, length, &mut tokens, random);
            if (length / 4..length).contains(&tokens.len()) {
                tokens.push(EQUALS);
                let answers = vec![(tokens.len() - 1, value)];
                return Example { tokens, answers };
            }
        }
    })
}

/// Writes an operation and returns its value; one that grows beyond `length` is cut short and will be thrown away.
fn operation(depth: usize, length: usize, tokens: &mut Vec<u32>, random: &mut ChaCha8Rng) -> u32 {
    let operator = random.random_range(0..4);
    tokens.push(OPENINGS + operator);
    let arguments = random.random_range(2..=MOST_ARGUMENTS);
    let mut values = Vec::with_capacity(arguments);
    for _ in 0..arguments {
        if tokens.len() > length {
            break;
        }
        if depth + 1 == MOST_DEPTH || random.random_bool(DIGITS) {
            values.push(random.random_range(0..10));
            tokens.extend(values.last());
        } else {
            values.push(operation(depth + 1, length, tokens, random));
        }
    }
    tokens.push(CLOSE);
    value(operator, values)
}

/// Least, greatest, median (of an even number the mean of the middle two, rounded down), sum modulo 10.
fn value(operator: u32, mut values: Vec<u32>) -> u32 {
    values.sort_unstable();
    let (Some(&least), Some(&greatest)) = (values.first(), values.last()) else { return 0 };
    match operator {
        0 => least,
        1 => greatest,
        2 => (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2,
        _ => values.iter().sum::<u32>() % 10,
    }
}

#[cfg(test)]
mod tests {
    use super::super::wanted::WANTED;
    use super::*;

    #[test]
    fn operations_by_hand() {
        let values = vec![9, 2, 5, 4];
        assert_eq!([0, 1, 2, 3].map(|operator| value(operator, values.clone())), [2, 9, 4, 0]);
        assert_eq!(value(2, vec![7, 1, 3]), 3);
    }

    /// The value by a stack, from the tokens alone.
    fn evaluate(tokens: &[u32]) -> u32 {
        let mut stack: Vec<(u32, Vec<u32>)> = Vec::new();
        for &token in tokens {
            let found = match token {
                CLOSE => stack.pop().map(|(operator, values)| value(operator, values)).unwrap(),
                token if token >= OPENINGS => {
                    stack.push((token - OPENINGS, Vec::new()));
                    continue;
                }
                digit => digit,
            };
            match stack.last_mut() {
                Some((_, values)) => values.push(found),
                None => return found,
            }
        }
        panic!("not closed")
    }

    #[test]
    fn answers_are_the_values_of_the_expressions() {
        let wanted = Wanted { train: 300, ..WANTED };
        let train = examples(100, &wanted).train;
        for example in &train {
            assert!((25..=100).contains(&example.tokens.len()));
            let (expression, last) = example.tokens.split_at(example.tokens.len() - 1);
            assert_eq!(last, [EQUALS]);
            assert_eq!(example.answers, [(expression.len(), evaluate(expression))]);
        }
        let nested = train.iter().filter(|e| e.tokens.iter().filter(|&&t| t == CLOSE).count() > 2).count();
        assert!(nested > 100, "{nested}");
        assert!((0..10).all(|digit| train.iter().any(|example| example.answers[0].1 == digit)));
    }
}
