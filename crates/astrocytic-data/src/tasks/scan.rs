//! SCAN (Lake and Baroni, arXiv 1711.00350, section 2 and appendix): commands of a small grammar, to be carried out. All
//! 20,910 of them are made here; the splits are those of the paper.

use std::fmt;
use std::str::FromStr;

use super::splits::{Splits, deal};
use crate::error::DataError;
use crate::examples::Example;

/// Stands after the last action.
const END: u32 = 0;
/// Stands between command and actions.
const OUT: u32 = 1;
/// Tokens of words follow these two.
const FIRST_WORD: u32 = 2;

const WORDS: [&str; 19] = [
    "walk",
    "look",
    "run",
    "jump",
    "turn",
    "left",
    "right",
    "opposite",
    "around",
    "twice",
    "thrice",
    "and",
    "after",
    "I_WALK",
    "I_LOOK",
    "I_RUN",
    "I_JUMP",
    "I_TURN_LEFT",
    "I_TURN_RIGHT",
];

/// The most actions of a command in the length split's training set.
const MOST_ACTIONS: usize = 22;
/// Share of "jump" by itself in the training set of add-jump.
const JUMPS: f64 = 0.1;
/// Share of all commands that tests in the simple split.
const SIMPLE_TEST: f64 = 0.2;
/// Share of what is not tested that tunes.
const TUNING: f64 = 0.1;

/// Which commands are kept for the test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanSplit {
    /// A fifth, at random (experiment 1).
    Simple,
    /// Those of more than 22 actions (experiment 2).
    Length,
    /// Those that combine "jump" with anything (experiment 3).
    AddJump,
}

impl fmt::Display for ScanSplit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Simple => "simple",
            Self::Length => "length",
            Self::AddJump => "add-jump",
        })
    }
}

impl FromStr for ScanSplit {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        match text {
            "simple" => Ok(Self::Simple),
            "length" => Ok(Self::Length),
            "add-jump" => Ok(Self::AddJump),
            _ => Err(DataError::text(&format!("scan:{text}"), "the splits are simple, length and add-jump")),
        }
    }
}

/// A command and what it asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Command {
    words: Vec<&'static str>,
    actions: Vec<&'static str>,
}

impl Command {
    fn then(&self, word: &'static str, other: &Self, actions: [&Self; 2]) -> Self {
        Self {
            words: [&self.words[..], &[word], &other.words].concat(),
            actions: actions.map(|command| &command.actions[..]).concat(),
        }
    }

    fn repeated(&self, word: &'static str, times: usize) -> Self {
        Self { words: [&self.words[..], &[word]].concat(), actions: self.actions.repeat(times) }
    }
}

/// Every command of the grammar.
fn commands() -> Vec<Command> {
    let directions = [("left", "I_TURN_LEFT"), ("right", "I_TURN_RIGHT")];
    let verbs = [("walk", "I_WALK"), ("look", "I_LOOK"), ("run", "I_RUN"), ("jump", "I_JUMP")];
    let moves = verbs.map(|(word, action)| (word, vec![action]));
    let mut verb_phrases: Vec<Command> =
        moves.iter().map(|(word, actions)| Command { words: vec![word], actions: actions.clone() }).collect();
    for (verb, actions) in moves.iter().cloned().chain([("turn", vec![])]) {
        for (direction, turn) in directions {
            let phrase = |manner: &[&'static str], actions: Vec<&'static str>| Command {
                words: [&[verb], manner, &[direction]].concat(),
                actions,
            };
            verb_phrases.push(phrase(&[], [&[turn], &actions[..]].concat()));
            verb_phrases.push(phrase(&["opposite"], [&[turn, turn], &actions[..]].concat()));
            verb_phrases.push(phrase(&["around"], [&[turn], &actions[..]].concat().repeat(4)));
        }
    }
    let repeated = |phrase: &Command| [phrase.clone(), phrase.repeated("twice", 2), phrase.repeated("thrice", 3)];
    let sentences: Vec<Command> = verb_phrases.iter().flat_map(repeated).collect();
    let mut commands = sentences.clone();
    for first in &sentences {
        for second in &sentences {
            commands.push(first.then("and", second, [first, second]));
            commands.push(first.then("after", second, [second, first]));
        }
    }
    commands
}

/// The commands of a split: training, then test.
fn split(split: ScanSplit) -> [Vec<Command>; 2] {
    let mut commands = deal(commands());
    match split {
        ScanSplit::Simple => {
            let test = commands.split_off(((1.0 - SIMPLE_TEST) * commands.len() as f64).round() as usize);
            [commands, test]
        }
        ScanSplit::Length => {
            let (train, test) = commands.into_iter().partition(|command| command.actions.len() <= MOST_ACTIONS);
            [train, test]
        }
        ScanSplit::AddJump => {
            let (with, mut train): (Vec<_>, Vec<_>) =
                commands.into_iter().partition(|command| command.words.contains(&"jump"));
            let (alone, test): (Vec<_>, Vec<_>) = with.into_iter().partition(|command| command.words.len() == 1);
            let jumps = (train.len() as f64 * JUMPS / (1.0 - JUMPS)).round() as usize;
            train.extend(alone.iter().cycle().take(jumps).cloned());
            [deal(train), test]
        }
    }
}

pub(super) fn vocabulary() -> usize {
    FIRST_WORD as usize + WORDS.len()
}

/// The examples of a split; a tenth of what is not tested tunes.
pub(super) fn examples(which: ScanSplit) -> Splits<Example> {
    let [train, test] = split(which).map(|commands| commands.iter().map(example).collect::<Vec<_>>());
    let mut train = train;
    let tuning = train.split_off(((1.0 - TUNING) * train.len() as f64).round() as usize);
    Splits { train, tuning, test }
}

fn example(command: &Command) -> Example {
    let token = |word: &&str| FIRST_WORD + WORDS.iter().position(|known| known == word).unwrap_or(0) as u32;
    let mut tokens: Vec<u32> = command.words.iter().map(token).collect();
    let out = tokens.len();
    tokens.push(OUT);
    let actions: Vec<u32> = command.actions.iter().map(token).collect();
    tokens.extend(&actions);
    let answers = actions.into_iter().chain([END]).enumerate().map(|(i, answer)| (out + i, answer)).collect();
    Example { tokens, answers }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_grammar_has_the_papers_counts() {
        let mut all = commands();
        assert_eq!(all.len(), 20_910);
        all.sort();
        all.dedup_by(|a, b| a.words == b.words);
        assert_eq!(all.len(), 20_910);
        let counts = |which| split(which).map(|commands| commands.len());
        assert_eq!(counts(ScanSplit::Simple), [16_728, 4_182]);
        assert_eq!(counts(ScanSplit::Length), [16_990, 3_920]);
        assert_eq!(counts(ScanSplit::AddJump), [14_670, 7_706]);
    }

    #[test]
    fn an_example_is_a_command_then_its_actions() {
        let jump = Command { words: vec!["jump", "left"], actions: vec!["I_TURN_LEFT", "I_JUMP"] };
        assert_eq!(example(&jump), Example { tokens: vec![5, 7, 1, 19, 18], answers: vec![(2, 19), (3, 18), (4, 0)] });
    }

    /// The paper's files, where they are.
    #[test]
    fn splits_are_those_of_the_papers_files() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/scan");
        if !folder.exists() {
            eprintln!("skipped: {} is absent", folder.display());
            return;
        }
        let read = |name: &str| {
            let text = std::fs::read_to_string(folder.join(name)).unwrap();
            let mut lines: Vec<String> = text.lines().map(str::to_string).collect();
            lines.sort();
            lines
        };
        let write = |commands: &[Command]| {
            let line = |c: &Command| format!("IN: {} OUT: {}", c.words.join(" "), c.actions.join(" "));
            let mut lines: Vec<String> = commands.iter().map(line).collect();
            lines.sort();
            lines
        };
        for (which, files) in [
            (ScanSplit::Length, ["length_split/tasks_train_length.txt", "length_split/tasks_test_length.txt"]),
            (
                ScanSplit::AddJump,
                ["add_prim_split/tasks_train_addprim_jump.txt", "add_prim_split/tasks_test_addprim_jump.txt"],
            ),
        ] {
            for (commands, file) in split(which).iter().zip(files) {
                assert!(write(commands) == read(file), "{file}");
            }
        }
        let mut simple =
            [read("simple_split/tasks_train_simple.txt"), read("simple_split/tasks_test_simple.txt")].concat();
        simple.sort();
        assert!(simple == write(&split(ScanSplit::Simple).concat()));
    }
}
