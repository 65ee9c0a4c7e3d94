//! Every figure of a report, worked out from the stored lines.

use std::collections::BTreeMap;

use super::contrasts::{Comparisons, comparisons};
use super::doubts::doubts;
use super::family::correct;
use super::grid_edges::{edges, tried};
use super::learned::{is_untrained, learned_tokens};
use super::solved::{solved, wanted_runs};
use super::summary::{ArmSummary, ClassSummary, LawFit, SizeSummary, Summary};
use super::words::{is_search, solved_at};
use crate::results::{Cell, ClassLoss, Experiment, Line, Phase, Status, TestLoss, Trial};
use crate::statistics::{Fit, deviation, mean};

/// Works out every figure of a study that stands alone.
pub fn summarize(experiment: &Experiment, lines: &[Line]) -> Summary {
    let mut found = [figures(experiment, lines)];
    conclude(&mut found, [0, 0]);
    let [summary] = found;
    summary
}

/// Corrects the comparisons of all studies of a file and says what was found. `waiting`: contrasts of
/// studies that have not begun, primary ones and others.
pub(super) fn conclude(studies: &mut [Summary], waiting: [usize; 2]) {
    correct(studies, waiting);
    for summary in studies {
        summary.headline = summary.findings().into_iter().next().unwrap_or("No two arms can be compared yet.".into());
    }
}

/// Works out the figures of one study; its comparisons are not corrected yet.
pub(super) fn figures(experiment: &Experiment, lines: &[Line]) -> Summary {
    let arms: Vec<ArmSummary> = (0..experiment.arms.len()).map(|arm| arm_summary(experiment, lines, arm)).collect();
    let solved_at = solved_at(experiment);
    let (solved, comparisons) = match solved_at.map(|at| solved(experiment, lines, at)) {
        Some((solved, comparisons)) => (Some(solved), comparisons),
        None => (None, comparisons(experiment, lines)),
    };
    let Comparisons { contrasts, ratios, differences, streams } = comparisons;
    let done =
        |phase| lines.iter().filter(|line| matches!(line, Line::Result { cell, .. } if cell.phase == phase)).count();
    let cells = experiment.arms.len() * experiment.sizes.len();
    let tuned = done(Phase::Tune);
    // How many points a search will try is not known before.
    let is_searched = experiment.config["tuning_trials"].as_u64().is_some_and(|most| most > 0) || solved.is_some();
    let to_tune = if is_searched { tuned } else { cells * experiment.trials.len() * experiment.tuning_seeds.len() };
    let mut summary = Summary {
        name: experiment.name.clone(),
        headline: String::new(),
        corpus: experiment.corpus.clone(),
        search: is_search(experiment),
        final_runs: [
            done(Phase::Final),
            solved_at.map_or(cells * experiment.seeds.len(), |at| wanted_runs(experiment, lines, at)),
        ],
        tuning_runs: [tuned, to_tune],
        fits: if solved.is_some() { vec![] } else { arms.iter().filter_map(law).collect() },
        solved,
        arms,
        contrasts,
        ratios,
        streams,
        differences,
        commits: commits(experiment, lines),
        doubts: Vec::new(),
        report: "report.html".into(),
    };
    summary.doubts = doubts(experiment, lines, &summary);
    summary
}

/// Commits of the program by the number of lines that each made.
fn commits(experiment: &Experiment, lines: &[Line]) -> Vec<(String, usize)> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for line in lines {
        *counts.entry(line.made_by(&experiment.commit)).or_default() += 1;
    }
    counts.into_iter().collect()
}

/// The law fitted to an arm's mean losses, where there are enough of them.
fn law(arm: &ArmSummary) -> Option<LawFit> {
    let points: Vec<_> = arm.sizes.iter().filter_map(|size| Some((size.tokens as f64, size.mean?))).collect();
    Some(LawFit { arm: arm.name.clone(), fit: Fit::new(&points)? })
}

fn arm_summary(experiment: &Experiment, lines: &[Line], arm: usize) -> ArmSummary {
    let facts = &experiment.arms[arm];
    let at = |&tokens: &u64| {
        let tried = tried(lines, &facts.name, tokens);
        let longest = experiment.trials.iter().chain(&tried).map(|trial| trial.schedule).max().unwrap_or(0);
        let runs: Vec<_> = finals(lines, &facts.name, tokens).collect();
        let test_losses: Vec<f64> = runs.iter().filter_map(|run| Some(run.2?.loss)).collect();
        let chosen = runs.first().map(|run| run.0.trial);
        SizeSummary {
            tokens,
            trial: chosen,
            mean: mean(&test_losses),
            deviation: deviation(&test_losses),
            without_carry: runs.iter().filter_map(|run| run.2?.without_carry).collect(),
            accuracies: runs.iter().filter_map(|run| run.2?.accuracy).collect(),
            test_losses,
            // In training, or while it went on learning in the test.
            diverged: runs.iter().filter(|run| *run.1 == Status::Diverged || run.2.is_none()).count(),
            wants_more_steps: 2 * best_at(lines, &facts.name, tokens, |_| Some(longest)) > runs.len(),
            stops_at_once: 2 * best_at(lines, &facts.name, tokens, |id| first_evaluation(lines, id)) > runs.len(),
            edges: chosen.map_or(Vec::new(), |best: Trial| edges(&best, &tried)),
        }
    };
    let sizes: Vec<SizeSummary> = experiment.sizes.iter().map(at).collect();
    let of_runs = |value: fn(&Line) -> Option<f64>| -> Vec<f64> {
        lines.iter().filter(|line| line.cell().arm == facts.name).filter_map(value).collect()
    };
    let speeds = of_runs(|line| match line {
        Line::Result { status: Status::Finished, tokens_per_second, steps, .. } if *steps > 0 => {
            Some(*tokens_per_second)
        }
        _ => None,
    });
    let peaks = of_runs(|line| match line {
        Line::Result { peak_bytes, .. } => peak_bytes.map(|bytes| bytes as f64),
        Line::Evaluation { .. } => None,
    });
    let trial = sizes.iter().rev().find_map(|size| size.trial);
    ArmSummary {
        name: facts.name.clone(),
        role: facts.role,
        parameters: facts.parameters,
        state_bytes: facts.state_bytes,
        flops_per_token: facts.flops_per_token,
        test_flops_per_token: facts.test_flops_per_token,
        learned_tokens: learned_tokens(facts, &experiment.corpus),
        untrained: is_untrained(&facts.name, lines),
        peak_bytes: median(peaks).map(|bytes| bytes as u64),
        tokens_per_second: median(speeds),
        trial,
        classes: sizes.iter().rev().find_map(|size| classes(lines, &facts.name, size.tokens)).unwrap_or_default(),
        sizes,
    }
}

/// Losses by class of token of an arm's final runs at a size; `None` where there are none.
fn classes(lines: &[Line], arm: &str, size: u64) -> Option<Vec<ClassSummary>> {
    let tests: Vec<&TestLoss> = finals(lines, arm, size).filter_map(|run| run.2).collect();
    let of = |one: &ClassLoss| {
        let same = tests.iter().filter_map(|test| test.classes.iter().find(|other| other.class == one.class));
        ClassSummary {
            class: one.class,
            tokens: one.tokens,
            losses: same.map(|found| found.nats / found.tokens as f64).collect(),
        }
    };
    Some(tests.first()?.classes.iter().map(of).collect())
}

/// The upper median of what is finite.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.retain(|value| value.is_finite());
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// Final runs of an arm at a size that ended: (cell, status, test).
fn finals<'a>(
    lines: &'a [Line],
    arm: &'a str,
    size: u64,
) -> impl Iterator<Item = (&'a Cell, &'a Status, Option<&'a TestLoss>)> {
    lines.iter().filter_map(move |line| match line {
        Line::Result { cell, status, test, .. }
            if cell.phase == Phase::Final && cell.arm == arm && cell.size == size =>
        {
            Some((cell, status, test.as_ref().filter(|test| test.loss.is_finite())))
        }
        _ => None,
    })
}

/// Number of final runs of an arm at a size whose best step is `step` of the cell's id.
fn best_at(lines: &[Line], arm: &str, size: u64, step: impl Fn(&str) -> Option<u64>) -> usize {
    let did = |line: &&Line| {
        matches!(line, Line::Result { cell, best_step, .. }
            if cell.phase == Phase::Final && cell.arm == arm && cell.size == size && step(&cell.id) == Some(*best_step))
    };
    lines.iter().filter(did).count()
}

/// Step of a run's first evaluation.
fn first_evaluation(lines: &[Line], id: &str) -> Option<u64> {
    let steps = lines.iter().filter_map(|line| match line {
        Line::Evaluation { cell, step, .. } if cell.id == id => Some(*step),
        _ => None,
    });
    steps.min()
}
