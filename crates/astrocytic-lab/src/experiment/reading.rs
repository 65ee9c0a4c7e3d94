//! How a trained model reads a test, and what it loses there.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use astrocytic_data::tasks::{Example, Examples};
use astrocytic_data::{EvaluationWindows, TokenClass};
use astrocytic_models::Decoder;
use astrocytic_train::document_loss::DocumentLoss;
use astrocytic_train::evaluate::{self, Counted};
use astrocytic_train::trainable::Trainable;
use burn::tensor::Device;

use crate::experiment::config::ExperimentConfig;
use crate::experiment::data::{Data, Kind, counted};
use crate::learning::{self, Learning};
use crate::results::{ClassLoss, LongerTest, TestLoss};

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
    let nats = evaluate::tokens(model, &anew, device);
    let document = |nats: &Vec<f64>| DocumentLoss { nats: nats.iter().sum(), tokens: nats.len() as u64 };
    let plain: Vec<DocumentLoss> = nats.iter().map(document).collect();
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
        let classes = if *reading == Reading::Anew { by_class(&nats, &data.test_classes(config)?) } else { vec![] };
        Ok(TestLoss { classes, without_carry, plasticity, ..TestLoss::of(documents) })
    };
    readings.iter().map(of).collect()
}

/// Losses of tokens summed by their classes.
fn by_class(nats: &[Vec<f64>], classes: &[Vec<TokenClass>]) -> Vec<ClassLoss> {
    let mut found: BTreeMap<TokenClass, ClassLoss> = BTreeMap::new();
    for (&nats, &class) in nats.iter().flatten().zip(classes.iter().flatten()) {
        let sum = found.entry(class).or_insert(ClassLoss { class, nats: 0.0, tokens: 0 });
        sum.nats += nats;
        sum.tokens += 1;
    }
    found.into_values().collect()
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
    Ok(TestLoss {
        loss,
        documents,
        accuracy: Some(accuracy),
        longer,
        classes: vec![],
        without_carry: None,
        plasticity: None,
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arms::{ModelConfig, Sizes};
    use crate::experiment::budget::Budget;
    use TokenClass::{Name, Other, Repeat};
    use astrocytic_data::tasks::Splits;

    #[test]
    fn classes_share_out_the_loss() {
        let nats = [vec![1.0, 2.0, 4.0], vec![8.0]];
        let found = by_class(&nats, &[vec![Repeat, Name, Repeat], vec![Other]]);
        let of = |class, nats, tokens| ClassLoss { class, nats, tokens };
        assert_eq!(found, [of(Name, 2.0, 1), of(Repeat, 5.0, 2), of(Other, 8.0, 1)]);
    }

    fn example(length: u32) -> Example {
        Example { tokens: (0..length).map(|i| i * i % 7).collect(), answers: vec![(length as usize - 1, length % 7)] }
    }

    #[test]
    fn longer_examples_are_read_beyond_the_context_unless_positions_end() {
        let config = ExperimentConfig { batch: 3, ..Budget::Quick.config("listops:32").unwrap() };
        let splits = Splits { train: vec![], tuning: vec![], test: (6..9).map(example).collect() };
        let longer = vec![(2, (14..18).map(example).collect()), (4, (30..33).map(example).collect())];
        let examples = Examples { vocabulary: 10, tokenizer: None, splits, longer, notes: vec![] };
        let sizes =
            Sizes { vocabulary: 10, d_model: 16, layers: 1, heads: 2, dropout: 0.0, context: 8, feed_forward: true };
        let device = Device::flex();
        for name in ["vanilla", "tripartite", "linear", "no-attention"] {
            let ModelConfig::Decoder(model) = config.arm(name).unwrap().model(sizes).unwrap() else {
                panic!("a decoder")
            };
            let test = |model: &Decoder| of_examples(&config, &examples, Counted::Answers, model, &device).unwrap();
            let found = test(&model.clone().init_seeded(1, &device));
            let times: Vec<u32> = found.longer.iter().map(|longer| longer.times).collect();
            assert!(times == [2, 4] && found.accuracy.is_some(), "{name}");
            assert!(found.longer.iter().all(|longer| (0.0..=1.0).contains(&longer.accuracy)), "{name}");
            let short = test(&model.with_positions(Some(17)).init_seeded(1, &device));
            assert!(short.longer.len() == 1, "{name}: {:?}", short.longer);
        }
    }
}
