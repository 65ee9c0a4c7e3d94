//! What a study found and what is to be doubted, in sentences.

use super::summary::{ArmSummary, Ratio, SizeSummary, Summary};
use super::words::{held_out, level, tokens};
use crate::results::Role;

impl Summary {
    /// A sentence for each comparison: every astrocytic arm with the baseline, then with every
    /// control. A study without astrocytic arms compares its controls with the baseline.
    pub fn findings(&self) -> Vec<String> {
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        for difference in &self.differences {
            let pair = (difference.arm.as_str(), difference.baseline.as_str());
            let astrocytic = |arm: &&ArmSummary| arm.name == pair.0 && arm.role == Role::Astrocytic;
            if self.arms.iter().find(astrocytic).is_some() && !pairs.contains(&pair) {
                pairs.push(pair);
            }
        }
        if pairs.is_empty() {
            // Controls alone: each against the baseline.
            pairs = self.differences.iter().map(|d| (d.arm.as_str(), d.baseline.as_str())).collect();
            pairs.dedup();
        }
        pairs.into_iter().map(|(arm, baseline)| self.finding(arm, baseline)).collect()
    }

    /// The ratio at the middle one of the measured losses, or the difference at equal data if there
    /// is no ratio.
    fn finding(&self, arm: &str, baseline: &str) -> String {
        let ratios: Vec<&Ratio> = self.ratios.iter().filter(|r| r.arm == arm && r.baseline == baseline).collect();
        let Some(ratio) = ratios.get(ratios.len() / 2) else { return self.difference_in_words(arm, baseline) };
        let (r, loss, per) = (ratio.value.estimate, level(ratio.loss), self.corpus.per());
        let of = held_out(self.search);
        let Some([low, high]) = ratio.value.interval else {
            return format!(
                "{baseline} needed {r:.2} times the data of {arm} to reach a {of} of {loss} {per}, with one seed: an \
                 interval wants at least two, so no difference is established."
            );
        };
        let mut interval = format!("95 % interval {low:.2} to {high:.2}");
        if ratio.value.censored > 0.025 {
            interval += ", which may reach further: the loss is near the end of what was measured";
        }
        let fact = format!(
            "to reach a {of} of {loss} {per} {baseline} needs {r:.2} times the data that {arm} needs ({interval})"
        );
        if (low..=high).contains(&1.0) {
            return format!("No difference established between {arm} and {baseline}: {fact}; the interval contains 1.");
        }
        let less = if r > 1.0 { "less" } else { "more" };
        match ratio.p_holm {
            Some(p) if p >= 0.05 => format!(
                "Not established: {arm} needs {less} data than {baseline}; {fact}, but corrected for the {} comparisons of \
                 this report it may be chance (Holm p = {p:.2}).",
                self.ratios.len()
            ),
            _ => format!("{arm} needs {less} data than {baseline}: {fact}."),
        }
    }

    /// Arms and sizes whose best hyperparameters the grid or the evaluations may have missed.
    pub fn doubts(&self) -> Vec<String> {
        let short = "Still improving at the last step of the longest schedule of the grid, so that more steps might lower \
                     the loss";
        let early = "Best at the first evaluation, so that an earlier stop might have done better";
        let doubt = |text: &str, holds: fn(&SizeSummary) -> bool| {
            let at = |arm: &ArmSummary| {
                let sizes: Vec<_> =
                    arm.sizes.iter().filter(|size| holds(size)).map(|size| tokens(size.tokens as f64)).collect();
                (!sizes.is_empty()).then(|| format!("{} at {}", arm.name, sizes.join(", ")))
            };
            let found: Vec<String> = self.arms.iter().filter_map(at).collect();
            (!found.is_empty()).then(|| format!("{text}: {}.", found.join("; ")))
        };
        let found = [doubt(short, |size| size.wants_more_steps), doubt(early, |size| size.stops_at_once)];
        found.into_iter().flatten().collect()
    }

    /// Why there is no ratio if an arm with the fewest data beats another with the most.
    fn beyond_measure(&self, arm: &str, baseline: &str) -> Option<String> {
        let ends = |name: &str| {
            let sizes = &self.arms.iter().find(|arm| arm.name == name)?.sizes;
            Some((sizes.first()?, sizes.last()?))
        };
        let (few, many) = (ends(arm)?.0, ends(baseline)?.1);
        let (of_few, of_many) = (few.mean?, many.mean?);
        (of_few <= of_many).then(|| {
            format!(
                "the ratio is at the end of what was measured or beyond: with {} {arm} is at {of_few:.3}, with {} {baseline} is at {of_many:.3}",
                tokens(few.tokens as f64),
                tokens(many.tokens as f64)
            )
        })
    }

    fn difference_in_words(&self, arm: &str, baseline: &str) -> String {
        let Some(found) = self.differences.iter().rfind(|d| d.arm == arm && d.baseline == baseline) else {
            return format!("{arm} and {baseline} have no run in common yet.");
        };
        let sizes = self.differences.iter().filter(|d| d.arm == arm && d.baseline == baseline).count();
        let why = if sizes < 2 {
            "with one size of data no ratio can be taken".into()
        } else {
            self.beyond_measure(arm, baseline)
                .unwrap_or("the measured losses of the two do not overlap, so no ratio can be taken".into())
        };
        let value = &found.value;
        let verdict = match value.interval {
            Some([low, high]) if low <= 0.0 && high >= 0.0 => {
                format!(" (95 % interval {low:+.3} to {high:+.3}, which contains 0): no difference established")
            }
            Some([low, high]) => {
                format!(" (95 % interval {low:+.3} to {high:+.3}, not corrected for other comparisons)")
            }
            None => ", with one seed: no difference established".into(),
        };
        format!(
            "At {} unique {} the {} of {arm} minus that of {baseline} is {:+.3} {}{verdict}; {why}.",
            tokens(found.tokens as f64),
            self.corpus.unit(),
            held_out(self.search),
            value.estimate,
            self.corpus.per()
        )
    }
}
