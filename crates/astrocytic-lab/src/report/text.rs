//! A summary as text for a terminal.

use std::fmt::{Display, Formatter};

use super::plot::plain;
use super::solved_summary::SolvedSummary;
use super::solved_words;
use super::summary::Summary;
use super::words::{accuracies_in_words, held_out, losses_in_words, tokens};
use crate::results::LongerTest;

impl Display for Summary {
    fn fmt(&self, f: &mut Formatter) -> std::fmt::Result {
        let width = self.arms.iter().map(|arm| arm.name.len()).max().unwrap_or(0).max(3);
        match &self.solved {
            Some(found) => solved(self, found, width, f)?,
            None => {
                losses(self, width, f)?;
                if self.corpus.examples {
                    accuracies(self, width, f)?;
                }
            }
        }
        if let Some(entropy) = self.corpus.entropy {
            writeln!(f, "entropy of the source: {entropy:.3}; what is above it is excess")?;
        }
        trials(self, width, f)?;
        contrasts(self, f)?;
        let diverged: usize = self.arms.iter().flat_map(|arm| &arm.sizes).map(|size| size.diverged).sum();
        if diverged > 0 {
            writeln!(f, "{diverged} of the final runs diverged")?;
        }
        if self.final_runs[0] < self.final_runs[1] {
            writeln!(f, "{} of {} final runs done", self.final_runs[0], self.final_runs[1])?;
        }
        for doubt in &self.doubts {
            writeln!(f, "{doubt}")?;
        }
        write!(f, "\nReport: {}", self.report)
    }
}

/// A row for each arm: the examples with which half of the seeds solve the task, and how many seeds
/// do at each size.
fn solved(summary: &Summary, found: &SolvedSummary, width: usize, f: &mut Formatter) -> std::fmt::Result {
    let sizes = found.arms.iter().flat_map(|arm| &arm.shares).map(|share| share.size);
    let sizes: std::collections::BTreeSet<u64> = sizes.collect();
    write!(f, "{:width$}  {:>10}  {:>8}  {:>15}  {:>17}", "arm", "parameters", "tokens/s", "D50", "95 % interval")?;
    for size in &sizes {
        write!(f, "  {:>6}", tokens(*size as f64))?;
    }
    write!(f, "  {:>8}  {:>6}", "accuracy", "steps")?;
    for (arm, own) in found.arms.iter().zip(&summary.arms) {
        let speed = own.tokens_per_second.map_or("-".into(), |speed| format!("{speed:.0}"));
        let [size, interval] = match &arm.d50 {
            Some(d50) => [solved_words::d50(d50), solved_words::d50_interval(d50)],
            None => ["-".into(), "-".into()],
        };
        write!(f, "\n{:width$}  {:>10}  {speed:>8}  {size:>15}  {interval:>17}", arm.arm, own.parameters)?;
        for size in &sizes {
            let share = arm.shares.iter().find(|share| share.size == *size);
            write!(f, "  {:>6}", share.map_or(String::new(), |share| format!("{}/{}", share.solved, share.seeds)))?;
        }
        let accuracy = arm.accuracy.map_or("-".into(), |accuracy| format!("{:.1} %", 100.0 * accuracy));
        write!(f, "  {accuracy:>8}  {:>6}", arm.steps.map_or("-".into(), |steps| steps.to_string()))?;
        for LongerTest { times, accuracy } in &arm.longer {
            write!(f, "  {times}x longer {:.1} %", 100.0 * accuracy)?;
        }
    }
    writeln!(
        f,
        "\n(D50: unique training examples with which half of the seeds solve the task, {} % of the test; by size: seeds that do, of \
         those that were run; accuracy and steps at the largest of these sizes, median)",
        plain(100.0 * found.at)
    )
}

/// A row for each arm, a column for each size.
fn losses(summary: &Summary, width: usize, f: &mut Formatter) -> std::fmt::Result {
    write!(f, "{:width$}  {:>10}  {:>8}", "arm", "parameters", "tokens/s")?;
    for size in summary.arms.iter().take(1).flat_map(|arm| &arm.sizes) {
        write!(f, "  {:>14}", tokens(size.tokens as f64))?;
    }
    for arm in &summary.arms {
        let speed = arm.tokens_per_second.map_or("-".into(), |speed| format!("{speed:.0}"));
        write!(f, "\n{:width$}  {:>10}  {speed:>8}", arm.name, arm.parameters)?;
        for size in &arm.sizes {
            write!(f, "  {:>14}", losses_in_words(&size.test_losses).unwrap_or("-".into()))?;
        }
        if arm.sizes.iter().any(|size| !size.without_carry.is_empty()) {
            write!(f, "\n{:<1$}", "  each window by itself", width + 22)?;
            for size in &arm.sizes {
                write!(f, "  {:>14}", losses_in_words(&size.without_carry).unwrap_or("-".into()))?;
            }
        }
    }
    writeln!(
        f,
        "\n({}, {}, by unique training {})",
        held_out(summary.search),
        summary.corpus.per(),
        summary.corpus.unit()
    )
}

fn accuracies(summary: &Summary, width: usize, f: &mut Formatter) -> std::fmt::Result {
    write!(f, "\naccuracy, %")?;
    for arm in &summary.arms {
        write!(f, "\n{:width$}  {:>10}  {:>8}", arm.name, "", "")?;
        for size in &arm.sizes {
            write!(f, "  {:>14}", accuracies_in_words(&size.accuracies).unwrap_or("-".into()))?;
        }
    }
    writeln!(f)
}

/// What was chosen for each arm at each size.
fn trials(summary: &Summary, width: usize, f: &mut Formatter) -> std::fmt::Result {
    match summary.tuning_runs[1] {
        0 => writeln!(f, "\nthe same for all arms, not tuned: learning rate, weight decay, steps")?,
        _ => writeln!(f, "\nchosen on the tuning split: learning rate, weight decay, steps")?,
    }
    for arm in &summary.arms {
        write!(f, "{:width$}", arm.name)?;
        for trial in arm.sizes.iter().filter_map(|size| size.trial) {
            write!(f, "  {}, {}, {}", trial.learning_rate, trial.weight_decay, trial.schedule)?;
        }
        writeln!(f)?;
    }
    writeln!(f)
}

fn contrasts(summary: &Summary, f: &mut Formatter) -> std::fmt::Result {
    for finding in summary.findings() {
        writeln!(f, "{finding}")?;
    }
    Ok(())
}
