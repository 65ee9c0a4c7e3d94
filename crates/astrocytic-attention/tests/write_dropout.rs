//! Writes fail in training alone, head by head and step by step, and what does not fail is not
//! rescaled.

mod common;

use astrocytic_attention::{
    AstrocyticAttentionConfig, AttentionInput, FeatureMapConfig, Normalizer, SoftmaxAttentionConfig,
};
use burn::module::Module;
use burn::tensor::{DType, Tensor};
use common::{D_MODEL, HEADS, assert_same, device, input, layer};

const PROBABILITY: f64 = 0.3;
const STEPS: usize = 200;

#[test]
fn a_write_fails_as_a_whole_or_not_at_all() {
    let plain = AstrocyticAttentionConfig::linear(D_MODEL, HEADS)
        .with_feature_map(FeatureMapConfig::Relu)
        .with_normalizer(Normalizer::None);
    let device = device();
    let sound = layer(&plain, &device);
    let failing = layer(&plain.with_write_dropout(PROBABILITY), &device);
    let x = || AttentionInput::self_attn(input(2, STEPS, 41, &device)).with_weights();
    let expected = sound.forward(x()).weights.unwrap();
    assert_same(failing.forward(x()).weights.unwrap(), expected.clone(), "without training");

    let training = failing.to_device(&device.clone().autodiff());
    let x = Tensor::from_data(input(2, STEPS, 41, &device).into_data(), &device.clone().autodiff());
    let found = training.forward(AttentionInput::self_attn(x).with_weights()).weights.unwrap();
    let numbers = |x: Tensor<4>| x.into_data().convert_dtype(DType::F64).iter::<f64>().collect::<Vec<_>>();
    let (found, expected) = (numbers(found), numbers(expected));
    let columns = 2 * HEADS * STEPS;
    let mut failed = 0;
    for column in 0..columns {
        let (head, step) = (column / STEPS, column % STEPS);
        let row = |x: &[f64], q: usize| x[(head * STEPS + q) * STEPS + step];
        let gone = (0..STEPS).all(|q| row(&found, q) == 0.0);
        let whole = (0..STEPS).all(|q| (row(&found, q) - row(&expected, q)).abs() <= 1e-5 * row(&expected, q).abs());
        // A key that fires nothing writes nothing either way.
        assert!(gone || whole, "head {head}, step {step}");
        failed += usize::from(gone && !whole);
    }
    let share = failed as f64 / columns as f64;
    // Three standard errors of 800 draws.
    assert!((share - PROBABILITY).abs() < 0.05, "{share}");
}

/// A layer in training drops, whatever device its input is on, as Burn's own does.
#[test]
fn dropout_follows_the_layer_and_not_the_input() {
    let device = device();
    let training = device.clone().autodiff();
    let plain = input(2, STEPS, 42, &device);
    let config = AstrocyticAttentionConfig::linear(D_MODEL, HEADS).with_write_dropout(0.5);
    let layer = layer(&config, &training);
    let found = layer.forward(AttentionInput::self_attn(plain.clone())).context.into_data();
    let sound = layer.valid().forward(AttentionInput::self_attn(plain.clone())).context.into_data();
    assert_ne!(found, sound, "writes");

    let layer = SoftmaxAttentionConfig::new(D_MODEL, HEADS).with_dropout(0.5).init(&training);
    let found = layer.forward(AttentionInput::self_attn(plain.clone())).context.into_data();
    let sound = layer.valid().forward(AttentionInput::self_attn(plain)).context.into_data();
    assert_ne!(found, sound, "attention weights");
}
