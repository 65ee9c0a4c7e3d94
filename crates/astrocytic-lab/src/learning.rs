//! Models that go on learning from the text that they are tested on, by the memories of
//! `astrocytic-models`.

use astrocytic_data::EvaluationWindows;
use astrocytic_models::Decoder;
use astrocytic_models::memory::{DynamicEvaluation, MemoryKind, ReadMemory};
use astrocytic_train::document_loss::DocumentLoss;
use astrocytic_train::evaluate::{for_each_batch, mean};
use burn::tensor::Device;
use serde::{Serialize, Serializer};

use crate::results::CorpusFacts;

/// How a model goes on learning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Learning {
    /// What learns.
    #[serde(serialize_with = "stored_name")]
    pub learns: MemoryKind,
    /// It goes on from document to document, instead of beginning anew in each.
    pub through_documents: bool,
}

impl Learning {
    /// Tokens of a test that have been learned from when one is predicted, on average: half of the
    /// stream, or of a document.
    pub(crate) fn mean_learned_tokens(&self, corpus: &CorpusFacts) -> u64 {
        let documents = if self.through_documents { 1 } else { corpus.test_documents.max(1) as u64 };
        corpus.test_tokens / documents / 2
    }
}

/// The name by which stored experiments know a memory.
fn stored_name<S: Serializer>(kind: &MemoryKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match kind {
        MemoryKind::ReadOut => "ReadOut",
        MemoryKind::Ngram => "Memory",
        MemoryKind::Dynamic => "AllWeights",
    })
}

/// −ln p summed over each document, for each way of learning and its rate. `model` is to be on a
/// device without autodiff.
pub(crate) fn losses(
    model: &Decoder,
    windows: &EvaluationWindows,
    ways: &[(Learning, f32)],
    device: &Device,
) -> Vec<Vec<DocumentLoss>> {
    let (all_weights, beside): (Vec<_>, Vec<_>) = ways.iter().partition(|way| way.0.learns == MemoryKind::Dynamic);
    let mut all_weights = all_weights.iter().map(|way| of_all_weights(model, windows, way, device));
    let mut beside = of_read_memories(model, windows, &beside, device).into_iter();
    let losses = |way: &(Learning, f32)| match way.0.learns {
        MemoryKind::Dynamic => all_weights.next(),
        MemoryKind::ReadOut | MemoryKind::Ngram => beside.next(),
    };
    ways.iter().filter_map(losses).collect()
}

/// The rate of [`MemoryKind::rates`] with the lowest loss, in nats per token, and that loss.
pub fn best_rate(model: &Decoder, windows: &EvaluationWindows, learning: Learning, device: &Device) -> (f32, f64) {
    let ways = learning.learns.rates().map(|rate| (learning, rate));
    let losses = losses(model, windows, &ways, device).into_iter().map(|documents| mean(&documents));
    let tried = ways.iter().map(|way| way.1).zip(losses);
    // A rate at which nothing finite is left is the last to be taken.
    let order = |loss: f64| if loss.is_finite() { loss } else { f64::INFINITY };
    tried.min_by(|a, b| order(a.1).total_cmp(&order(b.1))).expect("there are rates")
}

/// One pass of the model for all memories beside it.
fn of_read_memories(
    model: &Decoder,
    windows: &EvaluationWindows,
    ways: &[(Learning, f32)],
    device: &Device,
) -> Vec<Vec<DocumentLoss>> {
    let mut losses = vec![nothing_read(windows); ways.len()];
    if ways.is_empty() {
        return losses;
    }
    let (vocabulary, d_model) = (model.config().vocabulary, model.config().d_model);
    let new = |(way, rate): &(Learning, f32)| {
        ReadMemory::new(way.learns, vocabulary, d_model, *rate).expect("all weights learn elsewhere")
    };
    // Documents come one after the other, each from its beginning to its end.
    let mut memories: Vec<ReadMemory> = ways.iter().map(new).collect();
    let mut current = 0;
    for_each_batch(model, windows, device, |batch, inputs, cache| {
        let features = model.features_at(inputs, &batch.places, cache);
        let logits: Vec<f32> = model.read_out(features.clone()).into_data().iter::<f32>().collect();
        let features: Vec<f32> = features.into_data().iter::<f32>().collect();
        let rows = features.chunks_exact(d_model).zip(logits.chunks_exact(vocabulary));
        for ((h, logits), (&document, &target)) in rows.zip(batch.documents.iter().zip(&batch.targets)) {
            for ((way, memory), losses) in ways.iter().zip(&mut memories).zip(&mut losses) {
                if document != current {
                    if way.0.through_documents { memory.begin() } else { *memory = new(way) }
                }
                let prediction = memory.predict(h, logits);
                memory.learn(h, &prediction, target as usize);
                losses[document].nats += prediction.nats(target as usize);
                losses[document].tokens += 1;
            }
            current = document;
        }
    });
    losses
}

/// A step of gradient descent after each window, on what was predicted in it.
fn of_all_weights(
    model: &Decoder,
    windows: &EvaluationWindows,
    &(way, rate): &(Learning, f32),
    device: &Device,
) -> Vec<DocumentLoss> {
    let mut losses = nothing_read(windows);
    let mut model = DynamicEvaluation::new(model, rate, device);
    let mut current = 0;
    for batch in windows.batches() {
        let steps = batch.inputs.len() / batch.rows;
        let mut first = 0;
        for (row, inputs) in batch.inputs.chunks_exact(steps).enumerate() {
            let end = ((row + 1) * steps) as i32;
            let count = batch.places[first..].iter().take_while(|place| **place < end).count();
            let (targets, document) = (&batch.targets[first..first + count], batch.documents[first]);
            let places: Vec<i32> =
                batch.places[first..first + count].iter().map(|place| place - (row * steps) as i32).collect();
            first += count;
            if document != current && !way.through_documents {
                model.reset();
            }
            current = document;
            losses[document].nats += model.read(inputs, &places, targets) * count as f64;
            losses[document].tokens += count as u64;
        }
    }
    losses
}

fn nothing_read(windows: &EvaluationWindows) -> Vec<DocumentLoss> {
    vec![DocumentLoss { nats: 0.0, tokens: 0 }; windows.documents()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arms::{Sizes, arm};
    use astrocytic_data::TokenizedDocument;
    use astrocytic_train::evaluate;

    #[test]
    fn stored_experiments_know_memories_by_their_first_names() {
        for (learns, name) in
            [(MemoryKind::ReadOut, "ReadOut"), (MemoryKind::Ngram, "Memory"), (MemoryKind::Dynamic, "AllWeights")]
        {
            let stored = serde_json::to_string(&Learning { learns, through_documents: true }).unwrap();
            assert_eq!(stored, format!(r#"{{"learns":"{name}","through_documents":true}}"#));
        }
    }

    #[test]
    fn what_is_learned_counts_from_the_next_token_on() {
        let sizes =
            Sizes { vocabulary: 50, d_model: 16, layers: 2, heads: 2, dropout: 0.5, context: 64, feed_forward: true };
        let model = arm("vanilla").unwrap().decoder(sizes).unwrap().init_seeded(3, &Device::flex());
        let document = |salt: u32| TokenizedDocument {
            ids: (0..150).map(|i| (i + salt) * i * 7 % 5 + 1).collect(),
            nats: None,
            bytes: 0,
        };
        let read = [document(0), document(1), document(0)];
        let windows = EvaluationWindows::new(&read, 0, 16, 8, 4).unwrap();
        let plain = evaluate::documents(&model, &windows, &Device::flex());
        let ways = [MemoryKind::Dynamic, MemoryKind::ReadOut, MemoryKind::Ngram];
        let ways: Vec<(Learning, f32)> = [(0.0, true), (0.3, false), (0.3, true)]
            .iter()
            .flat_map(|&(rate, through_documents)| ways.map(|learns| (Learning { learns, through_documents }, rate)))
            .collect();
        let found = losses(&model, &windows, &ways, &Device::flex());
        for ((way, rate), found) in ways.iter().zip(&found) {
            for (one, other) in found.iter().zip(&plain) {
                assert_eq!(one.tokens, other.tokens);
                let same = (one.nats - other.nats).abs() < 1e-3;
                assert_eq!(same, *rate == 0.0, "{way:?} {rate}: {one:?} {other:?}");
                assert!(*rate == 0.0 || one.nats < other.nats, "{way:?} {rate}: {one:?} {other:?}");
            }
            // The same document again: known where learning goes on, new where it does not.
            let again = (found[0].nats - found[2].nats) / found[0].nats;
            assert_eq!(again > 0.01, way.through_documents && *rate > 0.0, "{way:?} {rate}: {found:?}");
        }
    }
}
