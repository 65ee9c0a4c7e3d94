//! Data ratios and fitted laws.

use anyhow::Result;
use maud::{Markup, PreEscaped, html};

use crate::report::figures::ratio_panels;
use crate::report::layout::{or_dash, swatch, table, wide_table};
use crate::report::summary::{LawFit, Ratio, Summary};
use crate::report::words::level;
use crate::results::Experiment;
use crate::statistics::REPLICATES;

/// Figures and tables of the data ratios.
pub(super) fn ratios(experiment: &Experiment, summary: &Summary) -> Result<Vec<Markup>> {
    let mut blocks = vec![html! { h2 { "Data efficiency" } }];
    if summary.ratios.is_empty() {
        let why = if experiment.sizes.len() < 2 {
            "A ratio needs at least two sizes of data."
        } else {
            "The measured losses of no two arms overlap yet, and nothing is extrapolated."
        };
        blocks.push(html! { p { (why) } });
        return Ok(blocks);
    }
    blocks.extend(ratio_panels(experiment, summary)?.into_iter().map(|(_, svg)| PreEscaped(svg)));
    blocks.push(html! {
        p.note {
            "r(L) = D(compared with) / D(arm): how many times more unique data the other needs to reach the same test loss L, read \
             off inside the measured range only. Bars: 95 % intervals from "
            (REPLICATES)
            " bootstrap resamples of seeds and of test documents, the same for both arms, widened for few seeds (Student's t)."
        }
    });
    blocks.push(every_ratio(experiment, summary));
    blocks.extend(laws(summary));
    Ok(blocks)
}

fn every_ratio(experiment: &Experiment, summary: &Summary) -> Markup {
    let head = html! {
        tr {
            th { "arm" } th.text { "compared with" } th { "loss" } th { "r" } th { "95 % interval" } th { "Holm p" }
            th { "censored" }
        }
    };
    let row = |Ratio { arm, baseline, loss, value, p_holm }: &Ratio| {
        let p = |p| if p < 0.001 { "< 0.001".into() } else { format!("{p:.3}") };
        let index = experiment.arms.iter().position(|facts| facts.name == *arm).unwrap_or(0);
        html! {
            tr {
                td { (swatch(index, arm)) }
                td.text { (baseline) }
                td { (level(*loss)) }
                td { (format!("{:.3}", value.estimate)) }
                td { (or_dash(value.interval, |[low, high]| format!("{low:.2} to {high:.2}"))) }
                td { (or_dash(*p_holm, p)) }
                td { (format!("{:.1} %", 100.0 * value.censored)) }
            }
        }
    };
    html! {
        details {
            summary { "All " (summary.ratios.len()) " ratios" }
            (wide_table(head, summary.ratios.iter().map(row)))
            p.note {
                "Holm p: of r = 1, corrected over all these ratios. Censored: resamples in which the loss fell outside a measured \
                 range and counted with its end; above 2.5 % the interval may in truth reach further."
            }
        }
    }
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
