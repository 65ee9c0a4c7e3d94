//! How the arms of a report are told apart: colour, pattern of the line, shape of the points.

use std::ops::Range;

use plotters::style::RGBColor;

/// So many colours differ for colour-blind readers too.
const SAFE: usize = 8;
/// Okabe and Ito's colour-blind-safe palette, with yellow, too pale for lines, last; then darker
/// colours. The latter are not safe alone: their points have other shapes.
const PALETTE: [RGBColor; 2 * SAFE] = [
    RGBColor(0, 0, 0),
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(240, 228, 66),
    RGBColor(136, 34, 85),
    RGBColor(51, 34, 136),
    RGBColor(139, 90, 43),
    RGBColor(17, 99, 41),
    RGBColor(153, 153, 51),
    RGBColor(148, 60, 200),
    RGBColor(120, 130, 140),
    RGBColor(220, 38, 127),
];

/// Colour of the arm with this index, the same in all plots.
pub(crate) fn colour(arm: usize) -> RGBColor {
    PALETTE[arm % PALETTE.len()]
}

/// How a line is drawn.
#[derive(Clone, Copy, Default, PartialEq)]
pub(crate) enum Pattern {
    #[default]
    Solid,
    Dashed,
    Dotted,
}

impl Pattern {
    /// Lengths of a dash and of the gap after it, pixels; none of a solid line.
    pub(super) fn dashes(self) -> Option<(i32, i32)> {
        match self {
            Self::Solid => None,
            Self::Dashed => Some((7, 4)),
            Self::Dotted => Some((2, 4)),
        }
    }

    /// Dashes along a length, pixels.
    pub(super) fn pieces(self, length: i32) -> Vec<Range<i32>> {
        let (on, off) = self.dashes().unwrap_or((length, 1));
        (0..length).step_by((on + off) as usize).map(|start| start..(start + on).min(length)).collect()
    }
}

/// Shape of the points of an arm.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) enum Marker {
    #[default]
    Circle,
    Triangle,
    Square,
}

/// Shape of the points of the arm with this index. It changes after every eight arms.
pub(crate) fn marker(arm: usize) -> Marker {
    [Marker::Circle, Marker::Triangle, Marker::Square][arm / SAFE % 3]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_dozen_arms_look_different() {
        let look = |arm| (colour(arm), marker(arm));
        for (a, b) in (0..24).flat_map(|b| (0..b).map(move |a| (a, b))) {
            assert!(look(a) != look(b), "{a} and {b}");
            let (a, b) = (colour(a), colour(b));
            let far = [(a.0, b.0), (a.1, b.1), (a.2, b.2)].iter().map(|(a, b)| a.abs_diff(*b)).max();
            assert!(far == Some(0) || far >= Some(34), "{a:?} {b:?}");
        }
    }
}
