//! The data at which half of the seeds solve a task, and how many times more of them a baseline
//! needs than an arm.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ChiSquared, ContinuousCDF};

use super::estimate::Estimate;
use super::solved_curve::{Outcomes, Place, SolvedCurve, inflation};

/// χ² of one degree of freedom above which a value is outside of a 95 % interval.
const CHI_SQUARED: f64 = 3.841_458_820_694_124;

/// The size of data at which half of the seeds solve the task.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct D50 {
    /// Its estimate, or the end of the sizes beyond which it lies.
    pub size: f64,
    /// Where it lies.
    pub place: Place,
    /// Ends of its 95 % interval; one is `None` where it may lie beyond the sizes on that side.
    pub interval: [Option<f64>; 2],
}

/// What the runs of an arm say of the sizes that solve a task.
#[derive(Debug, Clone, PartialEq)]
pub struct Solved(SolvedCurve);

impl Solved {
    /// Of an arm's runs at `sizes`, ascending; `None` without a run.
    pub fn new(sizes: &[u64], outcomes: &Outcomes) -> Option<Self> {
        SolvedCurve::new(sizes, outcomes).map(Self)
    }

    /// The size at which half of the seeds solve the task. Its interval is that of a likelihood
    /// ratio, widened where a seed does alike in several runs; nothing is extrapolated.
    pub fn d50(&self) -> D50 {
        let curve = &self.0;
        let most = CHI_SQUARED * inflation(curve.variance, &curve.influence, curve.seeds);
        let held: Vec<usize> = (0..=curve.end()).filter(|&place| curve.deviance[place] <= most).collect();
        let (low, high) = (held.first().copied().unwrap_or(0), held.last().copied().unwrap_or(curve.end()));
        let size = |place: f64| {
            let size = curve.at(place).exp2();
            // A size itself comes back as it was.
            if (size - size.round()).abs() < 1e-9 * size { size.round() } else { size }
        };
        D50 {
            size: size(curve.half.0),
            place: curve.half.1,
            interval: [(low > 0).then(|| size(low as f64)), (high < curve.end()).then(|| size(high as f64))],
        }
    }

    /// D50(baseline) / D50(arm): above 1 the arm needs less data. `documents`: test examples.
    ///
    /// A value is in the 95 % interval where the likelihood of both arms' runs, at the best two
    /// curves whose middles are so far apart, is not too low (χ²), divided by how much what seeds do
    /// alike, in both arms and at all sizes, widens it. An end is open where a D50 may lie beyond the
    /// sizes. `p` is of the same test. `None` where both lie beyond the same end.
    pub fn ratio(arm: &Self, baseline: &Self, documents: usize) -> Option<Estimate> {
        let curves = [&arm.0, &baseline.0];
        let places = curves.map(|curve| curve.half.1);
        let is_bound = places != [Place::Inside; 2];
        if is_bound && places[0] == places[1] {
            return None;
        }
        let differences = Differences::new(curves);
        let (interval, p) = differences.interval();
        Some(Estimate {
            estimate: (curves[0].step * differences.observed).exp2(),
            interval: interval.map(|end| end.map(f64::exp2)),
            // A bound is not tested, though the truth be bounded on both sides.
            p: p.filter(|_| !is_bound),
            censored: if is_bound { 1.0 } else { 0.0 },
            seeds: curves[0].seeds.min(curves[1].seeds),
            documents,
            freedom: None,
        })
    }
}

/// How far apart two arms' curves may be.
struct Differences<'a> {
    /// The arm's, and the baseline's.
    curves: [&'a SolvedCurve; 2],
    /// What is divided out of a deviance.
    inflation: f64,
    /// Points of the grid between the two estimates.
    observed: f64,
}

impl<'a> Differences<'a> {
    fn new(curves: [&'a SolvedCurve; 2]) -> Self {
        let seeds = curves[0].influence.len().max(curves[1].influence.len());
        let of = |curve: &SolvedCurve, seed: usize| curve.influence.get(seed).copied().unwrap_or(0.0);
        let influence: Vec<f64> = (0..seeds).map(|seed| of(curves[1], seed) - of(curves[0], seed)).collect();
        let variance = curves[0].variance.zip(curves[1].variance).map(|(arm, baseline)| arm + baseline);
        let observed = curves[1].half.0 - curves[0].half.0;
        Self { curves, observed, inflation: inflation(variance, &influence, curves[0].seeds.min(curves[1].seeds)) }
    }

    /// Ends of the interval, log₂ of a ratio, open where a D50 may lie beyond the sizes; and where
    /// they are not, the p-value of no difference.
    fn interval(&self) -> ([Option<f64>; 2], Option<f64>) {
        let [arm, baseline] = self.curves;
        let most = CHI_SQUARED * self.inflation;
        let end = arm.end();
        let (mut low, mut high) = (end as i64 + 1, -(end as i64) - 1);
        let (mut may_be_lower, mut may_be_higher) = (false, false);
        // Of the best difference of none or less, and of none or more.
        let mut none = [f64::INFINITY; 2];
        for (i, of_arm) in arm.deviance.iter().enumerate() {
            for (j, of_baseline) in baseline.deviance.iter().enumerate() {
                let (deviance, difference) = (of_arm + of_baseline, j as i64 - i as i64);
                for (best, sign) in none.iter_mut().zip([-1, 1]) {
                    if sign * difference >= 0 {
                        *best = best.min(deviance);
                    }
                }
                if deviance <= most {
                    (low, high) = (low.min(difference), high.max(difference));
                    may_be_lower |= i == end || j == 0;
                    may_be_higher |= i == 0 || j == end;
                }
            }
        }
        let closed = !may_be_lower && !may_be_higher;
        let p = closed.then(|| {
            let chi_squared = ChiSquared::new(1.0).expect("one degree of freedom");
            chi_squared.sf(none[0].max(none[1]) / self.inflation)
        });
        let ends = [(!may_be_lower).then_some(low), (!may_be_higher).then_some(high)];
        (ends.map(|end| end.map(|end| end as f64 * arm.step)), p)
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::statistics::bisection::visits;

    const SIZES: [u64; 9] = [64, 128, 256, 512, 1_024, 2_048, 4_096, 8_192, 16_384];

    /// So many of ten seeds solve each size; `None`: it was not visited.
    fn counts(solved: [Option<usize>; 9]) -> Solved {
        let runs = |solved: Option<usize>| (0..10).map(|seed| solved.map(|solved| seed < solved)).collect();
        Solved::new(&SIZES, &solved.map(runs).to_vec()).unwrap()
    }

    fn at(shares: &[(usize, usize)]) -> Solved {
        let mut solved = [None; 9];
        shares.iter().for_each(|&(size, share)| solved[size] = Some(share));
        counts(solved)
    }

    fn close(found: f64, expected: f64) -> bool {
        (found / expected).ln().abs() < 0.03
    }

    #[test]
    fn half_lies_between_the_shares_on_both_sides() {
        // Nothing at 512 and all at 1,024: anywhere between them.
        let steep = at(&[(3, 0), (4, 10)]).d50();
        assert!(close(steep.size, 724.0) && steep.place == Place::Inside, "{steep:?}");
        let [low, high] = steep.interval.map(Option::unwrap);
        assert!(close(low, 512.0 * 1.01) && close(high, 1_024.0 / 1.01), "{steep:?}");
        // Nearer to the size whose share is nearer to one half, and surer with more of a share.
        let early = at(&[(2, 0), (3, 4), (4, 10)]).d50();
        assert!((512.0..600.0).contains(&early.size), "{early:?}");
        let flat = at(&[(2, 3), (3, 4), (4, 6), (5, 7)]).d50();
        assert!(close(flat.size, 724.0) && flat.interval[0].unwrap_or(0.0) < low, "{flat:?}");
    }

    #[test]
    fn what_lies_beyond_the_sizes_is_a_bound() {
        let never = at(&[(8, 0)]).d50();
        assert_eq!((never.size, never.place, never.interval), (16_384.0, Place::Beyond, [Some(16_384.0), None]));
        let always = at(&[(0, 10)]).d50();
        assert_eq!((always.size, always.place, always.interval), (64.0, Place::Below, [None, Some(64.0)]));
        // Four of ten: it may well lie below.
        let seldom = at(&[(7, 2), (8, 4)]).d50();
        assert!(
            seldom.place == Place::Beyond && seldom.interval[0].unwrap() < 16_384.0 && seldom.interval[1].is_none()
        );
    }

    #[test]
    fn a_ratio_is_tested_where_both_ends_are_inside() {
        let arm = at(&[(3, 0), (4, 10)]);
        let far = Solved::ratio(&arm, &at(&[(5, 0), (6, 10)]), 100).unwrap();
        let [low, high] = far.ends().unwrap();
        assert!(close(far.estimate, 4.0) && close(low, 2.0) && close(high, 8.0), "{far:?}");
        assert!(far.p.unwrap() < 1e-6 && far.seeds == 10 && !far.is_bound(), "{far:?}");
        let same = Solved::ratio(&arm, &arm, 100).unwrap();
        assert!(same.estimate == 1.0 && same.p == Some(1.0) && same.holds(1.0));
        let never = at(&[(8, 1)]);
        let bound = Solved::ratio(&arm, &never, 100).unwrap();
        assert!(close(bound.estimate, 22.6) && bound.is_bound() && bound.p.is_none(), "{bound:?}");
        assert!(close(bound.interval[0].unwrap(), 16.0) && bound.interval[1].is_none(), "{bound:?}");
        // The other way round it is an upper bound.
        let mirror = Solved::ratio(&never, &arm, 100).unwrap();
        assert!(mirror.interval[0].is_none() && close(mirror.interval[1].unwrap(), 1.0 / 16.0), "{mirror:?}");
        assert!(Solved::ratio(&never, &never, 100).is_none());
        assert!(Solved::new(&SIZES, &vec![vec![None; 10]; 9]).is_none());
    }

    #[test]
    fn one_size_says_on_which_side_of_it_half_lies() {
        let one =
            |solved: usize| Solved::new(&[500], &vec![(0..10).map(|seed| Some(seed < solved)).collect()]).unwrap();
        assert_eq!((one(0).d50().place, one(10).d50().place), (Place::Beyond, Place::Below));
        let ratio = Solved::ratio(&one(10), &one(0), 100).unwrap();
        assert!(ratio.interval[0].is_some_and(|low| low <= 1.02) && ratio.interval[1].is_none(), "{ratio:?}");
    }

    #[test]
    fn the_interval_excludes_one_exactly_where_p_is_below_a_twentieth() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let (mut inside, mut outside) = (0, 0);
        for _ in 0..60 {
            let ratio = [0.3, 0.8, 1.5][rng.random_range(0..3)];
            let [arm, baseline] = simulated(3.0, 3.0 + ratio, 2.0, 0.3, &mut rng);
            let Some(found) = Solved::ratio(&arm, &baseline, 100) else { continue };
            let Some(p) = found.p else { continue };
            assert_eq!(found.holds(1.0), p >= 0.05, "{found:?}");
            if found.holds(1.0) { inside += 1 } else { outside += 1 }
        }
        assert!(inside > 10 && outside > 10, "{inside} {outside}");
    }

    fn normal(rng: &mut ChaCha8Rng) -> f64 {
        (0..12).map(|_| rng.random_range(0.0..1.0)).sum::<f64>() - 6.0
    }

    /// Two arms that half of ten seeds solve at these places among the sizes, at the sizes that their
    /// searches visit. `alike`: how much a seed's luck is the same at all sizes.
    fn simulated(arm: f64, baseline: f64, slope: f64, alike: f64, rng: &mut ChaCha8Rng) -> [Solved; 2] {
        [arm, baseline].map(|middle| {
            let own: Vec<f64> = (0..10).map(|_| normal(rng)).collect();
            let run = |size: usize, own: f64, rng: &mut ChaCha8Rng| {
                // A normal number lies below z as often as the logistic curve has it.
                let luck = alike.sqrt() * own + (1.0 - alike).sqrt() * normal(rng);
                luck < 0.607 * slope * (size as f64 - middle)
            };
            let all: Vec<Vec<bool>> = (0..9).map(|size| own.iter().map(|&own| run(size, own, rng)).collect()).collect();
            let count = |size: usize, seeds: u64| {
                Some(all[size][..seeds as usize].iter().filter(|solved| **solved).count() as u64)
            };
            let mut outcomes: Outcomes = vec![vec![None; 10]; 9];
            for visit in visits(9, 10, count) {
                (0..visit.seeds as usize).for_each(|seed| outcomes[visit.size][seed] = Some(all[visit.size][seed]));
            }
            Solved::new(&SIZES, &outcomes).unwrap()
        })
    }

    #[test]
    fn the_intervals_hold_the_truth_as_often_as_they_claim() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        for (octaves, slope, alike, least, most) in
            [(0.0, 2.0, 0.3, 0.92, 0.98), (2.0, 2.0, 0.3, 0.92, 0.98), (1.5, 20.0, 0.0, 0.95, 1.0)]
        {
            let (mut held, mut closed) = (0, 0);
            for _ in 0..300 {
                let middle = 2.5 + rng.random_range(0.0..1.0);
                let [arm, baseline] = simulated(middle, middle + octaves, slope, alike, &mut rng);
                let found = Solved::ratio(&arm, &baseline, 100).unwrap();
                held += usize::from(found.holds(f64::exp2(octaves)));
                closed += usize::from(found.ends().is_some());
            }
            let share = held as f64 / 300.0;
            assert!((least..=most).contains(&share), "{octaves} {slope}: {share}");
            assert!(closed > 270, "{octaves} {slope}: {closed}");
        }
    }
}
