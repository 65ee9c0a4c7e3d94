//! Whole training steps: the same code that `train` and `compare` run.

use std::time::Instant;

use anyhow::Result;
use astrocytic_data::Batches;
use astrocytic_train::config::TrainingConfig;
use astrocytic_train::learner::Learner;
use astrocytic_train::token_objective::TokenObjective;
use burn::tensor::Device;

use super::clock::median;
use super::row::TrainRow;
use super::sizes::ModelSizes;
use crate::arms::{ModelConfig, Sizes, arm, parameters};

/// Tokens per second of an arm's model.
///
/// # Errors
/// For an arm or sizes that cannot be.
pub(super) fn measure(
    name: &str,
    model: ModelSizes,
    batch: usize,
    seq_len: usize,
    seconds: f64,
    device: &Device,
) -> Result<TrainRow> {
    let ModelSizes { layers, d_model, heads, vocabulary, .. } = model;
    let sizes = Sizes { vocabulary, d_model, layers, heads, dropout: 0.0, context: seq_len, feed_forward: true };
    let config = arm(name)?.decoder(sizes)?;
    let training = TrainingConfig {
        learning_rate: 1e-3,
        weight_decay: 0.1,
        steps: 1_000_000,
        warmup: 0.01,
        clip: 1.0,
        evaluate_every: 1_000_000,
        patience: 0,
        seed: 0,
        carry: None,
        stop_at_accuracy: None,
    };
    let stream: Vec<u32> = (0..8 * batch * seq_len).map(|i| (i * 7919 % vocabulary) as u32).collect();
    let batches = Batches::new(stream, seq_len, batch, 0)?;
    let mut objective = TokenObjective::new(&batches, &training);
    let mut learner = Learner::new(config.init_seeded(0, &device.clone().autodiff()), &training)?;
    let mut times = Vec::new();
    let started = Instant::now();
    for step in 0.. {
        let begun = Instant::now();
        learner = learner.step(&mut objective).0;
        if step >= 2 {
            times.push(begun.elapsed().as_secs_f64());
        }
        if times.len() >= 5 && started.elapsed().as_secs_f64() > seconds {
            break;
        }
    }
    Ok(TrainRow {
        op: "train_step".into(),
        arm: name.into(),
        seq_len,
        tokens_per_s: (batch * seq_len) as f64 / median(times),
        parameters: parameters(&ModelConfig::Decoder(config))?,
    })
}
