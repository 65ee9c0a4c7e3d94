//! Contrasts in tables.

use maud::{Markup, html};

use super::layout::or_dash;
use super::plot::plain;
use super::solved_words;
use super::summary::{Contrast, Measure, Verdict};
use super::words::{self, level};
use crate::statistics::Estimate;

/// The interval of what is compared, one of its ends or both open.
pub(super) fn interval(value: &Estimate, measure: Measure) -> String {
    if let Measure::Solved { .. } = measure {
        return solved_words::ratio_interval(value.interval);
    }
    let text = |end: f64| match measure {
        Measure::Ratio { .. } | Measure::Solved { .. } => format!("{end:.2}"),
        Measure::Difference { .. } => format!("{end:+.3}"),
    };
    match value.interval.map(|end| end.map(text)) {
        [Some(low), Some(high)] => format!("{low} to {high}"),
        [Some(low), None] => format!("at least {low}"),
        [None, Some(high)] => format!("at most {high}"),
        [None, None] => "no interval".into(),
    }
}

/// Cells of a table of contrasts, from the arm to the verdict.
pub(super) fn contrast_cells(contrast: &Contrast) -> Markup {
    let value = contrast.value.as_ref();
    let (at, figure) = match contrast.measure {
        Measure::Ratio { loss } => (
            or_dash(loss, level),
            or_dash(value.filter(|value| !value.is_bound()), |value| format!("{:.3}", value.estimate)),
        ),
        Measure::Solved { at } => (format!("{} %", plain(100.0 * at)), or_dash(value, solved_words::ratio)),
        Measure::Difference { tokens } => {
            (words::tokens(tokens as f64), or_dash(value, |value| format!("{:+.3} nats", value.estimate)))
        }
    };
    let p = |p: f64| if p < 0.001 { "< 0.001".into() } else { format!("{p:.3}") };
    let verdict = match contrast.verdict {
        Verdict::Better => "better",
        Verdict::Worse => "worse",
        Verdict::NotEstablished => "not established",
        Verdict::Bounded => "one bound, not tested",
        Verdict::NotMeasured => "not measured",
    };
    html! {
        td.text { (contrast.arm) @if contrast.primary { " (primary)" } } td.text { (contrast.baseline) } td { (at) } td { (figure) }
        td { (or_dash(value, |value| interval(value, contrast.measure))) } td { (or_dash(value.and_then(|value| value.p), p)) } td { (or_dash(contrast.p_holm, p)) }
        td.text { (verdict) }
    }
}
