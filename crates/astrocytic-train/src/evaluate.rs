//! Loss on held-out text or examples: every token, or every answer, predicted exactly once.

use astrocytic_data::{EvaluationBatch, EvaluationWindows};
use astrocytic_models::DecoderCache;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::document_loss::DocumentLoss;
use crate::held_out::HeldOut;
use crate::trainable::Trainable;

/// −ln p summed over each document or example. `model` must be on a device without autodiff.
pub fn documents<M: Trainable>(model: &M, windows: &EvaluationWindows, device: &Device) -> Vec<DocumentLoss> {
    tally(model, windows, device).0
}

/// −ln p of each token of each document, in its order.
pub fn tokens<M: Trainable>(model: &M, windows: &EvaluationWindows, device: &Device) -> Vec<Vec<f64>> {
    let mut nats = vec![Vec::new(); windows.documents()];
    for_each_target(model, windows, device, |document, log_p, _| nats[document].push(-f64::from(log_p)));
    nats
}

/// What counts as right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// Each answer that is the likeliest token.
    Answers,
    /// Each example with no other answer. (Greedy decoding gets the same examples right: up to its
    /// first error it reads the same tokens.)
    WholeExamples,
}

/// The mean loss, and the accuracy where right answers are `counted`.
pub fn held_out<M: Trainable>(
    model: &M,
    windows: &EvaluationWindows,
    counted: Option<Counted>,
    device: &Device,
) -> HeldOut {
    match counted {
        None => HeldOut { loss: mean(&documents(model, windows, device)), accuracy: None },
        Some(counted) => {
            let (losses, accuracy) = examples(model, windows, counted, device);
            HeldOut { loss: mean(&losses), accuracy: Some(accuracy) }
        }
    }
}

/// −ln p summed over each example, and the accuracy: the share that is right.
pub fn examples<M: Trainable>(
    model: &M,
    windows: &EvaluationWindows,
    counted: Counted,
    device: &Device,
) -> (Vec<DocumentLoss>, f64) {
    let (losses, right) = tally(model, windows, device);
    let (hits, of) = match counted {
        Counted::WholeExamples => {
            let hits = losses.iter().zip(&right).filter(|(example, right)| example.tokens == **right).count();
            (hits as u64, losses.len() as u64)
        }
        Counted::Answers => (right.iter().sum(), losses.iter().map(|example| example.tokens).sum()),
    };
    (losses, hits as f64 / of as f64)
}

/// The loss of each document, and how many of its targets are the likeliest token.
fn tally<M: Trainable>(model: &M, windows: &EvaluationWindows, device: &Device) -> (Vec<DocumentLoss>, Vec<u64>) {
    let mut losses = vec![DocumentLoss { nats: 0.0, tokens: 0 }; windows.documents()];
    let mut right = vec![0; windows.documents()];
    for_each_target(model, windows, device, |document, log_p, most| {
        losses[document].nats -= f64::from(log_p);
        losses[document].tokens += 1;
        right[document] += u64::from(log_p >= most);
    });
    (losses, right)
}

/// Calls `see` with the document, ln p, and the largest ln p of any token, for each target.
fn for_each_target<M: Trainable>(
    model: &M,
    windows: &EvaluationWindows,
    device: &Device,
    mut see: impl FnMut(usize, f32, f32),
) {
    for_each_batch(model, windows, device, |batch, inputs, cache| {
        let log_p = log_softmax(model.answers(inputs, &batch.places, cache), 1);
        let target = TensorData::new(batch.targets.clone(), [batch.targets.len(), 1]);
        let target = Tensor::<2, Int>::from_data(target, device);
        let most: Vec<f32> = log_p.clone().max_dim(1).into_data().iter::<f32>().collect();
        let log_p: Vec<f32> = log_p.gather(1, target).into_data().iter::<f32>().collect();
        for ((&document, log_p), most) in batch.documents.iter().zip(log_p).zip(most) {
            see(document, log_p, most);
        }
    });
}

/// Calls `read` with each batch, its inputs, `[rows, steps]`, and the cache of the batches before
/// it.
pub fn for_each_batch<M: Trainable>(
    model: &M,
    windows: &EvaluationWindows,
    device: &Device,
    mut read: impl FnMut(&EvaluationBatch, Tensor<2, Int>, Option<&mut DecoderCache>),
) {
    let mut cache = None;
    for batch in windows.batches() {
        let inputs = TensorData::new(batch.inputs.clone(), [batch.rows, batch.inputs.len() / batch.rows]);
        cache = windows.carry().and_then(|_| {
            let before = cache.take().filter(|_| !batch.begins);
            before.or_else(|| model.empty_cache(batch.rows))
        });
        read(batch, Tensor::from_data(inputs, device), cache.as_mut());
        cache = cache.zip(windows.carry()).map(|(cache, most)| cache.truncate(most));
    }
}

/// Nats per token over all documents.
pub fn mean(losses: &[DocumentLoss]) -> f64 {
    let nats: f64 = losses.iter().map(|d| d.nats).sum();
    let tokens: u64 = losses.iter().map(|d| d.tokens).sum();
    nats / tokens as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::small_models::{NAMES, decoder};
    use astrocytic_data::TokenizedDocument;
    use astrocytic_data::tasks::Example;
    use astrocytic_models::Decoder;

    fn model(name: &str) -> Decoder {
        decoder(name, 50).init_seeded(3, &Device::flex())
    }

    #[test]
    fn carried_windows_see_all_that_one_long_window_sees() {
        let document = |length: u32| TokenizedDocument {
            ids: (0..length).map(|i| i * i * 7 % 49 + 1).collect(),
            nats: None,
            bytes: 0,
        };
        let documents_read = [document(40), document(3), document(29)];
        for name in NAMES {
            let model = model(name);
            let whole = EvaluationWindows::new(&documents_read, 0, 64, 64, 2).unwrap();
            let carried = EvaluationWindows::carried(&documents_read, 0, 8, 2, 64).unwrap();
            let [whole, carried] = [whole, carried].map(|windows| documents(&model, &windows, &Device::flex()));
            for (one, other) in whole.iter().zip(&carried) {
                assert_eq!(one.tokens, other.tokens);
                assert!((one.nats - other.nats).abs() < 1e-3, "{name}: {one:?} {other:?}");
            }
        }
        // With fewer keys kept, less is seen.
        let (model, short) = (model("softmax"), EvaluationWindows::carried(&documents_read, 0, 8, 2, 4).unwrap());
        let long = EvaluationWindows::carried(&documents_read, 0, 8, 2, 64).unwrap();
        let [short, long] = [short, long].map(|windows| documents(&model, &windows, &Device::flex()));
        assert!((short[0].nats - long[0].nats).abs() > 1e-6 && short[1] == long[1]);
    }

    #[test]
    fn accuracy_counts_answers_or_whole_examples() {
        let model = model("softmax");
        let tokens: Vec<u32> = (1..6).collect();
        let inputs = Tensor::<2, Int>::from_data(TensorData::new(vec![1, 2, 3, 4, 5], [1, 5]), &Device::flex());
        let likeliest: Vec<i32> = model.forward(inputs).argmax(2).into_data().iter::<i32>().collect();
        let example = |wrong: &[usize]| {
            let answer =
                |(place, &answer): (usize, &i32)| (place, (answer as u32 + u32::from(wrong.contains(&place))) % 50);
            Example { tokens: tokens.clone(), answers: likeliest.iter().enumerate().map(answer).collect() }
        };
        let windows = EvaluationWindows::of_examples(&[example(&[]), example(&[1, 3]), example(&[4])], 2).unwrap();
        let of = |counted| examples(&model, &windows, counted, &Device::flex()).1;
        assert_eq!((of(Counted::Answers), of(Counted::WholeExamples)), (12.0 / 15.0, 1.0 / 3.0));
    }
}
