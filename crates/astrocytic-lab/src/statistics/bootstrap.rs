//! Paired bootstrap of the final runs: data ratios and loss differences with their intervals.

use astrocytic_train::document_loss::DocumentLoss;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::curve::{Curve, common_range, ratio};
use super::estimate::Estimate;
use crate::results::TestLoss;

/// Bootstrap replicates behind every interval.
pub const REPLICATES: usize = 2_000;

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

    /// The curve of an arm's mean losses, over the seeds that `other` has too (`None`: all its
    /// seeds).
    pub fn curve(&self, arm: usize, other: Option<usize>) -> Curve {
        let other = other.unwrap_or(arm);
        Curve::new(&self.points(|size| self.mean(arm, &self.paired(arm, other, size), size, None)))
    }

    /// r(L) = D_baseline(L) / D_arm(L) over the seeds both have; `None` where the loss is outside a
    /// measured range.
    ///
    /// In each replicate, L keeps its relative place in the range of losses that both curves reach.
    /// Resampled documents may be easier or harder for both arms, which says nothing about data.
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
                // If a replicate's curves have no loss in common, L itself tells which of them it
                // is beyond.
                let loss =
                    common_range(&of_baseline, &of_arm).map_or(loss, |(low, high)| low * (high / low).powf(place));
                let (of_baseline, of_arm) = (of_baseline.read(loss)?, of_arm.read(loss)?);
                censored += usize::from(of_baseline.is_censored() || of_arm.is_censored());
                Some((of_baseline.data() / of_arm.data()).ln())
            })
            .collect();
        let seeds = pairs.iter().map(Vec::len).filter(|&seeds| seeds > 0).min().unwrap_or(0);
        let censored = censored as f64 / replicates.len().max(1) as f64;
        let mut estimate = Estimate::new(observed.ln(), replicates, seeds);
        estimate.estimate = observed;
        // No ratio beyond that of the largest to the smallest size can be measured.
        let span = self.sizes.last()? / self.sizes.first()?;
        estimate.interval = estimate.interval.map(|ends| ends.map(|end| end.exp().clamp(1.0 / span, span)));
        Some(Estimate { censored, ..estimate })
    }

    /// Test loss of the arm minus the baseline's at one size, nats per token, over the seeds both
    /// have: below 0 favours the arm.
    pub fn difference(&self, arm: usize, baseline: usize, size: usize) -> Option<Estimate> {
        let pairs = self.paired(arm, baseline, size);
        let difference = |draw| Some(self.mean(arm, &pairs, size, draw)? - self.mean(baseline, &pairs, size, draw)?);
        let observed = difference(None)?;
        let replicates = (0..self.counts.len()).filter_map(|draw| difference(Some(draw))).collect();
        Some(Estimate::new(observed, replicates, pairs.len()))
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

    /// Mean loss over the given seeds, as observed or in a replicate; `None` where none of them was
    /// drawn.
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

    /// Seeds share a paired part (subset, order) and have one of their own; documents differ in
    /// difficulty.
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
        // Documents of very different difficulty, the same for both arms: no reason to doubt a
        // ratio that is the same in each.
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
}
