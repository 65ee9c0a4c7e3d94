//! The figures of a report, as numbers: what `results.json` holds and every table and plot shows.

use serde::{Deserialize, Serialize};

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
    /// Data-efficiency ratios.
    pub ratios: Vec<Ratio>,
    /// Differences of test loss at equal data.
    pub differences: Vec<Difference>,
    /// Fitted laws, where there are five sizes.
    pub fits: Vec<LawFit>,
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
    /// Floating-point operations of a forward pass, per token.
    pub flops_per_token: f64,
    /// Median training throughput of the runs that finished.
    pub tokens_per_second: Option<f64>,
    /// The grid point that was chosen, at the largest size that has a final run.
    #[serde(flatten)]
    pub trial: Option<Trial>,
    /// Size by size, ascending.
    pub sizes: Vec<SizeSummary>,
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
    /// Its estimate, interval and uncorrected p-value.
    #[serde(flatten)]
    pub value: Estimate,
    /// p-value of r = 1 after Holm's correction over all ratios of the report.
    pub p_holm: Option<f64>,
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
    /// Its estimate, interval and uncorrected p-value.
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
