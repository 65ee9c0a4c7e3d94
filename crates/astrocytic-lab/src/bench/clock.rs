//! Times of a call, and medians.

use std::time::{Duration, Instant};

/// Milliseconds above which a call is slow.
const SLOW: f64 = 2000.0;

/// Milliseconds of each of at least five calls after two to warm up, for so many seconds; of slow
/// calls three after one.
pub(super) fn time(seconds: f64, mut call: impl FnMut()) -> Vec<f64> {
    let mut once = || {
        let started = Instant::now();
        call();
        started.elapsed().as_secs_f64() * 1e3
    };
    let slow = once() > SLOW;
    if !slow {
        once();
    }
    let least = if slow { 3 } else { 5 };
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    let mut found = Vec::new();
    while found.len() < least || Instant::now() < until {
        found.push(once());
    }
    found
}

/// Median of the numbers; NaN of none.
pub(super) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    match numbers.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => numbers[n / 2],
        n => (numbers[n / 2 - 1] + numbers[n / 2]) / 2.0,
    }
}
