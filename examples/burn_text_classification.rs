//! A text classifier as Burn's users write it, over a transformer encoder: astrocytic attention comes in with the `use`
//! line and one line of configuration.
//!
//! ```sh
//! cargo run --release --example burn_text_classification
//! ```

use astrocytic_attention::AstrocyticAttentionConfig;
// Before: use burn::nn::transformer::{TransformerEncoder, TransformerEncoderConfig, TransformerEncoderInput};
use astrocytic_models::{TransformerEncoder, TransformerEncoderConfig, TransformerEncoderInput};
use burn::config::Config;
use burn::module::Module;
use burn::nn::attention::generate_padding_mask;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The first stands for padding and the second for the place where the class is read.
const WORDS: [&str; 15] =
    ["", "?", "the", "film", "was", "not", "good", "fine", "great", "bad", "dull", "poor", "and", "long", "today"];
const BATCH: usize = 32;
const LONGEST: usize = 12;

#[derive(Config, Debug)]
struct ClassifierConfig {
    encoder: TransformerEncoderConfig,
    classes: usize,
}

#[derive(Module, Debug)]
struct Classifier {
    words: Embedding,
    places: Embedding,
    encoder: TransformerEncoder,
    output: Linear,
}

impl ClassifierConfig {
    fn init(&self, device: &Device) -> Classifier {
        let d_model = self.encoder.d_model;
        Classifier {
            words: EmbeddingConfig::new(WORDS.len(), d_model).init(device),
            places: EmbeddingConfig::new(LONGEST, d_model).init(device),
            encoder: self.encoder.init(device),
            output: LinearConfig::new(d_model, self.classes).init(device),
        }
    }
}

impl Classifier {
    /// Logits `[batch, classes]` of texts `[batch, steps]`.
    fn forward(&self, tokens: Tensor<2, Int>, mask_pad: Tensor<2, Bool>) -> Tensor<2> {
        let places = Tensor::arange(0..tokens.dims()[1] as i64, &tokens.device()).unsqueeze::<2>();
        let x = self.words.forward(tokens) + self.places.forward(places);
        let encoded = self.encoder.forward(TransformerEncoderInput::new(x).mask_pad(mask_pad));
        self.output.forward(encoded.narrow(1, 0, 1).squeeze_dim::<2>(1))
    }
}

/// A sentence and whether it praises: `not` turns what follows around.
fn sentence(random: &mut ChaCha8Rng) -> (String, bool) {
    let (negated, praise) = (random.random_bool(0.5), random.random_bool(0.5));
    let mut one_of = |words: &[&'static str]| *words.choose(random).expect("some words");
    let lead = one_of(&["the film was", "today the film was", "the long film was", "the long and long film was"]);
    let not = if negated { " not" } else { "" };
    let judged = one_of(if praise { &["good", "fine", "great"] } else { &["bad", "dull", "poor"] });
    let tail = one_of(&["", " today", " and long"]);
    (format!("? {lead}{not} {judged}{tail}"), negated != praise)
}

fn batch(random: &mut ChaCha8Rng, device: &Device) -> (Tensor<2, Int>, Tensor<2, Bool>, Tensor<1, Int>) {
    let (texts, praised): (Vec<String>, Vec<bool>) = (0..BATCH).map(|_| sentence(random)).unzip();
    let token = |word: &str| WORDS.iter().position(|known| *known == word).expect("a word of the list");
    let tokens = texts.iter().map(|text| text.split(' ').map(token).collect()).collect();
    let padded = generate_padding_mask(0, tokens, Some(LONGEST), device);
    let classes = praised.into_iter().map(i64::from).collect::<Vec<_>>();
    (padded.tensor, padded.mask, Tensor::from_data(TensorData::new(classes, [BATCH]), device))
}

/// Trains on sentences and returns the accuracy on new ones.
fn train_and_test(config: &ClassifierConfig, device: &Device) -> f64 {
    device.seed(1);
    let random = &mut ChaCha8Rng::seed_from_u64(1);
    let (mut model, mut optimizer) = (config.init(device), AdamConfig::new().init());
    for _ in 0..250 {
        let (tokens, mask_pad, classes) = batch(random, device);
        let loss = CrossEntropyLossConfig::new().init(device).forward(model.forward(tokens, mask_pad), classes);
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        model = optimizer.step(2e-3, model, gradients);
    }
    let model = model.valid();
    let right = |_| {
        let (tokens, mask_pad, classes) = batch(random, &device.clone().inner());
        let found = model.forward(tokens, mask_pad).argmax(1).squeeze_dim::<1>(1);
        found.equal(classes).int().sum().into_scalar::<i64>()
    };
    (0..16).map(right).sum::<i64>() as f64 / (16 * BATCH) as f64
}

/// Accuracy with Burn's attention and with astrocytic attention in both layers.
pub fn run() -> [f64; 2] {
    let device = Device::flex().autodiff();
    let encoder = TransformerEncoderConfig::new(32, 64, 4, 2).with_norm_first(true);
    let swapped = encoder.clone().with_astrocytic(0..2, &AstrocyticAttentionConfig::linear(32, 4)); // the swap
    [encoder, swapped].map(|encoder| train_and_test(&ClassifierConfig::new(encoder, 2), &device))
}

#[allow(dead_code, reason = "a test calls `run`")]
fn main() {
    let [vanilla, astrocytic] = run();
    println!("accuracy with Burn's attention {vanilla:.3}, with astrocytic attention {astrocytic:.3}");
}
