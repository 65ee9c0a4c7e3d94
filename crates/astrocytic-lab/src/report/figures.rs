//! The figures of a report: which series each plot shows.

use anyhow::Result;
use plotters::style::RGBColor;

use super::plot::{Axis, Pattern, Plot, Series, colour, marker, plain};
use super::summary::{ArmSummary, Ratio, SizeSummary, Stream, Summary};
use super::words::{held_out, is_search, tokens};
use crate::results::{Experiment, Line, Role};
use crate::statistics::{Estimate, mean};

/// Test loss against unique training tokens, as a stand-alone SVG.
///
/// # Errors
/// If it cannot be drawn.
pub fn loss_svg(experiment: &Experiment, lines: &[Line], summary: &Summary) -> Result<String> {
    loss_plot(experiment, lines, summary, 0.0)
}

/// The data ratio against the loss, every arm with the baseline, as a stand-alone SVG; `None`
/// without ratios.
///
/// # Errors
/// If it cannot be drawn.
pub fn ratio_svg(experiment: &Experiment, summary: &Summary) -> Result<Option<String>> {
    Ok(ratio_panels(experiment, summary)?.into_iter().next().map(|(_, svg)| svg))
}

/// Loss above the entropy of the source, where it is known.
pub(super) fn excess_svg(experiment: &Experiment, lines: &[Line], summary: &Summary) -> Result<Option<String>> {
    experiment.corpus.entropy.map(|floor| loss_plot(experiment, lines, summary, floor)).transpose()
}

/// An arm without its points yet. Controls are dashed, so that colour is not all that tells arms
/// apart.
pub(super) fn of_arm(index: usize, name: &str, role: Role) -> Series {
    let control = matches!(role, Role::Control | Role::Calibration);
    Series {
        name: Some(name.into()),
        colour: colour(index),
        pattern: if control { Pattern::Dashed } else { Pattern::Solid },
        marker: marker(index),
        ..Series::default()
    }
}

/// More arms than these hide one another where all is drawn.
const LEGIBLE: usize = 8;

/// An arm's losses minus `floor` where that is above 0, at what it has learned from: the mean, the
/// range and the single seeds.
fn loss_series(place: (usize, usize), arm: &ArmSummary, floor: f64) -> Series {
    let above = |loss: f64| Some(loss - floor).filter(|&loss| loss > 0.0 && loss.is_finite());
    let (index, arms) = place;
    let mut found = of_arm(index, &arm.name, arm.role);
    for size in &arm.sizes {
        // What is learned from while testing counts.
        let tokens = arm.data(size.tokens) as f64;
        if tokens == 0.0 {
            continue;
        }
        let losses: Vec<f64> = size.test_losses.iter().copied().filter_map(above).collect();
        if let Some(mean) = size.mean.and_then(above) {
            found.line.push((tokens, mean));
        }
        if !losses.is_empty() {
            found.band.push((tokens, fold(&losses, f64::min), fold(&losses, f64::max)));
        }
        // Arms side by side, so that their points do not hide one another.
        let aside = 1.0 + aside(index, arms);
        found.points.extend(losses.iter().map(|&loss| (tokens * aside, loss)));
    }
    found
}

/// A panel for each arm of a crowded plot: the arm and the baseline stand out, the others are grey.
pub(super) fn arm_panels(experiment: &Experiment, summary: &Summary) -> Result<Vec<String>> {
    let arms = summary.arms.len();
    if arms <= LEGIBLE {
        return Ok(Vec::new());
    }
    let grey = RGBColor(215, 215, 215);
    let panel = |(index, arm): (usize, &ArmSummary)| {
        let (front, behind): (Vec<_>, Vec<_>) =
            summary.arms.iter().enumerate().partition(|(other, _)| [0, index].contains(other));
        let behind = behind.into_iter().map(|(other, arm)| Series {
            line: loss_series((other, arms), arm, 0.0).line,
            colour: grey,
            ..Series::default()
        });
        let front = front.into_iter().map(|(other, arm)| Series { name: None, ..loss_series((other, 1), arm, 0.0) });
        Plot {
            size: (362, 270),
            title: arm.name.clone(),
            x: Axis { label: String::new(), log: true, ticks: Some(sizes(experiment)), format: tokens },
            y: Axis { label: String::new(), log: false, ticks: None, format: plain },
            series: behind.chain(front).collect(),
            rule: None,
        }
        .svg()
    };
    summary.arms.iter().enumerate().skip(1).map(panel).collect()
}

/// The data sizes, for an axis.
fn sizes(experiment: &Experiment) -> Vec<f64> {
    experiment.sizes.iter().map(|&size| size as f64).collect()
}

/// Test loss minus `floor`, against unique data.
fn loss_plot(experiment: &Experiment, lines: &[Line], summary: &Summary, floor: f64) -> Result<String> {
    let excess = floor > 0.0;
    let ends = (experiment.sizes.first().copied().unwrap_or(1), experiment.sizes.last().copied().unwrap_or(1));
    let (first, last) = (ends.0 as f64, ends.1 as f64);
    let arms = summary.arms.len();
    let mut series = Vec::new();
    for (index, arm) in summary.arms.iter().enumerate() {
        let found = loss_series((index, arms), arm, floor);
        series.push(match arms > LEGIBLE {
            true => Series { dots: found.line.clone(), band: vec![], points: vec![], ..found },
            false => found,
        });
        if let Some(law) = summary.fits.iter().find(|law| law.arm == arm.name && !excess) {
            let at = |i| first * (last / first).powf(f64::from(i) / 60.0);
            let learned = arm.learned_tokens as f64;
            let line = (0..=60).map(at).map(|tokens| (tokens + learned, law.fit.loss(tokens))).collect();
            series.push(Series { colour: colour(index), pattern: Pattern::Dotted, line, ..Series::default() });
        }
    }
    if let Some(entropy) = experiment.corpus.entropy.filter(|_| !excess && !lines.is_empty()) {
        series.push(Series {
            name: Some(format!("entropy of the source, {entropy:.3}")),
            colour: RGBColor(110, 110, 110),
            pattern: Pattern::Dashed,
            line: vec![(first, entropy), (last, entropy)],
            ..Series::default()
        });
    }
    let label = format!(
        "{} ({})",
        if excess { "excess test loss" } else { held_out(is_search(experiment)) },
        experiment.corpus.per()
    );
    Plot {
        size: (1120, 520),
        title: if excess { "Loss above the entropy of the source" } else { "Loss against unique data" }.into(),
        x: Axis {
            label: match summary.arms.iter().any(|arm| arm.learned_tokens > 0) {
                true => "unique training tokens, and those of the test that are learned from".into(),
                false => format!("unique training {}", experiment.corpus.unit()),
            },
            log: true,
            ticks: Some(sizes(experiment)),
            format: tokens,
        },
        y: Axis { label, log: excess, ticks: None, format: plain },
        series,
        rule: None,
    }
    .svg()
}

/// Accuracy against the number of examples; `None` where the data are a text.
pub(super) fn accuracy_svg(experiment: &Experiment, summary: &Summary) -> Result<Option<String>> {
    if summary.arms.iter().flat_map(|arm| &arm.sizes).all(|size| size.accuracies.is_empty()) {
        return Ok(None);
    }
    let series = summary.arms.iter().enumerate().map(|(index, arm)| {
        let percent = |size: &SizeSummary| size.accuracies.iter().map(|a| 100.0 * a).collect::<Vec<f64>>();
        let points = arm.sizes.iter().map(|size| (size.tokens as f64, percent(size)));
        let points: Vec<(f64, Vec<f64>)> = points.filter(|(_, accuracies)| !accuracies.is_empty()).collect();
        Series {
            line: points.iter().filter_map(|(size, accuracies)| Some((*size, mean(accuracies)?))).collect(),
            band: points.iter().map(|(size, a)| (*size, fold(a, f64::min), fold(a, f64::max))).collect(),
            points: points.iter().flat_map(|(size, a)| a.iter().map(|&accuracy| (*size, accuracy))).collect(),
            ..of_arm(index, &arm.name, arm.role)
        }
    });
    let plot = Plot {
        size: (1120, 430),
        title: "Accuracy against unique examples".into(),
        x: Axis { label: "unique training examples".into(), log: true, ticks: Some(sizes(experiment)), format: tokens },
        y: Axis { label: "right (%)".into(), log: false, ticks: None, format: plain },
        series: series.collect(),
        rule: None,
    };
    plot.svg().map(Some)
}

/// A plot of the data ratio for each arm that others are compared with, and its name; the baseline
/// first.
pub(super) fn ratio_panels(experiment: &Experiment, summary: &Summary) -> Result<Vec<(String, String)>> {
    let mut panels = Vec::new();
    for against in &experiment.arms {
        let ratios: Vec<_> = summary.ratios.iter().filter(|ratio| ratio.baseline == against.name).collect();
        let (low, high) = ratios
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), r| (low.min(r.loss), high.max(r.loss)));
        if ratios.is_empty() {
            continue;
        }
        let arms = experiment.arms.iter().enumerate().filter(|(_, arm)| ratios.iter().any(|r| r.arm == arm.name));
        let count = arms.clone().count();
        let series = arms.enumerate().map(|(place, (index, arm))| {
            // Intervals of several arms stand side by side.
            let aside = (high - low).max(0.02) * aside(place, count);
            let own = || ratios.iter().filter(|ratio| ratio.arm == arm.name);
            let points: Vec<_> = own().map(|r| (r.loss + aside, r.value.estimate)).collect();
            let interval = |r: &&&Ratio| interval(&r.value).map(|[low, high]| (r.loss + aside, low, high));
            Series {
                dots: points.clone(),
                line: points,
                intervals: own().filter_map(|r| interval(&r)).collect(),
                ..of_arm(index, &arm.name, arm.role)
            }
        });
        let plot = Plot {
            size: (1120, 430),
            title: format!("Data ratio against {}: above 1, the arm needs less data", against.name),
            x: Axis {
                label: format!(
                    "{} L ({}); lower takes more data",
                    held_out(is_search(experiment)),
                    experiment.corpus.per()
                ),
                log: false,
                ticks: None,
                format: plain,
            },
            y: Axis { label: format!("r(L) = D({}) / D(arm)", against.name), log: true, ticks: None, format: plain },
            series: series.collect(),
            rule: Some(1.0),
        };
        panels.push((against.name.clone(), plot.svg()?));
    }
    panels.sort_by_key(|(name, _)| experiment.arms.iter().any(|arm| arm.name == *name && arm.role != Role::Baseline));
    Ok(panels)
}

/// The data ratio against the length of the test, where an arm learns through it; `None` where none
/// does.
pub(super) fn stream_svg(experiment: &Experiment, summary: &Summary) -> Result<Option<String>> {
    let mut series: Vec<Series> = Vec::new();
    for (index, arm) in experiment.arms.iter().enumerate() {
        // With the baseline alone: others would crowd the plot. All are in results.csv.
        let own = summary.streams.iter().filter(|stream| stream.ratio.arm == arm.name);
        let own: Vec<_> = own.filter(|stream| stream.ratio.baseline == experiment.arms[0].name).collect();
        let points: Vec<_> = own.iter().map(|stream| (stream.tokens as f64, stream.ratio.value.estimate)).collect();
        let bar = |stream: &&Stream| interval(&stream.ratio.value).map(|[low, high]| (stream.tokens as f64, low, high));
        if !points.is_empty() {
            let intervals = own.iter().filter_map(bar).collect();
            series.push(Series { dots: points.clone(), line: points, intervals, ..of_arm(index, &arm.name, arm.role) });
        }
    }
    if series.is_empty() {
        return Ok(None);
    }
    let plot = Plot {
        size: (1120, 400),
        title: format!("Data ratio against {} by the length of the test", experiment.arms[0].name),
        x: Axis { label: "tokens of the test".into(), log: true, ticks: None, format: tokens },
        y: Axis { label: "r = D(vanilla) / (D(arm) + learned)".into(), log: true, ticks: None, format: plain },
        series,
        rule: Some(1.0),
    };
    plot.svg().map(Some)
}

/// Ends of an interval as it is drawn; an open one ends at the estimate.
fn interval(value: &Estimate) -> Option<[f64; 2]> {
    let [low, high] = value.interval;
    (value.interval != [None, None]).then(|| [low.unwrap_or(value.estimate), high.unwrap_or(value.estimate)])
}

/// Relative shift of an arm's points, so that those of all arms stand side by side.
pub(super) fn aside(place: usize, arms: usize) -> f64 {
    let step = 0.012 * (8.0 / arms as f64).min(1.0);
    step * (place as f64 - 0.5 * (arms - 1) as f64)
}

pub(super) fn fold(values: &[f64], pick: fn(f64, f64) -> f64) -> f64 {
    values.iter().copied().reduce(pick).unwrap_or(f64::NAN)
}
