//! Stories as examples: an answer is one token, which stands for it alone.

use std::collections::BTreeSet;

use super::story::{Stories, Story};
use crate::error::DataError;
use crate::examples::Example;
use crate::tasks::splits::{Examples, Splits};
use crate::tasks::wanted::Wanted;
use crate::tokenizer::Tokenizer;

/// The stories as examples. Answers are further tokens, in alphabetical order, as the labels of
/// labelled texts are: where the text has them in words they are read like any words.
pub(super) fn examples(stories: Stories, wanted: &Wanted, tokenizer: Option<Tokenizer>) -> Result<Examples, DataError> {
    let Stories { splits, longer, notes } = stories;
    let tokenizer = match tokenizer {
        Some(tokenizer) => tokenizer,
        None => Tokenizer::train(wanted.tokenizer, &splits.train.iter().map(|one| &*one.text).collect::<Vec<_>>())?,
    };
    let all = [&splits.train, &splits.tuning, &splits.test].into_iter().chain(longer.iter().map(|(_, all)| all));
    let answers: BTreeSet<&str> = all.flatten().flat_map(|one| &one.questions).map(|(_, answer)| &**answer).collect();
    let answers: Vec<&str> = answers.into_iter().collect();
    let encode = |stories: &[Story]| -> Result<Vec<Example>, DataError> {
        stories.iter().map(|story| example(story, &tokenizer, &answers)).collect()
    };
    let encoded =
        Splits { train: encode(&splits.train)?, tuning: encode(&splits.tuning)?, test: encode(&splits.test)? };
    let longer = longer.iter().map(|(times, stories)| Ok((*times, encode(stories)?))).collect::<Result<_, DataError>>();
    let vocabulary = tokenizer.vocabulary_size() + answers.len();
    Ok(Examples { vocabulary, splits: encoded, longer: longer?, notes, tokenizer: Some(tokenizer) })
}

/// The text is cut behind each question, so that a token ends there.
fn example(story: &Story, tokenizer: &Tokenizer, all: &[&str]) -> Result<Example, DataError> {
    let (mut tokens, mut answers, mut read) = (Vec::new(), Vec::new(), 0);
    for (place, answer) in &story.questions {
        tokens.extend(tokenizer.encode(&story.text[read..*place])?);
        read = *place;
        let class = all.binary_search(&answer.as_str()).expect("every answer was collected");
        answers.push((tokens.len().saturating_sub(1), (tokenizer.vocabulary_size() + class) as u32));
    }
    tokens.extend(tokenizer.encode(&story.text[read..])?);
    Ok(Example { tokens, answers })
}
