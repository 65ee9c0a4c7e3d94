//! The page as a whole.

use anyhow::Result;
use maud::{Markup, PreEscaped, html};

use super::arms::{arms, tuning};
use super::losses::{accuracies, classes, losses};
use super::ratios::ratios;
use super::solved::solved;
use crate::report::calibration::Calibration;
use crate::report::figures::{arm_panels, excess_svg, loss_svg};
use crate::report::layout::{lines, page, table};
use crate::report::learning_figure::learning_panels;
use crate::report::summary::Summary;
use crate::report::words::{level, tokens};
use crate::results::{CorpusFacts, Experiment, Line};

/// The whole page; `name` is the study's in its experiment, if it has one.
pub(in crate::report) fn study(
    name: &str,
    experiment: &Experiment,
    stored: &[Line],
    summary: &Summary,
    calibrations: &[Calibration],
) -> Result<String> {
    let mut blocks = Vec::new();
    if !name.is_empty() {
        blocks.push(html! { p.facts { "Study " (name) " of " a href="../report.html" { "an experiment" } } });
    }
    blocks.extend(facts(experiment));
    blocks.push(html! { p.headline { (summary.headline) } });
    blocks.extend(state(summary));
    blocks.extend(further(summary));
    if summary.solved.is_some() {
        blocks.extend(solved(experiment, summary)?);
        blocks.extend(accuracies(experiment, summary)?);
    } else {
        blocks.extend(loss_figures(experiment, stored, summary)?);
        blocks.extend(losses(experiment, summary));
        blocks.extend(classes(summary));
        blocks.extend(accuracies(experiment, summary)?);
        blocks.extend(ratios(experiment, summary)?);
        blocks.extend(calibration(calibrations));
    }
    blocks.extend(learning_curves(experiment, stored, summary)?);
    blocks.extend(arms(experiment, summary));
    if experiment.trials.len() > 1 {
        blocks.push(tuning(experiment, stored));
    }
    blocks.push(provenance(experiment)?);
    Ok(page(&experiment.name, "", blocks))
}

fn facts(experiment: &Experiment) -> Vec<Markup> {
    let corpus = &experiment.corpus;
    let entropy = corpus.entropy.map_or(String::new(), |entropy| format!(", entropy {entropy:.4} nats per token"));
    let test = match corpus.examples {
        true => "examples; answers are entries".into(),
        false => {
            let CorpusFacts { test_documents, bytes_per_token, .. } = corpus;
            format!("tokens ({test_documents} documents, {bytes_per_token:.2} bytes per token{entropy})")
        }
    };
    let [train, tuning, held_out] =
        [corpus.train_tokens, corpus.tuning_tokens, corpus.test_tokens].map(|count| tokens(count as f64));
    let seeds = experiment.seeds.len();
    let facts = html! {
        p.facts {
            (corpus.name) " · tokenizer: " (corpus.tokenizer) ", " (corpus.vocabulary) " entries · train " (train)
            ", tuning " (tuning) ", test " (held_out) " " (test) " · context " (experiment.context) ", batch "
            (experiment.batch) " · " (seeds) " seed" @if seeds != 1 { "s" }
        }
    };
    let notes = corpus.notes.iter().map(|note| html! { p.note { "Note on the data: " (note) "." } });
    std::iter::once(facts).chain(notes).collect()
}

/// How many runs are done, how many diverged, and what is to be doubted.
fn state(summary: &Summary) -> Vec<Markup> {
    let ([done, all], [tuned, tune]) = (summary.final_runs, summary.tuning_runs);
    let diverged: usize = summary.arms.iter().flat_map(|arm| &arm.sizes).map(|size| size.diverged).sum();
    let class = if done < all || diverged > 0 { "partial" } else { "facts" };
    let state = html! {
        p class=(class) {
            (done) " of " (all) " final runs done, "
            @if tune == 0 { "nothing was tuned: the grid has one point." } @else { (tuned) " of " (tune) " tuning runs." }
            @if done < all { " This page is made from these alone." }
            @if diverged > 0 && summary.solved.is_some() { " " (diverged) " diverged: they solve nothing." }
            @else if diverged > 0 { " " (diverged) " diverged. They have no test loss: means and intervals leave out these runs and their pairs." }
        }
    };
    let doubts = summary.doubts.iter().map(|doubt| html! { p.partial { (doubt) } });
    std::iter::once(state).chain(doubts).collect()
}

/// Comparisons beside that of the headline.
fn further(summary: &Summary) -> Option<Markup> {
    let findings = summary.findings();
    let others = findings.iter().skip(1).map(|finding| html! { li { (finding) } });
    (findings.len() > 1).then(|| {
        html! { details open { summary { "Further comparisons" } ul { "\n" (lines(others)) } } }
    })
}

fn loss_figures(experiment: &Experiment, stored: &[Line], summary: &Summary) -> Result<Vec<Markup>> {
    let test = if summary.search {
        "This is a search: the test split is untouched. Losses are of half of the tuning split; the other half decided when runs stopped."
    } else {
        "The test split was read once, at the end."
    };
    let panels = arm_panels(experiment, summary)?;
    let crowded = !panels.is_empty();
    let note = html! {
        p.note {
            @if crowded { "Lines: mean over seeds. Below, each arm with the baseline: " } @else { "Lines: mean over seeds; " }
            "points: single seeds; bands: from the lowest to the highest seed. Each run was trained to its own early stop on the \
             tuning split or to the end of its schedule. "
            @if summary.arms.iter().any(|arm| arm.learned_tokens > 0) {
                "What an arm learns from while it is tested counts as its data. "
            }
            (test)
            @if !summary.fits.is_empty() {
                " Dotted: the law L(D) = E + B·D" sup { "−β" } " fitted to the means."
            }
        }
    };
    let svg = PreEscaped(loss_svg(experiment, stored, summary)?);
    let excess = excess_svg(experiment, stored, summary)?.map(PreEscaped);
    let panels = html! { div.panels { "\n" (lines(panels.into_iter().map(PreEscaped))) } };
    let blocks = [html! { h2 { "Losses" } }, svg, note];
    Ok(blocks.into_iter().chain(crowded.then_some(panels)).chain(excess).collect())
}

/// How often the intervals of simulated experiments held the truth.
fn calibration(found: &[Calibration]) -> Option<Markup> {
    let head = html! {
        tr {
            th.text { "simulated from" } th { "true ratio" } th { "at loss" } th { "experiments" } th { "intervals" }
            th { "hold it" } th { "found an effect" }
        }
    };
    let row = |Calibration { arm, baseline, learn, coverage }: &Calibration| {
        html! {
            tr {
                td.text { (arm) " and " (baseline) @if *learn { br; span.note { "both learn while they are tested" } } }
                td { (format!("{:.2}", coverage.truth)) } td { (level(coverage.loss)) } td { (coverage.experiments) } td { (coverage.intervals) }
                td { (format!("{:.1} %", 100.0 * coverage.share())) } td { (coverage.significant) }
            }
        }
    };
    (!found.is_empty()).then(|| {
        html! {
            h2 { "Do the intervals hold?" }
            (table(head, found.iter().map(row)))
            p.note {
                "Experiments simulated from the stored runs of two arms: seeds and documents vary as theirs do, pairs stay together, and \
                 the ratio is known. Of the 95 % intervals some 95 % should hold it. Found an effect: p < 0.05 of a ratio of 1."
            }
        }
    })
}

fn learning_curves(experiment: &Experiment, stored: &[Line], summary: &Summary) -> Result<[Markup; 3]> {
    let panels = learning_panels(experiment, stored)?.into_iter().map(PreEscaped);
    Ok([
        html! { h2 { "Learning curves" } },
        html! { div.panels { "\n" (lines(panels)) } },
        html! {
            p.note {
                @if summary.solved.is_some() {
                    "Right answers on the tuning split during the final runs, a line for each seed, which ends where the run did."
                } @else {
                    "Loss on the tuning split during the final runs: mean and range over seeds, drawn as long as more than half \
                     of the seeds still train."
                }
            }
        },
    ])
}

fn provenance(experiment: &Experiment) -> Result<Markup> {
    let config = serde_json::to_string_pretty(&experiment.config)?;
    Ok(html! {
        details {
            summary { "Machine, commit, configuration" } "\n"
            p { "Machine: " (experiment.machine) br; "Commit: " (experiment.commit) } "\n"
            pre { (config) }
        }
    })
}
