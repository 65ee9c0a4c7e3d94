//! How much data a loss costs: monotone curves, data ratios and their paired bootstrap.
//!
//! The figure is r(L) = D_baseline(L) / D_arm(L): how many times more unique data the baseline needs to reach the loss L.
//! It is read off inside the measured range and never extrapolated.

use astrocytic_train::document_loss::DocumentLoss;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::results::TestLoss;

/// Bootstrap replicates behind every interval.
pub const REPLICATES: usize = 2_000;

/// Loss against data, non-increasing, straight between points in (ln D, ln L).
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// (ln tokens, ln loss), tokens ascending.
    points: Vec<(f64, f64)>,
}

/// Where a loss lies against a curve's measured range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reading {
    /// Inside: the data that reach it.
    Inside(f64),
    /// Lower than any measured: at least the largest size.
    AtLeast(f64),
    /// Higher than any measured: at most the smallest size.
    AtMost(f64),
}

impl Reading {
    fn data(self) -> f64 {
        match self {
            Reading::Inside(data) | Reading::AtLeast(data) | Reading::AtMost(data) => data,
        }
    }

    fn is_censored(self) -> bool {
        !matches!(self, Reading::Inside(_))
    }
}

impl Curve {
    /// Curve through (tokens, loss) points, made monotone by pooling adjacent violators (isotonic regression of ln L).
    /// Points that are not positive and finite are left out.
    pub fn new(points: &[(f64, f64)]) -> Curve {
        let usable = |value: f64| value > 0.0 && value.is_finite();
        let mut points: Vec<(f64, f64)> =
            points.iter().filter(|(d, l)| usable(*d) && usable(*l)).map(|(d, l)| (d.ln(), l.ln())).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        // Blocks of (mean, count), each lower than the one before.
        let mut blocks: Vec<(f64, usize)> = Vec::new();
        for &(_, loss) in &points {
            let mut block = (loss, 1);
            while let Some(&(mean, count)) = blocks.last().filter(|last| last.0 < block.0) {
                let pooled = (mean * count as f64 + block.0 * block.1 as f64) / (count + block.1) as f64;
                block = (pooled, count + block.1);
                blocks.pop();
            }
            blocks.push(block);
        }
        let levels = blocks.into_iter().flat_map(|(mean, count)| std::iter::repeat_n(mean, count));
        Curve { points: points.iter().zip(levels).map(|(point, loss)| (point.0, loss)).collect() }
    }

    /// Lowest and highest loss, nats per token.
    pub fn loss_range(&self) -> Option<(f64, f64)> {
        Some((self.points.last()?.1.exp(), self.points.first()?.1.exp()))
    }

    /// Where the loss lies: the least data that reach it, or the end of the range it is beyond.
    pub fn read(&self, loss: f64) -> Option<Reading> {
        let (first, last) = (self.points.first()?, self.points.last()?);
        let level = loss.ln();
        // A hair of slack, so that an end's own loss is inside after exp and ln.
        let slack = 1e-12 * level.abs().max(1.0);
        if level < last.1 - slack {
            return Some(Reading::AtLeast(last.0.exp()));
        }
        if level > first.1 + slack {
            return Some(Reading::AtMost(first.0.exp()));
        }
        let reached = self.points.iter().position(|point| point.1 <= level + slack)?;
        let (x1, y1) = self.points[reached];
        let data = match reached.checked_sub(1).map(|before| self.points[before]) {
            Some((x0, y0)) => x0 + (x1 - x0) * ((y0 - level) / (y0 - y1)).clamp(0.0, 1.0),
            None => x1,
        };
        Some(Reading::Inside(data.exp()))
    }
}

/// Unique tokens at which the curve reaches the loss; `None` outside the measured range.
pub fn data_for_loss(curve: &Curve, loss: f64) -> Option<f64> {
    match curve.read(loss)? {
        Reading::Inside(data) => Some(data),
        Reading::AtLeast(_) | Reading::AtMost(_) => None,
    }
}

/// D_baseline(L) / D_arm(L): above 1 the arm needs less data. `None` outside either measured range.
pub fn ratio(baseline: &Curve, arm: &Curve, loss: f64) -> Option<f64> {
    Some(data_for_loss(baseline, loss)? / data_for_loss(arm, loss)?)
}

/// At most `count` losses, evenly spaced in ln L inside the range that both curves cover, ascending, rounded to two
/// decimals (three where the range is narrow). Half a step is left free at either end, where resampled curves would fall
/// outside the range most often.
pub fn levels(a: &Curve, b: &Curve, count: usize) -> Vec<f64> {
    let Some((low, high)) = common_range(a, b) else { return Vec::new() };
    let unit = if high - low < 0.1 { 1e3 } else { 1e2 };
    let step = (high / low).ln() / count as f64;
    let mut levels: Vec<f64> = (0..count)
        .map(|i| ((low.ln() + step * (i as f64 + 0.5)).exp() * unit).round() / unit)
        .filter(|level| (low..=high).contains(level))
        .collect();
    levels.dedup();
    levels
}

/// Lowest and highest loss that both curves reach.
fn common_range(a: &Curve, b: &Curve) -> Option<(f64, f64)> {
    let (a, b) = (a.loss_range()?, b.loss_range()?);
    let (low, high) = (a.0.max(b.0), a.1.min(b.1));
    (low < high).then_some((low, high))
}

/// The test losses of one arm: `runs[size][seed]`, `None` where a run is missing or diverged.
pub type Runs<'a> = Vec<Vec<Option<&'a TestLoss>>>;

/// The same test losses, resampled: seeds and held-out documents, one draw for all arms and sizes.
pub struct Bootstrap {
    /// `counts[replicate][seed]`: how often a seed was drawn.
    counts: Vec<Vec<u32>>,
    /// `losses[arm][size][seed][replicate]`, nats per token.
    losses: Vec<Vec<Vec<Option<Vec<f64>>>>>,
    /// `observed[arm][size][seed]`, nats per token.
    observed: Vec<Vec<Vec<Option<f64>>>>,
    /// Unique training tokens of each size.
    sizes: Vec<f64>,
}

/// An estimate with its 95 % interval.
///
/// The interval is the bootstrap's percentile interval, its deviations from the estimate widened by
/// t(0.975, n − 1)/1.96 · √(n/(n − 1)) for n paired seeds, because a plain percentile interval is far too narrow for a
/// handful of seeds (Hesterberg, arXiv 1411.5279, section 5).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// From the seeds as they were.
    pub estimate: f64,
    /// 95 % interval; `None` with fewer than two paired seeds.
    pub interval: Option<[f64; 2]>,
    /// Two-sided p-value of no effect, not corrected: Student's t, n − 1 degrees of freedom, on the bootstrap's standard
    /// error.
    pub p: Option<f64>,
    /// Share of replicates in which the loss fell outside a resampled curve's range. They count with the end of the range,
    /// so with a share above 0.025 the interval may in truth reach further.
    pub censored: f64,
    /// Paired seeds, at the size that has fewest.
    pub seeds: usize,
}

impl Bootstrap {
    /// Draws `replicates` resamples of the runs of every arm; the same seed gives the same draws.
    ///
    /// Documents are resampled where all runs hold the same number of them.
    pub fn new(sizes: &[u64], arms: &[Runs], replicates: usize, seed: u64) -> Bootstrap {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let seeds = arms.iter().flatten().map(Vec::len).max().unwrap_or(0);
        let mut documents = arms.iter().flatten().flatten().flatten().map(|test| test.documents.len());
        let first = documents.next().unwrap_or(0);
        let documents = if documents.all(|count| count == first) { first } else { 0 };

        let mut losses: Vec<Vec<Vec<Option<Vec<f64>>>>> = arms
            .iter()
            .map(|arm| {
                let empty = |run: &Option<&TestLoss>| run.map(|_| Vec::with_capacity(replicates));
                arm.iter().map(|size| size.iter().map(empty).collect()).collect()
            })
            .collect();
        let mut counts = Vec::with_capacity(replicates);
        for _ in 0..replicates {
            counts.push(draw(&mut rng, seeds));
            let weights = draw(&mut rng, documents);
            for (arm, losses) in arms.iter().zip(&mut losses) {
                for (size, losses) in arm.iter().zip(losses) {
                    for (run, losses) in size.iter().zip(losses) {
                        if let (Some(run), Some(losses)) = (run, losses) {
                            losses.push(weighted_loss(&run.documents, &weights).unwrap_or(run.loss));
                        }
                    }
                }
            }
        }
        let observe = |size: &Vec<Option<&TestLoss>>| size.iter().map(|run| run.map(|run| run.loss)).collect();
        let observed = arms.iter().map(|arm| arm.iter().map(observe).collect()).collect();
        Bootstrap { counts, losses, observed, sizes: sizes.iter().map(|&size| size as f64).collect() }
    }

    /// The curve of an arm's mean losses, over the seeds that `other` has too (`None`: all its seeds).
    pub fn curve(&self, arm: usize, other: Option<usize>) -> Curve {
        let other = other.unwrap_or(arm);
        Curve::new(&self.points(|size| self.mean(arm, &self.paired(arm, other, size), size, None)))
    }

    /// r(L) = D_baseline(L) / D_arm(L) over the seeds both have; `None` where the loss is outside a measured range.
    ///
    /// In a replicate L is where it was among the losses that both curves reach: other documents are easier or harder for
    /// both, which says nothing of the data that they need.
    pub fn ratio(&self, arm: usize, baseline: usize, loss: f64) -> Option<Estimate> {
        let (of_baseline, of_arm) = (self.curve(baseline, Some(arm)), self.curve(arm, Some(baseline)));
        let observed = ratio(&of_baseline, &of_arm, loss)?;
        let (low, high) = common_range(&of_baseline, &of_arm)?;
        let place = ((loss / low).ln() / (high / low).ln()).clamp(0.0, 1.0);
        let pairs: Vec<Vec<usize>> = (0..self.sizes.len()).map(|size| self.paired(arm, baseline, size)).collect();
        let mut censored = 0;
        let replicates: Vec<f64> = (0..self.counts.len())
            .filter_map(|draw| {
                // A draw without any paired seed of some size has no curve to compare.
                let drawn = |seeds: &Vec<usize>| seeds.is_empty() || seeds.iter().any(|&s| self.counts[draw][s] > 0);
                if !pairs.iter().all(drawn) {
                    return None;
                }
                let curve = |of| Curve::new(&self.points(|size| self.mean(of, &pairs[size], size, Some(draw))));
                let (of_baseline, of_arm) = (curve(baseline), curve(arm));
                // Where a replicate's curves have no loss in common the loss itself says which of them is out of reach.
                let loss =
                    common_range(&of_baseline, &of_arm).map_or(loss, |(low, high)| low * (high / low).powf(place));
                let (of_baseline, of_arm) = (of_baseline.read(loss)?, of_arm.read(loss)?);
                censored += usize::from(of_baseline.is_censored() || of_arm.is_censored());
                Some((of_baseline.data() / of_arm.data()).ln())
            })
            .collect();
        let seeds = pairs.iter().map(Vec::len).filter(|&seeds| seeds > 0).min().unwrap_or(0);
        let censored = censored as f64 / replicates.len().max(1) as f64;
        let mut estimate = interval(observed.ln(), replicates, seeds);
        estimate.estimate = observed;
        // No ratio beyond that of the largest to the smallest size can be measured.
        let span = self.sizes.last()? / self.sizes.first()?;
        estimate.interval = estimate.interval.map(|ends| ends.map(|end| end.exp().clamp(1.0 / span, span)));
        Some(Estimate { censored, ..estimate })
    }

    /// Test loss of the arm minus the baseline's at one size, nats per token, over the seeds both have: below 0 favours
    /// the arm.
    pub fn difference(&self, arm: usize, baseline: usize, size: usize) -> Option<Estimate> {
        let pairs = self.paired(arm, baseline, size);
        let difference = |draw| Some(self.mean(arm, &pairs, size, draw)? - self.mean(baseline, &pairs, size, draw)?);
        let observed = difference(None)?;
        let replicates = (0..self.counts.len()).filter_map(|draw| difference(Some(draw))).collect();
        Some(interval(observed, replicates, pairs.len()))
    }

    /// (tokens, loss) at every size that has one.
    fn points(&self, loss: impl Fn(usize) -> Option<f64>) -> Vec<(f64, f64)> {
        self.sizes.iter().enumerate().filter_map(|(i, &tokens)| Some((tokens, loss(i)?))).collect()
    }

    /// Seeds that finished in both arms at this size.
    fn paired(&self, arm: usize, other: usize, size: usize) -> Vec<usize> {
        let (arm, other) = (&self.observed[arm][size], &self.observed[other][size]);
        (0..arm.len()).filter(|&seed| arm[seed].is_some() && other[seed].is_some()).collect()
    }

    /// Mean loss over the given seeds, as observed or in a replicate; `None` where none of them was drawn.
    fn mean(&self, arm: usize, seeds: &[usize], size: usize, draw: Option<usize>) -> Option<f64> {
        let (mut sum, mut weights) = (0.0, 0.0);
        for &seed in seeds {
            let (weight, loss) = match draw {
                Some(draw) => (f64::from(self.counts[draw][seed]), self.losses[arm][size][seed].as_ref()?[draw]),
                None => (1.0, self.observed[arm][size][seed]?),
            };
            sum += weight * loss;
            weights += weight;
        }
        (weights > 0.0).then(|| sum / weights)
    }
}

/// How often each of `n` things comes up in `n` draws with replacement.
fn draw(rng: &mut ChaCha8Rng, n: usize) -> Vec<u32> {
    let mut counts = vec![0; n];
    for _ in 0..n {
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

/// The interval about an estimate whose value without effect is 0, from its replicates.
fn interval(estimate: f64, mut replicates: Vec<f64>, seeds: usize) -> Estimate {
    let mut result = Estimate { estimate, interval: None, p: None, censored: 0.0, seeds };
    if seeds < 2 || replicates.len() < 2 {
        return result;
    }
    replicates.sort_by(f64::total_cmp);
    let n = seeds as f64;
    let few = (n / (n - 1.0)).sqrt();
    let widen = student_quantile(seeds - 1) / 1.959_964 * few;
    let end = |share: f64| estimate + widen * (quantile(&replicates, share) - estimate);
    result.interval = Some([end(0.025).min(estimate), end(0.975).max(estimate)]);
    let mean = replicates.iter().sum::<f64>() / replicates.len() as f64;
    let variance = replicates.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / (replicates.len() - 1) as f64;
    let error = variance.sqrt() * few;
    result.p = Some(if error > 0.0 {
        1.0 - student_within(estimate.abs() / error, seeds - 1)
    } else {
        // No spread at all: nothing can be tested unless there is no effect either.
        f64::from(u8::from(estimate == 0.0))
    });
    result
}

/// Linearly interpolated quantile of sorted values.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (below, rest) = (place.floor() as usize, place.fract());
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] * (1.0 - rest) + sorted[above] * rest
}

/// P(|T| < t) of Student's t with whole degrees of freedom (Abramowitz and Stegun, 26.7.3 and 26.7.4).
fn student_within(t: f64, freedom: usize) -> f64 {
    let angle = (t / (freedom as f64).sqrt()).atan();
    let (sin, cos) = angle.sin_cos();
    let odd = freedom % 2 == 1;
    let (mut term, mut sum) = (if odd { cos } else { 1.0 }, 0.0);
    let mut k = if odd { 1 } else { 0 };
    while k + 2 <= freedom {
        sum += term;
        term *= cos * cos * (k + 1) as f64 / (k + 2) as f64;
        k += 2;
    }
    if odd { (angle + sin * sum) * std::f64::consts::FRAC_2_PI } else { sin * sum }
}

/// t(0.975, freedom).
fn student_quantile(freedom: usize) -> f64 {
    let (mut low, mut high) = (1.9, 13.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if student_within(middle, freedom) < 0.95 { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// Holm's step-down correction: the p-values of all comparisons made, corrected, in the order given.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut corrected = vec![0.0; p.len()];
    let mut highest = 0.0f64;
    for (rank, &index) in order.iter().enumerate() {
        highest = highest.max((p[index] * (p.len() - rank) as f64).min(1.0));
        corrected[index] = highest;
    }
    corrected
}

/// L(D) = E + B·D^−β by least squares, E and B not below 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Fit {
    /// E, nats per token: the loss with data without end, if the law held.
    pub floor: f64,
    /// B, nats per token.
    pub scale: f64,
    /// β.
    pub exponent: f64,
    /// Root of the mean squared residual, nats per token.
    pub residual: f64,
}

impl Fit {
    /// Fits (tokens, loss) points; `None` with fewer than five of them.
    pub fn new(points: &[(f64, f64)]) -> Option<Fit> {
        if points.len() < 5 {
            return None;
        }
        let grid: Vec<f64> = (0..=100).map(|i| 0.01 * 300f64.powf(f64::from(i) / 100.0)).collect();
        let error = |exponent: f64| Fit::at(points, exponent).residual;
        let best = (0..grid.len()).min_by(|&a, &b| error(grid[a]).total_cmp(&error(grid[b])))?;
        let (mut low, mut high) = (grid[best.saturating_sub(1)], grid[(best + 1).min(grid.len() - 1)]);
        let golden = 0.5 * (5f64.sqrt() - 1.0);
        for _ in 0..60 {
            let (a, b) = (high - golden * (high - low), low + golden * (high - low));
            if error(a) < error(b) { high = b } else { low = a }
        }
        Some(Fit::at(points, 0.5 * (low + high)))
    }

    /// The loss it gives for this many tokens.
    pub fn loss(&self, tokens: f64) -> f64 {
        self.floor + self.scale * tokens.powf(-self.exponent)
    }

    /// Linear least squares in E and B with β given.
    fn at(points: &[(f64, f64)], exponent: f64) -> Fit {
        let n = points.len() as f64;
        // Data in units of the smallest size, so that the sums keep their digits.
        let unit = points.iter().map(|p| p.0).fold(f64::INFINITY, f64::min);
        let feature = |tokens: f64| (tokens / unit).powf(-exponent);
        let (mut x, mut y, mut xx, mut xy) = (0.0, 0.0, 0.0, 0.0);
        for &(tokens, loss) in points {
            let f = feature(tokens);
            x += f;
            y += loss;
            xx += f * f;
            xy += f * loss;
        }
        let (mut floor, mut scale) = (0.0, (n * xy - x * y) / (n * xx - x * x));
        if scale > 0.0 {
            floor = (y - scale * x) / n;
        }
        if scale <= 0.0 || !scale.is_finite() {
            (floor, scale) = (y / n, 0.0);
        } else if floor < 0.0 {
            (floor, scale) = (0.0, xy / xx);
        }
        let squares: f64 = points.iter().map(|&(t, l)| (floor + scale * feature(t) - l).powi(2)).sum();
        Fit { floor, scale: scale * unit.powf(exponent), exponent, residual: (squares / n).sqrt() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: [u64; 4] = [16_000, 64_000, 256_000, 1_024_000];

    fn planted(tokens: f64) -> f64 {
        1.2 + 30.0 * tokens.powf(-0.3)
    }

    /// A power law is straight in log-log, so interpolation adds no error of its own.
    fn straight(tokens: f64) -> f64 {
        20.0 * tokens.powf(-0.2)
    }

    fn noise(rng: &mut ChaCha8Rng) -> f64 {
        (0..12).map(|_| rng.random_range(0.0..1.0)).sum::<f64>() - 6.0
    }

    /// Seeds share a paired part (subset, order) and have one of their own; documents differ in difficulty.
    fn experiment(rng: &mut ChaCha8Rng, seeds: usize, factor: f64) -> Vec<Vec<Vec<TestLoss>>> {
        let difficulty: Vec<f64> = (0..40).map(|_| 0.3 * noise(rng)).collect();
        let shared: Vec<Vec<f64>> = SIZES.iter().map(|_| (0..seeds).map(|_| noise(rng)).collect()).collect();
        let run = |rng: &mut ChaCha8Rng, mean: f64| {
            let documents: Vec<DocumentLoss> = difficulty
                .iter()
                .map(|d| DocumentLoss { nats: 100.0 * (mean + d + 0.01 * noise(rng)), tokens: 100 })
                .collect();
            TestLoss {
                loss: documents.iter().map(|d| d.nats).sum::<f64>() / 4_000.0,
                documents,
                accuracy: None,
                without_carry: None,
                plasticity: None,
            }
        };
        [1.0, factor]
            .iter()
            .map(|factor| {
                let at = |(size, &tokens): (usize, &u64)| {
                    let mean = straight(tokens as f64 * factor);
                    (0..seeds).map(|s| mean + 0.02 * shared[size][s]).collect::<Vec<f64>>()
                };
                let means: Vec<Vec<f64>> = SIZES.iter().enumerate().map(at).collect();
                means
                    .into_iter()
                    .map(|m| {
                        m.into_iter()
                            .map(|m| {
                                let own = 0.015 * noise(rng);
                                run(rng, m + own)
                            })
                            .collect()
                    })
                    .collect()
            })
            .collect()
    }

    fn bootstrap(arms: &[Vec<Vec<TestLoss>>], replicates: usize) -> Bootstrap {
        let runs: Vec<Runs> =
            arms.iter().map(|arm| arm.iter().map(|size| size.iter().map(Some).collect()).collect()).collect();
        Bootstrap::new(&SIZES, &runs, replicates, 7)
    }

    #[test]
    fn a_planted_ratio_is_found() {
        let points = |factor: f64| SIZES.map(|size| (size as f64, straight(size as f64 * factor)));
        let (baseline, arm) = (Curve::new(&points(1.0)), Curve::new(&points(1.5)));
        let levels = levels(&baseline, &arm, 5);
        assert_eq!(levels.len(), 5);
        for level in levels {
            assert!((ratio(&baseline, &arm, level).unwrap() - 1.5).abs() < 1e-6);
        }
    }

    #[test]
    fn a_planted_ratio_lies_in_its_interval_with_noise() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let inside = (0..40)
            .filter(|_| {
                let found = bootstrap(&experiment(&mut rng, 5, 1.5), 300);
                let r = found.ratio(1, 0, 1.8).unwrap();
                let [low, high] = r.interval.unwrap();
                assert!(low <= r.estimate && r.estimate <= high && (1.2..2.0).contains(&r.estimate), "{r:?}");
                (low..=high).contains(&1.5)
            })
            .count();
        assert!(inside >= 35, "{inside} of 40");
    }

    #[test]
    fn without_an_effect_the_interval_holds_one() {
        for seeds in [3, 5] {
            let mut rng = ChaCha8Rng::seed_from_u64(2);
            let (mut inside, mut significant) = (0, 0);
            for _ in 0..200 {
                let found = bootstrap(&experiment(&mut rng, seeds, 1.0), 300);
                let r = found.ratio(1, 0, 1.8).unwrap();
                let [low, high] = r.interval.unwrap();
                inside += usize::from((low..=high).contains(&1.0));
                significant += usize::from(r.p.unwrap() < 0.05);
            }
            assert!((176..=200).contains(&inside), "{inside} of 200 with {seeds} seeds");
            assert!(significant <= 20, "{significant} of 200 with {seeds} seeds");
        }
    }

    #[test]
    fn curves_are_monotone_and_pool_violators() {
        let curve = Curve::new(&[(1e3, 4.0), (2e3, 3.0), (4e3, 3.2), (8e3, 2.0)]);
        assert!(curve.points.windows(2).all(|w| w[0].0 < w[1].0 && w[0].1 >= w[1].1));
        assert!((curve.points[1].1 - (3.0f64 * 3.2).sqrt().ln()).abs() < 1e-12);
        let mut last = f64::INFINITY;
        for i in 0..=200 {
            let data = data_for_loss(&curve, 2.0 + 0.01 * f64::from(i)).unwrap();
            assert!(data <= last + 1e-9);
            last = data;
        }
        // On a plateau: the least data that reach it.
        assert!((data_for_loss(&curve, (3.0f64 * 3.2).sqrt()).unwrap() - 2e3).abs() < 1e-6);
    }

    #[test]
    fn nothing_is_extrapolated() {
        let curve = Curve::new(&[(1e3, 4.0), (8e3, 2.0)]);
        assert_eq!(data_for_loss(&curve, 1.999), None);
        assert_eq!(data_for_loss(&curve, 4.001), None);
        assert!((data_for_loss(&curve, 2.0).unwrap() - 8e3).abs() < 1e-6);
        assert!((data_for_loss(&curve, 4.0).unwrap() - 1e3).abs() < 1e-6);
        assert_eq!(data_for_loss(&Curve::new(&[]), 2.0), None);
        let far = Curve::new(&[(1e3, 1.0), (8e3, 0.5)]);
        assert!(levels(&curve, &far, 3).is_empty());
        assert_eq!(ratio(&curve, &far, 3.0), None);
    }

    #[test]
    fn holm_agrees_with_a_case_by_hand() {
        // Sorted 0.005, 0.01, 0.03, 0.04 → 4·0.005, 3·0.01, 2·0.03, max(2·0.03, 0.04).
        let corrected = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (found, expected) in corrected.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((found - expected).abs() < 1e-12);
        }
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
    }

    #[test]
    fn students_t_agrees_with_tables() {
        for (freedom, t) in [(1, 12.706_2), (2, 4.302_65), (3, 3.182_45), (4, 2.776_45), (9, 2.262_16), (30, 2.042_27)]
        {
            assert!((student_quantile(freedom) - t).abs() < 1e-4, "{freedom}");
        }
    }

    #[test]
    fn a_missing_run_takes_its_pair_with_it() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let arms = experiment(&mut rng, 3, 1.5);
        let mut runs: Vec<Runs> =
            arms.iter().map(|arm| arm.iter().map(|size| size.iter().map(Some).collect()).collect()).collect();
        runs[1][0][2] = None;
        let found = Bootstrap::new(&SIZES, &runs, 100, 7);
        let expected: f64 = (0..2).map(|s| arms[1][0][s].loss - arms[0][0][s].loss).sum::<f64>() / 2.0;
        let difference = found.difference(1, 0, 0).unwrap();
        assert!((difference.estimate - expected).abs() < 1e-12);
        assert_eq!(difference.seeds, 2);
        runs[1][0] = vec![None; 3];
        assert!(Bootstrap::new(&SIZES, &runs, 100, 7).difference(1, 0, 0).is_none());
    }

    #[test]
    fn curves_that_hardly_meet_are_marked_censored() {
        let span = (SIZES[SIZES.len() - 1] / SIZES[0]) as f64;
        let share = |power: f64| {
            let mut rng = ChaCha8Rng::seed_from_u64(4);
            let found = bootstrap(&experiment(&mut rng, 5, span.powf(power)), 300);
            let (low, high) = common_range(&found.curve(0, None), &found.curve(1, None))?;
            Some(found.ratio(1, 0, (low * high).sqrt())?.censored)
        };
        // The largest ratio at which they still meet, and one far below.
        let apart = (0..40).find_map(|step| share(1.0 - 0.0025 * f64::from(step))).unwrap();
        assert!(apart > 0.03 && share(0.3) == Some(0.0), "{apart}");
    }

    #[test]
    fn harder_documents_alone_do_not_widen_a_ratio() {
        // Documents of very different difficulty, the same for both arms: no reason to doubt a ratio that is the same in each.
        let document = |arm: usize, size: u64, hard: f64| DocumentLoss {
            nats: 100.0 * hard * planted(size as f64 * [1.0, 2.0][arm]),
            tokens: 100,
        };
        let test = |arm, size| {
            let documents: Vec<_> = [0.5, 1.0, 1.5, 2.0].map(|hard| document(arm, size, hard)).into();
            let loss = documents.iter().map(|document| document.nats).sum::<f64>() / 400.0;
            TestLoss { loss, documents, accuracy: None, without_carry: None, plasticity: None }
        };
        let arms: Vec<Vec<Vec<TestLoss>>> =
            (0..2).map(|arm| SIZES.iter().map(|&size| vec![test(arm, size); 5]).collect()).collect();
        let found = bootstrap(&arms, 300);
        let (low, high) = common_range(&found.curve(0, None), &found.curve(1, None)).unwrap();
        let r = found.ratio(1, 0, (low * high).sqrt()).unwrap();
        let [below, above] = r.interval.unwrap();
        assert!(r.censored == 0.0 && above / below < 1.01, "{r:?}");
    }

    #[test]
    fn the_fit_finds_a_planted_law_and_wants_five_sizes() {
        let points: Vec<(f64, f64)> = (0..6).map(|i| 1e4 * 3f64.powi(i)).map(|d| (d, planted(d))).collect();
        let fit = Fit::new(&points).unwrap();
        assert!((fit.floor - 1.2).abs() < 1e-3 && (fit.exponent - 0.3).abs() < 1e-3, "{fit:?}");
        assert!((fit.loss(5e5) - planted(5e5)).abs() < 1e-5);
        assert!(Fit::new(&points[..4]).is_none());
        let below: Vec<(f64, f64)> = points.iter().map(|&(d, l)| (d, l - 1.5)).collect();
        assert_eq!(Fit::new(&below).unwrap().floor, 0.0);
    }
}
