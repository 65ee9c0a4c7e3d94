//! A probe: what a linear classifier reads from embeddings of labelled texts.

use std::path::Path;

use anyhow::{Result, bail};
use astrocytic_attention::ops::cross_entropy;
use astrocytic_data::labelled::{self, LabelledFile, LabelledPath, Labels};
use astrocytic_train::config::Length;
use astrocytic_train::learner::Learner;
use astrocytic_train::objective::Loss;
use astrocytic_train::observer::Observer;
use astrocytic_train::seed::derive_seed;
use astrocytic_train::train::Run;
use burn::nn::{Linear, LinearConfig};
use burn::optim::AdamWConfig;
use burn::tensor::Tensor;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::conversion::note;

/// Steps of a probe's training.
const PROBE_STEPS: u64 = 300;
/// Their rate.
const PROBE_RATE: f64 = 1e-2;

/// Labelled texts, those to train a probe on first.
pub(super) struct Labelled {
    pub(super) name: String,
    pub(super) texts: Vec<String>,
    pub(super) classes: Vec<i32>,
    /// Number of classes.
    pub(super) count: usize,
    /// Number of texts to train on.
    pub(super) train: usize,
}

/// Reads labelled texts in any form that tasks have them in. A fifth is kept to measure on.
pub(super) fn labelled(path: &Path, notes: &mut Vec<String>, observer: &dyn Observer) -> Result<Labelled> {
    let path = LabelledPath::from(&*path.to_string_lossy());
    let LabelledFile { mut texts, labels_from, notes: found } = labelled::read(&path.path)?;
    note(&found, notes, observer);
    texts.shuffle(&mut ChaCha8Rng::seed_from_u64(0));
    let train = texts.len() - texts.len() / 5;
    if train == texts.len() {
        bail!("{}: {} labelled texts are too few", path.path.display(), texts.len());
    }
    let labels = Labels::of(&path, labels_from, &texts)?;
    let classes = texts.iter().map(|one| labels.class_of(one) as i32).collect();
    let count = labels.count();
    let name = path.path.file_stem().unwrap_or_default().to_string_lossy();
    let folder = path.path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
    let name = format!("{folder}/{name}");
    Ok(Labelled { name, classes, count, train, texts: texts.into_iter().map(|one| one.text).collect() })
}

/// Accuracy of a linear classifier of standardised embeddings (logistic regression with a little
/// decay).
///
/// # Errors
/// For a loss that is not finite.
pub(super) fn probe(embeddings: &Tensor<2>, labelled: &Labelled, seed: u64) -> Result<f64> {
    let device = embeddings.device().autodiff();
    device.seed(derive_seed(seed, "probe", 0));
    let [count, d_model] = embeddings.dims();
    let train = embeddings.clone().narrow(0, 0, labelled.train);
    let mean = train.clone().mean_dim(0);
    let deviation = (train - mean.clone()).square().mean_dim(0).sqrt().clamp_min(1e-6);
    let standard = (embeddings.clone() - mean) / deviation;
    let own = Tensor::from_inner(standard.clone().narrow(0, 0, labelled.train));
    let classifier = LinearConfig::new(d_model, labelled.count).init(&device);
    let loss = |classifier: &Linear, _step| {
        cross_entropy(classifier.forward(own.clone()), &labelled.classes[..labelled.train])
    };
    let learner = Learner::with_optimizer(classifier, AdamWConfig::new().with_weight_decay(0.1).init(), PROBE_RATE);
    let length = Length { steps: PROBE_STEPS, evaluate_every: PROBE_STEPS, patience: 0, stop_at_accuracy: None };
    let outcome = Run::new(learner).finish(length, &mut Loss(loss), None, &mut |_| Ok(()))?;
    if outcome.diverged {
        bail!("{}: the probe's loss is not finite", labelled.name);
    }
    let test = standard.narrow(0, labelled.train, count - labelled.train);
    let found = outcome.model.forward(test).argmax(1).into_data();
    let expected = &labelled.classes[labelled.train..];
    let right = found.iter::<i64>().zip(expected).filter(|(found, class)| *found == i64::from(**class)).count();
    Ok(right as f64 / expected.len() as f64)
}
