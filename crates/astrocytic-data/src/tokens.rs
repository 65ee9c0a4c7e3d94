//! Tokens for training and evaluation: nested subsets, batches by step, and windows that count each token once.

use rand::RngExt;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::error::DataError;

/// A document as tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenizedDocument {
    /// Its tokens, the end token last.
    pub ids: Vec<u32>,
    /// Its exact −ln p, where the source is known.
    pub nats: Option<f64>,
    /// Bytes of its text.
    pub bytes: usize,
}

/// The first `tokens` tokens of the documents as `seed` shuffles them. Prefixes are nested for one seed.
pub fn subset(documents: &[TokenizedDocument], seed: u64, tokens: usize) -> Vec<u32> {
    let mut order: Vec<&TokenizedDocument> = documents.iter().collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    order.into_iter().flat_map(|document| document.ids.iter().copied()).take(tokens).collect()
}

/// Inputs and targets of one step, row-major `[batch, context]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Tokens.
    pub inputs: Vec<i32>,
    /// The token after each.
    pub targets: Vec<i32>,
}

/// Batches of windows of a stream. A batch depends on the seed and the step alone, so that arms are paired and a
/// resumed run goes on with the next one.
#[derive(Debug, Clone)]
pub struct Batches {
    stream: Vec<u32>,
    context: usize,
    batch: usize,
    seed: u64,
}

impl Batches {
    /// Windows of `context` tokens, `batch` of them a step. The stream counts as a ring.
    ///
    /// # Errors
    /// [`DataError::TooShort`] for a stream that has no more tokens than a context.
    pub fn new(stream: Vec<u32>, context: usize, batch: usize, seed: u64) -> Result<Self, DataError> {
        if stream.len() <= context || context == 0 || batch == 0 {
            return Err(DataError::TooShort { tokens: stream.len(), context });
        }
        Ok(Self { stream, context, batch, seed })
    }

    /// Tokens in a window.
    pub fn context(&self) -> usize {
        self.context
    }

    /// Windows in a batch.
    pub fn batch_size(&self) -> usize {
        self.batch
    }

    /// The batch of a step. An epoch shows every window of a grid once in random order; the grid begins elsewhere in
    /// each epoch.
    pub fn batch(&self, step: u64) -> Batch {
        let windows = self.stream.len().div_ceil(self.context) as u64;
        let mut batch = Batch { inputs: Vec::new(), targets: Vec::new() };
        let mut epoch: Option<(u64, usize, Vec<usize>)> = None;
        for place in step * self.batch as u64..(step + 1) * self.batch as u64 {
            let (number, within) = (place / windows, (place % windows) as usize);
            if epoch.as_ref().is_none_or(|(current, ..)| *current != number) {
                epoch = Some(self.epoch(number, windows as usize));
            }
            let Some((_, offset, order)) = &epoch else { continue };
            let start = offset + order[within] * self.context;
            let token = |i: usize| self.stream[i % self.stream.len()] as i32;
            batch.inputs.extend((start..start + self.context).map(token));
            batch.targets.extend((start + 1..=start + self.context).map(token));
        }
        batch
    }

    fn epoch(&self, number: u64, windows: usize) -> (u64, usize, Vec<usize>) {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(number + 1);
        let offset = random.random_range(0..self.stream.len());
        let mut order: Vec<usize> = (0..windows).collect();
        order.shuffle(&mut random);
        (number, offset, order)
    }
}

/// One batch of an evaluation, row-major `[rows, context]`.
#[derive(Debug, Clone, PartialEq)]
pub struct EvaluationBatch {
    /// Tokens; short rows are filled up on the right, where a causal model does not look.
    pub inputs: Vec<i32>,
    /// The token after each.
    pub targets: Vec<i32>,
    /// Whether the target counts.
    pub counted: Vec<bool>,
    /// Document of each row.
    pub documents: Vec<usize>,
}

/// Documents cut into overlapping windows so that every token is predicted exactly once, the first from the end token
/// of the document before.
#[derive(Debug, Clone)]
pub struct EvaluationWindows {
    batches: Vec<EvaluationBatch>,
    documents: usize,
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
                if batches.last().is_none_or(|batch| batch.documents.len() == rows) {
                    batches.push(EvaluationBatch {
                        inputs: Vec::new(),
                        targets: Vec::new(),
                        counted: Vec::new(),
                        documents: Vec::new(),
                    });
                }
                let Some(batch) = batches.last_mut() else { continue };
                for t in start..start + context {
                    let before = if t == 0 { Some(&end) } else { targets.get(t - 1) };
                    batch.inputs.push(*before.unwrap_or(&end) as i32);
                    batch.targets.push(*targets.get(t).unwrap_or(&end) as i32);
                    batch.counted.push((counted_to..stop).contains(&t));
                }
                batch.documents.push(index);
                counted_to = stop;
            }
        }
        Ok(Self { batches, documents: documents.len() })
    }

    /// The batches.
    pub fn batches(&self) -> &[EvaluationBatch] {
        &self.batches
    }

    /// Number of documents.
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
    fn subsets_are_nested_and_end_with_the_whole() {
        let documents = documents(&[5, 1, 7, 3, 9]);
        let whole = subset(&documents, 3, 25);
        for size in 1..=25 {
            assert_eq!(subset(&documents, 3, size), whole[..size]);
        }
        let mut sorted = whole.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (1..=25).collect::<Vec<_>>());
        assert_ne!(subset(&documents, 4, 25), whole);
    }

    #[test]
    fn an_epoch_shows_every_token_and_batches_depend_on_the_step_alone() {
        let batches = Batches::new((0..40).collect(), 8, 5, 1).unwrap();
        let first = batches.batch(0);
        let mut seen = first.inputs.clone();
        seen.sort_unstable();
        assert_eq!(seen, (0..40).collect::<Vec<_>>());
        for (input, target) in first.inputs.iter().zip(&first.targets) {
            assert_eq!((input + 1) % 40, *target);
        }
        let later = batches.batch(7);
        assert_ne!(later, batches.batch(8));
        assert_eq!(later, Batches::new((0..40).collect(), 8, 5, 1).unwrap().batch(7));
        assert_ne!(later, Batches::new((0..40).collect(), 8, 5, 2).unwrap().batch(7));
        assert!(Batches::new((0..8).collect(), 8, 5, 1).is_err());
    }

    #[test]
    fn every_token_is_predicted_once_from_what_stands_before_it() {
        for (context, stride) in [(4, 2), (4, 4), (5, 1), (16, 8), (1, 1)] {
            let documents = documents(&[1, 4, 5, 13]);
            let windows = EvaluationWindows::new(&documents, 0, context, stride, 3).unwrap();
            let mut counts = vec![0; 24];
            for batch in windows.batches() {
                assert_eq!(batch.inputs.len(), batch.documents.len() * context);
                for (i, &target) in batch.targets.iter().enumerate() {
                    if !batch.counted[i] {
                        continue;
                    }
                    counts[target as usize] += 1;
                    let ids = &documents[batch.documents[i / context]].ids;
                    assert!(ids.contains(&(target as u32)));
                    let expected = if target as u32 == ids[0] { 0 } else { target - 1 };
                    assert_eq!(batch.inputs[i], expected);
                    let visible = i % context + 1;
                    let before = (target as u32 - ids[0]) as usize + 1;
                    assert!(visible >= before.min(context - stride + 1), "{context} {stride} {target}");
                }
            }
            assert!(counts[1..].iter().all(|&count| count == 1), "{context} {stride} {counts:?}");
        }
    }
}
