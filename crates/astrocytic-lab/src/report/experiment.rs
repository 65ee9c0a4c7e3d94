//! What an experiment found, study by study: its page and its text.

use maud::{Markup, PreEscaped, html};
use serde::{Deserialize, Serialize};

use super::layout::{or_dash, page, table, wide_table};
use super::summary::{Ratio, Summary};
use crate::statistics::mean;

/// What an experiment found: `results.json` in its folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanSummary {
    /// What was asked.
    pub question: String,
    /// What was expected.
    pub expected: String,
    /// Every study that has begun.
    pub studies: Vec<StudySummary>,
    /// Studies that have not.
    pub waiting: Vec<String>,
    /// Path of the page.
    pub report: String,
}

/// What a study found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StudySummary {
    /// Its name.
    pub study: String,
    /// Width, layers and heads of its models.
    pub model: [usize; 3],
    /// As the study's own results.json.
    #[serde(flatten)]
    pub summary: Summary,
}

impl PlanSummary {
    /// The page.
    pub(crate) fn page(&self) -> String {
        let mut blocks = vec![html! { p.facts { "Expected before it was run: " (self.expected) } }];
        blocks.extend(self.middle_ratios());
        blocks.extend(self.studies.iter().flat_map(StudySummary::blocks));
        if !self.waiting.is_empty() {
            blocks.push(html! { p.partial { "Not begun: " (self.waiting.join(", ")) "." } });
        }
        page(&self.question, "", blocks)
    }

    /// A table of the ratio at the middle of the losses that both arms reach: a row for each pair
    /// of arms, a column for each study.
    fn middle_ratios(&self) -> Vec<Markup> {
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        for ratio in self.studies.iter().flat_map(|study| &study.summary.ratios) {
            let pair = (ratio.arm.as_str(), ratio.baseline.as_str());
            if !pairs.contains(&pair) {
                pairs.push(pair);
            }
        }
        if pairs.is_empty() {
            return Vec::new();
        }
        let head = html! {
            tr { th { "arm" } th.text { "compared with" } @for study in &self.studies { th { (study.study) } } }
        };
        let row = |pair: (&str, &str)| {
            html! {
                tr {
                    td { (pair.0) } td.text { (pair.1) }
                    @for study in &self.studies { (study.middle_ratio(pair)) }
                }
            }
        };
        let note = html! {
            p.note {
                "Data ratio at the middle of the losses that both arms reach, with its 95 % interval: how many times as much data the \
                 second arm needs as the first. –: the two reach no loss in common."
            }
        };
        vec![note, wide_table(head, pairs.into_iter().map(row))]
    }
}

impl StudySummary {
    /// Its headline, and every ratio of it.
    fn blocks(&self) -> [Markup; 4] {
        let ([width, layers, heads], Summary { final_runs: [done, all], .. }) = (self.model, &self.summary);
        let facts = html! {
            p.facts {
                (self.summary.corpus.name) ", " (width) " wide, " (layers) " layers, " (heads) " head" @if heads != 1 { "s" }
                "; " (done) " of " (all) " final runs"
            }
        };
        let figures = if self.summary.ratios.is_empty() { self.arms() } else { self.every_ratio() };
        [
            html! { h2 { a href=(self.summary.report) { (self.study) } } },
            facts,
            html! { p.headline { (self.summary.headline) } },
            figures,
        ]
    }

    /// The ratio of a pair of arms at the middle of the losses that both reach.
    fn middle_ratio(&self, (arm, baseline): (&str, &str)) -> Markup {
        let is_of = |ratio: &&Ratio| ratio.arm == arm && ratio.baseline == baseline;
        let ratios: Vec<_> = self.summary.ratios.iter().filter(is_of).collect();
        let Some(Ratio { value, .. }) = ratios.get(ratios.len() / 2) else { return html! { td { "–" } } };
        html! {
            td {
                (format!("{:.2}", value.estimate))
                @if let Some([low, high]) = value.interval {
                    br; span.note { (format!("{low:.2}")) (PreEscaped("&nbsp;to&nbsp;")) (format!("{high:.2}")) }
                }
            }
        }
    }

    fn every_ratio(&self) -> Markup {
        let head = html! {
            tr { th { "arm" } th.text { "compared with" } th { "loss" } th { "data ratio" } th { "95 % interval" } }
        };
        let row = |Ratio { arm, baseline, loss, value, .. }: &Ratio| {
            html! {
                tr {
                    td { (arm) } td.text { (baseline) } td { (format!("{loss:.3}")) } td { (format!("{:.2}", value.estimate)) }
                    td { (or_dash(value.interval, |[low, high]| format!("{low:.2} to {high:.2}"))) }
                }
            }
        };
        html! { details { summary { "Every data ratio" } (table(head, self.summary.ratios.iter().map(row))) } }
    }

    /// Loss and accuracy of every arm at the largest size, for a study without ratios.
    fn arms(&self) -> Markup {
        let head = html! { tr { th { "arm" } th { "test loss" } th { "accuracy" } } };
        let rows = self.summary.arms.iter().filter_map(|arm| {
            let size = arm.sizes.last()?;
            let (loss, accuracy) = (size.mean?, mean(&size.accuracies));
            Some(html! {
                tr {
                    td { (arm.name) } td { (format!("{loss:.3}")) }
                    td { (or_dash(accuracy, |accuracy| format!("{:.1} %", 100.0 * accuracy))) }
                }
            })
        });
        table(head, rows)
    }
}

impl std::fmt::Display for PlanSummary {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        writeln!(f, "{}", self.question)?;
        for study in &self.studies {
            writeln!(f, "\n{}: {}", study.study, study.summary.headline)?;
        }
        if !self.waiting.is_empty() {
            writeln!(f, "\nnot begun: {}", self.waiting.join(", "))?;
        }
        write!(f, "\nReport: {}", self.report)
    }
}
