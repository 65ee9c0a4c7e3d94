//! An estimate with its interval and p-value, from bootstrap replicates.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::moments::deviation;

/// An estimate with its 95 % interval.
///
/// The interval is the bootstrap's percentile interval, its deviations from the estimate widened by
/// t(0.975, n − 1)/1.96 · √(n/(n − 1)) for n paired seeds, because a plain percentile interval is
/// far too narrow for a handful of seeds (Hesterberg, arXiv 1411.5279, section 5).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// From the seeds as they were.
    pub estimate: f64,
    /// 95 % interval; `None` with fewer than two paired seeds.
    pub interval: Option<[f64; 2]>,
    /// Two-sided p-value of no effect, not corrected: Student's t, n − 1 degrees of freedom, on the
    /// bootstrap's standard error.
    pub p: Option<f64>,
    /// Share of replicates in which the loss fell outside a resampled curve's range. They count
    /// with the end of the range, so with a share above 0.025 the interval may in truth reach
    /// further.
    pub censored: f64,
    /// Paired seeds, at the size that has fewest.
    pub seeds: usize,
}

/// Half the width of a 95 % interval of a standard normal: its 0.975 quantile.
const NORMAL: f64 = 1.959_964;

impl Estimate {
    /// The estimate of something that is 0 without an effect, from its replicates.
    pub(super) fn new(estimate: f64, mut replicates: Vec<f64>, seeds: usize) -> Self {
        let without = Self { estimate, interval: None, p: None, censored: 0.0, seeds };
        replicates.sort_by(f64::total_cmp);
        let Some(spread) = deviation(&replicates).filter(|_| seeds > 1) else { return without };
        let freedom = (seeds - 1) as f64;
        let few = (seeds as f64 / freedom).sqrt();
        let student = StudentsT::new(0.0, 1.0, freedom).expect("at least one degree of freedom");
        let widen = student.inverse_cdf(0.975) / NORMAL * few;
        let end = |share: f64| estimate + widen * (quantile(&replicates, share) - estimate);
        let error = spread * few;
        let p = if error > 0.0 {
            2.0 * student.sf(estimate.abs() / error)
        } else {
            // No spread at all: nothing can be tested unless there is no effect either.
            f64::from(u8::from(estimate == 0.0))
        };
        Self { interval: Some([end(0.025).min(estimate), end(0.975).max(estimate)]), p: Some(p), ..without }
    }
}

/// Linearly interpolated quantile of sorted values.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (below, rest) = (place.floor() as usize, place.fract());
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] * (1.0 - rest) + sorted[above] * rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_widened_by_students_t() {
        // Replicates whose percentile interval is ±1.959964, so that an end is t · √(n/(n − 1)).
        let replicates: Vec<f64> = (0..=1_000).map(|i| NORMAL * (f64::from(i) - 500.0) / 475.0).collect();
        for (freedom, t) in [(1, 12.706_2), (2, 4.302_65), (3, 3.182_45), (4, 2.776_45), (9, 2.262_16), (30, 2.042_27)]
        {
            let found = Estimate::new(0.0, replicates.clone(), freedom + 1);
            let expected = t * ((freedom + 1) as f64 / freedom as f64).sqrt();
            let [low, high] = found.interval.unwrap();
            assert!((high - expected).abs() < 2e-4 && (low + expected).abs() < 2e-4, "{freedom}: {high} {expected}");
            assert_eq!(found.p, Some(1.0));
        }
    }

    #[test]
    fn p_is_that_of_a_t_test() {
        let spread = std::f64::consts::FRAC_1_SQRT_2;
        let found = Estimate::new(12.706_2, vec![-spread, spread], 2);
        // t = 12.7062 / √2 = 8.98464 with one degree of freedom: p = 1 − 2/π · atan t.
        let expected = 1.0 - std::f64::consts::FRAC_2_PI * (12.706_2 / 2f64.sqrt()).atan();
        assert!((found.p.unwrap() - expected).abs() < 1e-12);
    }
}
