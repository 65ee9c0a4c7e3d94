//! Loss on held-out text or examples: every token, or every answer, predicted exactly once.

use astrocytic_data::EvaluationWindows;
use astrocytic_models::Decoder;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::results::DocumentLoss;

/// −ln p summed over each document or example. `model` is to be on a device without autodiff.
pub fn documents(model: &Decoder, windows: &EvaluationWindows, device: &Device) -> Vec<DocumentLoss> {
    tally(model, windows, device).0
}

/// The same, and the share of answers that are the likeliest token: of all answers, or, scored `whole`, of the examples
/// whose every answer is. (Whole, that is what greedy decoding would get right: up to the first error it reads the same.)
pub fn examples(
    model: &Decoder,
    windows: &EvaluationWindows,
    whole: bool,
    device: &Device,
) -> (Vec<DocumentLoss>, f64) {
    let (losses, right) = tally(model, windows, device);
    let (hits, of) = if whole {
        let hits = losses.iter().zip(&right).filter(|(example, right)| example.tokens == **right).count();
        (hits as u64, losses.len() as u64)
    } else {
        (right.iter().sum(), losses.iter().map(|example| example.tokens).sum())
    };
    (losses, hits as f64 / of as f64)
}

/// The loss of each document, and how many of its targets are the likeliest token.
fn tally(model: &Decoder, windows: &EvaluationWindows, device: &Device) -> (Vec<DocumentLoss>, Vec<u64>) {
    let mut losses = vec![DocumentLoss { nats: 0.0, tokens: 0 }; windows.documents()];
    let mut right = vec![0; windows.documents()];
    for batch in windows.batches() {
        let (rows, count) = (batch.rows, batch.targets.len());
        let inputs = TensorData::new(batch.inputs.clone(), [rows, batch.inputs.len() / rows]);
        let log_p = log_softmax(model.forward_at(Tensor::<2, Int>::from_data(inputs, device), &batch.places), 1);
        let target = Tensor::<2, Int>::from_data(TensorData::new(batch.targets.clone(), [count, 1]), device);
        let most: Vec<f32> = log_p.clone().max_dim(1).into_data().iter::<f32>().collect();
        let log_p: Vec<f32> = log_p.gather(1, target).into_data().iter::<f32>().collect();
        for ((&document, log_p), most) in batch.documents.iter().zip(log_p).zip(most) {
            losses[document].nats -= f64::from(log_p);
            losses[document].tokens += 1;
            right[document] += u64::from(log_p >= most);
        }
    }
    (losses, right)
}

/// Nats per token over all documents.
pub fn mean(losses: &[DocumentLoss]) -> f64 {
    let nats: f64 = losses.iter().map(|d| d.nats).sum();
    let tokens: u64 = losses.iter().map(|d| d.tokens).sum();
    nats / tokens as f64
}
