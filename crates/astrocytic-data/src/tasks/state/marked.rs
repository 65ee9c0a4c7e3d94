//! Texts of the user's own with answers in square brackets: "Ann turns the coin over. It shows
//! [tails]."

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::name::Answers;
use super::story::{Stories, Story};
use crate::error::DataError;
use crate::labelled::Form;
use crate::tasks::splits::{Splits, deal};
use crate::text::{self, read_text};

/// Share of the texts that is held out for a split without a file.
const HELD_OUT: f64 = 0.1;
/// Words of the names of files, and how many times as long as in training their texts are.
const LONGER: [(&str, u32); 2] = [("2x", 2), ("4x", 4)];

/// The texts of a file, one a line, or of a folder with train, dev (or valid) and test in the names
/// of its files, and 2x and 4x in those of longer texts.
pub(super) fn stories(path: &Path, answers: Answers) -> Result<Stories, DataError> {
    let mut notes = Vec::new();
    let mut read = |path: PathBuf| file(&path, answers, &mut notes);
    let (train, tuning, test, longer) = if path.is_dir() {
        let found = Files::of(path)?;
        let longer = found.longer.into_iter().map(|(times, path)| Ok((times, read(path)?)));
        let longer = longer.collect::<Result<Vec<_>, DataError>>()?;
        let [tuning, test] = [found.tuning, found.test].map(|path| path.map(&mut read).transpose());
        (read(found.train)?, tuning?, test?, longer)
    } else {
        (read(path.into())?, None, None, vec![])
    };
    let mut train = deal(train);
    if test.is_none() || tuning.is_none() {
        // No text is on both sides.
        let (all, mut seen) = (train.len(), HashSet::new());
        train.retain(|story| seen.insert(story.text.clone()));
        if train.len() < all {
            notes.push(format!("{}: repeated texts left out: {}", path.display(), all - train.len()));
        }
    }
    // Splits that have files are shuffled, so that a part of one is like the whole.
    let mut split = |given: Option<Vec<Story>>| match given {
        Some(stories) => deal(stories),
        None => train.split_off(train.len() - (train.len() as f64 * HELD_OUT).ceil() as usize),
    };
    let (test, tuning) = (split(test), split(tuning));
    if [&train, &tuning, &test].iter().any(|split| split.is_empty()) {
        return Err(DataError::text(&path.display().to_string(), "too few texts for training, tuning and test"));
    }
    Ok(Stories { splits: Splits { train, tuning, test }, longer, notes })
}

/// A folder's files.
struct Files {
    train: PathBuf,
    tuning: Option<PathBuf>,
    test: Option<PathBuf>,
    longer: Vec<(u32, PathBuf)>,
}

impl Files {
    fn of(folder: &Path) -> Result<Self, DataError> {
        let fault = |error| DataError::file(folder, error);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(fault)? {
            let path = entry.map_err(fault)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
            if path.is_file() && !name.starts_with('.') {
                names.push((name, path));
            }
        }
        names.sort();
        let has = |name: &str, words: &[&str]| name.split(|c: char| !c.is_alphanumeric()).any(|w| words.contains(&w));
        let longer: Vec<(u32, PathBuf)> = LONGER
            .into_iter()
            .filter_map(|(word, times)| Some((times, names.iter().find(|(name, _)| has(name, &[word]))?.1.clone())))
            .collect();
        names.retain(|(name, _)| !LONGER.iter().any(|(word, _)| has(name, &[word])));
        let of = |words: &[&str]| {
            let mut found = names.iter().filter(|(name, _)| has(name, words)).map(|(_, path)| path.clone());
            match (found.next(), found.next()) {
                (Some(one), Some(other)) => {
                    let (one, other) = (one.display(), other.display());
                    let reason = format!("both {one} and {other} could be one split's; keep one of them");
                    Err(DataError::text(&folder.display().to_string(), reason))
                }
                (found, _) => Ok(found),
            }
        };
        let train = of(&["train", "training"])?.ok_or_else(|| {
            DataError::text(&folder.display().to_string(), "no file in it has the word \"train\" in its name")
        })?;
        Ok(Self { train, tuning: of(&["dev", "val", "valid", "validation"])?, test: of(&["test"])?, longer })
    }
}

/// The texts of a file: one a line, or of JSON objects (.jsonl, .ndjson, .json) the member text.
/// Lines without an answer are left out.
fn file(path: &Path, answers: Answers, notes: &mut Vec<String>) -> Result<Vec<Story>, DataError> {
    let name = path.display().to_string();
    let read = read_text(path)?;
    notes.extend(read.notes);
    let (mut stories, mut without) = (Vec::new(), 0);
    for (number, line) in text::lines(&read.text).filter(|(_, line)| !line.trim().is_empty()) {
        let told = match Form::of(path) {
            Form::Lines => Ok(line.trim().to_string()),
            Form::Objects => member(line),
            Form::Table => {
                Err("write texts one a line, or as JSON objects; for a table with labels, labelled:FILE".into())
            }
        };
        let story = told.and_then(|told| story(&told, answers == Answers::Along, format!("{name}, line {number}")));
        let story = story.map_err(|reason| DataError::text(&name, format!("line {number}: {reason}")))?;
        if story.questions.is_empty() {
            without += 1;
        } else {
            stories.push(story);
        }
    }
    if stories.is_empty() {
        let reason = "no line has an answer in square brackets, as in: Ann turns the coin over. It shows [tails].";
        return Err(DataError::text(&name, reason));
    }
    if without > 0 {
        notes.push(format!("{name}: lines without an answer in square brackets left out: {without}"));
    }
    Ok(stories)
}

/// The text of a JSON object.
fn member(line: &str) -> Result<String, String> {
    let object: Map<String, Value> = serde_json::from_str(line).map_err(|_| "no JSON object")?;
    let text = object.get("text").and_then(Value::as_str).ok_or("no member \"text\" that is a text")?;
    Ok(text.trim().into())
}

/// A line with its answers taken out, or left where they stand. What follows the last answer is
/// read by nobody, and left out.
fn story(line: &str, shown: bool, made: String) -> Result<Story, String> {
    let (mut text, mut questions, mut rest) = (String::new(), Vec::new(), line);
    while let Some((before, after)) = rest.split_once('[') {
        let (answer, after) = after.split_once(']').ok_or("a [ without its ]")?;
        let answer = answer.trim();
        if before.contains(']') || answer.contains('[') {
            return Err("a ] without its [".into());
        }
        if answer.is_empty() || before.trim().is_empty() {
            return Err("an answer needs words, and a text of its own before it".into());
        }
        text += before;
        let place = text.trim_end().len();
        questions.push((place, answer.to_string()));
        if shown {
            text += answer;
        } else {
            text.truncate(place);
        }
        rest = after;
    }
    if rest.contains(']') {
        return Err("a ] without its [".into());
    }
    text.truncate(questions.last().map_or(0, |(place, _)| *place));
    Ok(Story { text, questions, made })
}
