//! How a trained model reads a test, and what it loses there.

use anyhow::{Result, anyhow};
use astrocytic_data::EvaluationWindows;
use astrocytic_data::tasks::{Examples, Task};
use astrocytic_models::Decoder;
use astrocytic_train::document_loss::DocumentLoss;
use astrocytic_train::evaluate;
use astrocytic_train::trainable::Trainable;
use burn::tensor::Device;

use crate::experiment::config::ExperimentConfig;
use crate::experiment::data::{Data, Kind};
use crate::learning::{self, Learning};
use crate::results::TestLoss;

/// Examples are stored in so many groups at most: a unit of the statistics each.
const MOST_GROUPS: usize = 100;

/// How a model reads a test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reading {
    /// Each window by itself.
    Anew,
    /// What its attention remembers goes on through each document.
    Carried,
    /// It goes on learning, at that rate.
    Learning(Learning, f32),
}

/// Reads the test split, once for all readings.
///
/// # Errors
/// For an empty split, and an encoder on a text.
pub fn test_losses<M: Trainable>(
    data: &Data,
    config: &ExperimentConfig,
    model: &M,
    readings: &[Reading],
    device: &Device,
) -> Result<Vec<TestLoss>> {
    match data.kind() {
        Kind::Text(_) => {
            let model = model.as_decoder().ok_or_else(|| anyhow!("a text needs a decoder"))?;
            of_text(data, config, model, readings, device)
        }
        Kind::Examples { task, examples } => {
            let test = of_examples(config, task, examples, model, device)?;
            Ok(vec![test; readings.len()])
        }
    }
}

fn of_text(
    data: &Data,
    config: &ExperimentConfig,
    model: &Decoder,
    readings: &[Reading],
    device: &Device,
) -> Result<Vec<TestLoss>> {
    let anew = data.test_windows(config, false)?;
    let plain = evaluate::documents(model, &anew, device);
    let loss_of_plain = evaluate::mean(&plain);
    let way = |reading: &Reading| match *reading {
        Reading::Learning(way, rate) => Some((way, rate)),
        Reading::Anew | Reading::Carried => None,
    };
    let ways: Vec<_> = readings.iter().filter_map(way).collect();
    let mut learned = learning::losses(model, &anew, &ways, device).into_iter();
    let of = |reading: &Reading| -> Result<TestLoss> {
        let (documents, plasticity) = match *reading {
            Reading::Anew => (plain.clone(), None),
            Reading::Carried => (evaluate::documents(model, &data.test_windows(config, true)?, device), None),
            Reading::Learning(_, rate) => (learned.next().expect("one for each that learns"), Some(f64::from(rate))),
        };
        let without_carry = (*reading != Reading::Anew).then_some(loss_of_plain);
        let loss = evaluate::mean(&documents);
        Ok(TestLoss { loss, documents, accuracy: None, without_carry, plasticity })
    };
    readings.iter().map(of).collect()
}

fn of_examples<M: Trainable>(
    config: &ExperimentConfig,
    task: &Task,
    examples: &Examples,
    model: &M,
    device: &Device,
) -> Result<TestLoss> {
    let windows = EvaluationWindows::of_examples(&examples.splits.test, 2 * config.batch)?;
    let (losses, accuracy) = evaluate::examples(model, &windows, task.scored_whole(), device);
    let sum = |group: &[DocumentLoss]| DocumentLoss {
        nats: group.iter().map(|example| example.nats).sum(),
        tokens: group.iter().map(|example| example.tokens).sum(),
    };
    let documents = losses.chunks(losses.len().div_ceil(MOST_GROUPS)).map(sum).collect();
    let loss = evaluate::mean(&losses);
    Ok(TestLoss { loss, documents, accuracy: Some(accuracy), without_carry: None, plasticity: None })
}
