//! The comparisons of a study: which are tested, and what their runs say.

use serde_json::Value;

use super::learned::{is_untrained, learned_tokens, learns_through};
use super::summary::{Contrast, Difference, Measure, Ratio, Stream, Verdict};
use crate::results::{ArmFacts, Experiment, Line, Phase, Role, TestLoss};
use crate::statistics::{Estimate, Pair, RESAMPLES, Resamples, Runs, levels};

/// Seed of the resamples: the same lines give the same report.
const SEED: u64 = 20_240_501;
/// Shares of the test at which ratios are read where an arm learns through it.
const SHARES: [usize; 4] = [8, 4, 2, 1];

/// A comparison to be tested.
pub(super) struct Tested {
    pub(super) arm: usize,
    pub(super) baseline: usize,
    pub(super) primary: bool,
    /// The loss that the file named.
    loss: Option<f64>,
}

/// All that is compared in a study.
pub(super) struct Comparisons {
    pub(super) contrasts: Vec<Contrast>,
    pub(super) ratios: Vec<Ratio>,
    pub(super) differences: Vec<Difference>,
    pub(super) streams: Vec<Stream>,
}

/// Compares the arms of a study; nothing is corrected yet for the number of comparisons.
pub(super) fn comparisons(experiment: &Experiment, lines: &[Line]) -> Comparisons {
    let tests = test_losses(experiment, lines);
    let study = Study { experiment, lines, resamples: resamples(experiment, &tests) };
    let mut found = Comparisons { contrasts: vec![], ratios: vec![], differences: vec![], streams: vec![] };
    for tested in tested(experiment) {
        let pair = study.pair(&tested);
        let ratios = study.ratios(pair);
        found.contrasts.push(study.contrast(&tested, pair, &ratios));
        found.ratios.extend(ratios);
        found.differences.extend(study.differences(pair));
    }
    found.streams = streams(experiment, lines, &tests);
    found
}

/// The test losses of every arm, `[arm][size][seed]`.
pub(super) fn test_losses<'a>(experiment: &'a Experiment, lines: &'a [Line]) -> Vec<Runs<'a>> {
    let of_arm = |arm: &'a ArmFacts| {
        let test = |size: u64, seed: u64| {
            lines.iter().find_map(|line| match line {
                Line::Result { cell, test, .. }
                    if (cell.phase, cell.size, cell.seed) == (Phase::Final, size, seed) && cell.arm == arm.name =>
                {
                    test.as_ref().filter(|test| test.loss.is_finite())
                }
                _ => None,
            })
        };
        experiment.sizes.iter().map(|&size| experiment.seeds.iter().map(|&seed| test(size, seed)).collect()).collect()
    };
    experiment.arms.iter().map(of_arm).collect()
}

fn resamples(experiment: &Experiment, tests: &[Runs]) -> Resamples {
    Resamples::new(&experiment.sizes, tests, RESAMPLES, SEED)
}

/// The contrasts of a study.
pub(super) fn tested(experiment: &Experiment) -> Vec<Tested> {
    let arms: Vec<(&str, Role)> = experiment.arms.iter().map(|arm| (arm.name.as_str(), arm.role)).collect();
    pairs(&arms, &experiment.config)
}

/// How many contrasts a study has: primary ones, and others.
pub(crate) fn count(arms: &[(&str, Role)], config: &Value) -> [usize; 2] {
    let pairs = pairs(arms, config);
    let primary = pairs.iter().filter(|pair| pair.primary).count();
    [primary, pairs.len() - primary]
}

/// The contrasts of a study, the primary one first: those that its file lists, or every arm with the
/// baseline and every astrocytic arm with every control.
fn pairs(arms: &[(&str, Role)], config: &Value) -> Vec<Tested> {
    let place = |name: &Value| arms.iter().position(|arm| name == arm.0);
    let primary = &config["primary"];
    let named = place(&primary["arm"]).zip(place(&primary["baseline"]));
    let listed: Vec<(usize, usize)> = match config["contrasts"].as_array() {
        Some(listed) => listed.iter().filter_map(|pair| place(&pair[0]).zip(place(&pair[1]))).collect(),
        None => by_roles(arms),
    };
    let others = listed.into_iter().filter(|pair| Some(*pair) != named);
    named
        .into_iter()
        .chain(others)
        .map(|(arm, baseline)| {
            let is_primary = named == Some((arm, baseline));
            let loss = primary["loss"].as_f64().filter(|_| is_primary);
            Tested { arm, baseline, primary: is_primary, loss }
        })
        .collect()
}

/// (arm, compared with): every arm with the baseline, every astrocytic arm with every control.
fn by_roles(arms: &[(&str, Role)]) -> Vec<(usize, usize)> {
    let with = |role| (0..arms.len()).filter(move |&arm| arms[arm].1 == role);
    let baseline = with(Role::Baseline).next();
    let astrocytic = || with(Role::Astrocytic);
    let others = || astrocytic().chain(with(Role::Control)).chain(with(Role::Calibration));
    let to_baseline = baseline.into_iter().flat_map(|b| others().map(move |a| (a, b)));
    let to_controls = with(Role::Control).flat_map(|control| astrocytic().map(move |a| (a, control)));
    to_baseline.chain(to_controls).collect()
}

/// A study and its runs, resampled.
struct Study<'a> {
    experiment: &'a Experiment,
    lines: &'a [Line],
    resamples: Resamples,
}

impl Study<'_> {
    /// What only one of two arms has learned from while it was tested counts as its data.
    fn pair(&self, tested: &Tested) -> Pair {
        let Tested { arm, baseline, .. } = *tested;
        let learned = [arm, baseline].map(|arm| learned_tokens(&self.experiment.arms[arm], &self.experiment.corpus));
        let common = learned[0].min(learned[1]);
        let untrained = [arm, baseline].map(|arm| is_untrained(&self.experiment.arms[arm].name, self.lines));
        Pair { arm, baseline, learned: learned.map(|learned| (learned - common) as f64), untrained }
    }

    fn name(&self, arm: usize) -> String {
        self.experiment.arms[arm].name.clone()
    }

    /// Data ratios over the losses that both reach.
    fn ratios(&self, pair: Pair) -> Vec<Ratio> {
        if pair.untrained != [false, false] {
            return Vec::new();
        }
        let [arm, baseline] = self.resamples.curves(pair);
        let count = if self.experiment.sizes.len() < 4 { 3 } else { 5 };
        let at = |loss| self.ratio(pair, loss);
        levels(&arm, &baseline, count).into_iter().filter_map(at).collect()
    }

    /// The ratio at a loss; it is shown, not tested.
    fn ratio(&self, pair: Pair, loss: f64) -> Option<Ratio> {
        let value = Estimate { p: None, ..self.resamples.ratio(pair, loss)? };
        Some(Ratio { arm: self.name(pair.arm), baseline: self.name(pair.baseline), loss, value })
    }

    /// What is tested: the ratio at the named loss or the middle one; with one size the difference.
    fn contrast(&self, tested: &Tested, pair: Pair, ratios: &[Ratio]) -> Contrast {
        let (measure, value) = match self.experiment.sizes[..] {
            [tokens] => (Measure::Difference { tokens }, self.resamples.difference(pair, 0)),
            _ => {
                let middle = ratios.get(ratios.len() / 2).map(|ratio| ratio.loss);
                let loss = tested.loss.or(middle).or_else(|| self.end(pair));
                let value = loss.and_then(|loss| self.resamples.ratio(pair, loss));
                (Measure::Ratio { loss }, value)
            }
        };
        Contrast {
            arm: self.name(pair.arm),
            baseline: self.name(pair.baseline),
            primary: tested.primary,
            measure,
            learned: (pair.learned[0] - pair.learned[1]) as i64,
            value,
            p_holm: None,
            family: 0,
            verdict: Verdict::NotMeasured,
        }
    }

    /// Where two curves reach no loss in common: the lowest loss of the one that lies higher. Of an
    /// untrained arm: the loss that it has.
    fn end(&self, pair: Pair) -> Option<f64> {
        let [arm, baseline] = self.resamples.curves(pair).map(|curve| curve.loss_range());
        let (arm, baseline) = (arm?, baseline?);
        match pair.untrained {
            [true, _] => Some(arm.0),
            [_, true] => Some(baseline.0),
            _ => Some(arm.0.max(baseline.0)),
        }
    }

    fn differences(&self, pair: Pair) -> Vec<Difference> {
        let at = |(size, &tokens): (usize, &u64)| {
            let value = Estimate { p: None, ..self.resamples.difference(pair, size)? };
            Some(Difference { arm: self.name(pair.arm), baseline: self.name(pair.baseline), tokens, value })
        };
        self.experiment.sizes.iter().enumerate().filter_map(at).collect()
    }
}

/// Ratios of contrasts with an arm that learns through the whole test, by how much of it is read.
fn streams(experiment: &Experiment, lines: &[Line], tests: &[Runs]) -> Vec<Stream> {
    let through: Vec<bool> = experiment.arms.iter().map(|arm| learns_through(arm, &experiment.corpus)).collect();
    let pairs: Vec<Tested> = tested(experiment).into_iter().filter(|t| through[t.arm] != through[t.baseline]).collect();
    let documents = tests.iter().flatten().flatten().flatten().map(|test| test.documents.len()).min().unwrap_or(0);
    if pairs.is_empty() || experiment.sizes.len() < 2 {
        return Vec::new();
    }
    let mut streams = Vec::new();
    for count in SHARES.map(|share| documents / share).into_iter().filter(|&count| count > 1) {
        let cut: Vec<Vec<Vec<Option<TestLoss>>>> = tests
            .iter()
            .map(|arm| {
                arm.iter().map(|size| size.iter().map(|run| run.map(|run| first(run, count))).collect()).collect()
            })
            .collect();
        let cut: Vec<Runs> =
            cut.iter().map(|arm| arm.iter().map(|size| size.iter().map(Option::as_ref).collect()).collect()).collect();
        let tokens = cut.iter().flatten().flatten().flatten().next().map_or(0, |test| read(test));
        let study = Study { experiment, lines, resamples: resamples(experiment, &cut) };
        for tested in &pairs {
            let corpus = &experiment.corpus;
            let own =
                |arm: usize| if through[arm] { tokens / 2 } else { learned_tokens(&experiment.arms[arm], corpus) };
            let own = [tested.arm, tested.baseline].map(own);
            let common = own[0].min(own[1]);
            let pair = Pair { learned: own.map(|own| (own - common) as f64), ..study.pair(tested) };
            let ratios = study.ratios(pair);
            streams.extend(ratios.get(ratios.len() / 2).cloned().map(|ratio| Stream { tokens, ratio }));
        }
    }
    streams
}

/// The test as if it had ended after so many documents.
fn first(test: &TestLoss, count: usize) -> TestLoss {
    let documents = test.documents[..count].to_vec();
    let nats: f64 = documents.iter().map(|document| document.nats).sum();
    let mut cut = TestLoss { documents, ..test.clone() };
    cut.loss = nats / read(&cut) as f64;
    cut
}

/// Tokens that were predicted.
fn read(test: &TestLoss) -> u64 {
    test.documents.iter().map(|document| document.tokens).sum()
}

/// From fewer test documents nothing is concluded: of simulated experiments with seven, as few as 77
/// of a hundred intervals held the truth.
pub(super) const FEWEST_DOCUMENTS: usize = 50;

/// Nor from fewer seeds: with two, 87 of a hundred intervals held the truth.
pub(super) const FEWEST_SEEDS: usize = 3;

/// An estimate's verdict, once its p-value is corrected; `better` is whether the arm does better.
pub(super) fn verdict(value: Option<&Estimate>, p_holm: Option<f64>, better: bool) -> Verdict {
    match (value, p_holm) {
        (None, _) => Verdict::NotMeasured,
        (Some(value), _) if value.p.is_none() && value.interval != [None, None] => Verdict::Bounded,
        (Some(value), _) if value.documents < FEWEST_DOCUMENTS || value.seeds < FEWEST_SEEDS => Verdict::NotEstablished,
        (Some(_), Some(p)) if p < 0.05 => {
            if better {
                Verdict::Better
            } else {
                Verdict::Worse
            }
        }
        (Some(_), _) => Verdict::NotEstablished,
    }
}
