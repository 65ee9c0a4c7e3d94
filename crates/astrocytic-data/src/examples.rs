//! Sequences with the answers expected in them, one by one and filled up to a batch.

/// A sequence and the answers expected in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// The tokens.
    pub tokens: Vec<u32>,
    /// (place, answer): the token that is expected after the one at that place; in the order of places.
    pub answers: Vec<(usize, u32)>,
}

/// Examples filled up to the length of the longest.
pub(crate) struct Filled {
    pub inputs: Vec<i32>,
    pub targets: Vec<i32>,
    pub places: Vec<i32>,
    /// Row of each target.
    pub owners: Vec<usize>,
}

impl Filled {
    pub fn new(examples: &[&Example]) -> Self {
        let steps = examples.iter().map(|example| example.tokens.len()).max().unwrap_or(0);
        let mut filled =
            Self { inputs: vec![0; examples.len() * steps], targets: vec![], places: vec![], owners: vec![] };
        for (row, example) in examples.iter().enumerate() {
            for (input, &token) in filled.inputs[row * steps..].iter_mut().zip(&example.tokens) {
                *input = token as i32;
            }
            for &(place, answer) in &example.answers {
                filled.places.push((row * steps + place) as i32);
                filled.targets.push(answer as i32);
                filled.owners.push(row);
            }
        }
        filled
    }
}
