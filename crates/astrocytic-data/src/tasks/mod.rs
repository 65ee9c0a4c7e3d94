//! Tasks of examples: sequences with answers expected at certain places of them.

mod generate;
mod labelled;
mod list_ops;
mod mqar;
mod scan;
mod splits;
pub mod state;
mod wanted;

use std::fmt;
use std::str::FromStr;

use crate::error::DataError;
use crate::labelled::LabelledPath;
use crate::tokenizer::Tokenizer;
use state::StateTask;

pub use crate::examples::Example;
pub use mqar::MQAR_VOCABULARY;
pub use scan::ScanSplit;
pub use splits::{Examples, Splits, subset_of_examples};
pub use wanted::Wanted;

/// A task of examples; written KIND:VARIANT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// "labelled:PATH", classification of texts: a file that
    /// [`labelled::read`](crate::labelled::read) takes, or a folder of such files with train, dev
    /// (or valid) and test in their names. With ":N" behind it the user says that there are N
    /// labels, which else are asked about where they are many or occur once.
    Labelled(LabelledPath),
    /// "scan:simple", "scan:length" or "scan:add-jump": commands to actions (arXiv 1711.00350).
    Scan(ScanSplit),
    /// "mqar:LENGTHxPAIRS", associative recall of many queries (arXiv 2312.04927); with ":blocks"
    /// behind it some training sequences ask for some pairs before they give the next (mixtures of
    /// settings are trained on in the code of arXiv 2402.18668 too); tuning and test are the same
    /// as without.
    Mqar {
        /// Tokens of a sequence.
        length: usize,
        /// Keys with their values.
        pairs: usize,
        /// Whether training sequences deal them in blocks.
        blocks: bool,
    },
    /// "listops:LENGTH", nested operations on lists of digits (arXiv 1804.06028, as in 2011.04006).
    ListOps {
        /// Tokens of the longest expression.
        length: usize,
    },
    /// "state:WORLD" or "state:FILE", texts in which a state changes and is asked for.
    State(StateTask),
}

impl Task {
    /// The task that a corpus name means; `None` for a text.
    ///
    /// # Errors
    /// For a task that there is not.
    pub fn of_corpus(name: &str) -> Result<Option<Self>, DataError> {
        let known = ["labelled", "scan", "mqar", "listops", "state"];
        let kind = name.split_once(':').filter(|(kind, _)| known.contains(kind));
        kind.map(|_| name.parse()).transpose()
    }

    /// Whether an example counts as right as a whole only (SCAN), or each answer by itself.
    pub fn scored_whole(&self) -> bool {
        matches!(self, Self::Scan(_))
    }

    /// Whether its answers follow from what was read, so that a model has learned the task or has
    /// not.
    pub fn is_solved_or_not(&self) -> bool {
        matches!(self, Self::State(_))
    }

    /// Whether an example has one answer, after its last token.
    pub fn has_one_answer(&self) -> bool {
        matches!(self, Self::Labelled(_) | Self::ListOps { .. })
    }

    /// The task's examples. The tokenizer of a run that has begun is taken as it is.
    ///
    /// # Errors
    /// For files that cannot be used, and examples that are longer than the context.
    pub fn load(&self, wanted: &Wanted, tokenizer: Option<Tokenizer>) -> Result<Examples, DataError> {
        let generated = |vocabulary, splits| Examples {
            vocabulary,
            tokenizer: None,
            splits,
            longer: Vec::new(),
            notes: Vec::new(),
        };
        let mut examples = match self {
            Self::Labelled(path) => labelled::examples(path, wanted, tokenizer)?,
            Self::Scan(split) => generated(scan::vocabulary(), scan::examples(*split)),
            Self::Mqar { length, pairs, blocks } => {
                generated(MQAR_VOCABULARY, mqar::examples(*length, *pairs, *blocks, wanted))
            }
            Self::ListOps { length } => generated(list_ops::VOCABULARY, list_ops::examples(*length, wanted)),
            Self::State(task) => task.examples(wanted, tokenizer)?,
        };
        let splits = &mut examples.splits;
        splits.tuning.truncate(wanted.tuning);
        splits.test.truncate(wanted.test);
        let all = [&splits.train, &splits.tuning, &splits.test].into_iter().flatten();
        let longest = all.map(|example| example.tokens.len()).max().unwrap_or(0);
        if longest > wanted.context {
            let reason = format!("examples have up to {longest} tokens; give a context of at least as many");
            return Err(DataError::text(&self.to_string(), reason));
        }
        Ok(examples)
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Labelled(path) => write!(f, "labelled:{path}"),
            Self::Scan(split) => write!(f, "scan:{split}"),
            Self::Mqar { length, pairs, blocks } => {
                write!(f, "mqar:{length}x{pairs}{}", if *blocks { ":blocks" } else { "" })
            }
            Self::ListOps { length } => write!(f, "listops:{length}"),
            Self::State(task) => write!(f, "state:{task}"),
        }
    }
}

impl FromStr for Task {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        let wrong = |reason: &str| Err(DataError::text(text, reason));
        let (kind, variant) = text.split_once(':').unwrap_or((text, ""));
        match kind {
            "labelled" if !variant.is_empty() => Ok(Self::Labelled(variant.into())),
            "scan" => Ok(Self::Scan(variant.parse()?)),
            "mqar" => {
                let (variant, blocks) =
                    variant.strip_suffix(":blocks").map_or((variant, false), |numbers| (numbers, true));
                let numbers = variant.split_once('x').map(|(length, pairs)| (length.parse(), pairs.parse()));
                let Some((Ok(length), Ok(pairs))) = numbers else {
                    return wrong("write mqar:LENGTHxPAIRS, as mqar:64x4, or mqar:LENGTHxPAIRS:blocks");
                };
                if blocks && !mqar::has_blocks(pairs) {
                    return wrong("pairs come in blocks where there are at least 8, an even number");
                }
                match mqar::fits(length, pairs) {
                    true => Ok(Self::Mqar { length, pairs, blocks }),
                    false => wrong("needs a pair, four tokens for each pair, and at most 65536 tokens and 2048 pairs"),
                }
            }
            "listops" => match variant.parse() {
                Ok(length) if list_ops::LENGTHS.contains(&length) => Ok(Self::ListOps { length }),
                _ => wrong("write listops:LENGTH with a length from 32 to 2000 tokens"),
            },
            "state" => StateTask::parse(variant).map(Self::State).map_err(|reason| DataError::text(text, reason)),
            _ => wrong(
                "no such task; there are labelled:PATH, scan:SPLIT, mqar:LENGTHxPAIRS[:blocks], listops:LENGTH and \
                 state:WORLD",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::wanted::WANTED;
    use super::*;

    #[test]
    fn names_are_tasks_or_texts_or_refused() {
        for name in [
            "labelled:a/b.csv",
            "labelled:a/b.csv:77",
            "scan:simple",
            "scan:length",
            "scan:add-jump",
            "mqar:64x4",
            "mqar:512x64:blocks",
            "listops:128",
        ] {
            assert_eq!(Task::of_corpus(name).unwrap().unwrap().to_string(), name);
        }
        for name in ["moby-dick", "generated", "a.txt", "C:/a.txt"] {
            assert!(Task::of_corpus(name).unwrap().is_none(), "{name}");
        }
        for name in [
            "labelled:",
            "scan:",
            "scan:left",
            "mqar:64",
            "mqar:8x4",
            "mqar:64x4:",
            "mqar:64x8:b",
            "mqar:64x4:blocks",
            "mqar:64x0",
            "listops:31",
            "listops:x",
        ] {
            assert!(Task::of_corpus(name).is_err(), "{name}");
        }
    }

    #[test]
    fn generated_examples_fit_and_splits_differ() {
        for name in ["scan:length", "mqar:64x4", "listops:64"] {
            let task: Task = name.parse().unwrap();
            let Examples { vocabulary, splits, .. } = task.load(&WANTED, None).unwrap();
            assert_eq!((splits.tuning.len(), splits.test.len()), (20, 30));
            assert!(splits.train.len() >= 50);
            for example in [&splits.train, &splits.tuning, &splits.test].into_iter().flatten() {
                assert!(example.tokens.iter().all(|&token| (token as usize) < vocabulary));
                assert!(!example.answers.is_empty());
                for &(place, answer) in &example.answers {
                    assert!(place < example.tokens.len() && (answer as usize) < vocabulary);
                }
            }
            assert!(splits.test.iter().all(|example| !splits.train.contains(example)), "{name}");
            let short = task.load(&Wanted { context: 16, ..WANTED }, None);
            assert!(short.is_err_and(|e| e.to_string().contains("context")), "{name}");
        }
    }

    #[test]
    fn subsets_are_nested() {
        let task: Task = "listops:32".parse().unwrap();
        let train = task.load(&WANTED, None).unwrap().splits.train;
        let whole = subset_of_examples(&train, 3, 50);
        assert_eq!(subset_of_examples(&train, 3, 20), whole[..20]);
        assert_ne!(subset_of_examples(&train, 4, 50), whole);
    }
}
