//! How a trained model reads a test, and what it loses there.

use anyhow::{Result, anyhow};
use astrocytic_data::EvaluationWindows;
use astrocytic_data::tasks::{Example, Examples};
use astrocytic_models::Decoder;
use astrocytic_train::document_loss::DocumentLoss;
use astrocytic_train::evaluate::{self, Counted};
use astrocytic_train::trainable::Trainable;
use burn::tensor::Device;

use crate::experiment::config::ExperimentConfig;
use crate::experiment::data::{Data, Kind, counted};
use crate::learning::{self, Learning};
use crate::results::{LongerTest, TestLoss};

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
            let test = of_examples(config, examples, counted(task), model, device)?;
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
        Ok(TestLoss { loss, documents, accuracy: None, longer: vec![], without_carry, plasticity })
    };
    readings.iter().map(of).collect()
}

fn of_examples<M: Trainable>(
    config: &ExperimentConfig,
    examples: &Examples,
    counted: Counted,
    model: &M,
    device: &Device,
) -> Result<TestLoss> {
    let windows = EvaluationWindows::of_examples(&examples.splits.test, 2 * config.batch)?;
    let (losses, accuracy) = evaluate::examples(model, &windows, counted, device);
    let sum = |group: &[DocumentLoss]| DocumentLoss {
        nats: group.iter().map(|example| example.nats).sum(),
        tokens: group.iter().map(|example| example.tokens).sum(),
    };
    let documents = losses.chunks(losses.len().div_ceil(MOST_GROUPS)).map(sum).collect();
    let loss = evaluate::mean(&losses);
    let longer = longer_tests(config, examples, counted, model, device)?;
    Ok(TestLoss { loss, documents, accuracy: Some(accuracy), longer, without_carry: None, plasticity: None })
}

/// Accuracy on examples that are longer than those that were trained on, as far as the model can
/// read them.
fn longer_tests<M: Trainable>(
    config: &ExperimentConfig,
    examples: &Examples,
    counted: Counted,
    model: &M,
    device: &Device,
) -> Result<Vec<LongerTest>> {
    let most = model.most_steps().unwrap_or(usize::MAX);
    let can_be_read = |test: &Vec<Example>| test.iter().all(|example| example.tokens.len() <= most);
    let mut found = Vec::new();
    for (times, test) in examples.longer.iter().filter(|(_, test)| can_be_read(test)) {
        // As many tokens at once as of the others.
        let rows = (2 * config.batch / *times as usize).max(1);
        let windows = EvaluationWindows::of_examples(test, rows)?;
        found.push(LongerTest { times: *times, accuracy: evaluate::examples(model, &windows, counted, device).1 });
    }
    Ok(found)
}
