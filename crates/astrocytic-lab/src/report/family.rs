//! Correction for the number of comparisons. A file fixes two families: its primary contrast in all
//! studies, and all other contrasts in all studies. One that cannot be estimated stays in.

use super::contrasts::verdict;
use super::summary::{Contrast, Measure, Summary};
use crate::statistics::holm;

/// Corrects the contrasts of all studies of a file, and draws the conclusions. `waiting`: how many
/// contrasts, primary ones and others, the studies have that have not begun.
pub(super) fn correct(studies: &mut [Summary], waiting: [usize; 2]) {
    for (primary, waiting) in [true, false].into_iter().zip(waiting) {
        let contrasts = studies.iter_mut().flat_map(|study| &mut study.contrasts);
        let mut family: Vec<&mut Contrast> = contrasts.filter(|contrast| contrast.primary == primary).collect();
        let mut p: Vec<Option<f64>> = family.iter().map(|contrast| contrast.value.as_ref()?.p).collect();
        p.resize(p.len() + waiting, None);
        for (contrast, p_holm) in family.iter_mut().zip(holm(&p)) {
            contrast.family = p.len();
            contrast.p_holm = p_holm;
            contrast.verdict = verdict(contrast.value.as_ref(), p_holm, contrast.favours_arm());
        }
    }
}

impl Contrast {
    /// Whether the arm needs less data, or has the lower loss, as estimated.
    fn favours_arm(&self) -> bool {
        self.value.as_ref().is_some_and(|value| match self.measure {
            Measure::Ratio { .. } | Measure::Solved { .. } => value.estimate > 1.0,
            Measure::Difference { .. } => value.estimate < 0.0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::summarize::figures;
    use crate::report::summary::Verdict;
    use crate::report::synthetic::standard;

    #[test]
    fn a_family_is_that_of_the_file() {
        let (mut experiment, lines) = standard();
        let mut alone = [figures(&experiment, &lines)];
        correct(&mut alone, [0, 0]);
        let count = alone[0].contrasts.len();
        assert!(alone[0].contrasts.iter().all(|contrast| !contrast.primary && contrast.family == count));
        experiment.config["primary"] = serde_json::json!({ "arm": "tripartite", "baseline": "vanilla" });
        let mut both = [figures(&experiment, &lines), figures(&experiment, &lines)];
        correct(&mut both, [0, 0]);
        let primary = &both[0].contrasts[0];
        assert!(primary.primary && primary.family == 2 && primary.arm == "tripartite");
        assert!(both[0].contrasts[1..].iter().all(|contrast| contrast.family == 2 * (count - 1)));
        // A study without a run takes no comparison out of the family.
        let mut empty = [figures(&experiment, &lines), figures(&experiment, &[])];
        correct(&mut empty, [0, 0]);
        assert_eq!(empty[0].contrasts[0].family, 2);
        // Nor does one that has not begun.
        let mut begun = [figures(&experiment, &lines)];
        correct(&mut begun, [1, count - 1]);
        assert_eq!(begun[0].contrasts, empty[0].contrasts);
        assert_eq!(empty[1].contrasts[0].verdict, Verdict::NotMeasured);
        assert_eq!(empty[0].contrasts[0].p_holm, empty[0].contrasts[0].value.as_ref().unwrap().p.map(|p| 2.0 * p));
    }
}
