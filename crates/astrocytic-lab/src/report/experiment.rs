//! What an experiment found, study by study: its page and its text.

use serde::{Deserialize, Serialize};

use super::page::{STYLE, escape};
use super::summary::{Ratio, Summary};

/// What a plan found: `results.json` in its folder.
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
        let mut page = format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
             content=\"width=device-width\"><title>{0}</title><style>{1}</style></head><body>\n<h1>{0}</h1>\n\
             <p class=\"facts\">Expected before it was run: {2}</p>\n",
            escape(&self.question),
            STYLE,
            escape(&self.expected)
        );
        page += &self.middle_ratios();
        for study in &self.studies {
            let [width, layers, heads] = study.model;
            page += &format!(
                "<h2><a href=\"{0}\">{1}</a></h2>\n<p class=\"facts\">{2}, {width} wide, {layers} layers, {heads} head{6}; \
                 {3} of {4} final runs</p>\n<p class=\"headline\">{5}</p>\n",
                escape(&study.summary.report),
                escape(&study.study),
                escape(&study.summary.corpus.name),
                study.summary.final_runs[0],
                study.summary.final_runs[1],
                escape(&study.summary.headline),
                if heads == 1 { "" } else { "s" }
            );
            if study.summary.ratios.is_empty() {
                page += &study.arms();
                continue;
            }
            page += "<details><summary>Every data ratio</summary><table><tr><th>arm</th><th class=\"text\">against</th><th>loss</th>\
                     <th>data ratio</th><th>95 % interval</th></tr>\n";
            for ratio in &study.summary.ratios {
                let interval =
                    ratio.value.interval.map_or("–".into(), |[low, high]| format!("{low:.2} to {high:.2}"));
                page += &format!(
                    "<tr><td>{}</td><td class=\"text\">{}</td><td>{:.3}</td><td>{:.2}</td><td>{interval}</td></tr>\n",
                    escape(&ratio.arm),
                    escape(&ratio.baseline),
                    ratio.loss,
                    ratio.value.estimate
                );
            }
            page += "</table></details>\n";
        }
        if !self.waiting.is_empty() {
            page += &format!("<p class=\"partial\">Not begun: {}.</p>\n", escape(&self.waiting.join(", ")));
        }
        page + "</body></html>\n"
    }
}

impl StudySummary {
    /// The arms at the largest size, where no ratio can be taken.
    fn arms(&self) -> String {
        let mut table = String::from("<table><tr><th>arm</th><th>test loss</th><th>accuracy</th></tr>\n");
        for arm in &self.summary.arms {
            let Some((size, mean)) = arm.sizes.last().and_then(|size| Some((size, size.mean?))) else { continue };
            let right = &size.accuracies;
            let accuracy = match right.len() {
                0 => "–".into(),
                count => format!("{:.1} %", 100.0 * right.iter().sum::<f64>() / count as f64),
            };
            table += &format!("<tr><td>{}</td><td>{mean:.3}</td><td>{accuracy}</td></tr>\n", escape(&arm.name));
        }
        table + "</table>\n"
    }
}

impl PlanSummary {
    /// A row for each pair of arms, a column for each study: the ratio at the middle of the losses that both reach.
    fn middle_ratios(&self) -> String {
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        for ratio in self.studies.iter().flat_map(|study| &study.summary.ratios) {
            let pair = (ratio.arm.as_str(), ratio.baseline.as_str());
            if !pairs.contains(&pair) {
                pairs.push(pair);
            }
        }
        if pairs.is_empty() {
            return String::new();
        }
        let names: String = self.studies.iter().map(|study| format!("<th>{}</th>", escape(&study.study))).collect();
        let mut table = format!(
            "<p class=\"note\">Data ratio at the middle of the losses that both arms reach, with its 95 % interval: how many times the \
             data of the arm the one that it is held against needs. –: they reach none in common.</p>\n<div class=\"wide\"><table>\
             <tr><th>arm</th><th class=\"text\">against</th>{names}</tr>\n"
        );
        for (arm, baseline) in pairs {
            let cell = |study: &StudySummary| {
                let is_of = |ratio: &&Ratio| ratio.arm == arm && ratio.baseline == baseline;
                let ratios: Vec<_> = study.summary.ratios.iter().filter(is_of).collect();
                let Some(ratio) = ratios.get(ratios.len() / 2) else { return "<td>–</td>".into() };
                let interval = ratio.value.interval.map_or(String::new(), |[low, high]| {
                    format!("<br><span class=\"note\">{low:.2}&nbsp;to&nbsp;{high:.2}</span>")
                });
                format!("<td>{:.2}{interval}</td>", ratio.value.estimate)
            };
            let cells: String = self.studies.iter().map(cell).collect();
            table += &format!("<tr><td>{}</td><td class=\"text\">{}</td>{cells}</tr>\n", escape(arm), escape(baseline));
        }
        table + "</table></div>\n"
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
