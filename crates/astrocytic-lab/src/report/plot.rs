//! One plot: lines with bands, points and intervals on linear or logarithmic axes, as SVG.

use std::ops::Range;

use anyhow::{Result, anyhow};
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Okabe and Ito's palette, safe for colour-blind readers; yellow, too pale for lines, is last.
const PALETTE: [RGBColor; 8] = [
    RGBColor(0, 0, 0),
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(240, 228, 66),
];
const GREY: RGBColor = RGBColor(110, 110, 110);

/// Colour of the arm with this index, the same in all plots.
pub(crate) fn colour(arm: usize) -> RGBColor {
    PALETTE[arm % PALETTE.len()]
}

/// An axis: its values are data values, also where it is logarithmic.
pub(crate) struct Axis {
    /// Quantity and unit.
    pub label: String,
    /// Logarithmic?
    pub log: bool,
    /// Values with a tick; chosen from the data where `None`.
    pub ticks: Option<Vec<f64>>,
    /// Text at a tick.
    pub format: fn(f64) -> String,
}

/// What is drawn in one colour under one name.
#[derive(Default)]
pub(crate) struct Series {
    /// Name in the legend; none without it.
    pub name: Option<String>,
    /// Colour.
    pub colour: RGBColor,
    /// Pattern of the line.
    pub pattern: Pattern,
    /// The line.
    pub line: Vec<(f64, f64)>,
    /// (x, low, high) of a band around it.
    pub band: Vec<(f64, f64, f64)>,
    /// Small open circles.
    pub circles: Vec<(f64, f64)>,
    /// Filled circles.
    pub dots: Vec<(f64, f64)>,
    /// (x, low, high) of intervals.
    pub intervals: Vec<(f64, f64, f64)>,
}

#[derive(Clone, Copy, Default, PartialEq)]
pub(crate) enum Pattern {
    #[default]
    Solid,
    Dashed,
    Dotted,
}

/// A plot of series over two axes.
pub(crate) struct Plot {
    /// Width and height, pixels.
    pub size: (u32, u32),
    /// Line above it.
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

/// An axis' range and ticks in its own scale, as plotters wants them.
struct Scale {
    range: Range<f64>,
    ticks: Vec<f64>,
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

/// (text, colour, pattern, place) of an entry of the legend.
type Entry<'a> = (&'a str, RGBColor, Pattern, (i32, i32));

impl Plot {
    /// The SVG.
    pub(crate) fn svg(&self) -> Result<String> {
        let mut svg = String::new();
        self.draw(&mut svg).map_err(|error| anyhow!("drawing \"{}\": {error}", self.title))?;
        Ok(svg)
    }

    fn draw(&self, svg: &mut String) -> Result<(), Box<dyn std::error::Error>> {
        let (width, height) = self.size;
        let root = SVGBackend::with_string(svg, self.size).into_drawing_area();
        root.fill(&WHITE)?;
        let text = |size: f64, colour: &RGBColor| ("sans-serif", size).into_font().color(colour);
        let (entries, legend) = self.legend(width as i32);
        root.draw(&Text::new(self.title.clone(), (64, 8), text(20.0, &BLACK)))?;
        for (name, colour, pattern, (x, y)) in entries {
            for piece in pieces(pattern, 26) {
                root.draw(&PathElement::new(
                    [(x + piece.start, y + 7), (x + piece.end, y + 7)],
                    colour.stroke_width(3),
                ))?;
            }
            root.draw(&Text::new(name.to_owned(), (x + 32, y), text(17.0, &BLACK)))?;
        }

        let (xs, ys) = (self.range(true), self.range(false));
        let (left, right) = (xs.start, xs.end);
        let (x_ticks, y_ticks) = (self.x.ticks(&xs), self.y.ticks(&ys));
        let place = |x: f64, y: f64| (self.x.place(x), self.y.place(y));
        let mut chart = ChartBuilder::on(&root)
            .margin_top(legend as u32 + 6)
            .margin_right(24)
            .margin_bottom(6)
            .margin_left(10)
            .x_label_area_size(48)
            .y_label_area_size(64)
            .build_cartesian_2d(
                Scale { range: xs, ticks: x_ticks.iter().map(|&tick| self.x.place(tick)).collect() },
                Scale { range: ys, ticks: y_ticks.iter().map(|&tick| self.y.place(tick)).collect() },
            )?;
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

        if let Some(rule) = self.rule {
            let y = self.y.place(rule);
            chart.draw_series([PathElement::new([(left, y), (right, y)], GREY.stroke_width(1))])?;
        }
        for series in &self.series {
            let upper = series.band.iter().map(|&(x, _, high)| place(x, high));
            let lower = series.band.iter().rev().map(|&(x, low, _)| place(x, low));
            if series.band.len() > 1 {
                chart.draw_series([Polygon::new(upper.chain(lower).collect::<Vec<_>>(), series.colour.mix(0.13))])?;
            }
        }
        for series in &self.series {
            let line = series.line.iter().map(|&(x, y)| place(x, y));
            let style = series.colour.stroke_width(2);
            match series.pattern {
                Pattern::Solid => drop(chart.draw_series(LineSeries::new(line, style))?),
                Pattern::Dashed => drop(chart.draw_series(DashedLineSeries::new(line, 7, 4, style))?),
                Pattern::Dotted => drop(chart.draw_series(DashedLineSeries::new(line, 2, 4, style))?),
            }
            for &(x, low, high) in &series.intervals {
                let ((x, low), (_, high)) = (place(x, low), place(x, high));
                chart.draw_series([PathElement::new([(x, low), (x, high)], series.colour.stroke_width(2))])?;
                for y in [low, high] {
                    let cap = PathElement::new([(-5, 0), (5, 0)], series.colour.stroke_width(2));
                    chart.draw_series([(EmptyElement::at((x, y)) + cap)])?;
                }
            }
            for &(x, y) in &series.circles {
                chart.draw_series([Circle::new(place(x, y), 3, series.colour.mix(0.55))])?;
            }
            for &(x, y) in &series.dots {
                chart.draw_series([Circle::new(place(x, y), 5, series.colour.filled())])?;
            }
        }
        if self.series.iter().all(|series| series.is_empty()) {
            let centre = text(18.0, &GREY).pos(Pos::new(HPos::Center, VPos::Center));
            root.draw(&Text::new("no runs yet", (width as i32 / 2, height as i32 / 2), centre))?;
        }
        root.present()?;
        Ok(())
    }

    /// Entries with their places, row by row under the title, and the height that title and legend take.
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
            entries.push((name.as_str(), series.colour, series.pattern, (x, y)));
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

impl Series {
    fn values(&self, horizontal: bool) -> impl Iterator<Item = f64> {
        let points = self.line.iter().chain(&self.circles).chain(&self.dots);
        let spans = self.band.iter().chain(&self.intervals);
        points
            .map(move |&(x, y)| if horizontal { [x, x] } else { [y, y] })
            .chain(spans.map(move |&(x, low, high)| if horizontal { [x, x] } else { [low, high] }))
            .flatten()
    }

    fn is_empty(&self) -> bool {
        self.values(true).next().is_none()
    }
}

impl Axis {
    fn place(&self, value: f64) -> f64 {
        if self.log { value.ln() } else { value }
    }

    fn value(&self, place: f64) -> f64 {
        if self.log { place.exp() } else { place }
    }

    fn ticks(&self, range: &Range<f64>) -> Vec<f64> {
        if let Some(ticks) = &self.ticks {
            return ticks.clone();
        }
        let (low, high) = (self.value(range.start), self.value(range.end));
        if self.log && high / low > 2.5 { log_ticks(low, high) } else { linear_ticks(low, high) }
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

/// Strokes of a pattern over a length, pixels.
fn pieces(pattern: Pattern, length: i32) -> Vec<Range<i32>> {
    let (on, off) = match pattern {
        Pattern::Solid => (length, 1),
        Pattern::Dashed => (7, 4),
        Pattern::Dotted => (2, 4),
    };
    (0..length).step_by((on + off) as usize).map(|start| start..(start + on).min(length)).collect()
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
