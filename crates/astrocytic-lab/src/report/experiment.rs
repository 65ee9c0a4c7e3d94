//! What an experiment found, study by study: its page and its text.

use std::collections::BTreeMap;

use maud::{Markup, html};
use serde::{Deserialize, Serialize};

use super::contrast_table::{contrast_cells, interval};
use super::layout::{or_dash, page, table, wide_table};
use super::solved_summary::SolvedSummary;
use super::solved_words;
use super::summary::{Contrast, Measure, Summary, Verdict};
use super::words::{self, level};
use crate::statistics::mean;

/// What an experiment found: `results.json` in its folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanSummary {
    /// What was asked.
    pub question: String,
    /// What was expected.
    pub expected: String,
    /// What is concluded of the primary contrast.
    pub headline: String,
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
        let mut blocks = vec![
            html! { p.facts { "Expected before it was run: " (self.expected) } },
            html! { p.headline { (self.headline) } },
        ];
        blocks.extend(self.solved());
        blocks.extend(self.matrix());
        blocks.extend(self.studies.iter().flat_map(StudySummary::blocks));
        blocks.extend(self.every_contrast());
        if !self.waiting.is_empty() {
            blocks.push(html! { p.partial { "Not begun: " (self.waiting.join(", ")) "." } });
        }
        page(&self.question, "", blocks)
    }

    /// A row for each study of a task that is solved or not, a column for each arm: the examples
    /// with which half of the seeds solve it.
    fn solved(&self) -> Vec<Markup> {
        let studies = || self.studies.iter().filter_map(|study| Some((study, study.summary.solved.as_ref()?)));
        let mut arms: Vec<&str> = Vec::new();
        for (_, solved) in studies() {
            let new: Vec<&str> =
                solved.arms.iter().map(|arm| arm.arm.as_str()).filter(|arm| !arms.contains(arm)).collect();
            arms.extend(new);
        }
        if arms.is_empty() {
            return Vec::new();
        }
        let head = html! { tr { th { "study" } @for arm in &arms { th { (arm) } } } };
        let row = |(study, solved): (&StudySummary, &SolvedSummary)| {
            let of = |name: &str| solved.arms.iter().find(|arm| arm.arm == name).and_then(|arm| arm.d50.as_ref());
            html! {
                tr {
                    td { a href=(study.summary.report) { (study.study) } }
                    @for arm in &arms {
                        td {
                            @if let Some(d50) = of(arm) {
                                (solved_words::d50(d50)) br; span.note { (solved_words::d50_interval(d50)) }
                            }
                        }
                    }
                }
            }
        };
        let note = html! {
            p.note {
                "Unique training examples with which half of the seeds solve the task, with 95 % intervals; \"at least\": more than the \
                 largest size."
            }
        };
        vec![html! { h2 { "Data that solve the tasks" } }, wide_table(head, studies().map(row)), note]
    }

    /// Compared arms, in the order of the first study that has them.
    fn pairs(&self) -> Vec<(&str, &str)> {
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        for contrast in self.contrasts().map(|(_, contrast)| contrast) {
            let pair = (contrast.arm.as_str(), contrast.baseline.as_str());
            if !pairs.contains(&pair) {
                pairs.push(pair);
            }
        }
        pairs
    }

    /// Every contrast with its study.
    fn contrasts(&self) -> impl Iterator<Item = (&StudySummary, &Contrast)> {
        self.studies.iter().flat_map(|study| study.summary.contrasts.iter().map(move |contrast| (study, contrast)))
    }

    /// A row for each pair of arms, a column for each study, and the corpora that agree.
    fn matrix(&self) -> Vec<Markup> {
        let pairs = self.pairs();
        if pairs.is_empty() {
            return Vec::new();
        }
        let head = html! {
            tr {
                th { "arm" } th.text { "compared with" } @for study in &self.studies { th { (study.study) } }
                th.text { "established" }
            }
        };
        let row = |pair: (&str, &str)| {
            html! {
                tr {
                    td { (pair.0) } td.text { (pair.1) }
                    @for study in &self.studies { (study.cell(pair)) }
                    td.text { (self.agreement(pair)) }
                }
            }
        };
        let note = html! {
            p.note {
                "Data ratio: how many times as much data the second arm needs as the first, to reach the loss in small print, with \
                 its 95 % interval; of a task that is solved or not, for half of the seeds to solve it. In a study of one size: the first arm's loss minus the second's, in nats. –: no ratio can be read. Empty: not compared. \
                 What one of two arms alone learns from while it is tested counts as its data. Studies of one corpus are one unit of \
                 evidence: a corpus counts where all of its studies agree after the correction for all comparisons of the file."
            }
        };
        vec![note, wide_table(head, pairs.into_iter().map(row))]
    }

    /// In how many corpora all studies establish that an arm needs less data, or more.
    fn agreement(&self, pair: (&str, &str)) -> String {
        let mut corpora: BTreeMap<&str, Vec<Verdict>> = BTreeMap::new();
        for (study, contrast) in self.contrasts() {
            if (contrast.arm.as_str(), contrast.baseline.as_str()) == pair {
                corpora.entry(&study.summary.corpus.name).or_default().push(contrast.verdict);
            }
        }
        let agree = |verdict: Verdict| corpora.values().filter(|found| found.iter().all(|v| *v == verdict)).count();
        let count = |verdict, word: &str| match agree(verdict) {
            0 => None,
            agree => Some(format!("{word} in {agree} of {}", corpora.len())),
        };
        let found = [count(Verdict::Better, "better"), count(Verdict::Worse, "worse")];
        let found: Vec<String> = found.into_iter().flatten().collect();
        if found.is_empty() { "–".into() } else { found.join(", ") }
    }

    /// Every contrast, sorted by study.
    fn every_contrast(&self) -> Option<Markup> {
        let head = html! {
            tr {
                th { "study" } th.text { "arm" } th.text { "compared with" } th { "at loss" } th { "ratio" }
                th { "95 % interval" } th { "p" } th { "Holm p" } th.text { "verdict" }
            }
        };
        let row = |(study, contrast): (&StudySummary, &Contrast)| html! { tr { td { (study.study) } (contrast_cells(contrast)) } };
        let count = self.contrasts().count();
        (count > 0).then(|| {
            html! {
                h2 { "Every comparison" }
                details { summary { "All " (count) ", by study" } (wide_table(head, self.contrasts().map(row))) }
            }
        })
    }

    /// What is concluded of the primary contrast, in all studies together.
    pub(crate) fn conclusion(&self) -> String {
        if self.studies.is_empty() {
            return "No study has begun.".into();
        }
        let primary: Vec<&Contrast> = self.contrasts().map(|(_, contrast)| contrast).filter(|c| c.primary).collect();
        let Some(first) = primary.first() else {
            let family = self.contrasts().map(|(_, contrast)| contrast.family).max().unwrap_or(0);
            return format!(
                "No primary contrast was named before it was run: all comparisons are secondary, and corrected together ({family})."
            );
        };
        let found = |verdict: Verdict, word: &str| {
            let count = primary.iter().filter(|contrast| contrast.verdict == verdict).count();
            (count > 0).then(|| format!("{word} in {count} of {} studies", primary.len()))
        };
        let is_bound = |contrast: &&&Contrast| contrast.is_bound_above_one();
        let bounded = primary.iter().filter(is_bound).count();
        let bounds = (bounded > 0)
            .then(|| format!("fewer examples by a bound, not tested, in {bounded} of {} studies", primary.len()));
        let studies: Vec<String> =
            [found(Verdict::Better, "better"), found(Verdict::Worse, "worse"), bounds].into_iter().flatten().collect();
        let studies = if studies.is_empty() { "established in no study".into() } else { studies.join(", ") };
        let corpora = match self.agreement((&first.arm, &first.baseline)).as_str() {
            "–" => "in no corpus do all studies agree".to_string(),
            agree => format!("{agree} corpora, where all studies agree"),
        };
        // A bound is not tested, so that nothing is there to agree.
        let corpora = if bounded > 0 { String::new() } else { format!("; {corpora}") };
        format!("Primary contrast: {} against {}: {studies}{corpora}.", first.arm, first.baseline)
    }
}

impl Contrast {
    /// Whether the baseline needs more examples to solve the task than were tried, and more than the
    /// arm by all of its interval.
    fn is_bound_above_one(&self) -> bool {
        let low = self.value.as_ref().and_then(|value| value.interval[0]);
        let is_solved = matches!(self.measure, Measure::Solved { .. });
        is_solved && self.verdict == Verdict::Bounded && low.is_some_and(|low| low > 1.0)
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
        let figures = if self.summary.ratios.is_empty() && self.summary.solved.is_none() {
            self.arms()
        } else {
            html! {}
        };
        [
            html! { h2 { a href=(self.summary.report) { (self.study) } } },
            facts,
            html! { p.headline { (self.summary.headline) } },
            figures,
        ]
    }

    /// What is tested of a pair of arms.
    fn cell(&self, (arm, baseline): (&str, &str)) -> Markup {
        let is_it = |contrast: &&Contrast| contrast.arm == arm && contrast.baseline == baseline;
        let Some(contrast) = self.summary.contrasts.iter().find(is_it) else { return html! { td {} } };
        let Some(value) = &contrast.value else { return html! { td { "–" } } };
        let (figure, at) = match contrast.measure {
            Measure::Ratio { loss } => {
                let figure = if value.is_bound() { "–".into() } else { format!("{:.2}", value.estimate) };
                (figure, loss.map_or(String::new(), level))
            }
            Measure::Difference { tokens } => (format!("{:+.3}", value.estimate), words::tokens(tokens as f64)),
            Measure::Solved { .. } => (solved_words::ratio(value), String::new()),
        };
        let is_sure = matches!(contrast.verdict, Verdict::Better | Verdict::Worse);
        html! {
            td class=[is_sure.then_some("best")] {
                (figure) br; span.note { (interval(value, contrast.measure)) @if !at.is_empty() { br; "at " (at) } }
            }
        }
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
        writeln!(f, "{}\n{}", self.question, self.headline)?;
        for study in &self.studies {
            writeln!(f, "\n{}: {}", study.study, study.summary.headline)?;
        }
        if !self.waiting.is_empty() {
            writeln!(f, "\nnot begun: {}", self.waiting.join(", "))?;
        }
        write!(f, "\nReport: {}", self.report)
    }
}
