//! What a study of a task that is solved or not found, as numbers.

use serde::{Deserialize, Serialize};

use crate::results::LongerTest;
use crate::statistics::{D50, Estimate};

/// What a study of a task that is solved or not found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SolvedSummary {
    /// Test accuracy from which on a run counts as solved.
    pub at: f64,
    /// Optimizer steps that a run had at most; what is not solved in them may be with more.
    pub most_steps: u64,
    /// Every arm.
    pub arms: Vec<SolvedArm>,
}

impl SolvedSummary {
    /// Whether at least half of an arm's seeds solve a size.
    pub fn is_solved(&self, arm: &str, size: u64) -> bool {
        let arm = self.arms.iter().find(|found| found.arm == arm);
        arm.into_iter().flat_map(|arm| &arm.shares).any(|share| share.size == size && share.is_half())
    }
}

/// How much data an arm needs to solve the task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SolvedArm {
    /// Its name.
    pub arm: String,
    /// Examples that half of the seeds need; `None` without a final run.
    pub d50: Option<D50>,
    /// D50 of the first arm over its own, not tested; `None` for that arm, and where both lie
    /// beyond the same end of the sizes.
    pub ratio: Option<Estimate>,
    /// Sizes that were visited, ascending.
    pub shares: Vec<SolvedShare>,
    /// Test accuracy at the largest of them that half of the seeds solve, or else at the largest, median
    /// over seeds.
    pub accuracy: Option<f64>,
    /// Accuracy there on longer examples than were trained on, medians over seeds.
    pub longer: Vec<LongerTest>,
    /// Optimizer steps there until the tuning split is solved, median over seeds; `None` where half of
    /// them never solve it.
    pub steps: Option<u64>,
}

/// How many seeds solve the test at a size.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SolvedShare {
    /// Unique training examples.
    pub size: u64,
    /// Seeds whose run reaches the accuracy.
    pub solved: usize,
    /// Seeds that were run.
    pub seeds: usize,
}

impl SolvedShare {
    /// Whether there are runs and half of them solve the test.
    pub fn is_half(&self) -> bool {
        self.seeds > 0 && 2 * self.solved >= self.seeds
    }

    /// The share of the seeds.
    pub fn share(&self) -> f64 {
        self.solved as f64 / self.seeds.max(1) as f64
    }
}
