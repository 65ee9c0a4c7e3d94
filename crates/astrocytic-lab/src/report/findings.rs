//! What a study found, in sentences: the size of a difference first, then its doubt.

use super::contrasts::{FEWEST_DOCUMENTS, FEWEST_SEEDS};
use super::solved_words;
use super::summary::{Contrast, Measure, Summary, Verdict};
use super::words::{held_out, level, p_value, tokens};
use crate::results::Role;
use crate::statistics::Estimate;

impl Summary {
    /// A sentence for the primary contrast, for each astrocytic arm against the baseline, and for
    /// whatever else is established; a study without these compares its controls.
    pub fn findings(&self) -> Vec<String> {
        let has_role = |name: &str, role| self.arms.iter().any(|arm| arm.name == name && arm.role == role);
        let is_told = |contrast: &&Contrast| {
            contrast.primary
                || matches!(contrast.verdict, Verdict::Better | Verdict::Worse)
                || has_role(&contrast.arm, Role::Astrocytic) && has_role(&contrast.baseline, Role::Baseline)
        };
        let mut told: Vec<&Contrast> = self.contrasts.iter().filter(is_told).collect();
        if told.is_empty() {
            told = self.contrasts.iter().collect();
        }
        told.into_iter().map(|contrast| self.finding(contrast)).collect()
    }

    fn finding(&self, contrast: &Contrast) -> String {
        let kind = if contrast.primary { "Primary contrast: " } else { "" };
        let found = match (&contrast.value, contrast.measure) {
            (_, Measure::Solved { .. }) => self.solved_in_words(contrast),
            (Some(value), Measure::Ratio { loss: Some(loss) }) => self.ratio_in_words(contrast, value, loss),
            (Some(value), Measure::Difference { tokens }) => {
                let why = "with one size of data no ratio can be taken";
                self.difference_in_words(contrast, value, tokens, why)
            }
            _ => self.without_ratio(contrast),
        };
        format!("{kind}{found}")
    }

    /// How many examples both need to solve the task.
    fn solved_in_words(&self, contrast: &Contrast) -> String {
        let arms = || self.solved.iter().flat_map(|solved| &solved.arms);
        let of = |name: &str| arms().find(|arm| arm.arm == name)?.d50.as_ref();
        let most_steps = self.solved.as_ref().map_or(0, |solved| solved.most_steps);
        let found =
            solved_words::finding(contrast, [of(&contrast.arm), of(&contrast.baseline)], &self.corpus, most_steps);
        match &contrast.value {
            Some(value) if value.p.is_some() => {
                format!("{found}{}.", doubt(contrast, value, 1.0, self.corpus.test_unit()))
            }
            Some(_) => format!("{found}."),
            None => found,
        }
    }

    fn ratio_in_words(&self, contrast: &Contrast, value: &Estimate, loss: f64) -> String {
        let Contrast { arm, baseline, .. } = contrast;
        let reach = format!("to reach a {} of {} {}", held_out(self.search), level(loss), self.corpus.per());
        let learned = self.learned_in_words(contrast);
        let r = value.estimate;
        let bound = match value.interval {
            [Some(low), None] => Some(format!("at least {low:.2}")),
            [None, Some(high)] => Some(format!("at most {high:.2}")),
            _ => None,
        };
        if let Some(bound) = bound {
            return format!(
                "{baseline} needs {bound} times the data that {arm} needs {reach}{learned}: the loss is near the end of what was \
                 measured or beyond it, so the ratio has one bound and is not tested."
            );
        }
        let doubt = doubt(contrast, value, 1.0, self.corpus.test_unit());
        format!(
            "{baseline} needs {r:.2} times the data that {arm} needs {reach}{learned} ({}){doubt}.",
            interval(value)
        )
    }

    /// The tokens of the test that count as data, in words.
    fn learned_in_words(&self, contrast: &Contrast) -> String {
        let learner = if contrast.learned > 0 { &contrast.arm } else { &contrast.baseline };
        match contrast.learned {
            0 => String::new(),
            count => format!(
                ", counting the {} tokens of the test that {learner} has learned from on average",
                tokens(count.unsigned_abs() as f64)
            ),
        }
    }

    /// What can be said where no ratio can be read.
    fn without_ratio(&self, contrast: &Contrast) -> String {
        let Contrast { arm, baseline, .. } = contrast;
        let is_it = |d: &&super::summary::Difference| d.arm == *arm && d.baseline == *baseline;
        let Some(found) = self.differences.iter().rfind(is_it) else {
            return format!("{arm} and {baseline} have no run in common yet.");
        };
        let why = match contrast.measure {
            Measure::Ratio { loss: Some(loss) } => {
                format!("a {} of {} lies outside of what was measured", held_out(self.search), level(loss))
            }
            _ => "no ratio can be read".into(),
        };
        self.difference_in_words(contrast, &found.value, found.tokens, &why)
    }

    fn difference_in_words(&self, contrast: &Contrast, value: &Estimate, size: u64, why: &str) -> String {
        let doubt = match contrast.measure {
            Measure::Difference { .. } => doubt(contrast, value, 0.0, self.corpus.test_unit()),
            Measure::Ratio { .. } | Measure::Solved { .. } => ", not tested".into(),
        };
        format!(
            "At {} unique {} the {} of {} minus that of {} is {:+.3} {} ({}){doubt}; {why}.",
            tokens(size as f64),
            self.corpus.unit(),
            held_out(self.search),
            contrast.arm,
            contrast.baseline,
            value.estimate,
            self.corpus.per(),
            match value.ends() {
                Some([low, high]) => format!("95 % interval {low:+.3} to {high:+.3}"),
                None => interval(value),
            }
        )
    }
}

/// An interval in words.
fn interval(value: &Estimate) -> String {
    match value.ends() {
        Some([low, high]) => format!("95 % interval {low:.2} to {high:.2}"),
        None if value.seeds < 2 => "one seed, no interval".into(),
        None => "no interval".into(),
    }
}

/// What is concluded; `none` is the value without an effect, `units` what a test consists of.
fn doubt(contrast: &Contrast, value: &Estimate, none: f64, units: &str) -> String {
    match (contrast.verdict, contrast.p_holm) {
        (Verdict::Better | Verdict::Worse, Some(p)) if contrast.family > 1 => {
            format!(", Holm p {} over {} comparisons", p_value(p), contrast.family)
        }
        (Verdict::Better | Verdict::Worse, Some(p)) => format!(", p {}", p_value(p)),
        (_, Some(_)) if !value.holds(none) && value.documents < FEWEST_DOCUMENTS => {
            format!(": not established, because the test has {} {units}", value.documents)
        }
        (_, Some(_)) if !value.holds(none) && value.seeds < FEWEST_SEEDS => {
            format!(": not established, because there are {} seeds", value.seeds)
        }
        (_, Some(p)) if !value.holds(none) => {
            format!(
                ": not established, because over {} comparisons it may be chance, Holm p {}",
                contrast.family,
                p_value(p)
            )
        }
        _ => ": no difference established".into(),
    }
}
