//! Options that came after the first stored runs: what they start with, what they refuse, and that
//! one that is off leaves no trace in a file.

mod common;

use astrocytic_attention::{AstrocyticAttentionConfig as Config, DecayConfig};
use burn::tensor::{Tensor, activation::sigmoid};
use common::{D_MODEL, device, variants};

fn numbers<const D: usize>(x: Tensor<D>) -> Vec<f64> {
    x.into_data().iter::<f64>().collect()
}

fn near(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found / expected - 1.0).abs() < 1e-5, "{found} for {expected}");
    }
}

#[test]
fn an_option_that_is_off_is_not_written() {
    let names = ["initial_write", "initial_leak", "undecayed_heads"];
    for (name, config) in variants() {
        let text = serde_json::to_string(&config).unwrap();
        let again: Config = serde_json::from_str(&text).unwrap();
        assert_eq!((again, serde_json::to_string(&config).unwrap()), (config, text), "{name}");
    }
    for config in [Config::new(D_MODEL, 2), Config::tripartite(D_MODEL, 2), Config::retnet(D_MODEL, 2)] {
        let text = serde_json::to_string(&config).unwrap();
        assert!(names.iter().all(|name| !text.contains(name)), "{text}");
    }
}

#[test]
fn write_gates_start_where_they_are_told() {
    let device = device();
    let turning = Config::tripartite(D_MODEL, 4).with_largest_write(2.0);
    let start = |config: Config| {
        let gate = config.init(&device).write_gate.expect("a write gate");
        numbers(sigmoid(gate.bias.expect("a bias").val()).mul_scalar(2.0))
    };
    near(&start(turning.clone().with_initial_write(Some([1.9, 1.0]))), &[1.9, 1.6, 1.3, 1.0]);
    near(&start(turning.clone().with_initial_write(Some([1.5; 2]))), &[1.5; 4]);
    near(&start(turning.clone().with_kv_heads(Some(1)).with_initial_write(Some([1.9, 1.1]))), &[1.5]);
    let drawn = |config: Config| {
        device.seed(5);
        numbers(config.init(&device).write_gate.expect("a write gate").weight.val())
    };
    assert_eq!(drawn(turning.clone().with_initial_write(Some([1.9, 1.0]))), drawn(turning), "weights");
}

#[test]
fn decays_start_as_open_as_they_are_told_and_some_heads_have_none() {
    let device = device();
    let nothing = Tensor::<3>::zeros([1, 1, D_MODEL], &device);
    for decay in [DecayConfig::Gated, DecayConfig::Griffin] {
        let config = Config::tripartite(D_MODEL, 4).with_decay(decay).with_undecayed_heads(1);
        let layer = config.with_initial_leak(Some([1e-4, 1e-2])).init(&device);
        let leaks = numbers(layer.decay.forward(&nothing).expect("a decay").neg());
        near(&leaks, &[1e-4, 1e-3, 1e-2]);
    }
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let base = || Config::tripartite(D_MODEL, 4);
    for (config, part) in [
        (base().with_initial_write(Some([0.5, 1.0])), "initial_write"),
        (base().with_initial_write(Some([0.0, 0.5])), "initial_write"),
        (base().with_write_gate(false).with_initial_write(Some([0.5; 2])), "write_gate = true"),
        (base().with_initial_leak(Some([0.0, 0.1])), "initial_leak"),
        (base().with_decay(DecayConfig::Fixed).with_initial_leak(Some([0.1; 2])), "initial_leak"),
        (base().with_decay(DecayConfig::Griffin).with_initial_leak(Some([0.01, 0.1])), "initial_leak"),
        (base().with_undecayed_heads(4), "undecayed_heads"),
        (base().with_decay(DecayConfig::None).with_undecayed_heads(1), "undecayed_heads"),
    ] {
        let error = config.validate().unwrap_err().to_string();
        assert!(error.contains(part) && error.lines().count() == 1, "\"{part}\" is not in \"{error}\"");
    }
}
