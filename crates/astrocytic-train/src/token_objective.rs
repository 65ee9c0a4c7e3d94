//! The objective of language models and classifiers: the next tokens, or the answers, of batches of
//! tokens.

use astrocytic_data::{Batches, EvaluationWindows};
use astrocytic_models::DecoderCache;
use burn::optim::GradientsParams;
use burn::tensor::Device;

use crate::config::TrainingConfig;
use crate::evaluate::{self, Counted};
use crate::held_out::HeldOut;
use crate::objective::Objective;
use crate::parallel;
use crate::seed::derive_seed;
use crate::trainable::Trainable;

/// Batches to learn from, and windows that say what was learned.
pub struct TokenObjective<'a> {
    batches: &'a Batches,
    held_out: Option<&'a EvaluationWindows>,
    /// How right answers are counted; `None`: they are not.
    counted: Option<Counted>,
    /// Devices besides the model's.
    others: Vec<Device>,
    seed: u64,
    carry: Option<usize>,
    /// What is carried to the next batch.
    cache: Option<DecoderCache>,
}

impl<'a> TokenObjective<'a> {
    /// Learns from `batches`; dropout is drawn from the configuration's seed, and its `carry` goes
    /// on from batch to batch.
    pub fn new(batches: &'a Batches, config: &TrainingConfig) -> Self {
        let TrainingConfig { seed, carry, .. } = *config;
        Self { batches, held_out: None, counted: None, others: Vec::new(), seed, carry, cache: None }
    }

    /// Evaluates on these windows. Default: none.
    pub fn with_held_out(self, windows: &'a EvaluationWindows) -> Self {
        Self { held_out: Some(windows), ..self }
    }

    /// Counts the right answers in the held-out windows too. Default: not counted.
    pub fn with_accuracy(self, counted: Counted) -> Self {
        Self { counted: Some(counted), ..self }
    }

    /// These devices (with autodiff) take their shares of each batch beside the model's; a model
    /// that carries something from batch to batch stays on one. Default: none.
    pub fn with_devices(self, others: Vec<Device>) -> Self {
        Self { others, ..self }
    }
}

impl<M: Trainable> Objective<M> for TokenObjective<'_> {
    fn gradients(&mut self, model: &M, step: u64) -> (f64, GradientsParams) {
        let batch = self.batches.batch(step);
        let mut cache = self.carry.and_then(|_| {
            let before = self.cache.take().filter(|_| !batch.begins);
            before.or_else(|| model.empty_cache(batch.rows))
        });
        let seed = derive_seed(self.seed, "dropout", step);
        let found = match self.others.as_slice() {
            [] => model.gradients(&batch, cache.as_mut(), seed),
            others => parallel::gradients(model, others, &batch, seed),
        };
        self.cache = cache.zip(self.carry).map(|(cache, most)| cache.truncate(most));
        found
    }

    fn held_out(&mut self, model: &M) -> Option<HeldOut> {
        self.cache = None;
        Some(evaluate::held_out(model, self.held_out?, self.counted, &model.device()))
    }
}
