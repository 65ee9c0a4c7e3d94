//! A model of one's own is trained with Burn's attention, saved, loaded, and swapped in one line; brief training brings
//! back what it knew.
//!
//! ```sh
//! cargo run --release --example swap_own_model
//! ```

use std::error::Error;

use astrocytic_attention::AstrocyticAttentionConfig;
// Before: use burn::nn::attention::{MhaInput, MultiHeadAttention, MultiHeadAttentionConfig};
use astrocytic_attention::drop_in::{MhaInput, MultiHeadAttention, MultiHeadAttentionConfig};
use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const KEYS: usize = 8;
const VALUES: usize = 8;
const BATCH: usize = 64;

/// Recalls which value stood beside a key.
#[derive(Module, Debug)]
struct Recall {
    keys: Embedding,
    values: Embedding,
    attention: MultiHeadAttention,
    output: Linear,
}

impl Recall {
    fn new(device: &Device) -> Self {
        Self {
            keys: EmbeddingConfig::new(KEYS, 32).init(device),
            values: EmbeddingConfig::new(VALUES + 1, 32).init(device),
            attention: MultiHeadAttentionConfig::new(32, 2).with_dropout(0.0).init(device),
            output: LinearConfig::new(32, VALUES).init(device),
        }
    }

    /// Logits `[batch, VALUES]` for the last of the steps.
    fn forward(&self, keys: Tensor<2, Int>, values: Tensor<2, Int>) -> Tensor<2> {
        let x = self.keys.forward(keys) + self.values.forward(values);
        let context = self.attention.forward(MhaInput::self_attn(x)).context;
        self.output.forward(context.narrow(1, KEYS, 1).squeeze_dim::<2>(1))
    }
}

/// Rows of key and value pairs in any order, then one of the keys beside no value: keys, values, answers.
fn batch(random: &mut ChaCha8Rng, device: &Device) -> (Tensor<2, Int>, Tensor<2, Int>, Tensor<1, Int>) {
    let (mut keys, mut values, mut answers) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..BATCH {
        let mut order: Vec<usize> = (0..KEYS).collect();
        order.shuffle(random);
        let row: Vec<i64> = (0..KEYS).map(|_| random.random_range(0..VALUES as i64)).collect();
        let asked = random.random_range(0..KEYS);
        keys.extend(order.iter().map(|&key| key as i64));
        keys.push(order[asked] as i64);
        values.extend(&row);
        values.push(VALUES as i64);
        answers.push(row[asked]);
    }
    let rows = |ints| Tensor::from_data(TensorData::new(ints, [BATCH, KEYS + 1]), device);
    (rows(keys), rows(values), Tensor::from_data(TensorData::new(answers, [BATCH]), device))
}

fn train(mut model: Recall, steps: usize, random: &mut ChaCha8Rng, device: &Device) -> Recall {
    let mut optimizer = AdamConfig::new().init();
    for _ in 0..steps {
        let (keys, values, answers) = batch(random, device);
        let loss = CrossEntropyLossConfig::new().init(device).forward(model.forward(keys, values), answers);
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        model = optimizer.step(5e-3, model, gradients);
    }
    model
}

fn accuracy(model: &Recall, random: &mut ChaCha8Rng, device: &Device) -> f64 {
    let right = |_| {
        let (keys, values, answers) = batch(random, device);
        let found = model.forward(keys, values).argmax(1).squeeze_dim::<1>(1);
        found.equal(answers).int().sum().into_scalar::<i64>()
    };
    (0..16).map(right).sum::<i64>() as f64 / (16 * BATCH) as f64
}

/// Accuracy before the swap, after it, and after brief training.
pub fn run() -> Result<[f64; 3], Box<dyn Error>> {
    let device = Device::flex().autodiff();
    device.seed(1);
    let random = &mut ChaCha8Rng::seed_from_u64(1);
    let folder = tempfile::tempdir()?;
    let record = folder.path().join("recall.bpk");
    train(Recall::new(&device), 600, random, &device).save_file(&record)?;

    let mut model = Recall::new(&device).try_load_file(&record)?;
    let before = accuracy(&model, random, &device);
    model.attention.swap(AstrocyticAttentionConfig::kozachkov2023(32, 2))?; // the swap
    let after = accuracy(&model, random, &device);
    model = train(model, 200, random, &device);
    Ok([before, after, accuracy(&model, random, &device)])
}

#[allow(dead_code, reason = "a test calls `run`")]
fn main() -> Result<(), Box<dyn Error>> {
    let [before, after, tuned] = run()?;
    println!("accuracy with Burn's attention {before:.3}, swapped {after:.3}, after 200 steps of training {tuned:.3}");
    Ok(())
}
