//! How a model is trained.

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use crate::standing::Standing;

/// How a model is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingConfig {
    /// Peak learning rate.
    pub learning_rate: f64,
    /// AdamW's decoupled weight decay, on matrices only.
    pub weight_decay: f64,
    /// Optimizer steps at most.
    pub steps: u64,
    /// Share of the steps over which the rate rises to its peak.
    pub warmup: f64,
    /// Largest global norm of the gradient.
    pub clip: f64,
    /// Steps between evaluations.
    pub evaluate_every: u64,
    /// Evaluations without better weights after which training stops; 0 never stops early.
    pub patience: u64,
    /// Seed of initial weights, batch order and dropout.
    pub seed: u64,
    /// What the model remembers goes on from window to window until the next evaluation (so that a
    /// run can go on from there) or epoch, of keys and values those of so many tokens; `None`: each
    /// window begins anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carry: Option<usize>,
    /// Held-out accuracy at which training ends; then the right answers are counted, and the weights
    /// with the most of them are kept. `None`: they are not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_at_accuracy: Option<f64>,
}

/// How long a run is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Length {
    /// Optimizer steps at most.
    pub steps: u64,
    /// Steps between evaluations.
    pub evaluate_every: u64,
    /// Evaluations without better weights after which training stops; 0 never stops early.
    pub patience: u64,
    /// Held-out accuracy at which training stops, where answers are counted.
    pub stop_at_accuracy: Option<f64>,
}

impl Length {
    /// Whether a run that stands there is over.
    pub(crate) fn is_over(&self, standing: &Standing) -> bool {
        let is_solved = self.stop_at_accuracy.zip(standing.best_accuracy).is_some_and(|(at, best)| best >= at);
        standing.step >= self.steps || self.patience > 0 && standing.since_best >= self.patience || is_solved
    }

    /// Whether the model is evaluated, and a checkpoint stored, after that step.
    pub(crate) fn is_evaluated_at(&self, step: u64) -> bool {
        step.is_multiple_of(self.evaluate_every) || step == self.steps
    }
}

impl TrainingConfig {
    /// How long the run is.
    pub fn length(&self) -> Length {
        let Self { steps, evaluate_every, patience, stop_at_accuracy, .. } = *self;
        Length { steps, evaluate_every, patience, stop_at_accuracy }
    }

    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// One line with the field, its value and what would do.
    pub fn validate(&self) -> Result<()> {
        let Self { learning_rate, weight_decay, steps, warmup, clip, evaluate_every, .. } = *self;
        if steps == 0 || evaluate_every == 0 {
            bail!("training: steps = {steps} and evaluate_every = {evaluate_every} must be above 0");
        }
        if !(learning_rate > 0.0 && learning_rate <= 1.0) {
            bail!("learning rate {learning_rate} must be above 0 and at most 1");
        }
        if !(0.0..=100.0).contains(&weight_decay) {
            bail!("weight decay {weight_decay} must be between 0 and 100");
        }
        if !(clip > 0.0 && clip.is_finite() && (0.0..1.0).contains(&warmup)) {
            bail!("clip = {clip} must be above 0 and warmup = {warmup} in [0, 1)");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_ends_with_its_steps_its_patience_or_its_accuracy() {
        let length = Length { steps: 10, evaluate_every: 2, patience: 2, stop_at_accuracy: Some(0.9) };
        let over = |step, since_best, best_accuracy| {
            length.is_over(&Standing { step, since_best, best_accuracy, ..Standing::default() })
        };
        assert!(over(10, 0, None) && over(4, 2, Some(0.1)) && over(4, 0, Some(0.9)));
        assert!(!over(8, 1, Some(0.89)) && !over(0, 0, None));
        // As they were stored before answers were counted.
        let old = r#"{"step":4,"best_step":2,"best_loss":1.5,"since_best":1,"seconds":2.0}"#;
        let old: Standing = serde_json::from_str(old).unwrap();
        assert_eq!((old.best_step, old.best_accuracy), (2, None));
        assert!(!serde_json::to_string(&old).unwrap().contains("accuracy"));
    }
}
