//! An estimate with its interval and p-value.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::moments::mean;

/// More censored resamples than this leave an end of the interval open.
const MOST_CENSORED: f64 = 0.025;

/// An estimate with its 95 % interval.
///
/// Its variance is that over seeds and test documents, two-way clusters, by leaving out one of each
/// at a time (the jackknife). Interval and p-value are those of Student's t with Welch and
/// Satterthwaite's degrees of freedom, at most twice those of the fewer units, so the interval
/// excludes no effect exactly where p < 0.05.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// From the runs as they were; where nothing but a bound was read, that of these runs.
    pub estimate: f64,
    /// Ends of the 95 % interval. Both are `None` with fewer than two paired seeds or documents; one
    /// is where the truth may lie beyond what was measured on that side.
    pub interval: [Option<f64>; 2],
    /// Two-sided p-value of no effect, not corrected; `None` where an end of the interval is.
    pub p: Option<f64>,
    /// Share of resamples in which the loss fell outside of what was measured.
    pub censored: f64,
    /// Paired seeds, at the size that has fewest.
    pub seeds: usize,
    /// Test documents.
    pub documents: usize,
    /// Degrees of freedom.
    pub freedom: Option<f64>,
}

/// What a statistic becomes without some of the runs' losses, one value for each that is left out.
pub(super) struct Jackknife {
    /// Without a seed.
    pub(super) seeds: Vec<f64>,
    /// Without a document.
    pub(super) documents: Vec<f64>,
    /// Without a document in the runs of one seed.
    pub(super) cells: Vec<f64>,
    /// Number of seeds, and of documents.
    pub(super) units: [usize; 2],
}

/// Shares of resamples in which the truth lies at least, and at most, where it was read.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Censored {
    pub(super) above: f64,
    pub(super) below: f64,
}

/// Which deviations from the estimate a variance is taken of.
#[derive(Clone, Copy)]
enum Side {
    Both,
    Below,
    Above,
}

impl Jackknife {
    /// Variance of the statistic, and its degrees of freedom.
    ///
    /// What a document adds in the runs of one seed alone is in the variances of both seeds and
    /// documents and counts once (Cameron, Gelbach and Miller 2011). Left out by itself, a document
    /// of one seed's runs also shows 1/n of what it adds in all runs, n seeds.
    fn variance(&self, estimate: f64, side: Side) -> (f64, f64) {
        let [seeds, documents, cells] =
            [&self.seeds, &self.documents, &self.cells].map(|values| variance(values, estimate, side));
        let [n, m] = self.units.map(|units| units as f64);
        // Losses that are no numbers give no numbers, which `clamp` would not take.
        let twice = ((cells - documents / n) * n / (n - 1.0)).min(seeds.min(documents)).max(0.0);
        let all = seeds + documents - twice;
        let least = n.min(m) - 1.0;
        // Welch 1947; Satterthwaite 1946. A variance over a few seeds may be small by chance, and then
        // all seems to hang on the documents: no more than twice the degrees of the fewer units.
        let each = seeds * seeds / (n - 1.0) + documents * documents / (m - 1.0);
        (all, if each > 0.0 { (all * all / each).max(least).min(2.0 * least) } else { least })
    }
}

/// The jackknife's variance. One side alone counts twice, for the other, which is censored.
fn variance(without: &[f64], estimate: f64, side: Side) -> f64 {
    let (n, mean) = (without.len() as f64, mean(without).unwrap_or(estimate));
    let squares: f64 = match side {
        Side::Both => without.iter().map(|value| (value - mean).powi(2)).sum(),
        Side::Below => without.iter().map(|value| 2.0 * (value - estimate).min(0.0).powi(2)).sum(),
        Side::Above => without.iter().map(|value| 2.0 * (value - estimate).max(0.0).powi(2)).sum(),
    };
    squares * (n - 1.0).max(0.0) / n.max(1.0)
}

impl Estimate {
    /// The estimate of something that is 0 without an effect.
    pub(super) fn new(estimate: f64, jackknife: &Jackknife, censored: Censored) -> Self {
        let [seeds, documents] = jackknife.units;
        let mut found = Self {
            estimate,
            interval: [None, None],
            p: None,
            censored: (censored.above + censored.below).min(1.0),
            seeds,
            documents,
            freedom: None,
        };
        if seeds < 2 || documents < 2 {
            return found;
        }
        let spread = |side| {
            let (variance, freedom) = jackknife.variance(estimate, side);
            (variance.sqrt(), StudentsT::new(0.0, 1.0, freedom).expect("at least one degree of freedom"))
        };
        let width = |(error, student): (f64, StudentsT)| student.inverse_cdf(0.975) * error;
        if found.censored <= MOST_CENSORED {
            let (error, student) = spread(Side::Both);
            // Without any spread nothing can be tested, unless the two are the same.
            if error > 0.0 || estimate == 0.0 {
                found.freedom = Some(student.freedom());
                found.interval = [-1.0, 1.0].map(|sign| Some(estimate + sign * width((error, student))));
                found.p = Some(if error > 0.0 { 2.0 * student.sf(estimate.abs() / error) } else { 1.0 });
            }
        } else if censored.below <= MOST_CENSORED {
            found.interval[0] = Some(estimate - width(spread(Side::Below)));
        } else if censored.above <= MOST_CENSORED {
            found.interval[1] = Some(estimate + width(spread(Side::Above)));
        }
        found
    }

    /// Whether the interval holds a value; an open end holds all beyond.
    pub fn holds(&self, value: f64) -> bool {
        let [low, high] = self.interval;
        low.is_none_or(|low| low <= value) && high.is_none_or(|high| value <= high)
    }

    /// Whether nothing was read but a bound: a loss lies beyond what was measured.
    pub fn is_bound(&self) -> bool {
        self.censored >= 1.0
    }

    /// Both ends of the interval, where it has both.
    pub fn ends(&self) -> Option<[f64; 2]> {
        Some([self.interval[0]?, self.interval[1]?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Standard errors over seeds and over documents, and their numbers; what seeds and documents add
    /// together besides is none.
    fn jackknife([seeds, documents]: [f64; 2], units: [usize; 2]) -> Jackknife {
        let cells = documents / (units[0] as f64).sqrt();
        // Two values of a jackknife: its variance is half of the sum of their squares.
        let [seeds, documents, cells] = [seeds, documents, cells].map(|error| vec![-error, error]);
        Jackknife { seeds, documents, cells, units }
    }

    #[test]
    fn seeds_alone_give_their_degrees_of_freedom() {
        // t = 12.7062 with one degree of freedom and an error of 1: p = 1 − 2/π · atan t.
        let found = Estimate::new(12.706_2, &jackknife([1.0, 0.0], [2, 60]), Censored::default());
        assert!((found.p.unwrap() - 0.05).abs() < 1e-5 && found.freedom == Some(1.0), "{found:?}");
        assert!(found.interval[0].unwrap().abs() < 1e-3);
    }

    #[test]
    fn two_equal_variances_add_their_degrees_of_freedom() {
        let found = Estimate::new(1.0, &jackknife([1.0, 1.0], [5, 5]), Censored::default());
        // 4 + 4, an error of √2, t(0.975, 8) = 2.306.
        assert!((found.freedom.unwrap() - 8.0).abs() < 1e-9);
        assert!((found.interval[1].unwrap() - (1.0 + 2.306_004 * 2f64.sqrt())).abs() < 1e-4);
    }

    #[test]
    fn what_seeds_and_documents_add_together_counts_once() {
        // All of it: each loss of a seed in a document varies by itself.
        let each = || vec![-1.0, 1.0];
        let all = Jackknife { seeds: each(), documents: each(), cells: each(), units: [5, 50] };
        let found = Estimate::new(0.0, &all, Censored::default());
        assert!(found.freedom == Some(4.0) && (found.interval[1].unwrap() - 2.776_445).abs() < 1e-4, "{found:?}");
    }

    #[test]
    fn what_is_no_number_has_no_interval() {
        let none = || vec![f64::NAN, 0.1];
        let all = Jackknife { seeds: none(), documents: none(), cells: none(), units: [5, 50] };
        let found = Estimate::new(f64::NAN, &all, Censored::default());
        assert_eq!((found.interval, found.p), ([None, None], None));
    }

    #[test]
    fn the_interval_excludes_no_effect_exactly_where_p_is_below_a_twentieth() {
        let (mut inside, mut outside) = (0, 0);
        for i in 1..200 {
            let spreads = [0.1 + 0.01 * f64::from(i % 17), 0.02 * f64::from(i % 11)];
            let units = jackknife(spreads, [2 + i as usize % 6, 2 + i as usize % 60]);
            let found = Estimate::new(0.02 * f64::from(i), &units, Censored::default());
            assert_eq!(found.holds(0.0), found.p.unwrap() >= 0.05, "{found:?}");
            if found.holds(0.0) { inside += 1 } else { outside += 1 }
        }
        assert!(inside > 20 && outside > 20);
    }

    #[test]
    fn what_is_censored_has_an_open_end_and_no_p() {
        let of = |above, below| {
            let found = Estimate::new(1.0, &jackknife([0.1, 0.1], [5, 50]), Censored { above, below });
            (found.interval.map(|end| end.is_some()), found.p.is_some())
        };
        assert_eq!(of(0.01, 0.01), ([true, true], true));
        assert_eq!(of(0.3, 0.0), ([true, false], false));
        assert_eq!(of(0.0, 0.3), ([false, true], false));
        assert_eq!(of(0.3, 0.3), ([false, false], false));
        let one = Estimate::new(1.0, &jackknife([0.1, 0.1], [1, 50]), Censored::default());
        assert_eq!((one.interval, one.p), ([None, None], None));
    }
}
