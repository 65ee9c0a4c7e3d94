//! Which runs of a task that is solved or not solve it, by its tuning split: the test split steers
//! nothing.

use crate::results::{Line, Phase, Status};

/// How many of the first so many of an arm's final seeds solve the tuning split at a size; `None`
/// where not all of them were run. A run that diverged solves nothing.
pub(crate) fn solved_by(lines: &[Line], arm: &str, size: u64, seeds: &[u64], solved_at: f64) -> Option<u64> {
    let is_solved = |&wanted: &u64| {
        lines.iter().find_map(|line| match line {
            Line::Result { cell, status, tuning_accuracy, .. }
                if (cell.phase, cell.size, cell.seed) == (Phase::Final, size, wanted) && cell.arm == arm =>
            {
                let is_solved = tuning_accuracy.is_some_and(|accuracy| accuracy >= solved_at);
                Some(u64::from(is_solved && *status == Status::Finished))
            }
            _ => None,
        })
    };
    seeds.iter().map(is_solved).sum()
}
