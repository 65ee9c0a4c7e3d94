//! Data ratios and fitted laws.

use anyhow::Result;
use maud::{Markup, PreEscaped, html};

use crate::report::contrast_table::{contrast_cells, interval};
use crate::report::figures::{ratio_panels, stream_svg};
use crate::report::layout::{lines, swatch, table, wide_table};
use crate::report::summary::{LawFit, Measure, Ratio, Summary};
use crate::report::words::level;
use crate::results::Experiment;
use crate::statistics::RESAMPLES;

/// Figures and tables of the data ratios.
pub(super) fn ratios(experiment: &Experiment, summary: &Summary) -> Result<Vec<Markup>> {
    let mut blocks = vec![html! { h2 { "Data efficiency" } }];
    if summary.ratios.is_empty() {
        let why = if experiment.sizes.len() < 2 {
            "A ratio needs at least two sizes of data."
        } else {
            "No two arms that are compared reach a loss in common yet, and nothing is extrapolated."
        };
        blocks.push(html! { p { (why) } });
        blocks.extend((!summary.contrasts.is_empty()).then(|| contrasts(summary)));
        return Ok(blocks);
    }
    let mut panels = ratio_panels(experiment, summary)?.into_iter().map(|(_, svg)| PreEscaped(svg));
    blocks.extend(panels.next());
    let others: Vec<_> = panels.collect();
    if !others.is_empty() {
        blocks.push(html! { details { summary { "Ratios against other arms" } (lines(others)) } });
    }
    blocks.push(html! {
        p.note {
            "r(L) = D(compared with) / D(arm): how many times more unique data the other needs to reach the same test loss L, read \
             off inside the measured range only. Bars: 95 % intervals of Student's t, the variance by leaving out seeds and test \
             documents (two-way jackknife). An end is missing where the truth may lie beyond what was measured: in more than 2.5 % of "
            (RESAMPLES)
            " resamples the loss was not reached."
        }
    });
    blocks.push(contrasts(summary));
    blocks.push(every_ratio(experiment, summary));
    blocks.extend(streams(experiment, summary)?);
    blocks.extend(laws(summary));
    Ok(blocks)
}

/// What is tested.
fn contrasts(summary: &Summary) -> Markup {
    let head = html! {
        tr {
            th.text { "arm" } th.text { "compared with" } th { "at loss" } th { "r" } th { "95 % interval" } th { "p" } th { "Holm p" }
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
                "Each at one loss: the middle of those that both arms reach, or the one that the file names; with one size of data their \
                 difference. p: of no effect; the interval excludes it where p < 0.05. Holm p: corrected over the " (family) " comparisons of \
                 the file; the primary contrast has a family of its own. One that cannot be estimated stays in. What one of two arms \
                 alone learns from while it is tested counts as its data, on average over its predictions."
            }
        }
    }
}

/// Ratios over the losses that both reach.
fn every_ratio(experiment: &Experiment, summary: &Summary) -> Markup {
    let head = html! {
        tr { th { "arm" } th.text { "compared with" } th { "loss" } th { "r" } th { "95 % interval" } th { "censored" } }
    };
    let row = |Ratio { arm, baseline, loss, value }: &Ratio| {
        let index = experiment.arms.iter().position(|facts| facts.name == *arm).unwrap_or(0);
        html! {
            tr {
                td { (swatch(index, arm)) }
                td.text { (baseline) }
                td { (level(*loss)) }
                td { (format!("{:.3}", value.estimate)) }
                td { (interval(value, Measure::Ratio { loss: Some(*loss) })) }
                td { (format!("{:.1} %", 100.0 * value.censored)) }
            }
        }
    };
    html! {
        details {
            summary { "Ratios over the range: " (summary.ratios.len()) ", not tested" }
            (wide_table(head, summary.ratios.iter().map(row)))
            p.note {
                "Censored: resamples in which the loss fell outside of a measured range. Above 2.5 % an end of the interval is open."
            }
        }
    }
}

/// Ratios by the length of the test, where an arm learns through it.
fn streams(experiment: &Experiment, summary: &Summary) -> Result<Vec<Markup>> {
    let Some(svg) = stream_svg(experiment, summary)? else { return Ok(Vec::new()) };
    let note = html! {
        p.note {
            "What an arm learns from while it is tested counts as its data: the longer the test, the more it has learned from. Each ratio \
             is read at the middle of the losses that both arms reach on so much of the test."
        }
    };
    Ok(vec![PreEscaped(svg), note])
}

fn laws(summary: &Summary) -> Option<Markup> {
    let head = html! { tr { th { "arm" } th { "E" } th { "B" } th { "β" } th { "residual" } } };
    let row = |LawFit { arm, fit }: &LawFit| {
        html! {
            tr {
                td { (arm) }
                @for value in [fit.floor, fit.scale, fit.exponent] { td { (format!("{value:.3}")) } }
                td { (format!("{:.4}", fit.residual)) }
            }
        }
    };
    (!summary.fits.is_empty()).then(|| {
        html! {
            details {
                summary { "Fitted laws L(D) = E + B·D" sup { "−β" } }
                (table(head, summary.fits.iter().map(row)))
            }
        }
    })
}
