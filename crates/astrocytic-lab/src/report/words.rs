//! Figures as they are written in tables and sentences.

use crate::results::Experiment;
use crate::statistics::{deviation, mean};

/// Whether the test split was left untouched.
pub(super) fn is_search(experiment: &Experiment) -> bool {
    experiment.config["search"] == true
}

/// Test accuracy from which on a run counts as solved, where runs are solved or not.
pub(super) fn solved_at(experiment: &Experiment) -> Option<f64> {
    experiment.config["solved_at"].as_f64().filter(|&at| at > 0.0)
}

/// What losses of final runs are of.
pub(super) fn held_out(search: bool) -> &'static str {
    if search { "search loss" } else { "test loss" }
}

/// Mean and deviation of losses over seeds.
pub(super) fn losses_in_words(losses: &[f64]) -> Option<String> {
    let deviation = deviation(losses).map_or(String::new(), |deviation| format!(" ± {deviation:.3}"));
    Some(format!("{:.3}{deviation}", mean(losses)?))
}

/// Mean and deviation of shares over seeds, in per cent.
pub(super) fn accuracies_in_words(accuracies: &[f64]) -> Option<String> {
    let percent: Vec<f64> = accuracies.iter().map(|accuracy| 100.0 * accuracy).collect();
    let deviation = deviation(&percent).map_or(String::new(), |deviation| format!(" ± {deviation:.1}"));
    Some(format!("{:.1}{deviation}", mean(&percent)?))
}

/// A loss with the decimals that levels are rounded to.
pub(super) fn level(loss: f64) -> String {
    let two = (loss * 100.0 - (loss * 100.0).round()).abs() < 1e-6;
    format!("{loss:.*}", if two { 2 } else { 3 })
}

/// 16k, 65.5k, 1M: three significant digits.
pub(super) fn tokens(count: f64) -> String {
    let (value, unit) = match count {
        c if c >= 999.5e6 => (c / 1e9, "B"),
        c if c >= 999.5e3 => (c / 1e6, "M"),
        c if c >= 999.5 => (c / 1e3, "k"),
        c => (c, ""),
    };
    let text = if value >= 99.95 {
        format!("{value:.0}")
    } else if value >= 9.995 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    };
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

/// A p-value behind its sign.
pub(super) fn p_value(p: f64) -> String {
    if p < 0.001 { "< 0.001".into() } else { format!("= {p:.3}") }
}
