//! What a plot shows.

use plotters::style::RGBColor;

use super::look::{Marker, Pattern};

/// What is drawn in one colour under one name.
#[derive(Default)]
pub(crate) struct Series {
    /// Name in the legend; none without it.
    pub name: Option<String>,
    /// Colour.
    pub colour: RGBColor,
    /// Pattern of the line.
    pub pattern: Pattern,
    /// Shape of its points. Triangles and squares stand along the line as well.
    pub marker: Marker,
    /// The line.
    pub line: Vec<(f64, f64)>,
    /// (x, low, high) of a band around it.
    pub band: Vec<(f64, f64, f64)>,
    /// Small open points.
    pub points: Vec<(f64, f64)>,
    /// Large filled points.
    pub dots: Vec<(f64, f64)>,
    /// (x, low, high) of intervals.
    pub intervals: Vec<(f64, f64, f64)>,
}

impl Series {
    /// All values along one axis.
    pub(super) fn values(&self, horizontal: bool) -> impl Iterator<Item = f64> {
        let points = self.line.iter().chain(&self.points).chain(&self.dots);
        let spans = self.band.iter().chain(&self.intervals);
        points
            .map(move |&(x, y)| if horizontal { [x, x] } else { [y, y] })
            .chain(spans.map(move |&(x, low, high)| if horizontal { [x, x] } else { [low, high] }))
            .flatten()
    }

    /// Whether there is nothing to draw.
    pub(super) fn is_empty(&self) -> bool {
        self.values(true).next().is_none()
    }
}
