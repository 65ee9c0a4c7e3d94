//! Axes and their ticks.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};

/// An axis. Values are those of the data, on a logarithmic axis too.
pub(crate) struct Axis {
    /// Quantity and unit.
    pub label: String,
    /// Whether it is logarithmic.
    pub log: bool,
    /// Values with a tick; chosen from the data where `None`.
    pub ticks: Option<Vec<f64>>,
    /// Text at a tick.
    pub format: fn(f64) -> String,
}

impl Axis {
    /// Where a value lies in the axis' own scale.
    pub(super) fn place(&self, value: f64) -> f64 {
        if self.log { value.ln() } else { value }
    }

    /// The value at a place.
    pub(super) fn value(&self, place: f64) -> f64 {
        if self.log { place.exp() } else { place }
    }

    /// Values with a tick in a range of the axis' own scale.
    pub(super) fn ticks(&self, range: &Range<f64>) -> Vec<f64> {
        if let Some(ticks) = &self.ticks {
            return ticks.clone();
        }
        let (low, high) = (self.value(range.start), self.value(range.end));
        if self.log && high / low > 2.5 { log_ticks(low, high) } else { linear_ticks(low, high) }
    }
}

/// An axis' range and ticks in its own scale, as plotters wants them.
pub(super) struct Scale {
    pub(super) range: Range<f64>,
    pub(super) ticks: Vec<f64>,
}

impl Ranged for Scale {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (start, end): (i32, i32)) -> i32 {
        let share = (value - self.range.start) / (self.range.end - self.range.start);
        start + (share * f64::from(end - start)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

/// Multiples of 1, 2 or 5 times a power of ten, three to nine of them.
fn linear_ticks(low: f64, high: f64) -> Vec<f64> {
    let rough = (high - low) / 8.0;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|&step| step >= rough).unwrap_or(rough);
    let first = (low / step).ceil() as i64;
    (0..12).map(|i| (first + i) as f64 * step).take_while(|&tick| tick <= high).collect()
}

/// The densest of three grids within each power of ten that gives no more than nine ticks.
fn log_ticks(low: f64, high: f64) -> Vec<f64> {
    let grid = |digits: &[f64]| -> Vec<f64> {
        let powers = low.log10().floor() as i32..=high.log10().ceil() as i32;
        let ticks = powers.flat_map(|power| digits.iter().map(move |digit| digit * 10f64.powi(power)));
        ticks.filter(|tick| (low..=high).contains(tick)).collect()
    };
    let grids = [&[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0][..], &[1.0, 2.0, 3.0, 5.0], &[1.0, 2.0, 5.0]].map(grid);
    grids.into_iter().find(|ticks| ticks.len() <= 9).unwrap_or_else(|| grid(&[1.0]))
}

/// A number without needless zeros.
pub(crate) fn plain(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_few_round_and_inside() {
        for (low, high) in [(0.0, 1.0), (1.23, 1.31), (2.0, 700.0), (0.013, 0.9), (-3.0, 12.0)] {
            let ticks = linear_ticks(low, high);
            assert!((3..=9).contains(&ticks.len()), "{low} {high} {ticks:?}");
            assert!(ticks.iter().all(|tick| (low..=high).contains(tick)));
        }
        for (low, high) in [(1.0, 3.0), (0.02, 5.0), (1e-3, 1e4)] {
            let ticks = log_ticks(low, high);
            assert!((3..=9).contains(&ticks.len()), "{low} {high} {ticks:?}");
            assert!(ticks.iter().all(|tick| (low..=high).contains(tick)));
        }
    }
}
