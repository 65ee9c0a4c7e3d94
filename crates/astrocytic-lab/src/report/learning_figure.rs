//! The course of the final runs, a panel for each data size.

use std::collections::BTreeMap;

use anyhow::Result;

use super::figures::{fold, of_arm};
use super::plot::{Axis, Plot, Series, plain};
use super::words::{solved_at, tokens};
use crate::results::{ArmFacts, Experiment, Line, Phase};
use crate::statistics::mean;

/// Tuning loss; where runs are solved or not, accuracy on the tuning split.
pub(super) fn learning_panels(experiment: &Experiment, lines: &[Line]) -> Result<Vec<String>> {
    let is_solved_or_not = solved_at(experiment).is_some();
    let panel = |&size: &u64| {
        let of_arm = |(index, arm)| match is_solved_or_not {
            true => accuracies(index, arm, &courses(lines, arm, size, accuracy)),
            false => vec![losses(index, arm, &courses(lines, arm, size, loss))],
        };
        let label = match is_solved_or_not {
            true => "right on the tuning split (%)".into(),
            false => format!("tuning loss ({})", experiment.corpus.per()),
        };
        Plot {
            size: (552, 400),
            title: format!("{} unique {}", tokens(size as f64), experiment.corpus.unit()),
            x: Axis { label: "optimizer step".into(), log: false, ticks: None, format: tokens },
            y: Axis { label, log: !is_solved_or_not, ticks: None, format: plain },
            series: experiment.arms.iter().enumerate().flat_map(of_arm).collect(),
            rule: None,
        }
        .svg()
    };
    // Sizes that a search did not visit have nothing to show.
    let is_visited = |size: &&u64| {
        let is_it = |line: &Line| line.cell().size == **size && line.cell().phase == Phase::Final;
        !is_solved_or_not || lines.iter().any(is_it)
    };
    experiment.sizes.iter().filter(is_visited).map(panel).collect()
}

/// (step, value) of each seed's evaluations.
type Courses = BTreeMap<u64, Vec<(u64, f64)>>;

fn courses(lines: &[Line], arm: &ArmFacts, size: u64, value: fn(&Line) -> Option<f64>) -> Courses {
    let mut seeds = Courses::new();
    for line in lines {
        if let Line::Evaluation { cell, step, .. } = line
            && (cell.phase, cell.size, cell.arm.as_str()) == (Phase::Final, size, arm.name.as_str())
            && let Some(value) = value(line).filter(|value| value.is_finite())
        {
            seeds.entry(cell.seed).or_default().push((*step, value));
        }
    }
    seeds
}

fn loss(line: &Line) -> Option<f64> {
    match line {
        Line::Evaluation { tuning_loss, .. } => Some(*tuning_loss),
        Line::Result { .. } => None,
    }
}

fn accuracy(line: &Line) -> Option<f64> {
    match line {
        Line::Evaluation { accuracy, .. } => accuracy.map(|accuracy| 100.0 * accuracy),
        Line::Result { .. } => None,
    }
}

/// Mean and range over seeds.
fn losses(index: usize, arm: &ArmFacts, seeds: &Courses) -> Series {
    let mut steps: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for &(step, loss) in seeds.values().flatten() {
        steps.entry(step).or_default().push(loss);
    }
    // Early stopping ends seeds at different steps: a mean of the last few survivors would mislead.
    steps.retain(|_, losses| 2 * losses.len() > seeds.len());
    let line = steps.iter().filter_map(|(&step, losses)| Some((step as f64, mean(losses)?)));
    let band = steps.iter().map(|(&step, l)| (step as f64, fold(l, f64::min), fold(l, f64::max)));
    Series { line: line.collect(), band: band.collect(), ..of_arm(index, &arm.name, arm.role) }
}

/// A line for each seed: they leave their plateaus at different steps, of which no mean tells.
fn accuracies(index: usize, arm: &ArmFacts, seeds: &Courses) -> Vec<Series> {
    let course = |(place, course): (usize, &Vec<(u64, f64)>)| {
        let line = course.iter().map(|&(step, accuracy)| (step as f64, accuracy)).collect();
        let own = of_arm(index, &arm.name, arm.role);
        Series { line, name: own.name.filter(|_| place == 0), ..of_arm(index, &arm.name, arm.role) }
    };
    seeds.values().enumerate().map(course).collect()
}
