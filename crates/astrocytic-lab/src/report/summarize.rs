//! Every figure of a report, worked out from the stored lines.

use super::summary::{ArmSummary, Difference, LawFit, Ratio, SizeSummary, Summary};
use super::words::is_search;
use crate::results::{ArmFacts, Cell, Experiment, Line, Phase, Role, Status, TestLoss};
use crate::statistics::{Bootstrap, Fit, REPLICATES, Runs, deviation, holm, levels, mean};

/// Seed of the bootstrap: the same lines give the same report.
const BOOTSTRAP_SEED: u64 = 20_240_501;

/// Works out every figure from the lines.
pub fn summarize(experiment: &Experiment, lines: &[Line]) -> Summary {
    let arms: Vec<ArmSummary> = (0..experiment.arms.len()).map(|arm| arm_summary(experiment, lines, arm)).collect();
    let (ratios, differences) = comparisons(experiment, lines);
    let done =
        |phase| lines.iter().filter(|line| matches!(line, Line::Result { cell, .. } if cell.phase == phase)).count();
    let cells = experiment.arms.len() * experiment.sizes.len();
    let mut summary = Summary {
        name: experiment.name.clone(),
        headline: String::new(),
        corpus: experiment.corpus.clone(),
        search: is_search(experiment),
        final_runs: [done(Phase::Final), cells * experiment.seeds.len()],
        tuning_runs: [done(Phase::Tune), cells * experiment.trials.len() * experiment.tuning_seeds.len()],
        fits: arms.iter().filter_map(law).collect(),
        arms,
        ratios,
        differences,
        report: "report.html".into(),
    };
    summary.headline =
        summary.findings().into_iter().next().unwrap_or_else(|| "No arm can be compared with the baseline yet.".into());
    summary
}

/// Data ratios, corrected for their number, and differences at equal data of all pairs of arms.
fn comparisons(experiment: &Experiment, lines: &[Line]) -> (Vec<Ratio>, Vec<Difference>) {
    let bootstrap = Bootstrap::new(&experiment.sizes, &runs(experiment, lines), REPLICATES, BOOTSTRAP_SEED);
    let name = |arm: usize| experiment.arms[arm].name.clone();
    let (mut ratios, mut differences) = (Vec::new(), Vec::new());
    for (arm, baseline) in pairs(experiment) {
        let (curve, other) = (bootstrap.curve(arm, Some(baseline)), bootstrap.curve(baseline, Some(arm)));
        let count = if experiment.sizes.len() < 4 { 3 } else { 5 };
        for loss in levels(&curve, &other, count) {
            if let Some(value) = bootstrap.ratio(arm, baseline, loss) {
                ratios.push(Ratio { arm: name(arm), baseline: name(baseline), loss, value, p_holm: None });
            }
        }
        for (size, &tokens) in experiment.sizes.iter().enumerate() {
            if let Some(value) = bootstrap.difference(arm, baseline, size) {
                differences.push(Difference { arm: name(arm), baseline: name(baseline), tokens, value });
            }
        }
    }
    let tested: Vec<f64> = ratios.iter().filter_map(|ratio| ratio.value.p).collect();
    for (ratio, p) in ratios.iter_mut().filter(|ratio| ratio.value.p.is_some()).zip(holm(&tested)) {
        ratio.p_holm = Some(p);
    }
    (ratios, differences)
}

/// The test losses of every arm.
fn runs<'a>(experiment: &'a Experiment, lines: &'a [Line]) -> Vec<Runs<'a>> {
    let of_arm = |arm: &'a ArmFacts| {
        let at = |&size: &u64| {
            let test = |&seed: &u64| finals(lines, &arm.name, size).find(|run| run.0.seed == seed)?.2;
            experiment.seeds.iter().map(test).collect()
        };
        experiment.sizes.iter().map(at).collect()
    };
    experiment.arms.iter().map(of_arm).collect()
}

/// The law fitted to an arm's mean losses, where there are enough of them.
fn law(arm: &ArmSummary) -> Option<LawFit> {
    let points: Vec<_> = arm.sizes.iter().filter_map(|size| Some((size.tokens as f64, size.mean?))).collect();
    Some(LawFit { arm: arm.name.clone(), fit: Fit::new(&points)? })
}

/// Indices of compared arms, (arm, compared with): every arm with the baseline, every astrocytic
/// arm with every control.
fn pairs(experiment: &Experiment) -> Vec<(usize, usize)> {
    let with = |role| (0..experiment.arms.len()).filter(move |&arm| experiment.arms[arm].role == role);
    let baseline = with(Role::Baseline).next();
    let astrocytic = || with(Role::Astrocytic);
    let others = || astrocytic().chain(with(Role::Control)).chain(with(Role::Calibration));
    let to_baseline = baseline.into_iter().flat_map(|b| others().map(move |a| (a, b)));
    let to_controls = with(Role::Control).flat_map(|control| astrocytic().map(move |a| (a, control)));
    to_baseline.chain(to_controls).collect()
}

fn arm_summary(experiment: &Experiment, lines: &[Line], arm: usize) -> ArmSummary {
    let facts = &experiment.arms[arm];
    let longest = experiment.trials.iter().map(|trial| trial.schedule).max().unwrap_or(0);
    let at = |&tokens: &u64| {
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
            diverged: runs.iter().filter(|run| *run.1 == Status::Diverged).count(),
            wants_more_steps: 2 * best_at(lines, &facts.name, tokens, |_| Some(longest)) > runs.len(),
            stops_at_once: 2 * best_at(lines, &facts.name, tokens, |id| first_evaluation(lines, id)) > runs.len(),
        }
    };
    let sizes: Vec<SizeSummary> = experiment.sizes.iter().map(at).collect();
    let mut speeds: Vec<f64> = lines
        .iter()
        .filter_map(|line| match line {
            Line::Result { cell, status: Status::Finished, tokens_per_second, .. } if cell.arm == facts.name => {
                Some(*tokens_per_second)
            }
            _ => None,
        })
        .filter(|speed| speed.is_finite())
        .collect();
    speeds.sort_by(f64::total_cmp);
    let trial = sizes.iter().rev().find_map(|size| size.trial);
    ArmSummary {
        name: facts.name.clone(),
        role: facts.role,
        parameters: facts.parameters,
        state_bytes: facts.state_bytes,
        flops_per_token: facts.flops_per_token,
        tokens_per_second: speeds.get(speeds.len() / 2).copied(),
        trial,
        sizes,
    }
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
            Some((cell, status, test.as_ref()))
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
