//! The figures of a report, as numbers: what `results.json` holds and every table and plot shows.

use std::collections::HashMap;
use std::fmt::{Display, Formatter};

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use crate::results::{Cell, CorpusFacts, Experiment, Line, Phase, Role, Status, TestLoss, Trial};
use crate::statistics::{Bootstrap, Estimate, Fit, REPLICATES, Runs, holm, levels};

/// Seed of the bootstrap: the same lines give the same report.
const BOOTSTRAP_SEED: u64 = 20_240_501;

/// Everything a comparison found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Name of the experiment.
    pub name: String,
    /// The main finding in plain words.
    pub headline: String,
    /// The text.
    pub corpus: CorpusFacts,
    /// Whether it is a search, whose losses are of half of the tuning split.
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
    /// Bytes of generation state at the end of a context; of encoders what is kept until the answer.
    pub state_bytes: u64,
    /// Floating-point operations a token, forward.
    pub flops_per_token: f64,
    /// Median training throughput of the runs that finished.
    pub tokens_per_second: Option<f64>,
    /// What was chosen of the grid at the largest size that has a final run.
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
    /// What was chosen of the grid.
    #[serde(flatten)]
    pub trial: Option<Trial>,
    /// Test loss of every seed that finished, nats per token, in the order of the seeds.
    pub test_losses: Vec<f64>,
    /// Their mean.
    pub mean: Option<f64>,
    /// Their standard deviation.
    pub deviation: Option<f64>,
    /// Of an arm that remembers more than a window of what it reads: test loss of every seed where each window begins anew.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without_carry: Vec<f64>,
    /// Of examples: share of right answers of every seed that finished.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accuracies: Vec<f64>,
    /// Final runs that diverged: they have no test loss.
    pub diverged: usize,
    /// Whether most final runs did best at the last step of the longest schedule of the grid: more steps might lower
    /// the loss.
    pub wants_more_steps: bool,
    /// Whether most final runs did best at their first evaluation: an earlier stop might have done better still.
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

/// Lines once each, in an order that does not depend on which worker was first.
pub(super) fn in_order(experiment: &Experiment, lines: &[Line]) -> Result<Vec<Line>> {
    let arms: HashMap<&str, usize> =
        experiment.arms.iter().enumerate().map(|(i, arm)| (arm.name.as_str(), i)).collect();
    let mut found: HashMap<_, Line> = HashMap::new();
    for line in lines {
        let cell = line.cell();
        if !arms.contains_key(cell.arm.as_str()) {
            bail!("a stored line is of the arm \"{}\", which the experiment does not have", cell.arm);
        }
        if !experiment.sizes.contains(&cell.size) {
            bail!("a stored line is of the size {}, which the experiment does not have", cell.size);
        }
        let step = match line {
            Line::Evaluation { step, .. } => Some(*step),
            Line::Result { .. } => None,
        };
        // A run that was interrupted and run again, or run again by a program that names cells otherwise, wrote some lines twice:
        // the last ones are those of the run that ended last.
        let Trial { learning_rate, weight_decay, schedule } = cell.trial;
        let run = (cell.phase, cell.arm.clone(), cell.size, cell.seed, schedule);
        found.insert((run, [learning_rate, weight_decay].map(f64::to_bits), step), line.clone());
    }
    let mut lines: Vec<((String, Option<u64>), Line)> =
        found.into_iter().map(|((.., step), line)| ((line.cell().id.clone(), step), line)).collect();
    let place = |cell: &Cell| (cell.phase == Phase::Final, arms[cell.arm.as_str()], cell.size, cell.seed);
    lines.sort_by(|((id_a, step_a), a), ((id_b, step_b), b)| {
        let (a, b) = (a.cell(), b.cell());
        let (p, q) = (a.trial, b.trial);
        let rates = p.learning_rate.total_cmp(&q.learning_rate).then(p.weight_decay.total_cmp(&q.weight_decay));
        let rates = rates.then(p.schedule.cmp(&q.schedule));
        let end_last = |step: &Option<u64>| step.unwrap_or(u64::MAX);
        place(a).cmp(&place(b)).then(rates).then(id_a.cmp(id_b)).then(end_last(step_a).cmp(&end_last(step_b)))
    });
    Ok(lines.into_iter().map(|(_, line)| line).collect())
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

/// Final runs of an arm at a size that did best at a given step of theirs.
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

/// Works out every figure from the lines.
pub fn summarize(experiment: &Experiment, lines: &[Line]) -> Summary {
    let arms: Vec<ArmSummary> = (0..experiment.arms.len()).map(|arm| arm_summary(experiment, lines, arm)).collect();
    let runs: Vec<Runs> = experiment
        .arms
        .iter()
        .map(|arm| {
            let at = |&size: &u64| {
                let test = |&seed: &u64| finals(lines, &arm.name, size).find(|run| run.0.seed == seed)?.2;
                experiment.seeds.iter().map(test).collect()
            };
            experiment.sizes.iter().map(at).collect()
        })
        .collect();
    let bootstrap = Bootstrap::new(&experiment.sizes, &runs, REPLICATES, BOOTSTRAP_SEED);
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
    let fits = arms.iter().filter_map(|arm| {
        let points: Vec<_> = arm.sizes.iter().filter_map(|size| Some((size.tokens as f64, size.mean?))).collect();
        Some(LawFit { arm: arm.name.clone(), fit: Fit::new(&points)? })
    });
    let done =
        |phase| lines.iter().filter(|line| matches!(line, Line::Result { cell, .. } if cell.phase == phase)).count();
    let cells = experiment.arms.len() * experiment.sizes.len();
    let grid = experiment.trials.len();
    let mut summary = Summary {
        name: experiment.name.clone(),
        headline: String::new(),
        corpus: experiment.corpus.clone(),
        search: is_search(experiment),
        final_runs: [done(Phase::Final), cells * experiment.seeds.len()],
        tuning_runs: [done(Phase::Tune), cells * grid * experiment.tuning_seeds.len()],
        fits: fits.collect(),
        arms,
        ratios,
        differences,
        report: "report.html".into(),
    };
    summary.headline =
        summary.findings().into_iter().next().unwrap_or_else(|| "No arm can be compared with the baseline yet.".into());
    summary
}

/// Whether the test split was left untouched.
pub(super) fn is_search(experiment: &Experiment) -> bool {
    experiment.config["search"] == true
}

/// What losses of final runs are of.
pub(super) fn held_out(search: bool) -> &'static str {
    if search { "search loss" } else { "test loss" }
}

/// (arm, compared with): every arm with the baseline, every astrocytic arm with every control.
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

/// Mean; `None` of nothing.
pub(super) fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn deviation(values: &[f64]) -> Option<f64> {
    let mean = mean(values)?;
    let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    (values.len() > 1).then(|| (squares / (values.len() - 1) as f64).sqrt())
}

impl Summary {
    /// A sentence for every astrocytic arm against the baseline, then against every control; for the controls where there
    /// is no astrocytic arm.
    pub fn findings(&self) -> Vec<String> {
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        for difference in &self.differences {
            let pair = (difference.arm.as_str(), difference.baseline.as_str());
            let astrocytic = |arm: &&ArmSummary| arm.name == pair.0 && arm.role == Role::Astrocytic;
            if self.arms.iter().find(astrocytic).is_some() && !pairs.contains(&pair) {
                pairs.push(pair);
            }
        }
        if pairs.is_empty() {
            // Controls alone: each against the baseline.
            pairs = self.differences.iter().map(|d| (d.arm.as_str(), d.baseline.as_str())).collect();
            pairs.dedup();
        }
        pairs.into_iter().map(|(arm, baseline)| self.finding(arm, baseline)).collect()
    }

    /// At the middle loss of those measured; the loss difference where there is no ratio.
    fn finding(&self, arm: &str, baseline: &str) -> String {
        let ratios: Vec<&Ratio> = self.ratios.iter().filter(|r| r.arm == arm && r.baseline == baseline).collect();
        let Some(ratio) = ratios.get(ratios.len() / 2) else { return self.difference_in_words(arm, baseline) };
        let (r, loss, per) = (ratio.value.estimate, level(ratio.loss), self.corpus.per());
        let of = held_out(self.search);
        let Some([low, high]) = ratio.value.interval else {
            return format!(
                "{baseline} needed {r:.2} times the data of {arm} to reach a {of} of {loss} {per}, with one seed: an \
                 interval wants at least two, so no difference is established."
            );
        };
        let mut interval = format!("95 % interval {low:.2} to {high:.2}");
        if ratio.value.censored > 0.025 {
            interval += ", which may reach further: the loss is near the end of what was measured";
        }
        let fact = format!(
            "to reach a {of} of {loss} {per} {baseline} needs {r:.2} times the data that {arm} needs ({interval})"
        );
        if (low..=high).contains(&1.0) {
            return format!("No difference established between {arm} and {baseline}: {fact}; the interval contains 1.");
        }
        let less = if r > 1.0 { "less" } else { "more" };
        match ratio.p_holm {
            Some(p) if p >= 0.05 => format!(
                "Not established: {arm} needs {less} data than {baseline}; {fact}, but corrected for the {} comparisons of \
                 this report it may be chance (Holm p = {p:.2}).",
                self.ratios.len()
            ),
            _ => format!("{arm} needs {less} data than {baseline}: {fact}."),
        }
    }

    /// Sentences on the arms and sizes whose optimum the grid or the evaluations may have missed.
    pub fn doubts(&self) -> Vec<String> {
        let short = "Still improving at the last step of the longest schedule of the grid, so that more steps might lower \
                     the loss";
        let early = "Best at the first evaluation, so that an earlier stop might have done better";
        let doubt = |text: &str, holds: fn(&SizeSummary) -> bool| {
            let at = |arm: &ArmSummary| {
                let sizes: Vec<_> =
                    arm.sizes.iter().filter(|size| holds(size)).map(|size| tokens(size.tokens as f64)).collect();
                (!sizes.is_empty()).then(|| format!("{} at {}", arm.name, sizes.join(", ")))
            };
            let found: Vec<String> = self.arms.iter().filter_map(at).collect();
            (!found.is_empty()).then(|| format!("{text}: {}.", found.join("; ")))
        };
        let found = [doubt(short, |size| size.wants_more_steps), doubt(early, |size| size.stops_at_once)];
        found.into_iter().flatten().collect()
    }

    /// Where an arm does better with the fewest data than another with the most.
    fn beyond_measure(&self, arm: &str, baseline: &str) -> Option<String> {
        let ends = |name: &str| {
            let sizes = &self.arms.iter().find(|arm| arm.name == name)?.sizes;
            Some((sizes.first()?, sizes.last()?))
        };
        let (few, many) = (ends(arm)?.0, ends(baseline)?.1);
        let (of_few, of_many) = (few.mean?, many.mean?);
        (of_few <= of_many).then(|| {
            format!(
                "the ratio is at the end of what was measured or beyond: with {} {arm} is at {of_few:.3}, with {} {baseline} is at {of_many:.3}",
                tokens(few.tokens as f64),
                tokens(many.tokens as f64)
            )
        })
    }

    fn difference_in_words(&self, arm: &str, baseline: &str) -> String {
        let Some(found) = self.differences.iter().rfind(|d| d.arm == arm && d.baseline == baseline) else {
            return format!("{arm} and {baseline} have no run in common yet.");
        };
        let sizes = self.differences.iter().filter(|d| d.arm == arm && d.baseline == baseline).count();
        let why = if sizes < 2 {
            "with one size of data no ratio can be taken".into()
        } else {
            self.beyond_measure(arm, baseline)
                .unwrap_or("the measured losses of the two do not overlap, so no ratio can be taken".into())
        };
        let value = &found.value;
        let verdict = match value.interval {
            Some([low, high]) if low <= 0.0 && high >= 0.0 => {
                format!(" (95 % interval {low:+.3} to {high:+.3}, which contains 0): no difference established")
            }
            Some([low, high]) => {
                format!(" (95 % interval {low:+.3} to {high:+.3}, not corrected for other comparisons)")
            }
            None => ", with one seed: no difference established".into(),
        };
        format!(
            "At {} unique {} the {} of {arm} minus that of {baseline} is {:+.3} {}{verdict}; {why}.",
            tokens(found.tokens as f64),
            self.corpus.unit(),
            held_out(self.search),
            value.estimate,
            self.corpus.per()
        )
    }
}

/// Mean and deviation of losses over seeds.
pub(super) fn losses_in_words(losses: &[f64]) -> Option<String> {
    let deviation = deviation(losses).map_or(String::new(), |deviation| format!(" ± {deviation:.3}"));
    Some(format!("{:.3}{deviation}", mean(losses)?))
}

impl SizeSummary {
    /// Mean and deviation over seeds, in per cent.
    pub(super) fn accuracy_in_words(&self) -> Option<String> {
        let percent: Vec<f64> = self.accuracies.iter().map(|accuracy| 100.0 * accuracy).collect();
        let deviation = deviation(&percent).map_or(String::new(), |deviation| format!(" ± {deviation:.1}"));
        Some(format!("{:.1}{deviation}", mean(&percent)?))
    }
}

/// A loss with the decimals that levels are rounded to.
pub(super) fn level(loss: f64) -> String {
    let two = (loss * 100.0 - (loss * 100.0).round()).abs() < 1e-6;
    format!("{loss:.*}", if two { 2 } else { 3 })
}

/// 16k, 65.5k, 1M: three significant digits.
pub(super) fn tokens(count: f64) -> String {
    let (value, unit) = match count {
        c if c >= 999.5e6 => (c / 1e9, "B"),
        c if c >= 999.5e3 => (c / 1e6, "M"),
        c if c >= 999.5 => (c / 1e3, "k"),
        c => (c, ""),
    };
    let text = if value >= 99.95 {
        format!("{value:.0}")
    } else if value >= 9.995 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    };
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

impl Display for Summary {
    fn fmt(&self, f: &mut Formatter) -> std::fmt::Result {
        writeln!(f, "{}\n", self.headline)?;
        let width = self.arms.iter().map(|arm| arm.name.len()).max().unwrap_or(0).max(3);
        write!(f, "{:width$}  {:>10}  {:>8}", "arm", "parameters", "tokens/s")?;
        for size in self.arms.iter().take(1).flat_map(|arm| &arm.sizes) {
            write!(f, "  {:>14}", tokens(size.tokens as f64))?;
        }
        for arm in &self.arms {
            let speed = arm.tokens_per_second.map_or("-".into(), |speed| format!("{speed:.0}"));
            write!(f, "\n{:width$}  {:>10}  {speed:>8}", arm.name, arm.parameters)?;
            for size in &arm.sizes {
                write!(f, "  {:>14}", losses_in_words(&size.test_losses).unwrap_or("-".into()))?;
            }
            if arm.sizes.iter().any(|size| !size.without_carry.is_empty()) {
                write!(f, "\n{:<1$}", "  each window anew", width + 22)?;
                for size in &arm.sizes {
                    write!(f, "  {:>14}", losses_in_words(&size.without_carry).unwrap_or("-".into()))?;
                }
            }
        }
        writeln!(f, "\n({}, {}, by unique training {})", held_out(self.search), self.corpus.per(), self.corpus.unit())?;
        if self.corpus.examples {
            write!(f, "\naccuracy, %")?;
            for arm in &self.arms {
                write!(f, "\n{:width$}  {:>10}  {:>8}", arm.name, "", "")?;
                for size in &arm.sizes {
                    write!(f, "  {:>14}", size.accuracy_in_words().unwrap_or("-".into()))?;
                }
            }
            writeln!(f)?;
        }
        if let Some(entropy) = self.corpus.entropy {
            writeln!(f, "entropy of the source: {entropy:.3}; what is above it is excess")?;
        }
        match self.tuning_runs[1] {
            0 => writeln!(f, "\nthe same for all arms, not tuned: learning rate, weight decay, steps")?,
            _ => writeln!(f, "\nchosen on the tuning split: learning rate, weight decay, steps")?,
        }
        for arm in &self.arms {
            write!(f, "{:width$}", arm.name)?;
            for trial in arm.sizes.iter().filter_map(|size| size.trial) {
                write!(f, "  {}, {}, {}", trial.learning_rate, trial.weight_decay, trial.schedule)?;
            }
            writeln!(f)?;
        }
        writeln!(f)?;
        for ratio in &self.ratios {
            let interval = ratio.value.interval.map_or("no interval".into(), |[l, h]| format!("{l:.2} to {h:.2}"));
            writeln!(
                f,
                "{} against {}: data ratio {:.2} ({interval}) at loss {}",
                ratio.arm,
                ratio.baseline,
                ratio.value.estimate,
                level(ratio.loss)
            )?;
        }
        let diverged: usize = self.arms.iter().flat_map(|arm| &arm.sizes).map(|size| size.diverged).sum();
        if diverged > 0 {
            writeln!(f, "{diverged} of the final runs diverged")?;
        }
        if self.final_runs[0] < self.final_runs[1] {
            writeln!(f, "{} of {} final runs done", self.final_runs[0], self.final_runs[1])?;
        }
        for doubt in self.doubts() {
            writeln!(f, "{doubt}")?;
        }
        write!(f, "\nReport: {}", self.report)
    }
}
