//! The figures of a study of a task that is solved or not, worked out from the stored lines.

use super::contrasts::{Comparisons, Tested, tested};
use super::solved_summary::{SolvedArm, SolvedShare, SolvedSummary};
use super::summary::{Contrast, Measure, Verdict};
use crate::results::{Cell, Experiment, Line, LongerTest, Phase, TestLoss};
use crate::solved_runs::solved_by;
use crate::statistics::{Estimate, Outcomes, Solved, visits};

/// Every arm, and what is tested of them; nothing is corrected yet for the number of comparisons.
pub(super) fn solved(experiment: &Experiment, lines: &[Line], at: f64) -> (SolvedSummary, Comparisons) {
    let curves: Vec<Option<Solved>> = experiment
        .arms
        .iter()
        .map(|arm| Solved::new(&experiment.sizes, &outcomes(experiment, lines, &arm.name, at)))
        .collect();
    let ratio = |arm: usize, baseline: usize| {
        Solved::ratio(curves[arm].as_ref()?, curves[baseline].as_ref()?, experiment.corpus.test_documents)
    };
    let of_arm = |arm: usize| SolvedArm {
        d50: curves[arm].as_ref().map(Solved::d50),
        // It is shown, not tested.
        ratio: ratio(arm, 0).filter(|_| arm > 0).map(|value| Estimate { p: None, ..value }),
        ..found(experiment, lines, arm, at)
    };
    let contrast = |Tested { arm, baseline, primary, .. }: Tested| Contrast {
        arm: experiment.arms[arm].name.clone(),
        baseline: experiment.arms[baseline].name.clone(),
        primary,
        measure: Measure::Solved { at },
        learned: 0,
        value: ratio(arm, baseline),
        p_holm: None,
        family: 0,
        verdict: Verdict::NotMeasured,
    };
    let contrasts = tested(experiment).into_iter().map(contrast).collect();
    let arms = (0..experiment.arms.len()).map(of_arm).collect();
    let comparisons = Comparisons { contrasts, ratios: vec![], differences: vec![], streams: vec![] };
    let schedules =
        experiment.arms.iter().flat_map(|arm| finals(lines, &arm.name)).map(|(cell, _)| cell.trial.schedule);
    (SolvedSummary { at, most_steps: schedules.max().unwrap_or(0), arms }, comparisons)
}

/// Final runs that the searches of the sizes ask for, as far as they have come.
pub(super) fn wanted_runs(experiment: &Experiment, lines: &[Line], at: f64) -> usize {
    let Experiment { sizes, seeds, .. } = experiment;
    let of_arm = |name: &str| {
        let solved = |size: usize, count: u64| solved_by(lines, name, sizes[size], &seeds[..count as usize], at);
        let mut most = vec![0; sizes.len()];
        for visit in visits(sizes.len(), seeds.len() as u64, solved) {
            most[visit.size] = most[visit.size].max(visit.seeds as usize);
        }
        most.into_iter().sum::<usize>()
    };
    experiment.arms.iter().map(|arm| of_arm(&arm.name)).sum()
}

/// A final run that ended: its cell, and its test unless it diverged.
type Run<'a> = (&'a Cell, Option<&'a TestLoss>);

fn finals<'a>(lines: &'a [Line], arm: &'a str) -> impl Iterator<Item = Run<'a>> {
    lines.iter().filter_map(move |line| match line {
        Line::Result { cell, test, .. } if cell.phase == Phase::Final && cell.arm == arm => Some((cell, test.as_ref())),
        _ => None,
    })
}

fn is_solved(test: Option<&TestLoss>, at: f64) -> bool {
    test.and_then(|test| test.accuracy).is_some_and(|accuracy| accuracy >= at)
}

/// Whether each run solved the test, `[size][seed]`.
fn outcomes(experiment: &Experiment, lines: &[Line], arm: &str, at: f64) -> Outcomes {
    let mut found: Outcomes = vec![vec![None; experiment.seeds.len()]; experiment.sizes.len()];
    for (cell, test) in finals(lines, arm) {
        let size = experiment.sizes.iter().position(|&size| size == cell.size);
        let seed = experiment.seeds.iter().position(|&seed| seed == cell.seed);
        if let (Some(size), Some(seed)) = (size, seed) {
            found[size][seed] = Some(is_solved(test, at));
        }
    }
    // An arm that is given more examples may leave some out.
    let half_solve = |runs: &Vec<Option<bool>>| {
        let solved = runs.iter().flatten().filter(|solved| **solved).count();
        SolvedShare { size: 0, solved, seeds: runs.iter().flatten().count() }.is_half()
    };
    if let Some(largest) = found.iter().rposition(half_solve) {
        found[largest + 1..].iter_mut().for_each(|runs| runs.fill(None));
    }
    found
}

/// What is read off an arm's runs, its D50 apart.
fn found(experiment: &Experiment, lines: &[Line], arm: usize, at: f64) -> SolvedArm {
    let name = &experiment.arms[arm].name;
    let runs: Vec<Run> = finals(lines, name).collect();
    let shares: Vec<SolvedShare> = experiment
        .sizes
        .iter()
        .map(|&size| {
            let own = || runs.iter().filter(|(cell, _)| cell.size == size);
            let solved = own().filter(|(_, test)| is_solved(*test, at)).count();
            SolvedShare { size, solved, seeds: own().count() }
        })
        .filter(|share| share.seeds > 0)
        .collect();
    let solving = shares.iter().rfind(|share| share.is_half()).or(shares.last());
    let largest: Vec<&Run> =
        runs.iter().filter(|(cell, _)| solving.is_some_and(|share| share.size == cell.size)).collect();
    let of_test = |value: &dyn Fn(&TestLoss) -> Option<f64>| -> Option<f64> {
        median(largest.iter().filter_map(|(_, test)| test.and_then(value)).collect())
    };
    let mut times: Vec<u32> =
        largest.iter().filter_map(|(_, test)| *test).flat_map(|test| &test.longer).map(|longer| longer.times).collect();
    times.sort_unstable();
    times.dedup();
    let longer = times.into_iter().filter_map(|times| {
        let accuracy = |test: &TestLoss| Some(test.longer.iter().find(|longer| longer.times == times)?.accuracy);
        Some(LongerTest { times, accuracy: of_test(&accuracy)? })
    });
    let steps = largest.iter().map(|(cell, _)| steps_until_solved(lines, &cell.id, at).unwrap_or(f64::INFINITY));
    SolvedArm {
        arm: name.clone(),
        d50: None,
        ratio: None,
        accuracy: of_test(&|test| test.accuracy),
        longer: longer.collect(),
        steps: median(steps.collect()).filter(|steps| steps.is_finite()).map(|steps| steps as u64),
        shares,
    }
}

/// Step of a run's first evaluation at which the tuning split is solved.
fn steps_until_solved(lines: &[Line], id: &str, at: f64) -> Option<f64> {
    let steps = lines.iter().filter_map(|line| match line {
        Line::Evaluation { cell, step, accuracy: Some(accuracy), .. } if cell.id == id && *accuracy >= at => {
            Some(*step)
        }
        _ => None,
    });
    steps.min().map(|step| step as f64)
}

/// The upper median.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::summarize::summarize;
    use crate::report::synthetic::quick;
    use crate::statistics::Place;

    /// Tripartite solves both sizes, linear none, vanilla the larger one with two of three seeds.
    fn study() -> (Experiment, Vec<Line>) {
        let (mut experiment, mut lines) = quick();
        experiment.config["solved_at"] = 0.9.into();
        experiment.corpus.examples = true;
        for line in &mut lines {
            let Cell { arm, size, seed, .. } = line.cell().clone();
            let solves = arm == "tripartite" || arm == "vanilla" && size == 64_000 && seed != 2;
            let found = if solves { 0.95 } else { 0.6 };
            match line {
                Line::Evaluation { step, accuracy, .. } => {
                    *accuracy = Some(if *step < 100 * (3 + seed) { 0.5 } else { found });
                }
                Line::Result { test, tuning_accuracy, .. } => {
                    *tuning_accuracy = Some(found);
                    if let Some(test) = test {
                        test.accuracy = Some(found);
                        test.longer = [(2, 0.2), (4, 0.4)]
                            .map(|(times, less)| LongerTest { times, accuracy: found - less })
                            .to_vec();
                    }
                }
            }
        }
        (experiment, lines)
    }

    #[test]
    fn shares_steps_and_longer_tests_are_read_off_the_lines() {
        let (experiment, lines) = study();
        let summary = summarize(&experiment, &lines);
        let solved = summary.solved.as_ref().unwrap();
        let [vanilla, tripartite, linear] = &solved.arms[..] else { panic!("three arms") };
        let shares = |arm: &SolvedArm| arm.shares.iter().map(|s| (s.size, s.solved, s.seeds)).collect::<Vec<_>>();
        assert_eq!(shares(vanilla), [(16_000, 0, 3), (64_000, 2, 3)]);
        let places = [vanilla, tripartite, linear].map(|arm| arm.d50.unwrap().place);
        assert_eq!(places, [Place::Inside, Place::Below, Place::Beyond]);
        // Evaluations from steps 300, 400 and 500 on, the median of three; a seed of vanilla never does.
        assert_eq!([vanilla, tripartite, linear].map(|arm| arm.steps), [Some(400), Some(400), None]);
        assert_eq!(
            vanilla.longer.iter().map(|l| (l.times, (100.0 * l.accuracy).round())).collect::<Vec<_>>(),
            [(2, 75.0), (4, 55.0)]
        );
        assert!(summary.ratios.is_empty() && summary.differences.is_empty() && summary.fits.is_empty());
        // Of runs that were wanted: vanilla and linear need no more than these.
        assert!(summary.final_runs[0] >= summary.final_runs[1], "{:?}", summary.final_runs);
        let told = &summary.headline;
        assert!(
            told.starts_with("On generated, within 600 steps, tripartite needs at most 16,000 examples and vanilla ")
                && told.contains(" for half of the seeds to solve the task: at least ")
                && told.contains("times fewer"),
            "{told}"
        );
        assert!(summary.to_string().contains("2/3"));
    }

    #[test]
    fn more_examples_that_are_harder_may_be_left_out() {
        let (experiment, mut lines) = study();
        let flipped = |size: u64| if size == 64_000 { 16_000 } else { 64_000 };
        for line in &mut lines {
            let (Line::Evaluation { cell, .. } | Line::Result { cell, .. }) = line;
            cell.size = flipped(cell.size);
        }
        let summary = summarize(&experiment, &lines);
        let vanilla = &summary.solved.as_ref().unwrap().arms[0];
        // Both are shown; the larger size, at which no seed solves the task, does not count.
        assert_eq!(vanilla.shares.iter().map(|share| share.solved).collect::<Vec<_>>(), [2, 0]);
        let d50 = vanilla.d50.unwrap();
        assert_eq!((d50.place, d50.size, vanilla.steps), (Place::Below, 16_000.0, Some(400)));
        let harder = summary.doubts.iter().find(|doubt| doubt.starts_with("More examples were harder")).unwrap();
        assert!(harder.ends_with("might change D50: vanilla solves 16,000 and not 64,000."), "{harder}");
    }

    #[test]
    fn a_study_without_a_run_says_so() {
        let (experiment, _) = study();
        let summary = summarize(&experiment, &[]);
        assert!(summary.headline.contains("no run in common yet"), "{}", summary.headline);
        assert_eq!(summary.final_runs, [0, 9]);
        assert!(summary.solved.unwrap().arms.iter().all(|arm| arm.d50.is_none() && arm.shares.is_empty()));
    }
}
