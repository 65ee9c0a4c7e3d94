//! The encoder learns with any attention, and padding changes nothing.

use astrocytic_attention::{AstrocyticAttentionConfig, AttentionConfig, SoftmaxAttentionConfig};
use astrocytic_models::{Encoder, EncoderConfig};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Burn's random numbers belong to the process: one test draws at a time, from a seed of its own.
static RANDOM: std::sync::Mutex<()> = std::sync::Mutex::new(());

const BATCH: usize = 32;
const STEPS: usize = 12;

fn attentions() -> Vec<(&'static str, AttentionConfig)> {
    vec![
        ("softmax", AttentionConfig::Softmax(SoftmaxAttentionConfig::new(16, 2))),
        ("kozachkov2023", AttentionConfig::Astrocytic(AstrocyticAttentionConfig::kozachkov2023(16, 2))),
        ("linear", AttentionConfig::Astrocytic(AstrocyticAttentionConfig::linear(16, 2))),
        ("astromorphic", AttentionConfig::Astrocytic(AstrocyticAttentionConfig::astromorphic(16, 2, STEPS))),
    ]
}

/// Two marks among noise: the class is whether they are the same mark. No step alone shows it.
fn batch(random: &mut ChaCha8Rng, device: &Device) -> (Tensor<2, Int>, Tensor<2, Bool>, Vec<i64>) {
    let (mut tokens, mut padded, mut classes) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..BATCH {
        let length = random.random_range(4..=STEPS);
        let mut row: Vec<i64> = (0..STEPS).map(|_| random.random_range(2..6)).collect();
        let marks = [random.random_range(0..2), random.random_range(0..2)];
        let first = random.random_range(0..length);
        let second = (first + random.random_range(1..length)) % length;
        (row[first], row[second]) = (marks[0], marks[1]);
        classes.push(i64::from(marks[0] == marks[1]));
        tokens.extend(row);
        padded.extend((0..STEPS).map(|t| t >= length));
    }
    let tokens = Tensor::from_data(TensorData::new(tokens, [BATCH, STEPS]), device);
    (tokens, Tensor::from_data(TensorData::new(padded, [BATCH, STEPS]), device), classes)
}

fn accuracy(model: &Encoder, random: &mut ChaCha8Rng, device: &Device) -> f64 {
    let mut right = 0;
    for _ in 0..10 {
        let (tokens, padded, classes) = batch(random, device);
        let found = model.forward(tokens, padded).argmax(1).into_data();
        right += found.iter::<i64>().zip(classes).filter(|(found, class)| found == class).count();
    }
    right as f64 / (10 * BATCH) as f64
}

#[test]
fn it_learns_with_any_attention() {
    let _alone = RANDOM.lock().unwrap_or_else(|broken| broken.into_inner());
    let device = Device::flex().autodiff();
    for (name, attention) in attentions() {
        device.seed(3);
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut model = EncoderConfig::new(6, 2, 16, 2, 32, attention).init(&device).unwrap();
        let mut optimizer = AdamConfig::new().init();
        for _ in 0..250 {
            let (tokens, padded, classes) = batch(&mut random, &device);
            let log_p = log_softmax(model.forward(tokens, padded), 1);
            let classes = Tensor::<2, Int>::from_data(TensorData::new(classes, [BATCH, 1]), &device);
            let loss = log_p.gather(1, classes).mean().neg();
            let gradients = GradientsParams::from_grads(loss.backward(), &model);
            model = optimizer.step(5e-3, model, gradients);
        }
        let found = accuracy(&model, &mut random, &device);
        assert!(found > 0.9, "{name}: {found}");
    }
}

#[test]
fn padding_changes_nothing() {
    let _alone = RANDOM.lock().unwrap_or_else(|broken| broken.into_inner());
    let device = Device::flex();
    for (name, attention) in attentions() {
        let model = EncoderConfig::new(6, 2, 16, 2, 32, attention).init(&device).unwrap();
        let tokens = Tensor::<2, Int>::from_data([[0, 3, 1, 4, 5, 5], [2, 2, 0, 1, 1, 3]], &device);
        let rest = Tensor::<2, Bool>::from_data([[false, false, false, false, true, true]; 2], &device);
        let padded = model.forward(tokens.clone(), rest).into_data();
        let short = tokens.narrow(1, 0, 4);
        let none = Tensor::<2, Bool>::from_data([[false; 4]; 2], &device);
        let short = model.forward(short, none).into_data();
        for (a, b) in padded.iter::<f32>().zip(short.iter::<f32>()) {
            assert!((a - b).abs() < 1e-5, "{name}: {a} for {b}");
        }
    }
}

#[test]
fn sizes_that_do_not_fit_are_refused() {
    let attention = AttentionConfig::Softmax(SoftmaxAttentionConfig::new(16, 2));
    let error = EncoderConfig::new(6, 2, 32, 2, 32, attention).init(&Device::flex()).unwrap_err();
    assert!(error.to_string().contains("d_model"), "{error}");
}
