//! Drawing of a plot.

use std::ops::Range;

use anyhow::{Result, anyhow};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axis::{Axis, Scale};
use super::look::Marker;
use super::series::Series;

/// Titles of plots narrower than this are small.
const NARROW: u32 = 400;
const GREY: RGBColor = RGBColor(110, 110, 110);
/// Pixels between the shapes along a line, and before the first one.
const BETWEEN_SHAPES: (i32, i32) = (44, 22);

/// A plot of series over two axes.
pub(crate) struct Plot {
    /// Width and height, pixels.
    pub size: (u32, u32),
    /// Title above it.
    pub title: String,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
    /// In the order of drawing.
    pub series: Vec<Series>,
    /// A thin line across at this height.
    pub rule: Option<f64>,
}

type Root<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Chart<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<Scale, Scale>>;
/// A pixel.
type Pixel = (i32, i32);
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// An entry of the legend and its place.
struct Entry<'a> {
    name: &'a str,
    series: &'a Series,
    place: Pixel,
}

impl Plot {
    /// The SVG.
    pub(crate) fn svg(&self) -> Result<String> {
        let mut svg = String::new();
        self.draw(&mut svg).map_err(|error| anyhow!("drawing \"{}\": {error}", self.title))?;
        Ok(svg)
    }

    fn draw(&self, svg: &mut String) -> Drawn {
        let (width, height) = self.size;
        let root = SVGBackend::with_string(svg, self.size).into_drawing_area();
        root.fill(&WHITE)?;
        let (left, size) = if width < NARROW { (14, 15.0) } else { (64, 20.0) };
        root.draw(&Text::new(self.title.clone(), (left, 8), text(size, &BLACK)))?;
        let (entries, legend) = self.legend(width as i32);
        for entry in &entries {
            entry.draw(&root)?;
        }
        let mut chart = self.axes(&root, legend as u32)?;
        if let Some(rule) = self.rule {
            let (xs, y) = (self.range(true), self.y.place(rule));
            chart.draw_series([PathElement::new([(xs.start, y), (xs.end, y)], GREY.stroke_width(1))])?;
        }
        for series in &self.series {
            self.band(series, &mut chart)?;
        }
        for series in &self.series {
            self.line(series, &mut chart)?;
            self.marks(series, &mut chart)?;
        }
        if self.series.iter().all(Series::is_empty) {
            let centre = text(18.0, &GREY).pos(Pos::new(HPos::Center, VPos::Center));
            root.draw(&Text::new("no runs yet", (width as i32 / 2, height as i32 / 2), centre))?;
        }
        root.present()?;
        Ok(())
    }

    /// Axes with ticks, labels and a grid below a legend of this height.
    fn axes<'a>(&self, root: &Root<'a>, legend: u32) -> Result<Chart<'a>, Box<dyn std::error::Error>> {
        let scale = |axis: &Axis, range: Range<f64>| Scale {
            ticks: axis.ticks(&range).into_iter().map(|tick| axis.place(tick)).collect(),
            range,
        };
        let mut chart = ChartBuilder::on(root)
            .margin_top(legend + 6)
            .margin_right(24)
            .margin_bottom(6)
            .margin_left(10)
            .x_label_area_size(48)
            .y_label_area_size(64)
            .build_cartesian_2d(scale(&self.x, self.range(true)), scale(&self.y, self.range(false)))?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(RGBColor(228, 228, 228))
            .axis_style(GREY)
            .x_desc(self.x.label.clone())
            .y_desc(self.y.label.clone())
            .x_label_formatter(&|&x| (self.x.format)(self.x.value(x)))
            .y_label_formatter(&|&y| (self.y.format)(self.y.value(y)))
            .label_style(text(16.5, &BLACK))
            .axis_desc_style(text(17.0, &BLACK))
            .draw()?;
        Ok(chart)
    }

    fn place(&self, x: f64, y: f64) -> (f64, f64) {
        (self.x.place(x), self.y.place(y))
    }

    fn band(&self, series: &Series, chart: &mut Chart) -> Drawn {
        let upper = series.band.iter().map(|&(x, _, high)| self.place(x, high));
        let lower = series.band.iter().rev().map(|&(x, low, _)| self.place(x, low));
        if series.band.len() > 1 {
            chart.draw_series([Polygon::new(upper.chain(lower).collect::<Vec<_>>(), series.colour.mix(0.13))])?;
        }
        Ok(())
    }

    fn line(&self, series: &Series, chart: &mut Chart) -> Drawn {
        let line: Vec<(f64, f64)> = series.line.iter().map(|&(x, y)| self.place(x, y)).collect();
        let style = series.colour.stroke_width(2);
        if let Some((dash, gap)) = series.pattern.dashes() {
            chart.draw_series(DashedLineSeries::new(line.iter().copied(), dash, gap, style))?;
        } else {
            chart.draw_series(LineSeries::new(line.iter().copied(), style))?;
        }
        if series.marker != Marker::Circle && line.len() > 1 {
            let (between, first) = BETWEEN_SHAPES;
            let (marker, colour) = (series.marker, series.colour);
            chart.draw_series(DottedLineSeries::new(line, first, between, move |at| shape(marker, at, 4, colour)))?;
        }
        Ok(())
    }

    /// Intervals and points.
    fn marks(&self, series: &Series, chart: &mut Chart) -> Drawn {
        let stroke = series.colour.stroke_width(2);
        for &(x, low, high) in &series.intervals {
            let ((x, low), (_, high)) = (self.place(x, low), self.place(x, high));
            chart.draw_series([PathElement::new([(x, low), (x, high)], stroke)])?;
            for y in [low, high] {
                let cap = PathElement::new([(-5, 0), (5, 0)], stroke);
                chart.draw_series([EmptyElement::at((x, y)) + cap])?;
            }
        }
        for &(x, y) in &series.points {
            self.mark(series.marker, (x, y), 3, series.colour.mix(0.55), chart)?;
        }
        for &(x, y) in &series.dots {
            self.mark(series.marker, (x, y), 5, series.colour.filled(), chart)?;
        }
        Ok(())
    }

    fn mark<S: Into<ShapeStyle>>(
        &self,
        marker: Marker,
        (x, y): (f64, f64),
        size: i32,
        style: S,
        chart: &mut Chart,
    ) -> Drawn {
        let (at, style) = (self.place(x, y), style.into());
        if marker == Marker::Circle {
            chart.draw_series([Circle::new(at, size, style)])?;
        } else {
            chart.draw_series([EmptyElement::at(at) + Polygon::new(corners(marker, size), style)])?;
        }
        Ok(())
    }

    /// Entries row by row under the title, and the height that title and legend take.
    fn legend(&self, width: i32) -> (Vec<Entry<'_>>, i32) {
        let (mut x, mut y) = (64, 38);
        let mut entries = Vec::new();
        for series in &self.series {
            let Some(name) = &series.name else { continue };
            // Without font files the width of a text is a guess, on the wide side.
            let wide = 32 + name.chars().count() as i32 * 8 + 14;
            if x > 64 && x + wide > width - 10 {
                (x, y) = (64, y + 22);
            }
            entries.push(Entry { name, series, place: (x, y) });
            x += wide;
        }
        let rows = if entries.is_empty() { 34 } else { y + 22 };
        (entries, rows)
    }

    /// Range of all that is drawn, with a margin, in the axis' own scale.
    fn range(&self, horizontal: bool) -> Range<f64> {
        let axis = if horizontal { &self.x } else { &self.y };
        let values = self.series.iter().flat_map(|series| series.values(horizontal));
        let rule = self.rule.filter(|_| !horizontal);
        let ticks = axis.ticks.iter().flatten().copied();
        let (low, high) = values
            .chain(rule)
            .chain(ticks)
            .map(|value| axis.place(value))
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        if low > high {
            return 0.0..1.0;
        }
        let margin = if high > low { 0.06 * (high - low) } else { 0.1 * high.abs().max(0.1) };
        low - margin..high + margin
    }
}

impl Entry<'_> {
    fn draw(&self, root: &Root) -> Drawn {
        let Entry { name, series, place: (x, y) } = self;
        for piece in series.pattern.pieces(26) {
            let ends = [(x + piece.start, y + 7), (x + piece.end, y + 7)];
            root.draw(&PathElement::new(ends, series.colour.stroke_width(3)))?;
        }
        if series.marker != Marker::Circle {
            root.draw(&shape(series.marker, (x + 13, y + 7), 6, series.colour))?;
        }
        root.draw(&Text::new(name.to_string(), (x + 32, *y), text(17.0, &BLACK)))?;
        Ok(())
    }
}

fn text(size: f64, colour: &RGBColor) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(colour)
}

/// Corners of a point's shape about its centre, `size` pixels to its sides; a circle has none.
fn corners(marker: Marker, size: i32) -> Vec<Pixel> {
    match marker {
        Marker::Circle => Vec::new(),
        Marker::Triangle => vec![(0, -size - 1), (size + 1, size - 1), (-size - 1, size - 1)],
        Marker::Square => vec![(-size, -size), (size, -size), (size, size), (-size, size)],
    }
}

/// A shape with corners at a pixel.
fn shape(marker: Marker, (x, y): Pixel, size: i32, colour: RGBColor) -> Polygon<Pixel> {
    Polygon::new(corners(marker, size).into_iter().map(|(dx, dy)| (x + dx, y + dy)).collect::<Vec<_>>(), colour)
}
