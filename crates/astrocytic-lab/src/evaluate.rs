//! Loss on held-out text: every token of every document predicted exactly once.

use astrocytic_data::EvaluationWindows;
use astrocytic_models::Decoder;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::results::DocumentLoss;

/// −ln p summed over each document. `model` is to be on a device without autodiff.
pub fn documents(model: &Decoder, windows: &EvaluationWindows, device: &Device) -> Vec<DocumentLoss> {
    let mut losses = vec![DocumentLoss { nats: 0.0, tokens: 0 }; windows.documents()];
    for batch in windows.batches() {
        let (rows, steps) = (batch.documents.len(), batch.inputs.len() / batch.documents.len());
        let tokens = |ids: &[i32]| Tensor::<2, Int>::from_data(TensorData::new(ids.to_vec(), [rows, steps]), device);
        let log_p = log_softmax(model.forward(tokens(&batch.inputs)), 2);
        let target = tokens(&batch.targets).unsqueeze_dim::<3>(2);
        let log_p: Vec<f32> = log_p.gather(2, target).into_data().iter::<f32>().collect();
        for (row, &document) in batch.documents.iter().enumerate() {
            let own = row * steps..(row + 1) * steps;
            for (log_p, _) in log_p[own.clone()].iter().zip(&batch.counted[own]).filter(|(_, counted)| **counted) {
                losses[document].nats -= f64::from(*log_p);
                losses[document].tokens += 1;
            }
        }
    }
    losses
}

/// Nats per token over all documents.
pub fn mean(losses: &[DocumentLoss]) -> f64 {
    let nats: f64 = losses.iter().map(|d| d.nats).sum();
    let tokens: u64 = losses.iter().map(|d| d.tokens).sum();
    nats / tokens as f64
}
