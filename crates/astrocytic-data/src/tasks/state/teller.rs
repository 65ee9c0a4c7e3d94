//! Stories, told event by event.

use std::collections::HashSet;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::name::{Answers, Told};
use super::story::Story;
use crate::tasks::splits::Splits;
use crate::tasks::wanted::Wanted;

/// Streams of random numbers of the splits; those of longer stories are beyond.
const TRAIN: u64 = 0;
const TUNING: u64 = 1;
const TEST: u64 = 2;
const LONGER: u64 = 3;

/// So many stories told again, one after another, show that there are no others.
const MOST_REPEATS: usize = 1_000;

/// Stories in three splits; no two are alike. What is held out does not depend on how many are
/// trained on.
pub(super) fn splits(told: &Told, wanted: &Wanted) -> Splits<Story> {
    let mut seen = HashSet::new();
    let mut split = |stream, count| distinct(told, None, stream, count, wanted.seed, &mut seen);
    let (test, tuning) = (split(TEST, wanted.test), split(TUNING, wanted.tuning));
    Splits { train: split(TRAIN, wanted.train), tuning, test }
}

/// Stories that are `times` as long as the longest trained on; what they ask for lies beyond its
/// length.
pub(super) fn tell(told: &Told, times: Option<u32>, count: usize, seed: u64) -> Vec<Story> {
    let stream = LONGER + u64::from(times.unwrap_or(0));
    distinct(told, times, stream, count, seed, &mut HashSet::new())
}

fn distinct(
    told: &Told,
    times: Option<u32>,
    stream: u64,
    count: usize,
    seed: u64,
    seen: &mut HashSet<String>,
) -> Vec<Story> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(stream);
    let (mut stories, mut repeats) = (Vec::new(), 0);
    while stories.len() < count && repeats < MOST_REPEATS {
        let mut story = story(told, times, &mut random);
        if seen.insert(story.text.clone()) {
            story.made = format!("{}, seed {seed}, stream {stream}, story {}", story.made, stories.len());
            stories.push(story);
            repeats = 0;
        } else {
            repeats += 1;
        }
    }
    stories
}

fn story(told: &Told, times: Option<u32>, random: &mut ChaCha8Rng) -> Story {
    let Told { world, answers, events, things, asked } = *told;
    let (count, first_asked) = match times {
        Some(times) => (events * times as usize, events),
        None => (random.random_range(1..=events), 0),
    };
    let (mut state, mut text) = world.begin(things, random);
    let mut questions = Vec::new();
    for event in 1..=count {
        text.push(' ');
        text += &state.event(random);
        let along = answers != Answers::End && random.random_ratio(asked.0.into(), 100);
        if !along && event < count {
            continue;
        }
        let question = state.question(random);
        // A sentence that the answer ends cannot go on without it.
        let is_stated = (answers == Answers::Along || event == count) && random.random();
        text.push(' ');
        text += if is_stated { &question.stated } else { &question.asked };
        if event > first_asked {
            questions.push((text.len(), question.answer.to_string()));
        }
        if answers == Answers::Along && event < count {
            text += &spoken(question.answer, is_stated);
        }
    }
    let made = format!("{}, {things} things, {count} events, {} questions", world.name(), questions.len());
    Story { text, questions, made }
}

/// An answer as it stands in the text.
fn spoken(answer: &str, is_stated: bool) -> String {
    if is_stated {
        return format!(" {answer}.");
    }
    let (first, rest) = answer.split_at(1);
    format!(" {}{rest}.", first.to_uppercase())
}
