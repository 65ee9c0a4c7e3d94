//! Loss against data as a monotone curve, and the data that reach a loss.

use super::isotonic::isotonic;

/// Loss against data, non-increasing, straight between points in (ln D, ln L).
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// (ln tokens, ln loss), tokens ascending.
    points: Vec<(f64, f64)>,
}

/// Where a loss lies against a curve's measured range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reading {
    /// Inside the range: the size of data at which the curve reaches the loss.
    Inside(f64),
    /// Below every measured loss: the size is at least the largest.
    AtLeast(f64),
    /// Above every measured loss: the size is at most the smallest.
    AtMost(f64),
}

impl Reading {
    /// The data, or the end of the range.
    pub(super) fn data(self) -> f64 {
        match self {
            Reading::Inside(data) | Reading::AtLeast(data) | Reading::AtMost(data) => data,
        }
    }

    /// Whether more data are needed than were measured.
    pub(super) fn is_at_least(self) -> bool {
        matches!(self, Reading::AtLeast(_))
    }

    /// Whether fewer data are needed than were measured.
    pub(super) fn is_at_most(self) -> bool {
        matches!(self, Reading::AtMost(_))
    }
}

impl Curve {
    /// Curve through (tokens, loss) points, made monotone by pooling adjacent violators (isotonic
    /// regression of ln L). Points that are not positive and finite are left out.
    pub fn new(points: &[(f64, f64)]) -> Curve {
        let usable = |value: f64| value > 0.0 && value.is_finite();
        let mut points: Vec<(f64, f64)> =
            points.iter().filter(|(d, l)| usable(*d) && usable(*l)).map(|(d, l)| (d.ln(), l.ln())).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let levels = isotonic(&points.iter().map(|point| (-point.1, 1.0)).collect::<Vec<_>>());
        Curve { points: points.iter().zip(levels).map(|(point, loss)| (point.0, -loss)).collect() }
    }

    /// Lowest and highest loss, nats per token.
    pub fn loss_range(&self) -> Option<(f64, f64)> {
        Some((self.points.last()?.1.exp(), self.points.first()?.1.exp()))
    }

    /// Where the loss lies: the least data that reach it, or the end of the range it is beyond.
    pub fn read(&self, loss: f64) -> Option<Reading> {
        let (first, last) = (self.points.first()?, self.points.last()?);
        let level = loss.ln();
        // Slack for rounding, so that the loss at an end is inside.
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

/// At most `count` losses, evenly spaced in ln L inside the range that both curves cover,
/// ascending, rounded to two decimals (three where the range is narrow). Half a step is left free
/// at either end, where resampled curves would fall outside the range most often.
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
pub(crate) fn common_range(a: &Curve, b: &Curve) -> Option<(f64, f64)> {
    let (a, b) = (a.loss_range()?, b.loss_range()?);
    let (low, high) = (a.0.max(b.0), a.1.min(b.1));
    (low < high).then_some((low, high))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: [u64; 4] = [16_000, 64_000, 256_000, 1_024_000];

    /// A power law is straight in log-log, so interpolation adds no error of its own.
    fn straight(tokens: f64) -> f64 {
        20.0 * tokens.powf(-0.2)
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
}
