//! The figures of a report, as numbers: what `results.json` holds and every table and plot shows.

use astrocytic_data::TokenClass;
use serde::{Deserialize, Serialize};

use super::solved_summary::SolvedSummary;
use crate::results::{CorpusFacts, Role, Trial};
use crate::statistics::{Estimate, Fit};

/// What a study found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Name of the study.
    pub name: String,
    /// The main finding in plain words.
    pub headline: String,
    /// The text.
    pub corpus: CorpusFacts,
    /// Whether this is a search. Then the test split is untouched, and losses are of half of the
    /// tuning split.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub search: bool,
    /// Final runs that ended, and final runs in all.
    pub final_runs: [usize; 2],
    /// Tuning runs that ended, and tuning runs in all.
    pub tuning_runs: [usize; 2],
    /// Every arm.
    pub arms: Vec<ArmSummary>,
    /// Every comparison that is tested, the primary one first.
    pub contrasts: Vec<Contrast>,
    /// Data ratios of the contrasts over the losses that both arms reach.
    pub ratios: Vec<Ratio>,
    /// Data ratios by the length of the test, where an arm learns through it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub streams: Vec<Stream>,
    /// Differences of test loss at equal data.
    pub differences: Vec<Difference>,
    /// Which sizes solve the task, where it is solved or not: then there are no ratios at a loss, no
    /// differences and no laws.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub solved: Option<SolvedSummary>,
    /// Fitted laws, where there are five sizes.
    pub fits: Vec<LawFit>,
    /// Commits of the program that made the lines, and how many lines each.
    pub commits: Vec<(String, usize)>,
    /// What is to be doubted, in sentences.
    pub doubts: Vec<String>,
    /// Path of the page.
    pub report: String,
}

/// One arm and its test losses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArmSummary {
    /// Name.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// Trained parameters.
    pub parameters: u64,
    /// Bytes of state: of a decoder for generation at the end of a context, of an encoder until its
    /// answer.
    pub state_bytes: u64,
    /// Floating-point operations of a forward pass, per token. A training step takes three times
    /// as many.
    pub flops_per_token: f64,
    /// Floating-point operations per token of a test, with what is learned there, where stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_flops_per_token: Option<f64>,
    /// Tokens of the test that it has learned from when one is predicted, on average: they count as
    /// data.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub learned_tokens: u64,
    /// Whether it is not trained at all: D = 0.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub untrained: bool,
    /// Median over runs of the most memory that their process held, bytes, where stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_bytes: Option<u64>,
    /// Median training throughput of the runs that finished.
    pub tokens_per_second: Option<f64>,
    /// The grid point that was chosen, at the largest size that has a final run.
    #[serde(flatten)]
    pub trial: Option<Trial>,
    /// Size by size, ascending.
    pub sizes: Vec<SizeSummary>,
    /// Losses by class of token at the largest size that has a final run, where stored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<ClassSummary>,
}

/// The loss of a class of tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassSummary {
    /// The class.
    pub class: TokenClass,
    /// Its tokens in the test.
    pub tokens: u64,
    /// Nats per token of every seed that finished.
    pub losses: Vec<f64>,
}

impl ArmSummary {
    /// Tokens that a model given a size has learned from when a token of the test is predicted, on
    /// average.
    pub fn data(&self, size: u64) -> u64 {
        if self.untrained { self.learned_tokens } else { size + self.learned_tokens }
    }
}

/// One arm at one data size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SizeSummary {
    /// Unique training tokens.
    pub tokens: u64,
    /// The grid point that was chosen.
    #[serde(flatten)]
    pub trial: Option<Trial>,
    /// Test loss of every seed that finished, nats per token, in the order of the seeds.
    pub test_losses: Vec<f64>,
    /// Their mean.
    pub mean: Option<f64>,
    /// Their standard deviation.
    pub deviation: Option<f64>,
    /// Test loss of every seed with the memory emptied before each window. Only of arms that carry
    /// their memory from window to window.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without_carry: Vec<f64>,
    /// If the data are examples: share of right answers of every seed that finished.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accuracies: Vec<f64>,
    /// Final runs that diverged: they have no test loss.
    pub diverged: usize,
    /// Whether most final runs were best at the last step of the longest schedule: more steps might
    /// lower the loss.
    pub wants_more_steps: bool,
    /// Whether most final runs were best at their first evaluation: an earlier stop might have been
    /// better.
    pub stops_at_once: bool,
    /// Axes of the grid on which no value beyond the chosen one was tried on one side, though others
    /// were.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edges: Vec<GridAxis>,
}

/// An axis of the grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GridAxis {
    /// Peak learning rate.
    LearningRate,
    /// Weight decay.
    WeightDecay,
    /// Steps of the schedule.
    Schedule,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// D_baseline(L) / D_arm(L) at one loss: above 1 the arm needs less data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// The arm.
    pub arm: String,
    /// What it is compared with.
    pub baseline: String,
    /// Test loss L, nats per token.
    pub loss: f64,
    /// Its estimate and interval.
    #[serde(flatten)]
    pub value: Estimate,
}

/// A comparison that is tested: the data ratio at one named loss, or, with one size of data, the
/// difference of losses there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contrast {
    /// The arm.
    pub arm: String,
    /// What it is compared with.
    pub baseline: String,
    /// Whether the file named it as the one that answers the question.
    pub primary: bool,
    /// What is compared.
    #[serde(flatten)]
    pub measure: Measure,
    /// Tokens of the test that the arm has learned from on average and the baseline has not: they
    /// count as its data. Below 0 the baseline's.
    pub learned: i64,
    /// `None` where it cannot be estimated.
    pub value: Option<Estimate>,
    /// p-value of no effect after Holm's correction over its family.
    pub p_holm: Option<f64>,
    /// Comparisons in its family: the primary one in all studies of the file, or all others.
    pub family: usize,
    /// What is concluded.
    pub verdict: Verdict,
}

/// What a contrast compares.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "measure", rename_all = "kebab-case")]
pub enum Measure {
    /// D_baseline(L) / D_arm(L).
    Ratio {
        /// Test loss L, nats per token; `None` where the two reach none in common.
        loss: Option<f64>,
    },
    /// Test loss of the arm minus the baseline's.
    Difference {
        /// Unique training tokens of both.
        tokens: u64,
    },
    /// D50(baseline) / D50(arm): the examples with which half of the seeds solve the task.
    Solved {
        /// Test accuracy from which on a run counts as solved.
        at: f64,
    },
}

/// What is concluded of a contrast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Corrected p < 0.05, and the arm needs less data, or has the lower loss.
    Better,
    /// Corrected p < 0.05, and the arm needs more data, or has the higher loss.
    Worse,
    /// Neither.
    NotEstablished,
    /// The loss is near the end of what was measured: the ratio has one bound, and is not tested.
    Bounded,
    /// The two reach no loss in common, or have no run in common.
    NotMeasured,
}

/// A data ratio when the test is only so long.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stream {
    /// Tokens of the test, from its beginning.
    pub tokens: u64,
    /// The ratio at the middle of the losses that both reach on them.
    #[serde(flatten)]
    pub ratio: Ratio,
}

/// Test loss of the arm minus the baseline's: below 0 favours the arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The arm.
    pub arm: String,
    /// What it is compared with.
    pub baseline: String,
    /// Unique training tokens of both.
    pub tokens: u64,
    /// Its estimate and interval.
    #[serde(flatten)]
    pub value: Estimate,
}

/// An arm's fitted law.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LawFit {
    /// The arm.
    pub arm: String,
    /// The law.
    #[serde(flatten)]
    pub fit: Fit,
}
