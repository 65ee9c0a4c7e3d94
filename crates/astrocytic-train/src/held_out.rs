//! What a model does on held-out data, and which of two models is kept.

use crate::standing::Standing;

/// What a model does on held-out data.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeldOut {
    /// Nats per token, or per answer.
    pub loss: f64,
    /// Share of right answers, where they are counted. Then they decide which weights are kept, and
    /// the loss decides between equal shares.
    pub accuracy: Option<f64>,
}

impl HeldOut {
    /// Whether these weights are kept instead of the best of a run that stands there.
    pub(crate) fn is_better_than(&self, standing: &Standing) -> bool {
        // A stored loss that was not finite comes back as NaN.
        let is_first = standing.best_loss.is_nan() && self.loss.is_finite();
        let is_lower = self.loss < standing.best_loss || is_first;
        match (self.accuracy, standing.best_accuracy) {
            (Some(accuracy), Some(best)) => accuracy > best || accuracy == best && is_lower,
            (Some(_), None) => self.loss.is_finite(),
            (None, _) => is_lower,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accuracy_decides_where_it_is_counted_and_the_loss_among_equals() {
        let standing = |best_loss, best_accuracy| Standing { best_loss, best_accuracy, ..Standing::default() };
        let found = |loss, accuracy| HeldOut { loss, accuracy };
        for (now, before, better) in [
            (found(1.0, None), standing(2.0, None), true),
            (found(2.0, None), standing(2.0, None), false),
            (found(1.0, None), standing(f64::NAN, None), true),
            (found(f64::NAN, None), standing(f64::INFINITY, None), false),
            (found(3.0, Some(0.6)), standing(2.0, Some(0.5)), true),
            (found(1.0, Some(0.4)), standing(2.0, Some(0.5)), false),
            (found(1.0, Some(0.5)), standing(2.0, Some(0.5)), true),
            (found(2.0, Some(0.5)), standing(2.0, Some(0.5)), false),
            (found(2.0, Some(0.0)), standing(f64::INFINITY, None), true),
            (found(f64::NAN, Some(0.0)), standing(f64::INFINITY, None), false),
        ] {
            assert_eq!(now.is_better_than(&before), better, "{now:?} {before:?}");
        }
    }
}
