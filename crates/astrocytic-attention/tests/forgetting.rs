//! Softmax attention whose scores fade: its formula, its forms. Padding is tested with the other
//! baselines'.

mod common;

use astrocytic_attention::{
    AttentionCache, AttentionConfig, AttentionInput, DecayConfig, SoftmaxAttention, SoftmaxAttentionConfig,
};
use burn::config::Config;
use burn::module::{Module, Param};
use burn::tensor::{Bool, DType, Device, Tensor, TensorData};
use common::{D_MODEL, OTHER_PRECISIONS, To, device, input, relative_error};

const HEADS: usize = 4;

/// Grouped heads, and decays that differ much from step to step.
fn layer(device: &Device) -> SoftmaxAttention {
    device.seed(2);
    let config = SoftmaxAttentionConfig::new(D_MODEL, HEADS).with_causal(true).with_kv_heads(Some(2));
    let mut layer = config.with_rotary_theta(Some(100.0)).with_decay(DecayConfig::Gated).init(device);
    let decay = layer.decay.as_mut().unwrap();
    decay.rate = Some(Param::from_tensor(Tensor::from_data([0.5, -1.0], device)));
    let gate = decay.gate.as_mut().unwrap();
    gate.weight = Param::from_tensor(gate.weight.val().mul_scalar(4.0).detach());
    layer
}

fn numbers<const D: usize>(x: Tensor<D>) -> Vec<f64> {
    x.into_data().convert_dtype(DType::F64).iter::<f64>().collect()
}

/// y_i = Σ_j softmax_j(q_i·k_j/√d + Σ_{j<l≤i} log a_l) v_j, pair by pair in f64, without positions.
#[test]
fn the_formula_pair_by_pair() {
    let (device, steps, d) = (device(), 11, D_MODEL / HEADS);
    let forgetting = layer(&device);
    let config = forgetting.config().clone().with_rotary_theta(None);
    let mut layer = config.init(&device);
    layer.decay = forgetting.decay;
    let x = input(1, steps, 3, &device);
    let [q, k, v] = [&layer.query, &layer.key, &layer.value].map(|linear| numbers(linear.forward(x.clone())));
    let log_decay = numbers(layer.decay.as_ref().unwrap().forward(&x).unwrap());
    assert!(log_decay.iter().any(|x| *x < -0.5) && log_decay.iter().any(|x| *x > -0.1), "{log_decay:?}");
    let part = |x: &[f64], step: usize, heads: usize, head: usize| x[(step * heads + head) * d..][..d].to_vec();
    let mut reads = vec![0.0; steps * D_MODEL];
    for i in 0..steps {
        for head in 0..HEADS {
            let (query, group) = (part(&q, i, HEADS, head), head / 2);
            let score = |j: usize| {
                let product: f64 = query.iter().zip(part(&k, j, 2, group)).map(|(a, b)| a * b).sum();
                product / (d as f64).sqrt() + log_decay[group * steps..][j + 1..=i].iter().sum::<f64>()
            };
            let all: f64 = (0..=i).map(|j| score(j).exp()).sum();
            for j in 0..=i {
                for (c, value) in part(&v, j, 2, group).into_iter().enumerate() {
                    reads[(i * HEADS + head) * d + c] += score(j).exp() / all * value;
                }
            }
        }
    }
    let reads: Vec<f32> = reads.into_iter().map(|x| x as f32).collect();
    let expected = layer.output.forward(Tensor::from_data(TensorData::new(reads, [1, steps, D_MODEL]), &device));
    let found = layer.forward(AttentionInput::self_attn(x)).context;
    let error = relative_error(found, expected);
    assert!(error < 1e-5, "off by {error:e}");
}

#[test]
fn cached_it_is_the_whole_and_its_cache_is_as_stated() {
    let device = device();
    let layer = layer(&device);
    let x = input(2, 9, 14, &device);
    let whole = layer.forward(AttentionInput::self_attn(x.clone())).context;
    let mut cache = layer.empty_cache(2);
    let parts = [0..4, 4..5, 5..9].map(|range| {
        let x = x.clone().narrow(1, range.start, range.len());
        layer.forward_cache(AttentionInput::self_attn(x), &mut cache).context
    });
    assert!(relative_error(Tensor::cat(parts.to_vec(), 1), whole) < 1e-5);
    let floats: usize = cache.steps().iter().flatten().map(|x| x.shape().num_elements()).sum();
    // Keys and values of two rows, nine steps and two heads, each with a column more.
    assert_eq!(floats, 2 * 2 * 9 * 2 * (D_MODEL / HEADS + 1));
}

/// A key that is gone is a key that is hidden: what the others fade by does not change.
#[test]
fn a_cache_that_was_cut_short_goes_on() {
    let device = device();
    let layer = layer(&device);
    let x = input(2, 9, 15, &device);
    let mut cache = layer.empty_cache(2);
    layer.forward_cache(AttentionInput::self_attn(x.clone().narrow(1, 0, 5)), &mut cache);
    let mut cache = cache.truncate(3);
    let last = AttentionInput::self_attn(x.clone().narrow(1, 5, 4));
    let found = layer.forward_cache(last, &mut cache).context;
    let hidden: Vec<bool> = (0..2 * 9 * 9).map(|at| at % 9 < 2).collect();
    let hidden = Tensor::<3, Bool>::from_data(TensorData::new(hidden, [2, 9, 9]), &device);
    let whole = layer.forward(AttentionInput::self_attn(x).mask_attn(hidden)).context;
    assert!(relative_error(found, whole.narrow(1, 5, 4)) < 1e-5);
}

#[test]
fn half_precision_sums_decays_in_single() {
    if !OTHER_PRECISIONS {
        return;
    }
    let device = device();
    let layer = layer(&device);
    let x = input(1, 600, 18, &device);
    let expected = layer.forward(AttentionInput::self_attn(x.clone())).context;
    for (dtype, bound) in [(DType::F16, 2e-2), (DType::BF16, 2e-1)] {
        let half = layer.clone().map(&mut To(dtype));
        let x = x.clone().cast(dtype);
        let whole = half.forward(AttentionInput::self_attn(x.clone())).context;
        let mut cache = half.empty_cache(1);
        let part = |start: usize| AttentionInput::self_attn(x.clone().narrow(1, start, 300));
        let parts = [0, 300].map(|start| half.forward_cache(part(start), &mut cache).context);
        assert_eq!((whole.dtype(), parts[0].dtype()), (dtype, dtype));
        for found in [whole, Tensor::cat(parts.to_vec(), 1)] {
            let error = relative_error(found, expected.clone());
            assert!(error < bound, "{dtype:?}: {error:e}");
        }
    }
}

#[test]
fn gradients_are_those_of_the_matrix_of_weights() {
    let device = device().autodiff();
    let layer = layer(&device);
    let x = input(2, 7, 16, &device);
    let along = input(2, 7, 17, &device);
    let gradients = |input: AttentionInput| {
        let grads = (layer.forward(input).context * along.clone()).sum().backward();
        let decay = layer.decay.as_ref().unwrap();
        let rate = decay.rate.as_ref().unwrap().val().grad(&grads).unwrap();
        let gate = decay.gate.as_ref().unwrap().weight.val().grad(&grads).unwrap();
        (rate, gate, layer.key.weight.val().grad(&grads).unwrap(), layer.query.weight.val().grad(&grads).unwrap())
    };
    let kernel = gradients(AttentionInput::self_attn(x.clone()));
    let matrix = gradients(AttentionInput::self_attn(x).with_weights());
    assert!(numbers(kernel.0.clone()).iter().all(|x| x.abs() > 1e-4));
    let errors = [
        relative_error(kernel.0, matrix.0),
        relative_error(kernel.1, matrix.1),
        relative_error(kernel.2, matrix.2),
        relative_error(kernel.3, matrix.3),
    ];
    assert!(errors.iter().all(|error| *error < 1e-4), "{errors:?}");
}

#[test]
fn its_configuration_says_so_and_needs_to_be_causal() {
    let device = device();
    let config = AttentionConfig::Softmax(
        SoftmaxAttentionConfig::new(D_MODEL, HEADS).with_causal(true).with_decay(DecayConfig::Gated),
    );
    assert!(config.validate().is_ok());
    let attention = config.init(&device);
    assert_eq!(attention.config(), config);
    assert!(matches!(attention.empty_cache(1), AttentionCache::KeyValue(_)));
    let both_ways =
        AttentionConfig::Softmax(SoftmaxAttentionConfig::new(D_MODEL, HEADS).with_decay(DecayConfig::Gated));
    assert!(both_ways.validate().is_err_and(|fault| fault.to_string().contains("causal")));
}

/// As it was written when softmax attention that forgets was a kind of its own.
const OLD: &str = r#"{
  "Forgetting": {
    "d_model": 16,
    "n_heads": 4,
    "kv_heads": null,
    "rotary_theta": 100.0,
    "causal": true,
    "convolution": 0,
    "output_gate": false,
    "dropout": 0.0,
    "bias": true,
    "initializer": {
      "KaimingUniform": {
        "gain": 0.5773502691896258,
        "fan_out_only": false
      }
    }
  }
}"#;

#[test]
fn older_configurations_are_read_and_written_as_they_are() {
    let softmax = SoftmaxAttentionConfig::new(16, 4).with_causal(true).with_rotary_theta(Some(100.0));
    let forgetting = AttentionConfig::Softmax(softmax.clone().with_decay(DecayConfig::Gated));
    assert_eq!(AttentionConfig::load_binary(OLD.as_bytes()).unwrap(), forgetting);
    assert_eq!(forgetting.to_string(), OLD);
    let plain = AttentionConfig::Softmax(softmax.clone());
    let old = OLD.replace("Forgetting", "Softmax");
    assert_eq!(AttentionConfig::load_binary(old.as_bytes()).unwrap(), plain);
    assert_eq!(plain.to_string(), old);
    // Any other decay stands by its name.
    let fixed = AttentionConfig::Softmax(softmax.with_decay(DecayConfig::Fixed));
    assert!(fixed.to_string().contains("\"decay\": \"Fixed\""), "{fixed}");
    assert_eq!(AttentionConfig::load_binary(fixed.to_string().as_bytes()).unwrap(), fixed);
}

/// A decay of which nothing is left hides what came before it, and is no fault.
#[test]
fn what_is_wholly_forgotten_is_hidden() {
    let device = device();
    let config = SoftmaxAttentionConfig::new(D_MODEL, HEADS).with_causal(true).with_decay(DecayConfig::Gated);
    let mut layer = config.init(&device);
    let x = input(1, 9, 19, &device);
    let decay = layer.decay.as_mut().unwrap();
    // The gate reads its own step alone: at step 4 every log decay is −∞, elsewhere about −1e-7.
    let mut steps = x.clone().zeros_like();
    steps = steps.slice_fill([0..1, 4..5, 0..1], 1.0);
    let x = x.slice_fill([0..1, 0..9, 0..1], 0.0) + steps;
    let gate = decay.gate.as_mut().unwrap();
    let rows = Tensor::<2>::zeros([D_MODEL, HEADS], &device).slice_fill([0..1, 0..HEADS], 3e38);
    gate.weight = Param::from_tensor(rows);
    gate.bias = Some(Param::from_tensor(Tensor::full([HEADS], -16.0, &device)));
    decay.rate = Some(Param::from_tensor(Tensor::full([HEADS], 1.0, &device)));
    let log_decay = numbers(layer.decay.as_ref().unwrap().forward(&x).unwrap());
    assert!(log_decay.iter().filter(|log| **log == f64::NEG_INFINITY).count() == HEADS, "{log_decay:?}");

    let all = layer.forward(AttentionInput::self_attn(x.clone())).context;
    let late = layer.forward(AttentionInput::self_attn(x.clone().narrow(1, 4, 5))).context;
    // In f32, 10,000 stands for what is infinite.
    assert!(relative_error(all.narrow(1, 4, 5), late.clone()) < 1e-3);
    let mut cache = layer.empty_cache(1);
    let parts = [0..4, 4..6, 6..9].map(|range| {
        let x = x.clone().narrow(1, range.start, range.len());
        layer.forward_cache(AttentionInput::self_attn(x), &mut cache).context
    });
    assert!(relative_error(Tensor::cat(parts.to_vec(), 1).narrow(1, 4, 5), late) < 1e-3);
}
