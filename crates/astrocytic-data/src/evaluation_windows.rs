//! Held-out text and examples as batches that count each token, or each answer, once.

use crate::documents::TokenizedDocument;
use crate::error::DataError;
use crate::examples::{Example, Filled};

/// One batch of an evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct EvaluationBatch {
    /// Tokens, row-major `[rows, steps]`; short rows are filled up on the right, where a causal model does not look.
    pub inputs: Vec<i32>,
    /// Sequences.
    pub rows: usize,
    /// What is expected after the tokens at `places`: what counts.
    pub targets: Vec<i32>,
    /// Places among the inputs.
    pub places: Vec<i32>,
    /// Document, or example, of each target.
    pub documents: Vec<usize>,
    /// Whether the rows begin anew; else each goes on where that of the batch before ended.
    pub begins: bool,
}

impl EvaluationBatch {
    fn empty(begins: bool) -> Self {
        Self { inputs: vec![], rows: 0, targets: vec![], places: vec![], documents: vec![], begins }
    }
}

/// Documents cut into overlapping windows so that every token is predicted exactly once, the first from the end token
/// of the document before; or examples with each answer expected once.
#[derive(Debug, Clone)]
pub struct EvaluationWindows {
    batches: Vec<EvaluationBatch>,
    documents: usize,
    carry: Option<usize>,
}

impl EvaluationWindows {
    /// Windows of `context` tokens, moved on by `stride`: a token has at least `context − stride` tokens before it, or
    /// all that there are.
    ///
    /// # Errors
    /// [`DataError::TooShort`] where there is no document.
    pub fn new(
        documents: &[TokenizedDocument],
        end: u32,
        context: usize,
        stride: usize,
        rows: usize,
    ) -> Result<Self, DataError> {
        if documents.iter().all(|document| document.ids.is_empty()) {
            return Err(DataError::TooShort { tokens: 0, context });
        }
        let (context, stride, rows) = (context.max(1), stride.clamp(1, context.max(1)), rows.max(1));
        let mut batches: Vec<EvaluationBatch> = Vec::new();
        for (index, document) in documents.iter().enumerate() {
            let targets = &document.ids;
            let mut counted_to = 0;
            while counted_to < targets.len() {
                // The first window counts all of its tokens, each later one its last `stride`.
                let stop = if counted_to == 0 { context } else { counted_to + stride }.min(targets.len());
                let start = stop.saturating_sub(context);
                if batches.last().is_none_or(|batch| batch.rows == rows) {
                    batches.push(EvaluationBatch::empty(true));
                }
                let Some(batch) = batches.last_mut() else { continue };
                for t in start..start + context {
                    if (counted_to..stop).contains(&t) {
                        batch.places.push(batch.inputs.len() as i32);
                        batch.targets.push(targets[t] as i32);
                        batch.documents.push(index);
                    }
                    let before = if t == 0 { Some(&end) } else { targets.get(t - 1) };
                    batch.inputs.push(*before.unwrap_or(&end) as i32);
                }
                batch.rows += 1;
                counted_to = stop;
            }
        }
        Ok(Self { batches, documents: documents.len(), carry: None })
    }

    /// Windows of `context` tokens one after the other, for models that carry something from one to the next: a document is
    /// a row, from its beginning to its end, and all that stands before a token may be known. Of keys and values those of
    /// the last `keep` tokens are to be carried.
    ///
    /// # Errors
    /// [`DataError::TooShort`] where there is no document.
    pub fn carried(
        documents: &[TokenizedDocument],
        end: u32,
        context: usize,
        rows: usize,
        keep: usize,
    ) -> Result<Self, DataError> {
        if documents.iter().all(|document| document.ids.is_empty()) {
            return Err(DataError::TooShort { tokens: 0, context });
        }
        let (context, rows) = (context.max(1), rows.max(1));
        let mut batches = Vec::new();
        for (group, together) in documents.chunks(rows).enumerate() {
            let longest = together.iter().map(|document| document.ids.len()).max().unwrap_or(0);
            for start in (0..longest).step_by(context) {
                let mut batch = EvaluationBatch::empty(start == 0);
                batch.rows = together.len();
                for (row, document) in together.iter().enumerate() {
                    for t in start..start + context {
                        if let Some(&target) = document.ids.get(t) {
                            batch.places.push(batch.inputs.len() as i32);
                            batch.targets.push(target as i32);
                            batch.documents.push(group * rows + row);
                        }
                        let before = if t == 0 { None } else { document.ids.get(t - 1) };
                        batch.inputs.push(*before.unwrap_or(&end) as i32);
                    }
                }
                batches.push(batch);
            }
        }
        Ok(Self { batches, documents: documents.len(), carry: Some(keep) })
    }

    /// Examples, `rows` of them a batch.
    ///
    /// # Errors
    /// [`DataError::TooShort`] where there is none.
    pub fn of_examples(examples: &[Example], rows: usize) -> Result<Self, DataError> {
        if examples.is_empty() {
            return Err(DataError::TooShort { tokens: 0, context: 0 });
        }
        let rows = rows.max(1);
        let batch = |(first, examples): (usize, &[Example])| {
            let Filled { inputs, targets, places, owners } = Filled::new(&examples.iter().collect::<Vec<_>>());
            let documents = owners.into_iter().map(|row| first * rows + row).collect();
            EvaluationBatch { inputs, rows: examples.len(), targets, places, documents, begins: true }
        };
        let batches = examples.chunks(rows).enumerate().map(batch).collect();
        Ok(Self { batches, documents: examples.len(), carry: None })
    }

    /// The batches.
    pub fn batches(&self) -> &[EvaluationBatch] {
        &self.batches
    }

    /// Tokens whose keys and values are carried from window to window, where anything is.
    pub fn carry(&self) -> Option<usize> {
        self.carry
    }

    /// Number of documents, or examples.
    pub fn documents(&self) -> usize {
        self.documents
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documents(lengths: &[usize]) -> Vec<TokenizedDocument> {
        let mut next = 1;
        let mut document = |&length: &usize| {
            let ids = (next..next + length as u32).collect();
            next += length as u32;
            TokenizedDocument { ids, nats: None, bytes: length }
        };
        lengths.iter().map(&mut document).collect()
    }

    #[test]
    fn every_token_is_predicted_once_from_what_stands_before_it() {
        for (context, stride) in [(4, 2), (4, 4), (5, 1), (16, 8), (1, 1)] {
            let documents = documents(&[1, 4, 5, 13]);
            let windows = EvaluationWindows::new(&documents, 0, context, stride, 3).unwrap();
            let mut counts = vec![0; 24];
            for batch in windows.batches() {
                assert_eq!(batch.inputs.len(), batch.rows * context);
                for ((&target, &place), &document) in batch.targets.iter().zip(&batch.places).zip(&batch.documents) {
                    counts[target as usize] += 1;
                    let ids = &documents[document].ids;
                    assert!(ids.contains(&(target as u32)));
                    let expected = if target as u32 == ids[0] { 0 } else { target - 1 };
                    assert_eq!(batch.inputs[place as usize], expected);
                    let visible = place as usize % context + 1;
                    let before = (target as u32 - ids[0]) as usize + 1;
                    assert!(visible >= before.min(context - stride + 1), "{context} {stride} {target}");
                }
            }
            assert!(counts[1..].iter().all(|&count| count == 1), "{context} {stride} {counts:?}");
        }
    }

    #[test]
    fn examples_are_filled_up_and_each_answer_is_expected_once() {
        let example = |n: u32| Example { tokens: (n..2 * n).collect(), answers: vec![(0, n), (n as usize - 1, n + 1)] };
        let examples: Vec<Example> = (1..8).map(example).collect();
        let windows = EvaluationWindows::of_examples(&examples, 3).unwrap();
        assert_eq!((windows.documents(), windows.batches().len()), (7, 3));
        let mut found = vec![Vec::new(); 7];
        for batch in windows.batches() {
            let steps = batch.inputs.len() / batch.rows;
            for ((&place, &target), &owner) in batch.places.iter().zip(&batch.targets).zip(&batch.documents) {
                assert_eq!(batch.inputs[place as usize] as u32, examples[owner].tokens[place as usize % steps]);
                found[owner].push((place as usize % steps, target as u32));
            }
        }
        assert!(found.iter().zip(&examples).all(|(found, example)| *found == example.answers));
        assert!(EvaluationWindows::of_examples(&[], 3).is_err());
    }

    #[test]
    fn carried_windows_go_through_each_document() {
        let documents = documents(&[1, 4, 5, 13]);
        let windows = EvaluationWindows::carried(&documents, 0, 4, 3, 8).unwrap();
        let mut read = vec![Vec::new(); 4];
        let mut begun = 0;
        for batch in windows.batches() {
            begun += usize::from(batch.begins);
            for ((&place, &target), &document) in batch.places.iter().zip(&batch.targets).zip(&batch.documents) {
                let before = read[document].last().copied().unwrap_or(0);
                assert_eq!(batch.inputs[place as usize] as u32, before);
                read[document].push(target as u32);
            }
        }
        assert_eq!((begun, windows.carry()), (2, Some(8)));
        assert!(read.iter().zip(&documents).all(|(read, document)| *read == document.ids));
    }
}
