//! What the pages of all demonstrations share.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use maud::{Markup, PreEscaped, html};
use plotters::style::RGBColor;
use serde::Serialize;

use crate::provenance::machine;
use crate::report::plot::{Axis, Plot, Series, plain};
use crate::report::{MATRICES, html_page, save, save_json};

/// A page in the making.
pub(super) struct Page {
    /// Title.
    pub(super) title: &'static str,
    /// What was found, in a sentence or two.
    pub(super) headline: String,
    /// What follows.
    pub(super) blocks: Vec<Markup>,
}

impl Page {
    /// Writes `report.html`, and the figures as `results.json`, into the folder.
    ///
    /// # Errors
    /// For a folder that cannot be written.
    pub(super) fn write(self, folder: &Path, took: Duration, report: &impl Serialize) -> Result<()> {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        let seconds = format!("{:.0} s", took.as_secs_f64());
        let head = [
            html! { p.facts { "commit " (machine::commit()) ", " (machine::describe()) ", " (seconds) } },
            html! { p.headline { (self.headline) } },
        ];
        let page = html_page(self.title, MATRICES, head.into_iter().chain(self.blocks));
        save(folder, "report.html", page.as_bytes())?;
        save_json(folder, "results.json", report)
    }
}

/// A plot over a linear or logarithmic axis each.
pub(super) fn plot(title: &str, x: Axis, y: Axis, series: Vec<Series>) -> Result<Markup> {
    Plot { size: (1120, 380), title: title.into(), x, y, series, rule: None }.svg().map(PreEscaped)
}

/// A linear axis.
pub(super) fn linear(label: &str) -> Axis {
    Axis { label: label.into(), log: false, ticks: None, format: plain }
}

/// A logarithmic axis.
pub(super) fn logarithmic(label: &str) -> Axis {
    Axis { label: label.into(), log: true, ticks: None, format: scientific }
}

/// A line with a name.
pub(super) fn line(name: &str, colour: RGBColor, line: Vec<(f64, f64)>) -> Series {
    Series { name: Some(name.into()), colour, line, ..Series::default() }
}

/// A line with a name and a dot at each of its points.
pub(super) fn dotted_line(name: &str, colour: RGBColor, points: Vec<(f64, f64)>) -> Series {
    Series { dots: points.clone(), ..line(name, colour, points) }
}

/// Small and large numbers with their power of ten.
fn scientific(value: f64) -> String {
    if (1e-3..1e4).contains(&value.abs()) { plain(value) } else { format!("{value:.0e}") }
}

/// A heading.
pub(super) fn heading(text: &str) -> Markup {
    html! { h2 { (text) } }
}

/// Matrices side by side, each with a line below it.
pub(super) fn matrices(pictures: impl IntoIterator<Item = (Markup, &'static str)>) -> Markup {
    html! {
        div.maps {
            @for (picture, caption) in pictures { figure { (picture) figcaption { (caption) } } }
        }
    }
}
