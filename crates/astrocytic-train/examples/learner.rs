//! A decoder trained by Burn's own `Learner`: any model of this project works with burn-train's
//! metrics, checkpoints and dashboard (`burn` with the feature `tui`).
//!
//! `cargo run --release --example learner`

use std::path::Path;
use std::sync::Arc;

use astrocytic_attention::{AstrocyticAttentionConfig, AttentionConfig};
use astrocytic_models::DecoderConfig;
use astrocytic_train::supervised::{SupervisedDecoder, TokenBatch};
use burn::data::dataloader::batcher::Batcher;
use burn::data::dataloader::{DataLoader, DataLoaderBuilder};
use burn::data::dataset::InMemDataset;
use burn::optim::AdamWConfig;
use burn::tensor::{Device, Int, Tensor, TensorData};
use burn::train::metric::LossMetric;
use burn::train::{InferenceStep, Learner, SupervisedTraining};

/// Tokens known, and steps of a row.
const VOCABULARY: usize = 12;
const STEPS: usize = 16;

/// Makes batches of rows of `STEPS + 1` tokens.
struct Rows;

impl Batcher<Vec<i32>, TokenBatch> for Rows {
    fn batch(&self, rows: Vec<Vec<i32>>, device: &Device) -> TokenBatch {
        let count = rows.len();
        let tokens = Tensor::<2, Int>::from_data(TensorData::new(rows.concat(), [count, STEPS + 1]), device);
        TokenBatch { inputs: tokens.clone().narrow(1, 0, STEPS), targets: tokens.narrow(1, 1, STEPS) }
    }
}

/// A toy language: each row counts on from its first token, by one or by two.
fn language(count: usize) -> Vec<Vec<i32>> {
    let row = |i: usize| (0..=STEPS).map(|step| ((i + step * (1 + i % 2)) % VOCABULARY) as i32).collect();
    (0..count).map(row).collect()
}

/// Trains in `folder`; returns the loss on held-out rows before and after, nats per token.
pub fn run(folder: &Path) -> [f32; 2] {
    let device = Device::flex();
    let attention = AstrocyticAttentionConfig::tripartite(32, 2);
    let config = DecoderConfig::new(VOCABULARY, 32, 1, 64, AttentionConfig::Astrocytic(attention));
    let model = SupervisedDecoder { decoder: config.init_seeded(1, &device.clone().autodiff()) };

    let loader = |rows: Vec<Vec<i32>>| -> Arc<dyn DataLoader<TokenBatch>> {
        DataLoaderBuilder::new(Rows).batch_size(16).shuffle(7).build(InMemDataset::new(rows))
    };
    let rows = language(96);
    let (train, valid) = rows.split_at(72);
    let held_out = Rows.batch(valid.to_vec(), &device);
    let loss = |model: &SupervisedDecoder| InferenceStep::step(model, held_out.clone()).loss.into_scalar::<f32>();
    let before = loss(&burn::module::Module::valid(&model));
    let training = SupervisedTraining::new(folder, loader(train.to_vec()), loader(valid.to_vec()))
        .metrics((LossMetric::new(),))
        .with_application_logger(None)
        .num_epochs(12);
    let learned = training.launch(Learner::new(model, AdamWConfig::new().init(), 1e-2));
    [before, loss(&learned.model)]
}

#[allow(dead_code, reason = "the test calls `run` alone")]
fn main() {
    let [before, after] = run(&std::env::temp_dir().join("astrocytic-learner"));
    println!("loss on held-out rows: {before:.3} before, {after:.3} after training");
}
