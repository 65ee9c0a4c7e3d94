//! How often the intervals hold the truth: experiments simulated from stored curves, in which it is
//! known.

use astrocytic_train::document_loss::DocumentLoss;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use super::curve::{Curve, common_range, ratio};
use super::resamples::{Pair, Resamples, Runs};
use crate::results::TestLoss;

/// Resamples of each simulated experiment.
const RESAMPLES: usize = 400;
/// The simulated arm and its baseline, by their places.
const PAIR: Pair = Pair { arm: 1, baseline: 0, learned: [0.0; 2], untrained: [false; 2] };

/// Two arms of a study as a population to draw experiments from.
///
/// A run's losses are the mean over seeds of each document, and what its seed adds there. A
/// simulated seed adds a random mixture of what the stored seeds add, the same mixture in both arms,
/// at all sizes and in all documents: covariances, the pairing among them, are the stored ones.
/// Documents are drawn from the stored ones.
pub struct Population {
    sizes: Vec<u64>,
    seeds: usize,
    tokens: Vec<u64>,
    /// `means[arm][size][document]`, nats per token; the baseline is the first arm.
    means: [Vec<Vec<f64>>; 2],
    /// `added[arm][size][seed][document]`.
    added: [Vec<Vec<Vec<f64>>>; 2],
}

/// How simulated experiments came out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Coverage {
    /// Times the data that the arm's curve was given: its ratio where curves are straight.
    pub planted: f64,
    /// Test loss at which the ratio was read.
    pub loss: f64,
    /// The ratio there.
    pub truth: f64,
    /// Experiments simulated.
    pub experiments: usize,
    /// Intervals with both ends: in the others the ratio could not be read, or the truth may lie
    /// beyond what was measured.
    pub intervals: usize,
    /// Those of them that hold the truth.
    pub held: usize,
    /// Experiments with p < 0.05 of no effect.
    pub significant: usize,
    /// Seeds of each.
    pub seeds: usize,
    /// Test documents of each.
    pub documents: usize,
}

impl Coverage {
    /// Share of the intervals that hold the truth.
    pub fn share(&self) -> f64 {
        self.held as f64 / self.intervals.max(1) as f64
    }
}

impl Population {
    /// Of a baseline's and an arm's runs; `None` where a run is missing or documents differ.
    pub fn new(sizes: &[u64], baseline: &Runs, arm: &Runs) -> Option<Self> {
        let first = baseline.first()?.first().copied()??;
        let tokens: Vec<u64> = first.documents.iter().map(|document| document.tokens).collect();
        let seeds = baseline[0].len();
        let losses = |runs: &Runs| -> Option<Vec<Vec<Vec<f64>>>> {
            let of_run = |run: &Option<&TestLoss>| {
                let documents = &run.as_ref()?.documents;
                let same = documents.len() == tokens.len();
                same.then(|| documents.iter().map(|document| document.nats / document.tokens as f64).collect())
            };
            runs.iter().map(|size| size.iter().map(of_run).collect()).collect()
        };
        let mut means = [Vec::new(), Vec::new()];
        let mut added = [Vec::new(), Vec::new()];
        for (arm, runs) in [baseline, arm].into_iter().enumerate() {
            for size in losses(runs)?.into_iter().filter(|size| size.len() == seeds) {
                let mean =
                    |document: usize| size.iter().map(|run: &Vec<f64>| run[document]).sum::<f64>() / seeds as f64;
                let mean: Vec<f64> = (0..tokens.len()).map(mean).collect();
                let less = |run: &Vec<f64>| run.iter().zip(&mean).map(|(loss, mean)| loss - mean).collect();
                added[arm].push(size.iter().map(less).collect());
                means[arm].push(mean);
            }
        }
        let whole = seeds > 1 && means.iter().all(|means| means.len() == sizes.len());
        whole.then(|| Self { sizes: sizes.to_vec(), seeds, tokens, means, added })
    }

    /// Simulates experiments in which the arm's losses are the baseline's with `planted` times the
    /// data, by seeds and documents of its own; reads their ratio at the middle of the losses that
    /// both reach. `None` where they reach none in common.
    pub fn coverage(&self, planted: f64, experiments: usize, seed: u64) -> Option<Coverage> {
        let shifted: Vec<Vec<f64>> = self.shifted(planted);
        let means = [&self.means[0], &shifted];
        let curves = means.map(|means| self.curve(means));
        let (low, high) = common_range(&curves[0], &curves[1])?;
        let loss = (low * high).sqrt();
        let truth = ratio(&curves[0], &curves[1], loss)?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (documents, seeds) = (self.tokens.len(), self.seeds);
        let mut found =
            Coverage { planted, loss, truth, experiments, intervals: 0, held: 0, significant: 0, seeds, documents };
        for number in 0..experiments {
            let arms = self.simulate(means, &mut rng);
            let runs: Vec<Runs> =
                arms.iter().map(|arm| arm.iter().map(|size| size.iter().map(Some).collect()).collect()).collect();
            let resamples = Resamples::new(&self.sizes, &runs, RESAMPLES, number as u64);
            let Some(estimate) = resamples.ratio(PAIR, loss).filter(|found| found.ends().is_some()) else { continue };
            found.intervals += 1;
            found.held += usize::from(estimate.holds(truth));
            found.significant += usize::from(estimate.p.is_some_and(|p| p < 0.05));
        }
        Some(found)
    }

    /// The baseline's losses with so many times the data, and what is the arm's own in each document.
    fn shifted(&self, planted: f64) -> Vec<Vec<f64>> {
        let all: f64 = self.tokens.iter().sum::<u64>() as f64;
        let overall = |losses: &[f64]| losses.iter().zip(&self.tokens).map(|(l, t)| l * *t as f64).sum::<f64>() / all;
        (0..self.sizes.len())
            .map(|size| {
                let [of_baseline, of_arm] = [0, 1].map(|arm| overall(&self.means[arm][size]));
                let documents = 0..self.tokens.len();
                documents
                    .map(|document| {
                        let at = |size: usize| self.means[0][size][document];
                        let own = self.means[1][size][document] - of_arm - (at(size) - of_baseline);
                        self.at_data(at, self.sizes[size] as f64 * planted) + own
                    })
                    .collect()
            })
            .collect()
    }

    /// A loss with so much data, straight in (ln D, ln L) between sizes and beyond them.
    fn at_data(&self, loss: impl Fn(usize) -> f64, data: f64) -> f64 {
        let above = self.sizes.iter().position(|&size| size as f64 >= data).unwrap_or(self.sizes.len());
        let right = above.clamp(1, self.sizes.len() - 1);
        let [x0, x1] = [right - 1, right].map(|size| (self.sizes[size] as f64).ln());
        let [y0, y1] = [right - 1, right].map(|size| loss(size).ln());
        (y0 + (y1 - y0) * (data.ln() - x0) / (x1 - x0)).exp()
    }

    /// The curve of the whole population.
    fn curve(&self, means: &[Vec<f64>]) -> Curve {
        let all: f64 = self.tokens.iter().sum::<u64>() as f64;
        let mean = |losses: &Vec<f64>| losses.iter().zip(&self.tokens).map(|(l, t)| l * *t as f64).sum::<f64>() / all;
        let points: Vec<_> = self.sizes.iter().zip(means).map(|(&size, losses)| (size as f64, mean(losses))).collect();
        Curve::new(&points)
    }

    /// One experiment: `[arm][size][seed]`.
    fn simulate(&self, means: [&Vec<Vec<f64>>; 2], rng: &mut ChaCha8Rng) -> [Vec<Vec<TestLoss>>; 2] {
        let documents: Vec<usize> = self.tokens.iter().map(|_| rng.random_range(0..self.tokens.len())).collect();
        // Of n deviations from their mean, mixed by normal weights, the sum's variance is (n − 1)
        // times that of one seed.
        let scale = ((self.seeds - 1) as f64).sqrt().recip();
        let mut weight = || scale * <StandardNormal as Distribution<f64>>::sample(&StandardNormal, rng);
        let mixtures: Vec<Vec<f64>> = (0..self.seeds).map(|_| (0..self.seeds).map(|_| weight()).collect()).collect();
        [0, 1].map(|arm| {
            let run = |size: usize, mixture: &Vec<f64>| {
                let loss = |document: usize| {
                    let added = mixture.iter().zip(&self.added[arm][size]).map(|(w, added)| w * added[document]);
                    means[arm][size][document] + added.sum::<f64>()
                };
                test_loss(documents.iter().map(|&document| (loss(document), self.tokens[document])))
            };
            (0..self.sizes.len()).map(|size| mixtures.iter().map(|mixture| run(size, mixture)).collect()).collect()
        })
    }
}

/// A run's test loss, from the losses and tokens of its documents.
fn test_loss(documents: impl Iterator<Item = (f64, u64)>) -> TestLoss {
    let documents: Vec<DocumentLoss> =
        documents.map(|(loss, tokens)| DocumentLoss { nats: loss * tokens as f64, tokens }).collect();
    TestLoss::of(documents)
}
