//! Losses and accuracies by arm and size.

use anyhow::Result;
use astrocytic_data::TokenClass;
use maud::{Markup, PreEscaped, html};

use crate::report::figures::accuracy_svg;
use crate::report::layout::{or_dash, swatch, wide_table};
use crate::report::summary::{ArmSummary, Difference, SizeSummary, Summary};
use crate::report::words::{accuracies_in_words, losses_in_words, tokens};
use crate::results::Experiment;

/// Head of a table with a column for each size.
fn sizes(first: &str, experiment: &Experiment) -> Markup {
    head(first, &experiment.sizes)
}

fn head(first: &str, sizes: &[u64]) -> Markup {
    html! { tr { th { (first) } @for &size in sizes { th { (tokens(size as f64)) } } } }
}

/// Test losses, and their differences at equal data.
pub(super) fn losses(experiment: &Experiment, summary: &Summary) -> Vec<Markup> {
    let heading = if summary.search { "Search losses" } else { "Test losses" };
    // Begins a sentence.
    let per = experiment.corpus.per().replacen('n', "N", 1);
    let rows = summary.arms.iter().enumerate().flat_map(|(index, arm)| arm_rows(index, arm));
    let mut blocks = vec![
        html! { h2 { (heading) } },
        wide_table(sizes("arm", experiment), rows),
        html! {
            p.note {
                (per) ", mean ± standard deviation over seeds, by unique training " (experiment.corpus.unit()) "."
            }
        },
    ];
    if !summary.differences.is_empty() {
        let table = wide_table(sizes("difference", experiment), differences(experiment, summary));
        blocks.push(html! {
            details {
                summary { "Differences at equal data" }
                (table)
                p.note {
                    (per) " over paired seeds. Below 0 the first arm is better. In small print: 95 % interval, not corrected for the \
                     number of comparisons."
                }
            }
        });
    }
    blocks
}

/// Losses by class of token, where they are stored.
pub(super) fn classes(summary: &Summary) -> Vec<Markup> {
    let arms = || summary.arms.iter().enumerate().filter(|(_, arm)| !arm.classes.is_empty());
    let Some((_, first)) = arms().next() else { return Vec::new() };
    let size = first.sizes.iter().rev().find(|size| !size.test_losses.is_empty()).map_or(0, |size| size.tokens);
    let head = html! {
        tr {
            th { "arm" }
            @for class in &first.classes {
                th { (class_in_words(class.class)) br; span.note { (tokens(class.tokens as f64)) " tokens" } }
            }
        }
    };
    let row = |(index, arm): (usize, &ArmSummary)| {
        let cells = arm.classes.iter().map(|class| or_dash(losses_in_words(&class.losses), |loss| loss));
        html! { tr { td { (swatch(index, &arm.name)) } @for cell in cells { td { (cell) } } } }
    };
    vec![html! {
        details {
            summary { "Losses by kind of word" }
            (wide_table(head, arms().map(row)))
            p.note {
                "Nats per token at " (tokens(size as f64)) " training tokens, mean ± standard deviation over seeds. A number has a digit. \
                 A name is capitalised and begins no sentence. A repeat is another word that stood in the same document \
                 (or block) before, a first occurrence one that did not."
            }
        }
    }]
}

fn class_in_words(class: TokenClass) -> &'static str {
    match class {
        TokenClass::Number => "numbers",
        TokenClass::Name => "names",
        TokenClass::First => "first occurrences",
        TokenClass::Repeat => "repeats",
        TokenClass::Other => "spaces and punctuation",
    }
}

/// An arm's losses; below them those with the memory emptied before each window, if it carries one.
fn arm_rows(index: usize, arm: &ArmSummary) -> Vec<Markup> {
    let cell = |size: &SizeSummary| {
        let seeds = size.test_losses.len();
        html! {
            td {
                (or_dash(losses_in_words(&size.test_losses), |loss| loss)) br;
                span.note {
                    (seeds) @if seeds == 1 { " seed" } @else { " seeds" }
                    @if size.diverged > 0 { ", " (size.diverged) " diverged" }
                }
            }
        }
    };
    let mut rows = vec![html! { tr { td { (swatch(index, &arm.name)) } @for size in &arm.sizes { (cell(size)) } } }];
    if arm.sizes.iter().any(|size| !size.without_carry.is_empty()) {
        let losses = arm.sizes.iter().map(|size| or_dash(losses_in_words(&size.without_carry), |loss| loss));
        rows.push(html! { tr { td.note { "each window by itself" } @for loss in losses { td { (loss) } } } });
    }
    rows
}

/// A row for each pair of arms.
fn differences(experiment: &Experiment, summary: &Summary) -> Vec<Markup> {
    let mut pairs: Vec<(&str, &str)> =
        summary.differences.iter().map(|d| (d.arm.as_str(), d.baseline.as_str())).collect();
    pairs.dedup();
    let cell = |(arm, baseline): (&str, &str), size: u64| {
        let is_it = |d: &&Difference| (d.arm.as_str(), d.baseline.as_str(), d.tokens) == (arm, baseline, size);
        match summary.differences.iter().find(is_it) {
            None => html! { td { "–" } },
            Some(Difference { value, .. }) => {
                let interval = value.ends().map_or("no interval".into(), |[l, h]| format!("{l:+.3} to {h:+.3}"));
                html! { td { (format!("{:+.3}", value.estimate)) br; span.note { (interval) } } }
            }
        }
    };
    let row = |pair: (&str, &str)| {
        html! { tr { td { (pair.0) " − " (pair.1) } @for &size in &experiment.sizes { (cell(pair, size)) } } }
    };
    pairs.into_iter().map(row).collect()
}

/// Share of right answers; empty if the data are a text.
pub(super) fn accuracies(experiment: &Experiment, summary: &Summary) -> Result<Vec<Markup>> {
    let Some(svg) = accuracy_svg(experiment, summary)? else { return Ok(Vec::new()) };
    // A search of the sizes visits some.
    let is_visited = |size: &u64| {
        let of_size = summary.arms.iter().flat_map(|arm| &arm.sizes).filter(|found| found.tokens == *size);
        summary.solved.is_none() || of_size.clone().any(|found| !found.accuracies.is_empty())
    };
    let shown: Vec<u64> = experiment.sizes.iter().copied().filter(is_visited).collect();
    let row = |(index, arm): (usize, &ArmSummary)| {
        let sizes = arm.sizes.iter().filter(|size| shown.contains(&size.tokens));
        let cells = sizes.map(|size| or_dash(accuracies_in_words(&size.accuracies), |text| text));
        html! { tr { td { (swatch(index, &arm.name)) } @for cell in cells { td { (cell) } } } }
    };
    Ok(vec![
        html! { h2 { "Accuracy" } },
        PreEscaped(svg),
        wide_table(head("arm", &shown), summary.arms.iter().enumerate().map(row)),
        html! {
            p.note {
                "Right answers to the test, per cent (SCAN: commands with every action right): mean ± standard deviation over seeds, \
                 by unique training examples."
            }
        },
    ])
}
