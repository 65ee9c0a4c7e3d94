//! The kernels held to Burn's own operations in double precision: outputs, states and gradients,
//! for random shapes and options; the same bits for any number of threads.

mod common;

use astrocytic_attention::debug::{poison, without_kernels};
use astrocytic_attention::feature_map::Side;
use astrocytic_attention::ops::{
    Feature, MemoryInputs, MemorySpec, MemoryState, cross_entropy, gated_silu, lstm, memory_attention, rms_norm,
    softmax_attention,
};
use astrocytic_attention::position::rotate;
use astrocytic_attention::{FeatureMapConfig, Form, Plasticity, ShortConvolution};
use burn::module::Param;
use burn::nn::RmsNormConfig;
use burn::tensor::activation::{log_softmax, silu, softmax};
use burn::tensor::{Bool, DType, Device, Distribution, Int, Tensor, TensorData};
use common::variants;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// More of the same with ASTROCYTIC_CASES.
fn cases() -> u64 {
    std::env::var("ASTROCYTIC_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(60)
}

/// Random numbers of a test's own: Burn's belong to the process.
struct Draw(ChaCha8Rng);

impl Draw {
    fn size(&mut self, range: std::ops::RangeInclusive<usize>) -> usize {
        self.0.random_range(range)
    }

    fn coin(&mut self) -> bool {
        self.0.random()
    }

    fn tensor<const D: usize>(&mut self, shape: [usize; D], low: f64, high: f64) -> TensorData {
        let count: usize = shape.iter().product();
        // Numbers that both precisions can hold, so that all start from the same.
        let mut number = || f64::from(self.0.random_range(low..high) as f32);
        TensorData::new((0..count).map(|_| number()).collect::<Vec<f64>>(), shape)
    }
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().convert_dtype(DType::F64).iter::<f64>().collect()
}

fn close(what: &str, found: &[f64], expected: &[f64], bound: f64) {
    assert_eq!(found.len(), expected.len(), "{what}: sizes");
    assert!(found.iter().all(|x| x.is_finite()), "{what}: not finite");
    let square = |xs: &mut dyn Iterator<Item = f64>| xs.map(|x| x * x).sum::<f64>();
    let error = square(&mut found.iter().zip(expected).map(|(a, b)| a - b));
    // What is 0 by its nature is 0 up to rounding; what nothing depends on has no gradient.
    let size = square(&mut expected.iter().copied()).max(1e-8 * expected.len().max(1) as f64);
    assert!((error / size).sqrt() <= bound, "{what}: {:e}", (error / size).sqrt());
}

/// Outputs and gradients of a function of some tensors, in a precision, on a device.
fn results(
    inputs: &[TensorData],
    dtype: DType,
    device: &Device,
    function: &dyn Fn(&[Tensor<4>]) -> Vec<Tensor<1>>,
) -> Vec<Vec<f64>> {
    let autodiff = device.clone().autodiff();
    let to_leaf = |data: &TensorData| Tensor::<4>::from_data(data.clone(), (&autodiff, dtype)).require_grad();
    let leaves: Vec<_> = inputs.iter().map(to_leaf).collect();
    let outputs = function(&leaves);
    let mut loss = Tensor::<1>::zeros([1], (&autodiff, dtype));
    for (i, output) in outputs.iter().enumerate() {
        // Any fixed weights will do: the sine of the index is as good as random.
        let count = output.dims()[0];
        let weights: Vec<f64> = (0..count).map(|j| ((i + 1) as f64 * (j as f64 + 1.0)).sin()).collect();
        let weights = Tensor::<1>::from_data(TensorData::new(weights, [count]), (&autodiff, dtype));
        loss = loss + (output.clone() * weights).sum();
    }
    let gradients = loss.backward();
    let values = outputs.into_iter().map(numbers);
    values.chain(leaves.iter().map(|leaf| leaf.grad(&gradients).map_or_else(Vec::new, numbers))).collect()
}

/// A new leaf of the same numbers.
fn leaf<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    Tensor::from_data(x.clone().into_data(), (&x.device(), x.dtype()))
}

fn flat<const D: usize>(x: Tensor<D>) -> Tensor<1> {
    let count = x.shape().num_elements();
    x.reshape([count])
}

/// Holds `fused` in both precisions and on both backends to `composed` in double precision.
fn hold(
    what: &str,
    inputs: &[TensorData],
    fused: &dyn Fn(&[Tensor<4>]) -> Vec<Tensor<1>>,
    composed: &dyn Fn(&[Tensor<4>]) -> Vec<Tensor<1>>,
) {
    poison();
    let expected = results(inputs, DType::F64, &Device::flex(), composed);
    #[allow(deprecated)]
    let devices = [("flex", Device::flex()), ("ndarray", Device::ndarray())];
    for (name, device) in devices {
        for (dtype, bound) in [(DType::F64, 1e-12), (DType::F32, 1e-4)] {
            let found = results(inputs, dtype, &device, fused);
            assert_eq!(found.len(), expected.len());
            for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
                close(&format!("{what}, {name}, {dtype:?}, result {i}"), found, expected, bound);
            }
        }
    }
}

/// The feature maps that kernels apply on the way, each once.
fn element_wise() -> Vec<FeatureMapConfig> {
    let mut maps = Vec::new();
    for map in variants().into_iter().map(|(_, config)| config.feature_map) {
        if map.element_wise().is_some() && !maps.contains(&map) {
            maps.push(map);
        }
    }
    maps
}

/// Whether a map is 0 below 0.
fn rectifies(map: FeatureMapConfig) -> bool {
    map.reference(&[-1.0], &[], Side::Key) == [0.0]
}

/// The element-wise map of a configuration.
fn feature(map: FeatureMapConfig) -> Feature {
    map.element_wise().expect("an element-wise map")
}

#[derive(Debug, Clone)]
struct Case {
    spec: MemorySpec,
    decays: bool,
    strength: bool,
    before: bool,
    remember: bool,
    /// Query heads of a key head.
    group: usize,
    shape: [usize; 6],
}

impl Case {
    fn draw(draw: &mut Draw) -> Self {
        let delta = draw.coin();
        let causal = draw.coin();
        // (What one step of an empty memory reads does not depend on much, but for rounding;
        // forms.rs has it.)
        let steps = draw.size(2..=40);
        let reads = if causal { steps } else { draw.size(1..=20) };
        let (batch, heads) = (draw.size(1..=3), draw.size(1..=4));
        // (A single feature divides itself out.)
        let shape = [batch, steps, reads, heads, draw.size(2..=35), draw.size(1..=35)];
        // A calcium of both signs can be anything: positive features with it.
        let calcium = !delta && draw.coin();
        let maps = element_wise();
        let map = if calcium { FeatureMapConfig::Elu } else { maps[draw.size(0..=maps.len() - 1)] };
        // A rectified pair of length 1 is (1, 0) mostly, whose gradient is 0 but for rounding.
        let unit = delta || (!calcium && !rectifies(map) && draw.coin());
        let map = if delta && rectifies(map) { FeatureMapConfig::Silu } else { map };
        Self {
            spec: MemorySpec {
                plasticity: if delta { Plasticity::Delta } else { Plasticity::Hebbian },
                feature: feature(map),
                unit,
                calcium,
                causal,
                form: Form::Chunkwise([1, 2, 7, 16, 33, 64, steps, steps + 3][draw.size(0..=7)]),
            },
            decays: draw.coin(),
            strength: draw.coin(),
            before: draw.coin(),
            remember: draw.coin(),
            group: draw.size(1..=3),
            shape,
        }
    }

    fn inputs(&self, draw: &mut Draw) -> Vec<TensorData> {
        let [batch, steps, reads, heads, m, d] = self.shape;
        let calcium = if self.before && self.spec.calcium { 1 } else { 0 };
        let mut inputs = vec![
            draw.tensor([batch, reads, heads * self.group, m], -1.0, 1.0),
            draw.tensor([batch, steps, heads, m], -1.0, 1.0),
            draw.tensor([batch, steps, heads, d], -1.0, 1.0),
        ];
        // Mostly weak decays, and some down to −40.
        let decays = || {
            let mut decays = draw_decays(draw, batch * steps * heads);
            decays.iter_mut().for_each(|x| *x = f64::from(*x as f32));
            TensorData::new(decays, [batch, steps, heads, 1])
        };
        inputs.extend(self.decays.then(decays));
        let most = if self.spec.plasticity == Plasticity::Delta { 2.0 } else { 1.0 };
        inputs.extend(self.strength.then(|| draw.tensor([batch, steps, heads, 1], 0.0, most)));
        inputs.extend(self.before.then(|| draw.tensor([batch, heads, m, d], -1.0, 1.0)));
        inputs.extend((calcium > 0).then(|| draw.tensor([batch, heads, m, 1], 0.1, 1.0)));
        inputs
    }

    fn run(&self, inputs: &[Tensor<4>], form: Form) -> Vec<Tensor<1>> {
        let mut rest = inputs[3..].iter().cloned();
        let mut next = |given: bool| if given { rest.next() } else { None };
        let x = MemoryInputs {
            query: inputs[0].clone(),
            key: inputs[1].clone(),
            value: inputs[2].clone(),
            log_decay: next(self.decays).map(|x| x.squeeze_dim(3)),
            strength: next(self.strength).map(|x| x.squeeze_dim(3)),
        };
        let memory = next(self.before);
        let calcium = next(self.before && self.spec.calcium).map(|x| x.squeeze_dim(3));
        let before = memory.map(|memory| MemoryState { memory, calcium });
        let (reads, after) = memory_attention(&MemorySpec { form, ..self.spec }, x, before, self.remember);
        let mut outputs = vec![flat(reads)];
        if let Some(after) = after.filter(|_| self.remember) {
            outputs.push(flat(after.memory));
            outputs.extend(after.calcium.map(flat));
        }
        outputs
    }
}

fn draw_decays(draw: &mut Draw, count: usize) -> Vec<f64> {
    (0..count)
        .map(|_| match draw.size(0..=9) {
            0 => -draw.0.random_range(0.5..40.0),
            _ => -draw.0.random_range(0.0..0.5),
        })
        .collect()
}

#[test]
fn the_memory_is_that_of_tensor_operations() {
    for seed in 0..cases() {
        let draw = &mut Draw(ChaCha8Rng::seed_from_u64(seed));
        let case = Case::draw(draw);
        let inputs = case.inputs(draw);
        let fused = |x: &[Tensor<4>]| case.run(x, case.spec.form);
        let composed = |x: &[Tensor<4>]| case.run(x, Form::Parallel);
        hold(&format!("seed {seed}, {case:?}"), &inputs, &fused, &composed);
    }
}

#[test]
fn softmax_is_that_of_tensor_operations() {
    for seed in 0..cases() {
        let draw = &mut Draw(ChaCha8Rng::seed_from_u64(seed));
        let causal = draw.coin();
        let (batch, key_heads, group, d) = (draw.size(1..=3), draw.size(1..=3), draw.size(1..=3), draw.size(1..=40));
        let heads = key_heads * group;
        // (One key has all the weight, and gradients of 0 but for rounding.)
        let steps = draw.size(2..=150);
        let reads = if draw.coin() { steps } else { draw.size(1..=steps) };
        let inputs = [
            draw.tensor([batch, reads, heads, d], -2.0, 2.0),
            draw.tensor([batch, steps, key_heads, d], -2.0, 2.0),
            draw.tensor([batch, steps, key_heads, d], -1.0, 1.0),
        ];
        let fused = |x: &[Tensor<4>]| vec![flat(softmax_attention(x[0].clone(), x[1].clone(), x[2].clone(), causal))];
        let composed = |x: &[Tensor<4>]| {
            let [q, k, v] = [0, 1, 2].map(|i| x[i].clone().swap_dims(1, 2));
            // Head h has the keys of h / group.
            let shared = |x: Tensor<4>| {
                let grouped = x.unsqueeze_dim::<5>(2).expand([batch, key_heads, group, steps, d]);
                grouped.reshape([batch, heads, steps, d])
            };
            let [k, v] = [k, v].map(shared);
            // As a tensor: Burn's gradient of a division by a number is only exact to single
            // precision.
            let factor = TensorData::new(vec![(d as f64).sqrt().recip()], [1, 1, 1, 1]);
            let factor = Tensor::<4>::from_data(factor, (&q.device(), DType::F64));
            let mut scores = (q * factor).matmul(k.transpose());
            if causal {
                let past = (steps - reads) as i64;
                let hidden = Tensor::<2, Bool>::tril_mask([reads, steps], past, &scores.device()).unsqueeze::<4>();
                scores = scores.mask_fill(hidden.expand([batch, heads, reads, steps]), -1e300);
            }
            vec![flat(softmax(scores, 3).matmul(v).swap_dims(1, 2))]
        };
        hold(
            &format!(
                "seed {seed}, causal {causal}, {reads} of {steps} steps, {heads} heads in groups of {group}, d {d}"
            ),
            &inputs,
            &fused,
            &composed,
        );
    }
}

/// Gates `[batch, steps, 4, hidden]`, R `[hidden, 4, 1, hidden]` and the state before
/// `[2, batch, 1, hidden]`.
fn lstm_of(x: &[Tensor<4>]) -> Tensor<4> {
    let [batch, steps, gates, hidden] = x[0].dims();
    let sums = x[0].clone().reshape([batch, steps, gates * hidden]);
    lstm(sums, x[1].clone().reshape([hidden, gates * hidden]), x[2].clone())
}

#[test]
fn the_lstm_is_that_of_tensor_operations() {
    for seed in 0..cases() {
        let draw = &mut Draw(ChaCha8Rng::seed_from_u64(seed));
        let (batch, steps, hidden) = (draw.size(1..=35), draw.size(1..=70), draw.size(1..=50));
        let near = 1.5 / (hidden as f64).sqrt();
        let inputs = [
            draw.tensor([batch, steps, 4, hidden], -2.0, 2.0),
            draw.tensor([hidden, 4, 1, hidden], -near, near),
            draw.tensor([2, batch, 1, hidden], -1.0, 1.0),
        ];
        let fused = |x: &[Tensor<4>]| vec![flat(lstm_of(x))];
        let composed = |x: &[Tensor<4>]| vec![flat(without_kernels(|| lstm_of(x)))];
        hold(&format!("seed {seed}, {batch} × {steps} × {hidden}"), &inputs, &fused, &composed);
    }
}

#[test]
fn norm_gate_convolution_and_rotation_are_those_of_tensor_operations() {
    for seed in 0..cases() / 2 {
        let draw = &mut Draw(ChaCha8Rng::seed_from_u64(seed));
        let (batch, steps, width, taps) = (draw.size(1..=3), draw.size(1..=150), draw.size(2..=70), draw.size(2..=5));
        let x = draw.tensor([batch, steps, 1, width], -2.0, 2.0);
        let like_x = draw.tensor([batch, steps, 1, width], -2.0, 2.0);
        let what = |op: &str| format!("{op}, seed {seed}, {batch} × {steps} × {width}");

        let gamma = draw.tensor([1, 1, 1, width], 0.5, 1.5);
        let norm = |x: &[Tensor<4>]| {
            let mut norm = RmsNormConfig::new(width).init(&x[0].device());
            norm.gamma = Param::from_tensor(leaf(x[1].clone().reshape([width])));
            norm
        };
        let fused = |x: &[Tensor<4>]| vec![flat(rms_norm(x[0].clone(), &norm(x)))];
        let composed = |x: &[Tensor<4>]| {
            let size = (x[0].clone().square().mean_dim(3) + 1e-5).sqrt();
            vec![flat(x[0].clone() / size * x[1].clone().detach())]
        };
        hold(&what("norm"), &[x.clone(), gamma], &fused, &composed);

        let fused = |x: &[Tensor<4>]| vec![flat(gated_silu(x[0].clone(), x[1].clone()))];
        let composed = |x: &[Tensor<4>]| vec![flat(x[0].clone() * silu(x[1].clone()))];
        hold(&what("gate"), &[x.clone(), like_x], &fused, &composed);

        let kernel = draw.tensor([width, 1, 1, taps], -1.0, 1.0);
        let past = draw.tensor([batch, taps - 1, 1, width], -1.0, 1.0);
        let fused = |x: &[Tensor<4>]| {
            let kernel = leaf(x[1].clone().reshape([width, taps]));
            let filter = ShortConvolution { kernel: Param::from_tensor(kernel) };
            let steps_of = |x: &Tensor<4>| x.clone().squeeze_dim::<3>(2);
            let (filtered, history) = filter.forward(steps_of(&x[0]), steps_of(&x[2]), None);
            vec![flat(filtered), flat(history)]
        };
        let composed = |x: &[Tensor<4>]| {
            let extended = Tensor::cat(vec![x[2].clone(), x[0].clone()], 1);
            let mut sum = Tensor::zeros_like(&x[0]);
            for j in 0..taps {
                let tap = x[1].clone().detach().narrow(3, j, 1).reshape([1, 1, 1, width]);
                sum = sum + extended.clone().narrow(1, j, steps) * tap;
            }
            vec![flat(sum), flat(extended.narrow(1, steps, taps - 1))]
        };
        hold(&what("convolution"), &[x.clone(), kernel, past], &fused, &composed);

        let (heads, half) = (draw.size(1..=3), draw.size(1..=20));
        let x = draw.tensor([batch, heads, steps, 2 * half], -1.0, 1.0);
        let places: Vec<i64> = (0..batch * steps).map(|i| (i * 7 % 1000) as i64).collect();
        let fused = |x: &[Tensor<4>]| {
            let places = Tensor::<2, Int>::from_data(TensorData::new(places.clone(), [batch, steps]), &x[0].device());
            vec![flat(rotate(x[0].clone(), places, 1e4))]
        };
        let composed = |x: &[Tensor<4>]| {
            let wave = |i: usize| 1e4f64.powf(-(i as f64) / half as f64);
            let angles = places.iter().flat_map(|&p| (0..half).map(move |i| p as f64 * wave(i)));
            let angles = TensorData::new(angles.collect::<Vec<f64>>(), [batch, 1, steps, half]);
            let angles = Tensor::<4>::from_data(angles, (&x[0].device(), DType::F64));
            let (left, right) = (x[0].clone().narrow(3, 0, half), x[0].clone().narrow(3, half, half));
            let (cos, sin) = (angles.clone().cos(), angles.sin());
            let turned = vec![left.clone() * cos.clone() - right.clone() * sin.clone(), right * cos + left * sin];
            vec![flat(Tensor::cat(turned, 3))]
        };
        hold(&what("rotation"), &[x], &fused, &composed);
    }
}

#[test]
fn the_norms_scale_and_the_filters_taps_are_trained() {
    let device = Device::flex().autodiff();
    let draw = &mut Draw(ChaCha8Rng::seed_from_u64(1));
    let (rows, width, taps) = (200, 24, 4);
    let f64s = (&device, DType::F64);
    let x = Tensor::<3>::from_data(draw.tensor([2, rows, width], -1.0, 1.0), f64s);
    let weights = Tensor::<3>::from_data(draw.tensor([2, rows, width], -1.0, 1.0), f64s);

    let mut norm = RmsNormConfig::new(width).init(&device);
    norm.gamma = Param::from_tensor(Tensor::from_data(draw.tensor([width], 0.5, 1.5), f64s));
    let found = (rms_norm(x.clone(), &norm) * weights.clone()).sum().backward();
    let size = (x.clone().square().mean_dim(2) + norm.epsilon).sqrt();
    let composed = x.clone() / size * norm.gamma.val().unsqueeze();
    let expected = (composed * weights.clone()).sum().backward();
    let grad = |of: &burn::tensor::Gradients| numbers(norm.gamma.val().grad(of).expect("trained"));
    close("gamma", &grad(&found), &grad(&expected), 1e-12);

    let kernel = Tensor::<2>::from_data(draw.tensor([width, taps], -1.0, 1.0), f64s);
    let filter = ShortConvolution { kernel: Param::from_tensor(kernel) };
    let past = Tensor::<3>::from_data(draw.tensor([2, taps - 1, width], -1.0, 1.0), f64s);
    let found = (filter.forward(x.clone(), past.clone(), None).0 * weights.clone()).sum().backward();
    let extended = Tensor::cat(vec![past, x], 1);
    let tap = |j: usize| {
        let tap = filter.kernel.val().narrow(1, j, 1).reshape([1, 1, width]);
        extended.clone().narrow(1, j, rows) * tap
    };
    let composed = (1..taps).fold(tap(0), |sum, j| sum + tap(j));
    let expected = (composed * weights).sum().backward();
    let grad = |of: &burn::tensor::Gradients| numbers(filter.kernel.val().grad(of).expect("trained"));
    close("taps", &grad(&found), &grad(&expected), 1e-12);
}

#[test]
fn cross_entropy_is_that_of_tensor_operations() {
    for seed in 0..cases() / 2 {
        let draw = &mut Draw(ChaCha8Rng::seed_from_u64(seed));
        let (rows, classes) = (draw.size(1..=70), draw.size(1..=90));
        let logits = draw.tensor([1, 1, rows, classes], -30.0, 30.0);
        let targets: Vec<i32> = (0..rows).map(|_| draw.size(0..=classes - 1) as i32).collect();
        let fused = |x: &[Tensor<4>]| vec![cross_entropy(x[0].clone().reshape([rows, classes]), &targets)];
        let composed = |x: &[Tensor<4>]| {
            let places = TensorData::new(targets.clone(), [rows, 1]);
            let places = Tensor::<2, Int>::from_data(places, &x[0].device());
            vec![log_softmax(x[0].clone().reshape([rows, classes]), 1).gather(1, places).mean().neg()]
        };
        hold(&format!("seed {seed}, {rows} of {classes}"), &[logits], &fused, &composed);
    }
}

#[test]
#[should_panic(expected = "is not one of 3 classes")]
fn a_target_that_is_no_class_is_refused() {
    cross_entropy(Tensor::zeros([2, 3], &Device::flex()), &[0, 3]);
}

fn bits(results: Vec<Vec<f64>>) -> Vec<u64> {
    results.into_iter().flatten().map(f64::to_bits).collect()
}

#[test]
fn threads_change_no_bit_of_the_lstm() {
    let draw = &mut Draw(ChaCha8Rng::seed_from_u64(8));
    for [batch, steps, hidden] in [[3, 70, 24], [19, 40, 35], [64, 8, 16]] {
        let inputs = [
            draw.tensor([batch, steps, 4, hidden], -2.0, 2.0),
            draw.tensor([hidden, 4, 1, hidden], -0.3, 0.3),
            draw.tensor([2, batch, 1, hidden], -1.0, 1.0),
        ];
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            pool.install(|| results(&inputs, DType::F32, &Device::flex(), &|x| vec![flat(lstm_of(x))]))
        };
        let one = bits(run(1));
        for threads in [2, 3, 5] {
            assert!(bits(run(threads)) == one, "{threads} threads, {batch} × {steps} × {hidden}");
        }
    }
}

#[test]
fn threads_change_no_bit() {
    poison();
    let device = Device::flex();
    let draw = &mut Draw(ChaCha8Rng::seed_from_u64(7));
    // With one or two heads threads share out the chunks, with more the heads.
    let (hebbian, delta) =
        ((Plasticity::Hebbian, feature(FeatureMapConfig::Elu)), (Plasticity::Delta, feature(FeatureMapConfig::Silu)));
    let cases = [
        (hebbian, true, true, [3, 200, 200, 4, 24, 24]),
        (delta, false, true, [3, 200, 200, 4, 24, 24]),
        (hebbian, true, true, [1, 203, 203, 1, 24, 24]),
        (hebbian, false, true, [1, 203, 203, 2, 24, 24]),
        (hebbian, true, false, [1, 203, 203, 1, 24, 24]),
        (hebbian, false, false, [2, 203, 203, 1, 24, 24]),
        (delta, false, true, [1, 203, 203, 1, 24, 24]),
    ];
    for ((plasticity, feature), calcium, causal, shape) in cases {
        let spec = MemorySpec { plasticity, feature, unit: !calcium, calcium, causal, form: Form::Chunkwise(16) };
        let case =
            Case { spec, decays: true, strength: true, before: true, remember: true, group: 1 + shape[3] % 2, shape };
        let inputs = case.inputs(draw);
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            pool.install(|| {
                let function = |x: &[Tensor<4>]| {
                    let mut outputs = case.run(x, case.spec.form);
                    outputs.push(flat(softmax_attention(x[0].clone(), x[1].clone(), x[2].clone(), true)));
                    outputs.push(flat(gated_silu(x[0].clone(), x[1].clone())));
                    let norm = RmsNormConfig::new(shape[4]).init(&x[0].device());
                    outputs.push(flat(rms_norm(x[0].clone(), &norm)));
                    outputs
                };
                results(&inputs, DType::F32, &device, &function)
            })
        };
        let one = bits(run(1));
        for threads in [2, 3, 5] {
            assert!(bits(run(threads)) == one, "{threads} threads, {plasticity:?}, causal {causal}, {shape:?}");
        }
    }
}

/// What a caller hands over may be transposed, cut out of something larger, or expanded.
#[test]
fn any_layout_will_do() {
    let device = Device::flex();
    let draw = || Tensor::<4>::random([2, 3, 20, 8], Distribution::Normal(0.0, 1.0), &device);
    let spec = MemorySpec {
        plasticity: Plasticity::Hebbian,
        feature: feature(FeatureMapConfig::Elu),
        unit: false,
        calcium: true,
        causal: true,
        form: Form::Chunkwise(7),
    };
    let [query, key, value] = [draw(), draw(), draw()];
    let strength = Tensor::<3>::random([2, 1, 1], Distribution::Uniform(0.1, 0.9), &device).expand([2, 20, 3]);
    let copied = |x: &Tensor<4>| Tensor::<4>::from_data(x.clone().into_data(), &device);
    let views = [query, key, value].map(|x| x.swap_dims(1, 2));
    let cut = views.clone().map(|x| x.repeat_dim(3, 2).narrow(3, 8, 8));
    let last_strided = views.clone().map(|x| copied(&x.swap_dims(1, 3)).swap_dims(1, 3));
    let plain = views.each_ref().map(copied);
    let run = |[query, key, value]: [Tensor<4>; 3]| {
        let x = MemoryInputs { query, key, value, log_decay: None, strength: Some(strength.clone()) };
        numbers(memory_attention(&spec, x, None, false).0)
    };
    let expected = run(plain);
    for other in [views, cut, last_strided] {
        assert_eq!(run(other), expected);
    }
}

/// A loss that is not a number must be seen to be none: kernels must not turn it into one.
#[test]
fn what_is_not_a_number_stays_so() {
    let device = Device::flex();
    let broken = |shape: [usize; 4]| {
        let x = Tensor::<4>::random(shape, Distribution::Normal(0.0, 1.0), &device);
        x.slice_fill([0..1, 20..21, 0..1, 0..1], f32::NAN)
    };
    let shape = [1, 40, 2, 16];
    let sound = || Tensor::<4>::random(shape, Distribution::Normal(0.0, 1.0), &device);
    let nan = |x: Tensor<4>, t: usize| x.narrow(1, t, 1).sum().into_scalar::<f32>().is_nan();
    for feature in element_wise().into_iter().map(feature) {
        for plasticity in [Plasticity::Hebbian, Plasticity::Delta] {
            let form = Form::Chunkwise(16);
            let spec = MemorySpec { plasticity, feature, unit: false, calcium: false, causal: true, form };
            for which in 0..3 {
                let of = |i| if i == which { broken(shape) } else { sound() };
                let x = MemoryInputs { query: of(0), key: of(1), value: of(2), log_decay: None, strength: None };
                let reads = memory_attention(&spec, x, None, false).0;
                assert!(nan(reads.clone(), 20), "{feature:?}, {plasticity:?}, input {which}");
                assert!(
                    !nan(reads.narrow(1, 0, 20), 19),
                    "{feature:?}, {plasticity:?}, input {which}: before its step"
                );
            }
        }
    }
    for which in 0..3 {
        let of = |i| if i == which { broken(shape) } else { sound() };
        let reads = softmax_attention(of(0), of(1), of(2), true);
        assert!(nan(reads, 20), "softmax, input {which}");
    }
    let logits = broken([1, 40, 1, 16]).reshape([40, 16]);
    assert!(cross_entropy(logits, &[3; 40]).into_scalar::<f32>().is_nan());
    let [recurrent, before] = [[16, 4, 1, 16], [2, 1, 1, 16]].map(|shape| Tensor::<4>::ones(shape, &device));
    let states = lstm_of(&[broken([1, 40, 4, 16]), recurrent, before]).swap_dims(1, 2);
    assert!(nan(states.clone(), 20) && nan(states.clone(), 39) && !nan(states.narrow(1, 0, 20), 19));
    assert!(nan(gated_silu(broken(shape), sound()), 20) && nan(gated_silu(sound(), broken(shape)), 20));
    assert!(nan(rms_norm(broken(shape), &RmsNormConfig::new(16).init(&device)), 20));
}
