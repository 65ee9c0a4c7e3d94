//! Models that go on learning from the text that they are tested on: each token is predicted before anything is learned from
//! it, so that no loss is lower for having seen its answer.

use astrocytic_attention::ops::cross_entropy;
use astrocytic_data::EvaluationWindows;
use astrocytic_models::Decoder;
use astrocytic_train::document_loss::DocumentLoss;
use astrocytic_train::evaluate::for_each_batch;
use astrocytic_train::gradients::clip;
use burn::module::Module;
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::{Device, Int, Tensor, TensorData};
use serde::Serialize;

use crate::plastic::{self, PlasticReadOut};

/// Largest norm of a gradient, as in training.
const CLIP: f64 = 1.0;

/// What of a model goes on learning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Learns {
    /// Its read-out, by the delta rule.
    ReadOut,
    /// The same, and a memory of what followed the last one, two and three tokens.
    Memory,
    /// All of its weights, by gradient descent: dynamic evaluation in its plain form (Krause et al., arXiv 1709.07432, whose
    /// scaling by squared gradients and decay to the trained weights are left out).
    AllWeights,
}

/// How a model goes on learning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Learning {
    /// What learns.
    pub learns: Learns,
    /// It goes on from document to document, instead of beginning anew in each.
    pub through_documents: bool,
}

impl Learning {
    /// Rates that are tried on the tuning split.
    pub(crate) fn rates(self) -> [f32; 5] {
        match self.learns {
            Learns::ReadOut | Learns::Memory => [0.1, 0.2, 0.4, 0.8, 1.6],
            Learns::AllWeights => [0.01, 0.03, 0.1, 0.3, 1.0],
        }
    }
}

impl Learning {
    /// Bytes of what is learned at most, f32: weights beside the trained ones, and a memory's rows when all are in use.
    pub(crate) fn state_bytes(self, vocabulary: usize, d_model: usize, parameters: u64) -> u64 {
        let read_out = (vocabulary * d_model) as u64;
        4 * match self.learns {
            Learns::ReadOut => read_out,
            Learns::Memory => read_out + plastic::most_numbers(vocabulary),
            Learns::AllWeights => parameters,
        }
    }
}

/// −ln p summed over each document, for each way of learning and its rate. `model` is to be on a device without autodiff.
pub(crate) fn losses(
    model: &Decoder,
    windows: &EvaluationWindows,
    ways: &[(Learning, f32)],
    device: &Device,
) -> Vec<Vec<DocumentLoss>> {
    let (all, plastic): (Vec<_>, Vec<_>) = ways.iter().partition(|way| way.0.learns == Learns::AllWeights);
    let mut all = all.iter().map(|way| of_all_weights(model, windows, way, device));
    let mut plastic = of_read_outs(model, windows, &plastic, device).into_iter();
    let place = |way: &(Learning, f32)| match way.0.learns {
        Learns::AllWeights => all.next(),
        Learns::ReadOut | Learns::Memory => plastic.next(),
    };
    ways.iter().filter_map(place).collect()
}

/// One pass of the model for all read-outs.
fn of_read_outs(
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
    let new =
        |&(way, rate): &(Learning, f32)| PlasticReadOut::new(vocabulary, d_model, way.learns == Learns::Memory, rate);
    // Documents come one after the other, each from its beginning to its end.
    let mut learned: Vec<PlasticReadOut> = ways.iter().map(new).collect();
    let mut current = 0;
    for_each_batch(model, windows, device, |batch, inputs, cache| {
        let features = model.features_at(inputs, &batch.places, cache);
        let logits: Vec<f32> = model.read_out(features.clone()).into_data().iter::<f32>().collect();
        let features: Vec<f32> = features.into_data().iter::<f32>().collect();
        let rows = features.chunks_exact(d_model).zip(logits.chunks_exact(vocabulary));
        for ((h, logits), (&document, &target)) in rows.zip(batch.documents.iter().zip(&batch.targets)) {
            for ((way, learned), losses) in ways.iter().zip(&mut learned).zip(&mut losses) {
                if document != current {
                    if way.0.through_documents { learned.begin() } else { *learned = new(way) }
                }
                learned.read(h, logits, target as usize, &mut losses[document]);
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
    let device = device.clone().autodiff();
    let mut losses = nothing_read(windows);
    let trained = model.clone().train().without_dropout();
    let mut optimizer = SgdConfig::new().init();
    let (mut learned, mut current) = (trained.clone(), 0);
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
                learned = trained.clone();
            }
            current = document;
            let inputs = Tensor::<2, Int>::from_data(TensorData::new(inputs.to_vec(), [1, steps]), &device);
            let loss = cross_entropy(learned.forward_at(inputs, &places, None), targets);
            losses[document].nats += f64::from(loss.clone().into_scalar::<f32>()) * count as f64;
            losses[document].tokens += count as u64;
            let mut gradients = GradientsParams::from_grads(loss.backward(), &learned);
            clip(&learned, &mut gradients, CLIP);
            learned = optimizer.step(f64::from(rate), learned, gradients);
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
        let ways = [Learns::AllWeights, Learns::ReadOut, Learns::Memory];
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
