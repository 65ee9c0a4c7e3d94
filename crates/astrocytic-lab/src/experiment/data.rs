//! The data of an experiment, ready for training: a text, or the examples of a task.

use std::path::Path;

use anyhow::{Context, Result, bail};
use astrocytic_data::tasks::{Example, Examples, Task, Wanted, subset_of_examples};
use astrocytic_data::{
    Batches, Cache, Corpus, EvaluationWindows, TokenClass, TokenizedCorpus, TokenizedDocument, Tokenizer, subset,
    token_classes,
};
use astrocytic_train::evaluate::Counted;
use sha2::{Digest, Sha256};

use crate::arms::Sizes;
use crate::experiment::config::ExperimentConfig;
use crate::results::CorpusFacts;

/// From fewer documents or blocks of a test nothing is concluded.
const FEWEST_TEST_DOCUMENTS: usize = 50;

/// The data of an experiment, ready for training.
pub struct Data(Kind);

/// What kind of data it is.
pub(super) enum Kind {
    Text(TokenizedCorpus),
    Examples { task: Task, examples: Examples },
}

impl Data {
    /// Loads the corpus or makes the task's examples; the tokenizer is read from the folder of a
    /// run that has begun, or trained.
    ///
    /// # Errors
    /// For a corpus or task that cannot be had, or one too small for the experiment.
    pub fn prepare(config: &ExperimentConfig, begun: Option<&Path>) -> Result<Self> {
        let wanted = config.sizes.last().copied().unwrap_or(0);
        let stored = begun.map(|folder| folder.join("tokenizer.json")).filter(|path| path.exists());
        let stored = stored.map(|path| Tokenizer::load(&path)).transpose()?;
        let data = if let Some(task) = Task::of_corpus(&config.corpus)? {
            let given =
                config.arms.iter().map(|name| Ok(config.arm(name)?.given(wanted, 0).0)).collect::<Result<Vec<_>>>()?;
            let wanted = Wanted {
                tokenizer: config.tokenizer,
                context: config.context,
                train: given.into_iter().max().unwrap_or(wanted) as usize,
                tuning: config.tuning_tokens as usize,
                test: config.test_tokens as usize,
                seed: config.corpus_seed,
            };
            let mut examples = task.load(&wanted, stored).with_context(|| format!("corpus {}", config.corpus))?;
            if config.search {
                let tuning = std::mem::take(&mut examples.splits.tuning);
                (examples.splits.tuning, examples.splits.test) = halves(tuning);
                // They are of the test.
                examples.longer.clear();
            }
            Self(Kind::Examples { task, examples })
        } else {
            let mut corpus = if config.corpus == "generated" {
                // More words than tokens, and enough for an arm that is given half as much again.
                Corpus::generated((wanted as usize * 3 / 2).max(60_000), config.corpus_seed)
            } else {
                let loaded = Corpus::load(&config.corpus, &Cache::default_folder()?);
                loaded.with_context(|| format!("corpus {}", config.corpus))?
            };
            if config.search {
                (corpus.tuning, corpus.test) = halves(corpus.tuning);
            }
            Self(Kind::Text(prepared(TokenizedCorpus::new(corpus, config.tokenizer, stored)?, config)))
        };
        let available = data.available();
        if data.is_without_test() {
            bail!("corpus {}: its tuning split is too small to be halved for a search", config.corpus);
        }
        if available < config.sizes[0] {
            bail!(
                "corpus {}: its training split has {available} {}, fewer than the smallest size, {}; use more data or smaller \
                 sizes",
                config.corpus,
                data.units(),
                config.sizes[0]
            );
        }
        Ok(data)
    }

    fn is_without_test(&self) -> bool {
        match &self.0 {
            Kind::Text(corpus) => corpus.test.is_empty(),
            Kind::Examples { examples, .. } => examples.splits.test.is_empty(),
        }
    }

    /// What sizes count.
    pub(crate) fn units(&self) -> &'static str {
        if self.is_text() { "tokens" } else { "examples" }
    }

    /// Whether it is a text, not examples.
    pub(crate) fn is_text(&self) -> bool {
        matches!(self.0, Kind::Text(_))
    }

    /// Writes the tokenizer, if there is one, where [`prepare`](Self::prepare) reads it, once the
    /// folder is known to be this run's.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn save_tokenizer(&self, folder: &Path) -> Result<()> {
        let tokenizer = match &self.0 {
            Kind::Text(corpus) => Some(&corpus.tokenizer),
            Kind::Examples { examples, .. } => examples.tokenizer.as_ref(),
        };
        Ok(tokenizer.map_or(Ok(()), |tokenizer| tokenizer.save(&folder.join("tokenizer.json")))?)
    }

    /// What was guessed or left out in reading it; also in the [facts](Self::facts).
    pub fn notes(&self) -> &[String] {
        match &self.0 {
            Kind::Text(corpus) => &corpus.notes,
            Kind::Examples { examples, .. } => &examples.notes,
        }
    }

    /// Tokens, or examples, in the training split.
    pub fn available(&self) -> u64 {
        match &self.0 {
            Kind::Text(corpus) => tokens(&corpus.train),
            Kind::Examples { examples, .. } => examples.splits.train.len() as u64,
        }
    }

    /// Sizes of the models for this data.
    pub fn sizes(&self, config: &ExperimentConfig) -> Sizes {
        let ExperimentConfig { d_model, layers, heads, dropout, context, .. } = *config;
        let (vocabulary, feed_forward) = match &self.0 {
            Kind::Text(corpus) => (corpus.tokenizer.vocabulary_size(), true),
            // Zoology's models have none: it is attention that is asked to recall.
            Kind::Examples { task, examples } => (examples.vocabulary, !matches!(task, Task::Mqar { .. })),
        };
        Sizes { vocabulary, d_model, layers, heads, dropout, context, feed_forward }
    }

    /// The facts that a report states.
    pub fn facts(&self, config: &ExperimentConfig) -> CorpusFacts {
        let common = CorpusFacts {
            name: config.corpus.clone(),
            tokenizer: config.tokenizer.to_string(),
            vocabulary: self.sizes(config).vocabulary,
            train_tokens: self.available(),
            tuning_tokens: 0,
            test_tokens: 0,
            test_documents: 0,
            bytes_per_token: 0.0,
            entropy: None,
            sha256: self.sha256(),
            examples: !self.is_text(),
            notes: self.notes().to_vec(),
        };
        match &self.0 {
            Kind::Text(TokenizedCorpus { tuning, test, .. }) => {
                let test_tokens = tokens(test);
                let bytes: usize = test.iter().map(|d| d.bytes).sum();
                let nats: Option<f64> = test.iter().map(|d| d.nats).sum();
                CorpusFacts {
                    tuning_tokens: tokens(tuning),
                    test_tokens,
                    test_documents: test.len(),
                    bytes_per_token: bytes as f64 / test_tokens as f64,
                    entropy: nats.map(|nats| nats / test_tokens as f64),
                    ..common
                }
            }
            Kind::Examples { examples, .. } => CorpusFacts {
                tokenizer: if examples.tokenizer.is_some() { common.tokenizer } else { "symbols of the task".into() },
                tuning_tokens: examples.splits.tuning.len() as u64,
                test_tokens: examples.splits.test.len() as u64,
                test_documents: examples.splits.test.len(),
                ..common
            },
        }
    }

    /// Of the tokens, and answers, of all splits: another text, or another tokenizer, is another
    /// experiment.
    pub fn sha256(&self) -> String {
        match &self.0 {
            Kind::Text(corpus) => corpus.sha256(),
            Kind::Examples { examples, .. } => sha256_of_examples(examples),
        }
    }

    /// Batches of the first `size` tokens of the training split as the seed shuffles its documents or
    /// blocks, or of as many examples. Where a model carries its memory from batch to batch, the text
    /// of each row stays in its order.
    ///
    /// # Errors
    /// For fewer tokens than a context.
    pub fn batches(&self, config: &ExperimentConfig, size: u64, seed: u64, carried: bool) -> Result<Batches> {
        Ok(match &self.0 {
            Kind::Text(corpus) => {
                let make = if carried { Batches::carried } else { Batches::new };
                make(subset(&corpus.train, seed, size as usize), config.context, config.batch, seed)?
            }
            Kind::Examples { task, examples } => {
                let chosen = subset_of_examples(&examples.splits.train, seed, size as usize);
                let batches = Batches::of_examples(chosen, config.batch, seed);
                // Stories differ much in length.
                if matches!(task, Task::State(_)) { batches.by_length() } else { batches }
            }
        })
    }

    /// How right answers are counted; `None` for a text.
    pub(super) fn counted(&self) -> Option<Counted> {
        match &self.0 {
            Kind::Text(_) => None,
            Kind::Examples { task, .. } => Some(counted(task)),
        }
    }

    /// What kind it is.
    pub(super) fn kind(&self) -> &Kind {
        &self.0
    }

    /// The test split of a text, ready for evaluation.
    ///
    /// # Errors
    /// For an empty split, and for data that are no text.
    pub(super) fn test_windows(&self, config: &ExperimentConfig, carried: bool) -> Result<EvaluationWindows> {
        match &self.0 {
            Kind::Text(corpus) => windows(config, &corpus.test, &corpus.tokenizer, carried),
            Kind::Examples { .. } => bail!("corpus {}: it is no text", config.corpus),
        }
    }

    /// The class of each token of the test split of a text.
    ///
    /// # Errors
    /// For data that are no text.
    pub(super) fn test_classes(&self, config: &ExperimentConfig) -> Result<Vec<Vec<TokenClass>>> {
        let Kind::Text(corpus) = &self.0 else { bail!("corpus {}: it is no text", config.corpus) };
        corpus.test.iter().map(|document| Ok(token_classes(&corpus.tokenizer, document)?)).collect()
    }

    /// The tuning split, ready for evaluation.
    ///
    /// # Errors
    /// For an empty split.
    pub fn tuning_windows(&self, config: &ExperimentConfig, carried: bool) -> Result<EvaluationWindows> {
        match &self.0 {
            Kind::Text(corpus) => windows(config, &corpus.tuning, &corpus.tokenizer, carried),
            Kind::Examples { examples, .. } => {
                Ok(EvaluationWindows::of_examples(&examples.splits.tuning, 2 * config.batch)?)
            }
        }
    }
}

/// How right answers of a task are counted.
pub(super) fn counted(task: &Task) -> Counted {
    if task.scored_whole() { Counted::WholeExamples } else { Counted::Answers }
}

/// A text as the experiment reads it: whole documents, or blocks.
fn prepared(corpus: TokenizedCorpus, config: &ExperimentConfig) -> TokenizedCorpus {
    let ExperimentConfig { block_tokens, context, tuning_tokens, test_tokens, .. } = *config;
    if block_tokens == 0 {
        return corpus.with_held_out_tokens(tuning_tokens, test_tokens);
    }
    let mut corpus = corpus.in_blocks(block_tokens, context, tuning_tokens, test_tokens);
    let found = corpus.test.len();
    if found < FEWEST_TEST_DOCUMENTS {
        let name = if corpus.test.iter().any(|document| document.nats.is_some()) { "documents" } else { "blocks" };
        corpus.notes.push(format!(
            "the test has {found} {name}; {FEWEST_TEST_DOCUMENTS} are needed for intervals that count them"
        ));
    }
    corpus
}

/// SHA-256 of the tokens and answers of all splits.
fn sha256_of_examples(Examples { splits, longer, .. }: &Examples) -> String {
    let mut digest = Sha256::new();
    for split in [&splits.train, &splits.tuning, &splits.test].into_iter().chain(longer.iter().map(|(_, test)| test)) {
        digest.update((split.len() as u64).to_le_bytes());
        for Example { tokens, answers } in split {
            digest.update([(tokens.len() as u64).to_le_bytes(), (answers.len() as u64).to_le_bytes()].concat());
            tokens.iter().for_each(|id| digest.update(id.to_le_bytes()));
            for (place, answer) in answers {
                digest.update((*place as u64).to_le_bytes());
                digest.update(answer.to_le_bytes());
            }
        }
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Every second one, and the others.
fn halves<T>(all: Vec<T>) -> (Vec<T>, Vec<T>) {
    let (one, other): (Vec<_>, Vec<_>) = all.into_iter().enumerate().partition(|(place, _)| place % 2 == 0);
    let plain = |half: Vec<(usize, T)>| half.into_iter().map(|(_, item)| item).collect();
    (plain(one), plain(other))
}

fn windows(
    config: &ExperimentConfig,
    documents: &[TokenizedDocument],
    tokenizer: &Tokenizer,
    carried: bool,
) -> Result<EvaluationWindows> {
    let (end, context, rows) = (tokenizer.end_id()?, config.context, 2 * config.batch);
    if carried {
        return Ok(EvaluationWindows::carried(documents, end, context, rows, config.carried_tokens())?);
    }
    let stride = (config.context / 2).max(1);
    Ok(EvaluationWindows::new(documents, end, context, stride, rows)?)
}

/// Number of tokens.
fn tokens(documents: &[TokenizedDocument]) -> u64 {
    documents.iter().map(|d| d.ids.len() as u64).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::budget::Budget;

    #[test]
    fn blocks_are_documents_of_their_own_where_no_entropy_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text.txt");
        let sentences = (0..10_000).map(|i| format!("Line {i}: {} sheep, naïve as ever.\n", i * i % 977));
        std::fs::write(&path, sentences.collect::<String>()).unwrap();
        let config = ExperimentConfig {
            sizes: vec![2_000],
            tuning_tokens: 640,
            test_tokens: 64 * 64,
            block_tokens: 64,
            context: 16,
            ..Budget::Quick.config(path.to_str().unwrap()).unwrap()
        };
        let of = |config: &ExperimentConfig| Data::prepare(config, None).unwrap();
        let facts = |config: &ExperimentConfig| of(config).facts(config);
        let [blocks, whole] =
            [config.clone(), ExperimentConfig { block_tokens: 0, ..config.clone() }].map(|config| facts(&config));
        assert_eq!((blocks.test_documents, blocks.test_tokens, blocks.tuning_tokens), (64, 64 * 64, 640));
        assert!(blocks.train_tokens == whole.train_tokens && blocks.sha256 != whole.sha256);
        assert!((blocks.bytes_per_token / whole.bytes_per_token - 1.0).abs() < 0.05, "{blocks:?} {whole:?}");
        assert!(blocks.notes == whole.notes && !whole.notes.iter().any(|note| note.contains("50")));
        let few = facts(&ExperimentConfig { test_tokens: 640, ..config.clone() });
        assert!(few.notes.last().is_some_and(|note| note.contains("10 blocks; 50")), "{:?}", few.notes);
        // Each stretch of a subset is a block; two seeds draw different ones from all of the text.
        let first = |seed| of(&config).batches(&config, 2_000, seed, false).unwrap().batch(0);
        assert!(first(0) == first(0) && first(0) != first(1));
        let generated = ExperimentConfig { corpus: "generated".into(), ..config };
        let [blocks, whole] =
            [generated.clone(), ExperimentConfig { block_tokens: 0, ..generated }].map(|config| facts(&config));
        assert!(blocks.entropy.is_some() && blocks.sha256 == whole.sha256);
        assert!(blocks.notes.last().is_some_and(|note| note.contains("documents; 50")), "{:?}", blocks.notes);
    }

    #[test]
    fn a_search_never_sees_the_test_split() {
        let config = ExperimentConfig { sizes: vec![2_000], ..Budget::Quick.config("generated").unwrap() };
        let digests = |config: &ExperimentConfig| {
            let Kind::Text(TokenizedCorpus { tuning, test, .. }) = Data::prepare(config, None).unwrap().0 else {
                panic!("a text")
            };
            let ids = |documents: Vec<TokenizedDocument>| documents.into_iter().map(|d| d.ids).collect::<Vec<_>>();
            (ids(tuning), ids(test))
        };
        let all = ExperimentConfig { tuning_tokens: 1_000_000, test_tokens: 1_000_000, ..config };
        let (tuning, test) = digests(&all);
        let (half, other) = digests(&ExperimentConfig { search: true, ..all });
        assert_eq!(half.len() + other.len(), tuning.len());
        assert!(half.iter().chain(&other).all(|document| tuning.contains(document)));
        assert!(!half.iter().any(|document| other.contains(document)) && !test.is_empty());
    }
}
