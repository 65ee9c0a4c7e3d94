//! How the share of seeds that solve a task rises with the data, and which sizes at which half of
//! them do go with what was found.
//!
//! The estimate is read off the shares themselves, made monotone, straight in log D between visited
//! sizes: it needs no curve. The interval is that of logistic curves of every steepness.
//!
//! Why a likelihood and no bootstrap: with ten seeds and sizes twice apart, shares are often 0 at
//! one size and 1 at the next. Resampled seeds then give the same shares every time, and an interval
//! of no width at the middle of the two sizes; of simulated experiments with steep curves a third
//! of such intervals held the truth. The likelihood is flat between the two sizes and says so.

use serde::{Deserialize, Serialize};

use super::isotonic::isotonic;

/// Whether each run solved the task, `[size][seed]`; `None` without a run.
pub type Outcomes = Vec<Vec<Option<bool>>>;

/// Points of the grid on which sizes are tried, for each doubling of the data.
const POINTS: f64 = 64.0;
/// Doublings beyond both ends of the sizes at which half of the seeds may solve.
const BEYOND: f64 = 4.0;
/// Slopes of ln(share / (1 − share)) for each doubling: a rise from 12 % to 88 % takes eight
/// doublings, or a fiftieth of one.
const SLOPES: [f64; 2] = [0.5, 200.0];
/// Slopes that are tried between them.
const SLOPES_TRIED: usize = 33;
/// Bounds of the factor by which intervals heed that a seed does alike in several runs.
const INFLATION: [f64; 2] = [1.0, 3.0];

/// Where the size lies at which half of the seeds solve the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// Below the smallest size that was visited.
    Below,
    /// Between sizes.
    Inside,
    /// Beyond the largest size that was visited.
    Beyond,
}

/// The share of seeds that solve a task against the data: p = 1 / (1 + exp(−slope · (x − middle))),
/// x = log₂ D.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SolvedCurve {
    /// log₂ of the smallest size of the study.
    pub(super) first: f64,
    /// log₂ D between two points of the grid.
    pub(super) step: f64,
    /// −2 ln of the likelihood of a middle, at its best slope, relative to the best middle; on a grid
    /// from the smallest size to the largest. Its ends stand for all beyond them.
    pub(super) deviance: Vec<f64>,
    /// Where half of the seeds solve the task, as a point of the grid, and whether between sizes.
    pub(super) half: (f64, Place),
    /// Seeds that were run.
    pub(super) seeds: usize,
    /// Variance of the middle where all runs are independent; `None` where it cannot be told.
    pub(super) variance: Option<f64>,
    /// What each seed adds to the middle, all of its runs together.
    pub(super) influence: Vec<f64>,
}

/// Runs at a size: log₂ D, how many solved, how many there are.
type Count = (f64, f64, f64);

impl SolvedCurve {
    /// Of an arm's runs at `sizes`, ascending; `None` without a run.
    pub(super) fn new(sizes: &[u64], outcomes: &Outcomes) -> Option<Self> {
        let places: Vec<f64> = sizes.iter().map(|&size| (size as f64).log2()).collect();
        let (first, last) = (*places.first()?, *places.last()?);
        let counts: Vec<Count> = places
            .iter()
            .zip(outcomes)
            .map(|(&place, runs)| {
                let solved = runs.iter().flatten().filter(|solved| **solved).count();
                (place, solved as f64, runs.iter().flatten().count() as f64)
            })
            .filter(|(_, _, runs)| *runs > 0.0)
            .collect();
        let seeds = outcomes.iter().map(|runs| runs.iter().flatten().count()).max()?;
        if counts.is_empty() {
            return None;
        }
        let inside = ((last - first) * POINTS).ceil().max(1.0);
        let step = if last > first { (last - first) / inside } else { 1.0 / POINTS };
        let span = if last > first { inside as i64 } else { 0 };
        let aside = (BEYOND / step).ceil() as i64;
        // Of every middle: what is lost there, and its best slope.
        let tried: Vec<(f64, f64)> =
            (-aside..=span + aside).map(|place| best_slope(&counts, first + place as f64 * step)).collect();
        let least = tried.iter().map(|(loss, _)| *loss).fold(f64::INFINITY, f64::min);
        let deviance = |place: i64| tried[(place + aside) as usize].0 - least;
        let lowest = |places: std::ops::RangeInclusive<i64>| places.map(deviance).fold(f64::INFINITY, f64::min);
        let mut on_grid: Vec<f64> = (0..=span.max(1)).map(deviance).collect();
        let end = on_grid.len() - 1;
        (on_grid[0], on_grid[end]) = (lowest(-aside..=0), lowest(span..=span + aside));
        let place = tried.iter().position(|(loss, _)| *loss <= least).unwrap_or(0) as i64 - aside;
        let slope = tried[(place + aside) as usize].1;
        let fitted = Fitted { middle: first + place as f64 * step, slope };
        let (variance, influence) = fitted.influence(&places, outcomes).unzip();
        let (half, place) = half(&counts);
        let half = (((half - first) / step).min(end as f64), place);
        Some(Self { first, step, deviance: on_grid, half, seeds, variance, influence: influence.unwrap_or_default() })
    }

    /// log₂ D at a point of the grid.
    pub(super) fn at(&self, place: f64) -> f64 {
        self.first + self.step * place
    }

    /// The last point of the grid.
    pub(super) fn end(&self) -> usize {
        self.deviance.len() - 1
    }
}

/// log₂ D where the shares, made monotone, reach one half, straight between sizes; or the end of the
/// visited sizes beyond which that is.
fn half(counts: &[Count]) -> (f64, Place) {
    let shares = isotonic(&counts.iter().map(|&(_, solved, runs)| (solved / runs, runs)).collect::<Vec<_>>());
    match shares.iter().position(|&share| share >= 0.5) {
        None => (counts[counts.len() - 1].0, Place::Beyond),
        Some(0) => (counts[0].0, Place::Below),
        Some(above) => {
            let [(x0, y0), (x1, y1)] = [above - 1, above].map(|size| (counts[size].0, shares[size]));
            (x0 + (x1 - x0) * (0.5 - y0) / (y1 - y0), Place::Inside)
        }
    }
}

/// −2 ln of the likelihood at a middle's best slope, and that slope.
fn best_slope(counts: &[Count], middle: f64) -> (f64, f64) {
    let slope = |i: usize| SLOPES[0] * (SLOPES[1] / SLOPES[0]).powf(i as f64 / (SLOPES_TRIED - 1) as f64);
    let loss = |slope: f64| {
        let of = |&(place, solved, runs): &Count| {
            let logit = slope * (place - middle);
            2.0 * (solved * softplus(-logit) + (runs - solved) * softplus(logit))
        };
        counts.iter().map(of).sum::<f64>()
    };
    let tried = (0..SLOPES_TRIED).map(slope).map(|slope| (loss(slope), slope));
    tried.min_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((f64::INFINITY, SLOPES[0]))
}

/// ln(1 + exp(x)).
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// The likeliest curve.
struct Fitted {
    middle: f64,
    slope: f64,
}

impl Fitted {
    /// The middle's variance by the information of independent runs, and what each seed adds to it;
    /// `None` where the shares do not tell the slope.
    fn influence(&self, places: &[f64], outcomes: &Outcomes) -> Option<(f64, Vec<f64>)> {
        let seeds = outcomes.iter().map(Vec::len).max()?;
        let mut information = [[0.0; 2]; 2];
        let mut scores = vec![[0.0; 2]; seeds];
        for (place, runs) in places.iter().zip(outcomes) {
            let share = (-softplus(-self.slope * (place - self.middle))).exp();
            let gradient = [-self.slope, place - self.middle];
            for (seed, solved) in runs.iter().enumerate() {
                let Some(solved) = solved else { continue };
                let rest = f64::from(u8::from(*solved)) - share;
                for i in 0..2 {
                    scores[seed][i] += rest * gradient[i];
                    for j in 0..2 {
                        information[i][j] += share * (1.0 - share) * gradient[i] * gradient[j];
                    }
                }
            }
        }
        let [[a, b], [_, c]] = information;
        let determinant = a * c - b * b;
        if determinant.is_nan() || determinant <= 1e-6 {
            return None;
        }
        let row = [c / determinant, -b / determinant];
        Some((row[0], scores.into_iter().map(|score| row[0] * score[0] + row[1] * score[1]).collect()))
    }
}

/// How many times larger a variance is than if all runs were independent, by what each seed adds in
/// all of its runs together (a sandwich over seeds).
pub(super) fn inflation(variance: Option<f64>, influence: &[f64], seeds: usize) -> f64 {
    let squares: f64 = influence.iter().map(|each| each * each).sum();
    let scale = seeds as f64 / (seeds as f64 - 1.0).max(1.0);
    match variance {
        Some(variance) if variance > 0.0 && seeds > 1 => (scale * squares / variance).clamp(INFLATION[0], INFLATION[1]),
        _ => INFLATION[0],
    }
}
