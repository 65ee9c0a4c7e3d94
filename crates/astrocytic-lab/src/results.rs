//! What a study stores: one description, and one JSON line per event. Reports are made from these
//! alone.

use astrocytic_data::TokenClass;
use astrocytic_train::document_loss::DocumentLoss;
use astrocytic_train::evaluate;
use astrocytic_train::number::null_is_nan;
use serde::{Deserialize, Serialize};

/// What was compared, on what and where: `experiment.json` in the study's folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Experiment {
    /// Name shown in the report.
    pub name: String,
    /// The text the models were trained on.
    pub corpus: CorpusFacts,
    /// Every arm, the baseline first.
    pub arms: Vec<ArmFacts>,
    /// Unique training tokens of each data size, ascending.
    pub sizes: Vec<u64>,
    /// Seeds of the final runs.
    pub seeds: Vec<u64>,
    /// Seeds of the tuning runs.
    pub tuning_seeds: Vec<u64>,
    /// The grid every arm was tuned on, at each data size.
    pub trials: Vec<Trial>,
    /// Tokens of context.
    pub context: usize,
    /// Sequences in a batch.
    pub batch: usize,
    /// Processor, cores, memory, operating system.
    pub machine: String,
    /// Name of the device; empty in results from before it was stored.
    #[serde(default)]
    pub device: String,
    /// Git commit of the program, or "unknown".
    pub commit: String,
    /// The whole configuration as it was run.
    pub config: serde_json::Value,
}

/// The text, its splits and its tokenizer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CorpusFacts {
    /// Name of the corpus or path of the file.
    pub name: String,
    /// For example "byte-pair, 512" or "characters".
    pub tokenizer: String,
    /// Size of the vocabulary.
    pub vocabulary: usize,
    /// Tokens in the training split.
    pub train_tokens: u64,
    /// Tokens in the tuning split.
    pub tuning_tokens: u64,
    /// Tokens in the test split.
    pub test_tokens: u64,
    /// Documents in the test split.
    pub test_documents: usize,
    /// Bytes of test text per token.
    pub bytes_per_token: f64,
    /// Entropy of the source on the test split, nats per token, where it is known exactly.
    pub entropy: Option<f64>,
    /// SHA-256 of the tokens of all splits; empty in results from before it was stored.
    #[serde(default)]
    pub sha256: String,
    /// Whether the data are examples with answers. Then the counts of tokens above are counts of
    /// examples, and losses are per answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub examples: bool,
    /// What was guessed or left out in reading the files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl CorpusFacts {
    /// What sizes count.
    pub(crate) fn unit(&self) -> &'static str {
        if self.examples { "examples" } else { "tokens" }
    }

    /// What a test consists of.
    pub(crate) fn test_unit(&self) -> &'static str {
        if self.examples { "examples" } else { "documents" }
    }

    /// What losses are of.
    pub(crate) fn per(&self) -> &'static str {
        if self.examples { "nats per answer" } else { "nats per token" }
    }
}

/// What an arm of the comparison is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The vanilla transformer: what ratios are taken against.
    Baseline,
    /// An astrocytic model.
    Astrocytic,
    /// A control: what else could explain a gain.
    Control,
    /// A known difference from the baseline, or none: tests the measurement.
    Calibration,
}

/// One arm: a model that differs from the others in its attention, or in what it reads at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArmFacts {
    /// Short name, for example "vanilla" or "tripartite".
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// One line on what the layer does.
    pub description: String,
    /// Trained parameters.
    pub parameters: u64,
    /// Bytes of state in f32, with what is carried across windows: of a decoder for generation at
    /// the end of a full context, of an encoder until its answer.
    pub state_bytes: u64,
    /// Floating-point operations of a forward pass, per token at the experiment's context.
    pub flops_per_token: f64,
    /// Floating-point operations per token of a test, with what is learned there; `None` in results
    /// from before it was stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_flops_per_token: Option<f64>,
    /// Tokens of the test that it has learned from when one is predicted, on average. `None` in
    /// results from before it was stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_learned_tokens: Option<u64>,
    /// Joules of the whole machine per million tokens of training, by its own counters, measured on
    /// one thread when the study began; `None` if they cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joules_per_million_tokens: Option<f64>,
}

/// Why a cell was run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// To choose learning rate and weight decay; never reads the test split.
    Tune,
    /// To be reported; reads the test split once, at the end.
    Final,
}

/// A point of the grid on which arms are tuned.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Peak learning rate.
    pub learning_rate: f64,
    /// AdamW's decoupled weight decay.
    pub weight_decay: f64,
    /// Optimizer steps of the schedule, if nothing stops it early.
    pub schedule: u64,
}

/// One training run: an arm at a data size with a seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Hash of everything the result depends on.
    pub id: String,
    /// Tuning or final.
    pub phase: Phase,
    /// Name of the arm.
    pub arm: String,
    /// Unique training tokens.
    pub size: u64,
    /// Seed of the subset, the initial weights, the batch order and dropout.
    pub seed: u64,
    /// Its point of the grid.
    #[serde(flatten)]
    pub trial: Trial,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It reached its end or its early stop.
    Finished,
    /// Its loss was no longer finite. It is reported, not dropped.
    Diverged,
}

/// One line of `lines.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Line {
    /// An evaluation in the course of a run.
    Evaluation {
        /// Its cell.
        cell: Cell,
        /// Optimizer steps so far.
        step: u64,
        /// Tokens seen so far, repeats counted.
        tokens: u64,
        /// Mean training loss since the last evaluation, nats per token.
        #[serde(deserialize_with = "null_is_nan")]
        train_loss: f64,
        /// Loss on the tuning split, nats per token.
        #[serde(deserialize_with = "null_is_nan")]
        tuning_loss: f64,
        /// Share of right answers on the tuning split, where they are counted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        accuracy: Option<f64>,
        /// Commit of the program that made it; empty in lines from before it was stored.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        commit: String,
    },
    /// The end of a run.
    Result {
        /// Its cell.
        cell: Cell,
        /// How it ended.
        status: Status,
        /// Step of the weights that were kept: those with the lowest tuning loss or, where answers
        /// are counted, with the highest accuracy on the tuning split.
        best_step: u64,
        /// Steps taken in all.
        steps: u64,
        /// Their loss on the tuning split, nats per token.
        #[serde(deserialize_with = "null_is_nan")]
        tuning_loss: f64,
        /// Their accuracy on the tuning split, where answers are counted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tuning_accuracy: Option<f64>,
        /// Test loss, nats per token, and its documents (final runs that finished only).
        test: Option<TestLoss>,
        /// Training throughput, tokens per second of wall clock, without evaluations.
        #[serde(deserialize_with = "null_is_nan")]
        tokens_per_second: f64,
        /// Wall clock of its training steps, seconds. In results from before cells had checkpoints:
        /// of the whole run.
        #[serde(deserialize_with = "null_is_nan")]
        seconds: f64,
        /// Most memory that the process held while it trained and tested, where the system tells.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        peak_bytes: Option<u64>,
        /// Commit of the program that made it; empty in lines from before it was stored.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        commit: String,
    },
}

impl Line {
    /// The run it is of.
    pub fn cell(&self) -> &Cell {
        match self {
            Line::Evaluation { cell, .. } | Line::Result { cell, .. } => cell,
        }
    }

    /// Commit of the program that made it; empty in lines from before it was stored.
    pub fn commit(&self) -> &str {
        match self {
            Line::Evaluation { commit, .. } | Line::Result { commit, .. } => commit,
        }
    }

    /// Commit that made it; of a line that does not name it, what its experiment names, which may be
    /// several.
    pub(crate) fn made_by(&self, experiment: &str) -> String {
        if self.commit().is_empty() { experiment.replace(", ", " or ") } else { self.commit().into() }
    }

    /// The same line for another run.
    pub(crate) fn of(mut self, other: &Cell) -> Self {
        let (Line::Evaluation { cell, .. } | Line::Result { cell, .. }) = &mut self;
        cell.clone_from(other);
        self
    }
}

/// A test on longer examples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LongerTest {
    /// Times the length that was trained on.
    pub times: u32,
    /// Share of right answers.
    pub accuracy: f64,
}

/// Loss on the test split, every token predicted exactly once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestLoss {
    /// Nats per token over all documents.
    #[serde(deserialize_with = "null_is_nan")]
    pub loss: f64,
    /// Document by document in the order of the split, which is the same for all cells. Examples
    /// are grouped by tens or hundreds.
    pub documents: Vec<DocumentLoss>,
    /// If the data are examples: share of answers that are right; of SCAN, share of examples that
    /// are right as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// Accuracy on test examples that are longer than those that were trained on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub longer: Vec<LongerTest>,
    /// Of a text that is read window by window: the loss by class of token, in the order of classes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<ClassLoss>,
    /// Loss with the memory emptied before each window. Only of arms that carry their memory from
    /// window to window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without_carry: Option<f64>,
    /// Learning rate at test time, chosen on the tuning split. Only of arms that go on learning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plasticity: Option<f64>,
}

impl TestLoss {
    /// Of a text's documents, each read anew.
    pub(crate) fn of(documents: Vec<DocumentLoss>) -> Self {
        let loss = evaluate::mean(&documents);
        Self { loss, documents, accuracy: None, longer: vec![], classes: vec![], without_carry: None, plasticity: None }
    }
}

/// The share of a class of tokens in a test loss.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ClassLoss {
    /// The class.
    pub class: TokenClass,
    /// Sum of −ln p over its tokens.
    #[serde(deserialize_with = "null_is_nan")]
    pub nats: f64,
    /// Number of its tokens.
    pub tokens: u64,
}
