//! Which sizes solve a task.

use anyhow::Result;
use indicatif::HumanCount;
use maud::{Markup, PreEscaped, html};

use crate::report::contrast_table::contrast_cells;
use crate::report::layout::{or_dash, swatch, wide_table};
use crate::report::solved_figure::solved_svg;
use crate::report::solved_summary::{SolvedArm, SolvedSummary};
use crate::report::solved_words::{d50, d50_interval, ratio, ratio_interval};
use crate::report::summary::Summary;
use crate::report::words::tokens;
use crate::results::Experiment;

/// The plot, a table of the arms, and what is tested; empty where losses are compared.
pub(super) fn solved(experiment: &Experiment, summary: &Summary) -> Result<Vec<Markup>> {
    let Some(solved) = &summary.solved else { return Ok(Vec::new()) };
    let svg = PreEscaped(solved_svg(experiment, solved)?);
    let blocks = [html! { h2 { "Data that solve the task" } }, svg, note_of_plot(experiment, summary, solved.at)];
    Ok(blocks.into_iter().chain([arms(experiment, solved), note_of_arms(), contrasts(summary)]).collect())
}

fn note_of_plot(experiment: &Experiment, summary: &Summary, at: f64) -> Markup {
    let test = if summary.search {
        "This is a search: the test split is untouched, and half of the tuning split stands in for it."
    } else {
        "The test split was read once, at the end."
    };
    html! {
        p.note {
            "A run solves the task where " (format!("{:.4}", 100.0 * at).trim_end_matches('0').trim_end_matches('.')) " % of the test \
             answers or more are right. Sizes are searched for each arm by the tuning split: large points are sizes at which all "
            (experiment.seeds.len()) " seeds were run, small ones those with fewer. " (test)
        }
    }
}

/// A row for each arm.
fn arms(experiment: &Experiment, solved: &SolvedSummary) -> Markup {
    let is_visited = |size: &u64| solved.arms.iter().flat_map(|arm| &arm.shares).any(|share| share.size == *size);
    let sizes: Vec<u64> = experiment.sizes.iter().copied().filter(is_visited).collect();
    let mut times: Vec<u32> = solved.arms.iter().flat_map(|arm| &arm.longer).map(|longer| longer.times).collect();
    times.sort_unstable();
    times.dedup();
    let baseline = solved.arms.first().map_or("", |arm| arm.arm.as_str());
    let head = html! {
        tr {
            th { "arm" } th { "D50" } th { "D50(" (baseline) ") / D50" } "\n"
            @for &size in &sizes { th { (tokens(size as f64)) } } "\n"
            th { "accuracy" } @for times in &times { th { (times) "× longer" } } th { "steps" }
        }
    };
    let rows = solved.arms.iter().enumerate().map(|(index, arm)| arm_row(index, arm, &sizes, &times));
    wide_table(head, rows)
}

fn arm_row(index: usize, arm: &SolvedArm, sizes: &[u64], times: &[u32]) -> Markup {
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    let share = |size: &u64| arm.shares.iter().find(|share| share.size == *size);
    let longer = |times: &u32| arm.longer.iter().find(|longer| longer.times == *times);
    html! {
        tr {
            td { (swatch(index, &arm.arm)) }
            td {
                @if let Some(found) = &arm.d50 { (d50(found)) br; span.note { (d50_interval(found)) } } @else { "–" }
            }
            td {
                @if let Some(value) = &arm.ratio { (ratio(value)) br; span.note { (ratio_interval(value.interval)) } } @else { "–" }
            }
            @for size in sizes {
                td {
                    @if let Some(share) = share(size) { (share.solved) "/" (share.seeds) }
                }
            }
            td { (or_dash(arm.accuracy, percent)) }
            @for times in times { td { (or_dash(longer(times), |longer| percent(longer.accuracy))) } }
            td { (or_dash(arm.steps, |steps| HumanCount(steps).to_string())) }
        }
    }
}

fn note_of_arms() -> Markup {
    html! {
        p.note {
            "D50: unique training examples with which half of the seeds solve the task, read off the shares, made monotone, straight in \
             log D between the sizes that were visited; \"at least\": more than the largest, \"at most\": fewer than the smallest. In \
             small print: 95 % intervals, by the likelihood of the runs under logistic curves of any steepness, widened where seeds do \
             alike in several runs. By size: seeds that solve the test, of those that were run. An arm that is given more \
             examples may leave some out, so sizes above the largest that half of the seeds solve do not count. Accuracy on the test, and on \
             examples that are longer than those trained on: median over seeds at that size, or else at the largest. Steps there until the tuning \
             split is solved, median; –: half of the seeds never solve it."
        }
    }
}

/// What is tested.
fn contrasts(summary: &Summary) -> Markup {
    let head = html! {
        tr {
            th.text { "arm" } th.text { "compared with" } th { "solved at" } th { "ratio" } th { "95 % interval" } th { "p" } th { "Holm p" }
            th.text { "verdict" }
        }
    };
    let rows = summary.contrasts.iter().map(|contrast| html! { tr { (contrast_cells(contrast)) } });
    let family = summary.contrasts.iter().map(|contrast| contrast.family).max().unwrap_or(0);
    html! {
        details open {
            summary { "What is tested: " (summary.contrasts.len()) " comparisons" }
            (wide_table(head, rows))
            p.note {
                "Ratio: how many times as many examples the second arm needs as the first. p: of a ratio of 1, by the same likelihood as \
                 the interval, which excludes 1 where p < 0.05; none where an end lies beyond the sizes. Holm p: corrected over the "
                (family) " comparisons of the file; the primary contrast has a family of its own. One that cannot be estimated stays in."
            }
        }
    }
}
