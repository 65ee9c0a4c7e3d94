//! Data ratios and loss differences of final runs, and how much they depend on which seeds and test
//! documents there are.

use std::collections::BTreeSet;

use astrocytic_train::document_loss::DocumentLoss;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::curve::{Curve, Reading};
use super::estimate::{Censored, Estimate, Jackknife};
use crate::results::TestLoss;

/// Resamples that show how often a loss falls outside of what was measured.
pub const RESAMPLES: usize = 1_000;

/// The test losses of one arm: `runs[size][seed]`, `None` where a run is missing or diverged.
pub type Runs<'a> = Vec<Vec<Option<&'a TestLoss>>>;

/// An arm and what it is compared with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// The arm.
    pub arm: usize,
    /// What it is compared with.
    pub baseline: usize,
    /// Tokens that the arm, and its baseline, has learned from besides the training data of its size.
    pub learned: [f64; 2],
    /// Which of the two is not trained: it has one loss, at which the other's data are read.
    pub untrained: [bool; 2],
}

/// Test losses, those without some seed or held-out document, and those with seeds and documents
/// drawn anew: one choice for all arms and sizes, so that runs that share a seed, and losses of one
/// document, stay together.
pub struct Resamples {
    /// `seeds[resample][seed]`: how often a seed was drawn, of n seeds n − 1 times with replacement.
    seeds: Vec<Vec<u32>>,
    /// Number of documents, 0 where the runs do not hold the same ones.
    documents: usize,
    /// `runs[arm][size][seed]`.
    runs: Vec<Vec<Vec<Option<Run>>>>,
    /// Unique training tokens of each size.
    sizes: Vec<f64>,
}

/// A run's test loss, nats per token.
struct Run {
    observed: f64,
    /// Without each document.
    without: Vec<f64>,
    /// Of the documents of each resample.
    drawn: Vec<f64>,
}

/// What is left out, or drawn anew.
#[derive(Clone, Copy)]
enum Draw {
    Nothing,
    /// Without a seed.
    Seed(usize),
    /// Without a document.
    Document(usize),
    /// Without a document in the runs of a seed.
    Cell(usize, usize),
    /// Seeds and documents drawn anew.
    Anew(usize),
}

impl Resamples {
    /// Draws `count` resamples of the runs of every arm; the same seed gives the same draws.
    pub fn new(sizes: &[u64], arms: &[Runs], count: usize, seed: u64) -> Resamples {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let seeds = arms.iter().flatten().map(Vec::len).max().unwrap_or(0);
        let mut documents = arms.iter().flatten().flatten().flatten().map(|test| test.documents.len());
        let first = documents.next().unwrap_or(0);
        let documents = if documents.all(|count| count == first) { first } else { 0 };
        let seeds = (0..count).map(|_| draw(&mut rng, seeds)).collect();
        let weights: Vec<Vec<u32>> = (0..count).map(|_| draw(&mut rng, documents)).collect();
        let of_run = |run: &TestLoss| Run {
            observed: run.loss,
            without: (0..documents).map(|left_out| loss_without(run, left_out)).collect(),
            drawn: weights.iter().map(|w| weighted_loss(&run.documents, w).unwrap_or(run.loss)).collect(),
        };
        let of_size = |size: &Vec<Option<&TestLoss>>| size.iter().map(|run| run.map(of_run)).collect();
        let runs = arms.iter().map(|arm| arm.iter().map(of_size).collect()).collect();
        Resamples { seeds, documents, runs, sizes: sizes.iter().map(|&size| size as f64).collect() }
    }

    /// The curves of a pair's mean losses, arm and baseline, over the seeds both have.
    pub fn curves(&self, pair: Pair) -> [Curve; 2] {
        let paired = self.paired(pair);
        [0, 1].map(|side| self.curve(pair, side, &paired, Draw::Nothing).expect("every pair has its losses"))
    }

    /// r(L) = D_baseline(L) / D_arm(L) over the seeds both have. Where one of them does not reach the
    /// loss it has one bound; `None` where it has none.
    pub fn ratio(&self, pair: Pair, loss: f64) -> Option<Estimate> {
        let paired = self.paired(pair);
        let read = |draw| self.read(pair, &paired, loss, draw);
        let observed = read(Draw::Nothing)?;
        let both: Vec<Readings> = (0..self.seeds.len()).filter_map(|resample| read(Draw::Anew(resample))).collect();
        let mut estimate = if observed.is_inside() {
            let share = |beyond: fn(&Readings) -> bool| {
                both.iter().filter(|readings| beyond(readings)).count() as f64 / both.len().max(1) as f64
            };
            let censored = Censored { above: share(Readings::is_above), below: share(Readings::is_below) };
            let jackknife = self.jackknife(&paired, |draw| read(draw).map(|readings| readings.log_ratio()));
            Estimate::new(observed.log_ratio(), &jackknife, censored)
        } else {
            let least = paired.iter().map(Vec::len).filter(|&seeds| seeds > 0).min().unwrap_or(0);
            bound(observed, &both, [least, self.documents])?
        };
        estimate.estimate = estimate.estimate.exp();
        estimate.interval = estimate.interval.map(|end| end.map(f64::exp));
        Some(estimate)
    }

    /// The data at which both reach a loss; where one is not trained, the loss that it has.
    fn read(&self, pair: Pair, paired: &[Vec<usize>], loss: f64, draw: Draw) -> Option<Readings> {
        let [arm, baseline] = [0, 1].map(|side| self.curve(pair, side, paired, draw));
        let (arm, baseline) = (arm?, baseline?);
        let loss = match pair.untrained {
            [true, _] => arm.loss_range()?.0,
            [_, true] => baseline.loss_range()?.0,
            _ => loss,
        };
        Some(Readings { arm: arm.read(loss)?, baseline: baseline.read(loss)? })
    }

    /// Test loss of the arm minus the baseline's at one size, nats per token, over the seeds both
    /// have: below 0 favours the arm.
    pub fn difference(&self, pair: Pair, size: usize) -> Option<Estimate> {
        let paired = self.paired(pair);
        let of = |draw| {
            let [arm, baseline] = [pair.arm, pair.baseline].map(|arm| self.mean(arm, &paired[size], size, draw));
            Some(arm? - baseline?)
        };
        Some(Estimate::new(of(Draw::Nothing)?, &self.jackknife(&paired[size..=size], of), Censored::default()))
    }

    /// A statistic without each seed of the pairs, each document, and each document of each seed.
    fn jackknife(&self, paired: &[Vec<usize>], of: impl Fn(Draw) -> Option<f64>) -> Jackknife {
        let seeds: BTreeSet<usize> = paired.iter().flatten().copied().collect();
        let least = paired.iter().map(Vec::len).filter(|&seeds| seeds > 0).min().unwrap_or(0);
        let cells = seeds.iter().flat_map(|&seed| (0..self.documents).map(move |document| Draw::Cell(seed, document)));
        Jackknife {
            seeds: seeds.iter().filter_map(|&seed| of(Draw::Seed(seed))).collect(),
            documents: (0..self.documents).filter_map(|document| of(Draw::Document(document))).collect(),
            cells: cells.filter_map(&of).collect(),
            units: [least, self.documents],
        }
    }

    /// The curve of a pair's arm (0) or baseline (1); `None` where no pair of a size was drawn.
    fn curve(&self, pair: Pair, side: usize, paired: &[Vec<usize>], draw: Draw) -> Option<Curve> {
        let arm = [pair.arm, pair.baseline][side];
        let measured = self.sizes.iter().enumerate().filter(|(size, _)| !paired[*size].is_empty());
        let point = |(size, data): (usize, &f64)| {
            let trained = if pair.untrained[side] { 0.0 } else { *data };
            Some((trained + pair.learned[side], self.mean(arm, &paired[size], size, draw)?))
        };
        Some(Curve::new(&measured.map(point).collect::<Option<Vec<_>>>()?))
    }

    /// Seeds that finished in both arms, size by size.
    fn paired(&self, Pair { arm, baseline, .. }: Pair) -> Vec<Vec<usize>> {
        let at = |size: usize| {
            let (arm, baseline) = (&self.runs[arm][size], &self.runs[baseline][size]);
            (0..arm.len()).filter(|&seed| arm[seed].is_some() && baseline[seed].is_some()).collect()
        };
        (0..self.sizes.len()).map(at).collect()
    }

    /// Mean loss over the given seeds; `None` where none of them is left.
    fn mean(&self, arm: usize, seeds: &[usize], size: usize, draw: Draw) -> Option<f64> {
        let (mut sum, mut weights) = (0.0, 0.0);
        for &seed in seeds {
            let run = self.runs[arm][size][seed].as_ref()?;
            let (weight, loss) = match draw {
                Draw::Seed(left_out) if left_out == seed => continue,
                Draw::Cell(of, document) if of == seed => (1.0, run.without[document]),
                Draw::Nothing | Draw::Seed(_) | Draw::Cell(..) => (1.0, run.observed),
                Draw::Document(document) => (1.0, run.without[document]),
                Draw::Anew(resample) => (f64::from(self.seeds[resample][seed]), run.drawn[resample]),
            };
            sum += weight * loss;
            weights += weight;
        }
        (weights > 0.0).then(|| sum / weights)
    }
}

/// Nats per token without a document; with a single one, its own.
fn loss_without(run: &TestLoss, left_out: usize) -> f64 {
    let others = run.documents.iter().enumerate().filter(|(place, _)| *place != left_out).map(|(_, document)| document);
    let (nats, tokens) = others.fold((0.0, 0), |(nats, tokens), one| (nats + one.nats, tokens + one.tokens));
    if tokens > 0 { nats / tokens as f64 } else { run.loss }
}

/// Where a loss lies on the curves of an arm and its baseline.
#[derive(Clone, Copy)]
struct Readings {
    arm: Reading,
    baseline: Reading,
}

impl Readings {
    fn log_ratio(&self) -> f64 {
        (self.baseline.data() / self.arm.data()).ln()
    }

    fn is_inside(&self) -> bool {
        matches!((self.arm, self.baseline), (Reading::Inside(_), Reading::Inside(_)))
    }

    /// Whether the true ratio may be larger: the baseline needs more than was measured, or the arm
    /// less.
    fn is_above(&self) -> bool {
        self.baseline.is_at_least() || self.arm.is_at_most()
    }

    /// Whether it may be smaller.
    fn is_below(&self) -> bool {
        self.baseline.is_at_most() || self.arm.is_at_least()
    }
}

/// A ratio at the end of what was measured: the bound that 97.5 % of the resamples keep.
fn bound(observed: Readings, resamples: &[Readings], [seeds, documents]: [usize; 2]) -> Option<Estimate> {
    let (above, below) = (observed.is_above(), observed.is_below());
    if above == below || seeds < 2 || documents < 2 {
        return None;
    }
    // A resample that is beyond on the other side bounds nothing.
    let value = |readings: &Readings| match (above, readings.is_below(), readings.is_above()) {
        (true, true, _) => f64::NEG_INFINITY,
        (false, _, true) => f64::INFINITY,
        _ => readings.log_ratio(),
    };
    let mut values: Vec<f64> = resamples.iter().map(value).collect();
    values.sort_by(f64::total_cmp);
    let share = if above { 0.025 } else { 0.975 };
    let end = *values.get((share * (values.len().checked_sub(1)? as f64)).round() as usize)?;
    let interval = if above { [Some(end), None] } else { [None, Some(end)] };
    let estimate = observed.log_ratio();
    end.is_finite().then_some(Estimate { estimate, interval, p: None, censored: 1.0, seeds, documents, freedom: None })
}

/// How often each of `n` things comes up in `n` − 1 draws with replacement; of one thing, once.
fn draw(rng: &mut ChaCha8Rng, n: usize) -> Vec<u32> {
    let mut counts = vec![0; n];
    for _ in 0..n.saturating_sub(1).max(n.min(1)) {
        counts[rng.random_range(0..n)] += 1;
    }
    counts
}

/// Nats per token over weighted documents; `None` without documents or where none has tokens.
fn weighted_loss(documents: &[DocumentLoss], weights: &[u32]) -> Option<f64> {
    let (mut nats, mut tokens) = (0.0, 0.0);
    for (document, &weight) in documents.iter().zip(weights) {
        nats += f64::from(weight) * document.nats;
        tokens += f64::from(weight) * document.tokens as f64;
    }
    (tokens > 0.0).then(|| nats / tokens)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::curve::{common_range, levels};

    const SIZES: [u64; 4] = [16_000, 64_000, 256_000, 1_024_000];
    const PAIR: Pair = Pair { arm: 1, baseline: 0, learned: [0.0; 2], untrained: [false; 2] };

    /// A power law is straight in log-log, so interpolation adds no error of its own.
    fn straight(tokens: f64) -> f64 {
        20.0 * tokens.powf(-0.2)
    }

    fn noise(rng: &mut ChaCha8Rng) -> f64 {
        (0..12).map(|_| rng.random_range(0.0..1.0)).sum::<f64>() - 6.0
    }

    /// Seeds share a paired part (subset, order) and have one of their own; documents differ in
    /// difficulty.
    fn experiment(rng: &mut ChaCha8Rng, seeds: usize, documents: usize, factor: f64) -> Vec<Vec<Vec<TestLoss>>> {
        let difficulty: Vec<f64> = (0..documents).map(|_| 0.1 * noise(rng)).collect();
        let shared: Vec<Vec<f64>> = SIZES.iter().map(|_| (0..seeds).map(|_| noise(rng)).collect()).collect();
        let mut run = |factor: f64, size: usize, seed: usize| {
            let mean = straight(SIZES[size] as f64 * factor) + 0.02 * shared[size][seed] + 0.015 * noise(rng);
            let nats = difficulty.iter().map(|d| 100.0 * (mean + d + 0.01 * noise(rng)));
            TestLoss::of(nats.map(|nats| DocumentLoss { nats, tokens: 100 }).collect())
        };
        let mut arm =
            |factor| (0..SIZES.len()).map(|size| (0..seeds).map(|seed| run(factor, size, seed)).collect()).collect();
        vec![arm(1.0), arm(factor)]
    }

    fn runs(arms: &[Vec<Vec<TestLoss>>]) -> Vec<Runs<'_>> {
        arms.iter().map(|arm| arm.iter().map(|size| size.iter().map(Some).collect()).collect()).collect()
    }

    fn resamples(arms: &[Vec<Vec<TestLoss>>], count: usize) -> Resamples {
        Resamples::new(&SIZES, &runs(arms), count, 7)
    }

    #[test]
    fn a_planted_ratio_is_found_with_its_degrees_of_freedom() {
        let found = resamples(&experiment(&mut ChaCha8Rng::seed_from_u64(1), 5, 60, 1.5), 500);
        let r = found.ratio(PAIR, 1.8).unwrap();
        let [low, high] = r.ends().unwrap();
        assert!(low < 1.5 && 1.5 < high && high / low < 1.4 && r.p.unwrap() < 0.05, "{r:?}");
        assert!((4.0..=8.0).contains(&r.freedom.unwrap()) && (r.seeds, r.documents) == (5, 60), "{r:?}");
    }

    #[test]
    fn documents_count_as_seeds_do() {
        // The arm is better in most documents and worse in others, by the same in every seed.
        let run = |arm: usize, count: usize| {
            let gain = |document: usize| if arm == 1 { [0.3, -0.1, 0.2, 0.1][document % 4] } else { 0.0 };
            let nats = (0..count).map(|document| 100.0 * (2.0 - gain(document)));
            TestLoss::of(nats.map(|nats| DocumentLoss { nats, tokens: 100 }).collect())
        };
        let study = |count: usize| -> Vec<Vec<Vec<TestLoss>>> {
            (0..2).map(|arm| vec![vec![run(arm, count), run(arm, count), run(arm, count)]; SIZES.len()]).collect()
        };
        let difference = |count| resamples(&study(count), 100).difference(PAIR, 0).unwrap();
        let (few, many) = (difference(4), difference(64));
        assert!((few.estimate + 0.125).abs() < 1e-12 && few.freedom == Some(3.0), "{few:?}");
        assert!(few.holds(0.0) && !many.holds(0.0) && many.freedom == Some(4.0), "{few:?} {many:?}");
        // The standard error of a mean of 64: that of the four gains is 0.148.
        let error = (many.ends().unwrap()[1] - many.estimate) / 2.776;
        assert!((error / (0.148 / 8.0) - 1.0).abs() < 0.06, "{error}");
        let one = difference(1);
        assert_eq!((one.interval, one.p), ([None, None], None));
    }

    #[test]
    fn a_missing_run_takes_its_pair_with_it() {
        let arms = experiment(&mut ChaCha8Rng::seed_from_u64(3), 3, 40, 1.5);
        let mut runs = runs(&arms);
        runs[1][0][2] = None;
        let found = Resamples::new(&SIZES, &runs, 100, 7);
        let expected: f64 = (0..2).map(|s| arms[1][0][s].loss - arms[0][0][s].loss).sum::<f64>() / 2.0;
        let difference = found.difference(PAIR, 0).unwrap();
        assert!((difference.estimate - expected).abs() < 1e-12);
        assert_eq!(difference.seeds, 2);
        runs[1][0] = vec![None; 3];
        assert!(Resamples::new(&SIZES, &runs, 100, 7).difference(PAIR, 0).is_none());
    }

    #[test]
    fn curves_that_hardly_meet_have_an_open_interval_and_no_p() {
        let span = (SIZES[SIZES.len() - 1] / SIZES[0]) as f64;
        let middle = |power: f64| {
            let found = resamples(&experiment(&mut ChaCha8Rng::seed_from_u64(4), 5, 60, span.powf(power)), 300);
            let [arm, baseline] = found.curves(PAIR);
            let (low, high) = common_range(&arm, &baseline)?;
            found.ratio(PAIR, (low * high).sqrt())
        };
        // The largest ratio at which they still meet, and one far below.
        let apart = (0..40).find_map(|step| middle(1.0 - 0.0025 * f64::from(step))).unwrap();
        assert!(apart.censored > 0.03 && apart.p.is_none() && apart.ends().is_none(), "{apart:?}");
        let near = middle(0.3).unwrap();
        assert!(near.censored < 0.025 && near.ends().is_some(), "{near:?}");
    }

    #[test]
    fn what_one_arm_learns_while_it_is_tested_counts_as_data() {
        let arms = experiment(&mut ChaCha8Rng::seed_from_u64(5), 4, 50, 1.0);
        let found = resamples(&arms, 200);
        let learned = Pair { learned: [40_000.0, 0.0], ..PAIR };
        let [plain, counted] = [PAIR, learned].map(|pair| {
            let [arm, baseline] = found.curves(pair);
            let level = levels(&arm, &baseline, 3)[1];
            found.ratio(pair, level).unwrap().estimate
        });
        assert!((plain - 1.0).abs() < 0.2 && counted < 0.9 * plain, "{plain} {counted}");
    }

    #[test]
    fn where_curves_do_not_meet_the_ratio_has_one_bound() {
        let span = (SIZES[SIZES.len() - 1] / SIZES[0]) as f64;
        let arms = experiment(&mut ChaCha8Rng::seed_from_u64(8), 5, 60, 4.0 * span);
        let found = resamples(&arms, 300);
        let [arm, baseline] = found.curves(PAIR);
        assert!(common_range(&arm, &baseline).is_none());
        let worst = baseline.loss_range().unwrap().0;
        let r = found.ratio(PAIR, worst).unwrap();
        let low = r.interval[0].unwrap();
        assert!(r.interval[1].is_none() && r.p.is_none() && low <= span * 1.001 && low > 0.4 * span, "{r:?}");
        // The other way round it is an upper bound.
        let mirror = found.ratio(Pair { arm: 0, baseline: 1, ..PAIR }, worst).unwrap();
        assert!((mirror.interval[1].unwrap() * low - 1.0).abs() < 1e-9 && mirror.interval[0].is_none(), "{mirror:?}");
        // A loss that neither reaches says nothing.
        assert!(found.ratio(PAIR, 0.01).is_none());
    }

    #[test]
    fn an_untrained_arm_is_compared_at_the_loss_that_it_has() {
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        let mut arms = experiment(&mut rng, 5, 60, 1.0);
        // All of its losses are those of the baseline with 64,000 tokens, whatever the size.
        arms[1] = vec![arms[0][1].clone(); SIZES.len()];
        let pair = Pair { learned: [32_000.0, 0.0], untrained: [true, false], ..PAIR };
        let r = resamples(&arms, 200).ratio(pair, f64::NAN).unwrap();
        assert!((r.estimate - 2.0).abs() < 1e-9, "{r:?}");
    }
}
