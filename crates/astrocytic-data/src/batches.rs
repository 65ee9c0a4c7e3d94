//! Batches to train on. Each depends on the seed and its step alone.

use rand::RngExt;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::error::DataError;
use crate::examples::{Example, Filled};

/// Inputs and targets of one step.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Tokens, row-major `[rows, steps]`; short rows are filled up on the right, where a causal
    /// model does not look.
    pub inputs: Vec<i32>,
    /// Sequences.
    pub rows: usize,
    /// What is expected after the tokens at `places`.
    pub targets: Vec<i32>,
    /// Places among the inputs that have a target; `None` is every place.
    pub places: Option<Vec<i32>>,
    /// Whether the rows begin anew. If not, each continues the same row of the batch before.
    pub begins: bool,
}

impl Batch {
    /// Deals its rows to `parts` batches as evenly as possible; empty ones are left out.
    pub fn shares(&self, parts: usize) -> Vec<Self> {
        let steps = self.inputs.len() / self.rows;
        let bounds: Vec<usize> = (0..=parts).map(|part| part * self.rows / parts * steps).collect();
        let share = |bounds: &[usize]| {
            let (from, to) = (bounds[0], bounds[1]);
            let (targets, places) = match &self.places {
                None => (self.targets[from..to].to_vec(), None),
                Some(places) => {
                    let here = |&(&place, _): &(&i32, &i32)| (from..to).contains(&(place as usize));
                    let own = places.iter().zip(&self.targets).filter(here);
                    let (places, targets) = own.map(|(place, target)| (place - from as i32, *target)).unzip();
                    (targets, Some(places))
                }
            };
            let inputs = self.inputs[from..to].to_vec();
            Self { inputs, rows: (to - from) / steps, targets, places, begins: self.begins }
        };
        bounds.windows(2).filter(|bounds| bounds[0] < bounds[1]).map(share).collect()
    }
}

/// Batches of windows of a stream, or of examples. A batch depends on the seed and the step alone:
/// every arm sees the same batches, and a resumed run continues with the next one.
#[derive(Debug, Clone)]
pub struct Batches {
    rows: Rows,
    batch: usize,
    seed: u64,
}

/// What the rows of a batch are.
#[derive(Debug, Clone)]
enum Rows {
    /// Windows of `context` tokens; the stream counts as a ring.
    Windows { stream: Vec<u32>, context: usize },
    /// The same, but each row reads its own part of the stream from batch to batch.
    Carried { stream: Vec<u32>, context: usize },
    Examples {
        examples: Vec<Example>,
        /// Whether those of a batch are of like length.
        by_length: bool,
        /// Steps over which lengths grow; 0: all lengths from the beginning.
        growing: u64,
    },
}

/// Batches of which examples are sorted by length together: more waste less, and tell more of the
/// order.
const SORTED_BATCHES: usize = 8;

impl Batches {
    /// Windows of `context` tokens, `batch` of them a step. The stream counts as a ring.
    ///
    /// # Errors
    /// [`DataError::TooShort`] for a stream that has no more tokens than a context.
    pub fn new(stream: Vec<u32>, context: usize, batch: usize, seed: u64) -> Result<Self, DataError> {
        if stream.len() <= context || context == 0 || batch == 0 {
            return Err(DataError::TooShort { tokens: stream.len(), context });
        }
        Ok(Self { rows: Rows::Windows { stream, context }, batch, seed })
    }

    /// Windows in the stream's order, for models that carry a state from one window to the next. In
    /// an epoch each row reads its own part of the stream; another epoch cuts other parts.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn carried(stream: Vec<u32>, context: usize, batch: usize, seed: u64) -> Result<Self, DataError> {
        let windows = Self::new(stream, context, batch, seed)?;
        let Rows::Windows { stream, context } = windows.rows else { return Ok(windows) };
        Ok(Self { rows: Rows::Carried { stream, context }, ..windows })
    }

    /// Batches of `batch` examples.
    ///
    /// # Panics
    /// For no examples, and for batches of none.
    pub fn of_examples(examples: Vec<Example>, batch: usize, seed: u64) -> Self {
        assert!(!examples.is_empty() && batch > 0, "batches: need an example, and one in a batch");
        Self { rows: Rows::Examples { examples, by_length: false, growing: 0 }, batch, seed }
    }

    /// The same with examples of like length in a batch, so that little is filled up. Which batch
    /// comes when stays random.
    #[must_use]
    pub fn by_length(mut self) -> Self {
        if let Rows::Examples { by_length, .. } = &mut self.rows {
            *by_length = true;
        }
        self
    }

    /// A curriculum: batches are drawn from the shortest examples first, and over so many steps from
    /// more and more of them, until epochs of all begin. None for 0 steps.
    #[must_use]
    pub fn growing(mut self, steps: u64) -> Self {
        if let Rows::Examples { examples, growing, .. } = &mut self.rows
            && steps > 0
        {
            examples.sort_by_key(|example| example.tokens.len());
            *growing = steps;
        }
        self
    }

    /// Tokens of a batch without filling; the mean if rows differ in length.
    pub fn tokens_per_step(&self) -> f64 {
        self.batch as f64
            * match &self.rows {
                Rows::Windows { context, .. } | Rows::Carried { context, .. } => *context as f64,
                Rows::Examples { examples, .. } => {
                    examples.iter().map(|example| example.tokens.len()).sum::<usize>() as f64 / examples.len() as f64
                }
            }
    }

    /// Windows or examples of an epoch.
    fn epoch_rows(&self) -> u64 {
        match &self.rows {
            Rows::Windows { stream, context } => stream.len().div_ceil(*context) as u64,
            // As many steps as a row has windows; the last of them may reach into the next row's
            // part.
            Rows::Carried { stream, context } => (stream.len().div_ceil(self.batch * context) * self.batch) as u64,
            Rows::Examples { examples, .. } => examples.len() as u64,
        }
    }

    /// The batch of a step. An epoch shows every example once in random order, or every window of a
    /// grid; each epoch's grid begins elsewhere.
    pub fn batch(&self, step: u64) -> Batch {
        if let Rows::Examples { examples, growing, .. } = &self.rows
            && step < *growing
        {
            return self.of_rows(self.of_the_shortest(examples, step as f64 / *growing as f64, step));
        }
        let in_epoch = self.epoch_rows();
        let mut epoch: Option<(u64, usize, Vec<usize>)> = None;
        let places = step * self.batch as u64..(step + 1) * self.batch as u64;
        let rows = places.map(|place| {
            let (number, within) = (place / in_epoch, (place % in_epoch) as usize);
            if epoch.as_ref().is_none_or(|(current, ..)| *current != number) {
                let (offset, order) = self.epoch(number);
                epoch = Some((number, offset, order));
            }
            epoch.as_ref().map_or((0, 0), |(_, offset, order)| (*offset, order[within]))
        });
        match &self.rows {
            Rows::Windows { stream, context } => {
                windows(stream, *context, rows.map(|(offset, row)| offset + row * context), true)
            }
            Rows::Carried { stream, context } => {
                let within = step % (in_epoch / self.batch as u64);
                let start = |(row, (offset, _)): (usize, (usize, usize))| {
                    offset + row * stream.len() / self.batch + within as usize * context
                };
                windows(stream, *context, rows.enumerate().map(start), within == 0)
            }
            Rows::Examples { examples, .. } => self.of_rows(rows.map(|(_, row)| &examples[row]).collect()),
        }
    }

    fn of_rows(&self, chosen: Vec<&Example>) -> Batch {
        let Filled { inputs, targets, places, .. } = Filled::new(&chosen);
        Batch { inputs, rows: self.batch, targets, places: Some(places), begins: true }
    }

    /// Examples drawn from that share of them, the shortest; of a batch's worth at least.
    fn of_the_shortest<'a>(&self, examples: &'a [Example], share: f64, step: u64) -> Vec<&'a Example> {
        let count = ((share * examples.len() as f64) as usize).max(self.batch).min(examples.len());
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        // Streams of epochs count from one up.
        random.set_stream(u64::MAX - step);
        (0..self.batch).map(|_| &examples[random.random_range(0..count)]).collect()
    }

    /// Offset and order of an epoch's windows or examples.
    fn epoch(&self, number: u64) -> (usize, Vec<usize>) {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(number + 1);
        let offset = match &self.rows {
            Rows::Windows { stream, .. } | Rows::Carried { stream, .. } => random.random_range(0..stream.len()),
            Rows::Examples { .. } => 0,
        };
        let mut order: Vec<usize> = (0..self.epoch_rows() as usize).collect();
        order.shuffle(&mut random);
        if let Rows::Examples { examples, by_length: true, .. } = &self.rows {
            order = sorted_in_part(&order, examples, self.batch, &mut random);
        }
        (offset, order)
    }
}

/// An order in which a few batches at a time are sorted by length, and come in random order.
fn sorted_in_part(order: &[usize], examples: &[Example], batch: usize, random: &mut ChaCha8Rng) -> Vec<usize> {
    let mut sorted = Vec::with_capacity(order.len());
    for some in order.chunks(SORTED_BATCHES * batch) {
        let mut some = some.to_vec();
        some.sort_by_key(|&row| examples[row].tokens.len());
        let mut batches: Vec<&[usize]> = some.chunks(batch).collect();
        batches.shuffle(random);
        sorted.extend(batches.concat());
    }
    sorted
}

/// Windows of a ring that begin at these places.
fn windows(stream: &[u32], context: usize, starts: impl Iterator<Item = usize>, begins: bool) -> Batch {
    let token = |i: usize| stream[i % stream.len()] as i32;
    let mut batch = Batch { inputs: Vec::new(), rows: 0, targets: Vec::new(), places: None, begins };
    for start in starts {
        batch.inputs.extend((start..start + context).map(token));
        batch.targets.extend((start + 1..=start + context).map(token));
        batch.rows += 1;
    }
    batch
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_batch_of_examples_expects_their_answers() {
        let example = |n: u32| Example { tokens: (n..2 * n).collect(), answers: vec![(0, n), (n as usize - 1, n + 1)] };
        let examples: Vec<Example> = (1..8).map(example).collect();
        let batches = Batches::of_examples(examples.clone(), 7, 1);
        assert_eq!(batches.tokens_per_step(), 28.0);
        let batch = batches.batch(0);
        let mut answers: Vec<u32> = batch.targets.iter().map(|&target| target as u32).collect();
        let mut expected: Vec<u32> = examples.iter().flat_map(|e| e.answers.iter().map(|(_, a)| *a)).collect();
        answers.sort_unstable();
        expected.sort_unstable();
        assert_eq!((answers, batch.rows, batch.inputs.len()), (expected, 7, 49));
        assert_ne!(batch, batches.batch(1));
    }

    #[test]
    fn examples_of_like_length_fill_less_and_all_are_shown() {
        let example = |n: u32| Example { tokens: vec![n; 1 + (n as usize * 7) % 60], answers: vec![(0, n)] };
        let plain = Batches::of_examples((0..640).map(example).collect(), 8, 3);
        let sorted = plain.clone().by_length();
        let epoch = |batches: &Batches| {
            let (mut answers, mut filled) = (Vec::<i32>::new(), 0);
            for batch in (0..80).map(|step| batches.batch(step)) {
                answers.extend(&batch.targets);
                filled += batch.inputs.len();
            }
            answers.sort_unstable();
            (answers, filled)
        };
        let [plain, (answers, filled)] = [epoch(&plain), epoch(&sorted)];
        assert_eq!((&plain.0, answers.len()), (&answers, 640));
        assert!(filled * 3 < plain.1 * 2, "{filled} against {}", plain.1);
        // Long and short ones come in no order.
        let lengths: Vec<usize> = (0..80).map(|step| sorted.batch(step).inputs.len()).collect();
        assert!(!lengths[..8].is_sorted() && lengths[..8] != lengths[8..16]);
        assert!(sorted.batch(3) == sorted.batch(3) && sorted.batch(3) != sorted.batch(83));
    }

    #[test]
    fn a_curriculum_begins_with_the_shortest_and_ends_with_epochs_of_all() {
        let example = |n: u32| Example { tokens: vec![n; 1 + (n as usize * 7) % 60], answers: vec![(0, n)] };
        let batches = Batches::of_examples((0..600).map(example).collect(), 10, 3).by_length().growing(100);
        let longest = |step: u64| batches.batch(step).inputs.len() / 10;
        assert_eq!(longest(0), 1);
        assert!((1..100).all(|step| longest(step) <= 2 + step as usize * 60 / 100));
        assert!((80..100).any(|step| longest(step) > 40));
        let mut answers: Vec<i32> = (120..180).flat_map(|step| batches.batch(step).targets).collect();
        answers.sort_unstable();
        assert_eq!(answers, (0..600).collect::<Vec<_>>());
        assert!(batches.batch(7) == batches.batch(7) && batches.batch(50) != batches.batch(51));
    }

    #[test]
    fn shares_of_a_batch_are_its_rows() {
        let text = Batches::new((0..100).collect(), 5, 7, 1).unwrap().batch(0);
        let example = |n: usize| Example {
            tokens: (0..n as u32 + 1).collect(),
            answers: (0..=n).step_by(2).map(|place| (place, (10 * n + place) as u32)).collect(),
        };
        let examples = Batches::of_examples((1..8).map(example).collect(), 7, 1).batch(0);
        for batch in [text, examples] {
            let steps = batch.inputs.len() / 7;
            for parts in [1, 2, 3, 7, 9] {
                let shares = batch.shares(parts);
                assert_eq!(shares.len(), parts.min(7));
                let (mut inputs, mut targets, mut places) = (Vec::new(), Vec::new(), Vec::new());
                for share in &shares {
                    assert!(share.rows > 0 && share.inputs.len() == share.rows * steps && share.begins == batch.begins);
                    let before = inputs.len() as i32;
                    places.extend(share.places.iter().flatten().map(|place| before + place));
                    inputs.extend(&share.inputs);
                    targets.extend(&share.targets);
                }
                assert_eq!((inputs, targets), (batch.inputs.clone(), batch.targets.clone()));
                assert_eq!(places, batch.places.clone().unwrap_or_default());
            }
        }
    }

    #[test]
    fn carried_windows_follow_one_another() {
        let batches = Batches::carried((0..40).collect(), 4, 2, 1).unwrap();
        for step in 0..12 {
            let (batch, next) = (batches.batch(step), batches.batch(step + 1));
            assert_eq!((batch.rows, batch.begins), (2, step % 5 == 0));
            for row in 0..2 {
                let last = batch.targets[row * 4 + 3];
                assert!(next.begins || next.inputs[row * 4] == last, "{step}");
            }
        }
        let mut epoch: Vec<i32> = (0..5).flat_map(|step| batches.batch(step).inputs).collect();
        epoch.sort_unstable();
        assert_eq!(epoch, (0..40).collect::<Vec<_>>());
        assert_ne!(batches.batch(0), batches.batch(5));
    }
}
