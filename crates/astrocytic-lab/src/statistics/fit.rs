//! A scaling law fitted to losses.

use serde::{Deserialize, Serialize};

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

    fn planted(tokens: f64) -> f64 {
        1.2 + 30.0 * tokens.powf(-0.3)
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
