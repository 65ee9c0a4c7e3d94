//! What the pages of all demonstrations share.

use std::path::Path;

use anyhow::{Context, Result};
use astrocytic_data::write_atomically;
use plotters::style::RGBColor;
use serde::Serialize;

use crate::provenance::machine;
use crate::report::plot::{Axis, Plot, Series, plain};
use crate::report::{STYLE, escape};

/// Writes `report.html` and `results.json` into the folder.
pub(super) fn write(
    folder: &Path,
    title: &str,
    headline: &str,
    body: &str,
    seconds: f64,
    report: &impl Serialize,
) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>{0}</title><style>{STYLE}.maps{{display:flex;flex-wrap:wrap;gap:16px 28px}}\
         figure{{margin:0}}figcaption{{font-size:14px;color:#555}}img{{image-rendering:pixelated;border:1px solid #ddd}}</style>\
         </head><body>\n<h1>{0}</h1>\n<p class=\"facts\">commit {1}, {2}, {seconds:.0} s</p>\n<p class=\"headline\">{3}</p>\n{body}\
         </body></html>\n",
        escape(title),
        machine::commit(),
        escape(&machine::describe()),
        escape(headline)
    );
    let mut json = serde_json::to_vec_pretty(report)?;
    json.push(b'\n');
    for (name, bytes) in [("report.html", page.as_bytes()), ("results.json", &json)] {
        let path = folder.join(name);
        write_atomically(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// A plot of lines over a linear or logarithmic axis each.
pub(super) fn plot(title: &str, x: Axis, y: Axis, series: Vec<Series>) -> Result<String> {
    Plot { size: (1120, 380), title: title.into(), x, y, series, rule: None }.svg()
}

/// A linear axis.
pub(super) fn linear(label: &str) -> Axis {
    Axis { label: label.into(), log: false, ticks: None, format: plain }
}

/// A logarithmic one.
pub(super) fn logarithmic(label: &str) -> Axis {
    Axis { label: label.into(), log: true, ticks: None, format: scientific }
}

/// A line with a name.
pub(super) fn line(name: &str, colour: RGBColor, line: Vec<(f64, f64)>) -> Series {
    Series { name: Some(name.into()), colour, line, ..Series::default() }
}

/// Small and large numbers with their power of ten.
fn scientific(value: f64) -> String {
    if (1e-3..1e4).contains(&value.abs()) { plain(value) } else { format!("{value:.0e}") }
}

/// Matrices side by side, each with a line below it.
pub(super) fn figures(pictures: &[(String, &str)]) -> String {
    let figure =
        |(picture, caption): &(String, &str)| format!("<figure>{picture}<figcaption>{caption}</figcaption></figure>");
    format!("<div class=\"maps\">{}</div>\n", pictures.iter().map(figure).collect::<String>())
}
