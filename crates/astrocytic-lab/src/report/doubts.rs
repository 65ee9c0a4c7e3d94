//! What is to be doubted of a study, in sentences.

use indicatif::HumanCount;

use super::contrasts::FEWEST_DOCUMENTS;
use super::grid_edges::{fixed, tried};
use super::solved_summary::SolvedArm;
use super::summary::{ArmSummary, GridAxis, SizeSummary, Summary};
use super::words::tokens;
use crate::results::{Experiment, Line, Role, Trial};

/// An arm that spends more than so many times vanilla's operations needs a control that does too.
const MOST_FLOPS: f64 = 1.1;

/// Sentences on what may have been missed or is unfair.
pub(super) fn doubts(experiment: &Experiment, lines: &[Line], summary: &Summary) -> Vec<String> {
    let mut doubts = Vec::new();
    doubts.extend(optima(summary));
    doubts.extend(edges(experiment, lines, summary));
    doubts.extend(harder(summary));
    doubts.extend(operations(summary));
    let corpus = &experiment.corpus;
    if corpus.test_documents < FEWEST_DOCUMENTS {
        doubts.push(format!(
            "The test has {} {}: nothing is concluded from fewer than {FEWEST_DOCUMENTS}.",
            corpus.test_documents,
            corpus.test_unit()
        ));
    }
    if summary.commits.len() > 1 || summary.commits.iter().any(|(commit, _)| commit.contains(" or ")) {
        let each: Vec<String> = summary.commits.iter().map(|(commit, lines)| format!("{commit} ({lines})")).collect();
        doubts.push(format!("The lines come from programs of several commits: {}.", each.join(", ")));
    }
    doubts
}

/// Runs whose best weights the evaluations or the schedules may have missed.
fn optima(summary: &Summary) -> Vec<String> {
    let gain = if summary.solved.is_some() { "solve the task" } else { "lower the loss" };
    let short = format!("Still improving at the last step of the longest schedule, so that more steps might {gain}");
    let early = "Best at the first evaluation, so that an earlier stop might have done better";
    let found = [
        places(summary, |size| size.wants_more_steps).map(|places| format!("{short}: {places}.")),
        places(summary, |size| size.stops_at_once).map(|places| format!("{early}: {places}.")),
    ];
    found.into_iter().flatten().collect()
}

/// Arms that do not solve more examples than they solve.
fn harder(summary: &Summary) -> Option<String> {
    let solved = summary.solved.as_ref()?;
    let of_arm = |arm: &SolvedArm| {
        let largest = arm.shares.iter().rfind(|share| share.is_half())?.size;
        let beyond: Vec<String> = arm
            .shares
            .iter()
            .filter(|share| share.size > largest)
            .map(|share| HumanCount(share.size).to_string())
            .collect();
        (!beyond.is_empty())
            .then(|| format!("{} solves {} and not {}", arm.arm, HumanCount(largest), beyond.join(", ")))
    };
    let found: Vec<String> = solved.arms.iter().filter_map(of_arm).collect();
    let task = "More examples were harder to learn in as many steps; more steps might change D50";
    (!found.is_empty()).then(|| format!("{task}: {}.", found.join("; ")))
}

/// Best points at an edge of the grid, and axes that have no more than one value.
fn edges(experiment: &Experiment, lines: &[Line], summary: &Summary) -> Vec<String> {
    let arms = experiment.arms.iter();
    let all: Vec<Trial> =
        arms.flat_map(|arm| experiment.sizes.iter().flat_map(|&size| tried(lines, &arm.name, size))).collect();
    let mut doubts = Vec::new();
    for axis in [GridAxis::LearningRate, GridAxis::WeightDecay, GridAxis::Schedule] {
        if let Some(places) = places(summary, |size| size.edges.contains(&axis)) {
            let name = axis.name();
            let why = match experiment.config["tuning_trials"].as_u64() {
                None | Some(0) => "at the edge of the grid".to_string(),
                Some(most) => format!("not between two that were tried, because the search ended after {most} points"),
            };
            doubts.push(format!("The best {name} is {why}, so that one beyond might do better: {places}."));
        }
    }
    for (axis, value) in fixed(&all) {
        doubts.push(format!("One {} alone was tried: {value}.", axis.name()));
    }
    doubts
}

/// Arms that spend more than vanilla without a control that spends as much.
fn operations(summary: &Summary) -> Option<String> {
    let vanilla = summary.arms.iter().find(|arm| arm.role == Role::Baseline)?;
    let controls = || summary.arms.iter().filter(|arm| matches!(arm.role, Role::Baseline | Role::Control));
    // In training, and in a test with what is learned there.
    let spent = |arm: &ArmSummary| [arm.flops_per_token, arm.test_flops_per_token.unwrap_or(arm.flops_per_token)];
    let excess = |arm: &ArmSummary| {
        let over = [0, 1].map(|of| spent(arm)[of] / spent(vanilla)[of]);
        let is_matched = |of: usize| controls().any(|control| MOST_FLOPS * spent(control)[of] >= spent(arm)[of]);
        let unmatched = [0, 1].into_iter().filter(|&of| over[of] > MOST_FLOPS && !is_matched(of));
        let most = unmatched.map(|of| over[of]).reduce(f64::max)?;
        Some(format!("{} {:.0} %", arm.name, 100.0 * (most - 1.0)))
    };
    let astrocytic = summary.arms.iter().filter(|arm| arm.role == Role::Astrocytic);
    let found: Vec<String> = astrocytic.filter_map(excess).collect();
    (!found.is_empty()).then(|| {
        format!(
            "These arms spend more floating-point operations than {}, and no control spends as many: {}.",
            vanilla.name,
            found.join(", ")
        )
    })
}

/// Arms and sizes for which something holds; "every arm at every size" where it holds for all. Where
/// an arm solves the task there is nothing to doubt: a search that does ends, and so does a run.
fn places(summary: &Summary, holds: impl Fn(&SizeSummary) -> bool) -> Option<String> {
    let is_open = |arm: &str, size: u64| summary.solved.as_ref().is_none_or(|solved| !solved.is_solved(arm, size));
    let at = |arm: &ArmSummary| {
        let open = arm.sizes.iter().filter(|size| is_open(&arm.name, size.tokens) && holds(size));
        let sizes: Vec<_> = open.map(|size| tokens(size.tokens as f64)).collect();
        (!sizes.is_empty()).then(|| format!("{} at {}", arm.name, sizes.join(", ")))
    };
    let found: Vec<String> = summary.arms.iter().filter_map(at).collect();
    let everywhere = summary.solved.is_none() && summary.arms.iter().flat_map(|arm| &arm.sizes).all(&holds);
    match (found.is_empty(), everywhere) {
        (true, _) => None,
        (false, true) => Some("every arm at every size".into()),
        (false, false) => Some(found.join("; ")),
    }
}
