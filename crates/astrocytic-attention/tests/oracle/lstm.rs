//! The long short-term memory: a sequence in plain f64, its gradients by hand, and the Burn layer
//! held to both.

use astrocytic_attention::debug::without_kernels;
use astrocytic_attention::reference::dot;
use astrocytic_attention::{AttentionInput, Lstm, LstmConfig, LstmState};
use burn::module::Module;
use burn::tensor::{Bool, Device, Tensor, TensorData};

use crate::check::{Random, check};
use crate::common::{D_MODEL, device, drawn, input};
use crate::{Named, PADDED, STEPS, compare, numbers};
use std::collections::BTreeMap;

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// `[n] = x [m] · w [m, n]`.
fn times(x: &[f64], w: &[f64]) -> Vec<f64> {
    let n = w.len() / x.len();
    (0..n).map(|j| (0..x.len()).map(|i| x[i] * w[i * n + j]).sum()).collect()
}

/// Gradients of [`times`] by x and, added, by w.
fn times_vjp(x: &[f64], w: &[f64], d: &[f64], d_w: &mut [f64]) -> Vec<f64> {
    let n = d.len();
    for (i, x) in x.iter().enumerate() {
        for (j, d) in d.iter().enumerate() {
            d_w[i * n + j] += x * d;
        }
    }
    (0..x.len()).map(|i| dot(&w[i * n..(i + 1) * n], d)).collect()
}

/// Matrices as the Burn layer has them, row-major, `[inputs, outputs]`.
#[derive(Debug, Clone, PartialEq)]
struct Weights {
    input: Vec<f64>,
    bias: Vec<f64>,
    recurrent: Vec<f64>,
    output: Vec<f64>,
}

/// Of one step: input, forget, new and output gate as they are open, and the cell after it.
struct Step {
    gates: [Vec<f64>; 4],
    hidden: Vec<f64>,
    cell: Vec<f64>,
}

/// `[i f g o] = x W + b + h R`, `c' = σ(f) c + σ(i) tanh(g)`, `h' = σ(o) tanh(c')`.
fn step(weights: &Weights, x: &[f64], hidden: &[f64], cell: &[f64]) -> Step {
    let (from_x, from_state) = (times(x, &weights.input), times(hidden, &weights.recurrent));
    let n = hidden.len();
    let sum = |gate: usize, j: usize| {
        let k = gate * n + j;
        from_x[k] + weights.bias[k] + from_state[k]
    };
    let gates: [Vec<f64>; 4] = [0, 1, 2, 3]
        .map(|gate| (0..n).map(|j| if gate == 2 { sum(gate, j).tanh() } else { sigmoid(sum(gate, j)) }).collect());
    let new: Vec<f64> = (0..n).map(|j| gates[1][j] * cell[j] + gates[0][j] * gates[2][j]).collect();
    Step { hidden: (0..n).map(|j| gates[3][j] * new[j].tanh()).collect(), gates, cell: new }
}

/// Gradients of [`step`] by x, hidden and cell, and, added, by the weights.
fn step_vjp(
    weights: &Weights,
    x: &[f64],
    [hidden, cell]: [&[f64]; 2],
    [d_hidden, d_cell]: [&[f64]; 2],
    by: &mut Weights,
) -> [Vec<f64>; 3] {
    let Step { gates: [i, f, g, o], cell: new, .. } = step(weights, x, hidden, cell);
    let n = hidden.len();
    let of_new = |j: usize| d_cell[j] + d_hidden[j] * o[j] * (1.0 - new[j].tanh().powi(2));
    let mut sums = vec![0.0; 4 * n];
    for j in 0..n {
        sums[j] = of_new(j) * g[j] * i[j] * (1.0 - i[j]);
        sums[n + j] = of_new(j) * cell[j] * f[j] * (1.0 - f[j]);
        sums[2 * n + j] = of_new(j) * i[j] * (1.0 - g[j] * g[j]);
        sums[3 * n + j] = d_hidden[j] * new[j].tanh() * o[j] * (1.0 - o[j]);
    }
    by.bias.iter_mut().zip(&sums).for_each(|(b, d)| *b += d);
    let d_x = times_vjp(x, &weights.input, &sums, &mut by.input);
    let d_before = times_vjp(hidden, &weights.recurrent, &sums, &mut by.recurrent);
    [d_x, d_before, (0..n).map(|j| of_new(j) * f[j]).collect()]
}

/// A sequence `[T, d]`: outputs `[T, d]`, 0 where padded, and hidden and cell states before each
/// step and after the last.
fn forward(weights: &Weights, x: &[f64], padded: &[bool], state: [Vec<f64>; 2]) -> (Vec<f64>, Vec<[Vec<f64>; 2]>) {
    let width = x.len() / padded.len();
    let (mut outputs, mut states) = (Vec::new(), vec![state]);
    for (x, &is_padded) in x.chunks(width).zip(padded) {
        let [hidden, cell] = states.last().expect("the first").clone();
        let next = step(weights, x, &hidden, &cell);
        outputs.extend(if is_padded { vec![0.0; width] } else { times(&next.hidden, &weights.output) });
        states.push(if is_padded { [hidden, cell] } else { [next.hidden, next.cell] });
    }
    (outputs, states)
}

/// Gradients of [`forward`] by the weights, x and the state before, given those by the outputs and
/// the state after.
fn backward(
    weights: &Weights,
    x: &[f64],
    padded: &[bool],
    state: [Vec<f64>; 2],
    d_out: &[f64],
    d_after: [Vec<f64>; 2],
) -> (Weights, Vec<f64>, [Vec<f64>; 2]) {
    let (_, states) = forward(weights, x, padded, state);
    let width = x.len() / padded.len();
    let zeros = |of: &[f64]| vec![0.0; of.len()];
    let Weights { input, bias, recurrent, output } = weights;
    let (input, bias, recurrent, output) = (zeros(input), zeros(bias), zeros(recurrent), zeros(output));
    let mut by = Weights { input, bias, recurrent, output };
    let mut d_x = vec![0.0; x.len()];
    let mut d = d_after;
    for t in (0..padded.len()).rev().filter(|&t| !padded[t]) {
        let place = t * width..(t + 1) * width;
        let [hidden, cell] = &states[t];
        let read = times_vjp(&states[t + 1][0], &weights.output, &d_out[place.clone()], &mut by.output);
        let d_hidden: Vec<f64> = d[0].iter().zip(read).map(|(a, b)| a + b).collect();
        let [by_x, by_hidden, by_cell] =
            step_vjp(weights, &x[place.clone()], [hidden, cell], [&d_hidden, &d[1]], &mut by);
        d_x[place].copy_from_slice(&by_x);
        d = [by_hidden, by_cell];
    }
    (by, d_x, d)
}

#[test]
fn gradients_by_hand_are_those_of_central_differences() {
    let mut random = Random::new(9);
    for (steps, d, n, padded) in
        [(3, 4, 3, vec![false, true, false]), (1, 1, 1, vec![false]), (2, 3, 2, vec![false; 2])]
    {
        let mut normals = |n: usize| random.normals(n);
        let weights = Weights {
            input: normals(d * 4 * n),
            bias: normals(4 * n),
            recurrent: normals(n * 4 * n),
            output: normals(n * d),
        };
        let (x, state, c) = (normals(steps * d), [normals(n), normals(n)], normals(steps * d));
        let c_after = [normals(n), normals(n)];
        let loss = |weights: &Weights, x: &[f64], state: [Vec<f64>; 2]| {
            let (out, states) = forward(weights, x, &padded, state);
            let last = states.last().expect("one");
            dot(&c, &out) + dot(&c_after[0], &last[0]) + dot(&c_after[1], &last[1])
        };
        let (by, d_x, d_state) = backward(&weights, &x, &padded, state.clone(), &c, c_after.clone());
        check("x", &x, &d_x, |x| loss(&weights, x, state.clone()));
        check("hidden", &state[0], &d_state[0], |h| loss(&weights, &x, [h.to_vec(), state[1].clone()]));
        check("cell", &state[1], &d_state[1], |c| loss(&weights, &x, [state[0].clone(), c.to_vec()]));
        let with = |weights: Weights| loss(&weights, &x, state.clone());
        let of = |values: &[f64]| values.to_vec();
        check("input", &weights.input, &by.input, |w| with(Weights { input: of(w), ..weights.clone() }));
        check("bias", &weights.bias, &by.bias, |w| with(Weights { bias: of(w), ..weights.clone() }));
        check("recurrent", &weights.recurrent, &by.recurrent, |w| {
            with(Weights { recurrent: of(w), ..weights.clone() })
        });
        check("output", &weights.output, &by.output, |w| with(Weights { output: of(w), ..weights.clone() }));
    }
}

fn named(layer: &Lstm, gradients: Option<&burn::tensor::Gradients>) -> BTreeMap<String, Vec<f64>> {
    let mut visitor = Named { path: Vec::new(), gradients, found: BTreeMap::new() };
    layer.visit(&mut visitor);
    visitor.found
}

/// The layer's outputs, state after and every gradient against the oracle's, from a state that a
/// sequence left behind.
fn hold(what: &str, config: &LstmConfig, padded: &[bool; STEPS]) {
    let (plain, autodiff) = (device(), device().autodiff());
    let layer = drawn(&autodiff, || config.init(&autodiff));
    let found = named(&layer, None);
    let part = |name: &str| found[name].clone();
    let weights = Weights {
        input: part("input.weight"),
        bias: part("input.bias"),
        recurrent: part("recurrent.weight"),
        output: part("output.weight"),
    };
    let n = config.hidden_size();
    let (past, x, c) = (input(1, 4, 31, &plain), input(1, STEPS, 32, &plain), input(1, STEPS, 33, &plain));
    let empty = [vec![0.0; n], vec![0.0; n]];
    let before = forward(&weights, &numbers(past), &[false; 4], empty).1.pop().expect("the last");
    let (x, c) = (numbers(x), numbers(c));
    let (expected, states) = forward(&weights, &x, padded, before.clone());
    let c_after: [Vec<f64>; 2] = [0, 1].map(|i| (0..n).map(|j| ((2 * j + i) as f64).sin()).collect());
    let (by, d_x, d_before) = backward(&weights, &x, padded, before.clone(), &c, c_after.clone());

    let leaf = |values: &[f64], shape: [usize; 2]| of(values, shape, &autodiff).require_grad();
    let x = of(&x, [1, STEPS, D_MODEL], &autodiff).require_grad();
    let leaves = LstmState { hidden: leaf(&before[0], [1, n]), cell: leaf(&before[1], [1, n]) };
    let mut state = leaves.clone();
    let call = AttentionInput::self_attn(x.clone());
    let call = call.mask_pad(Tensor::<1, Bool>::from_data(*padded, &autodiff).unsqueeze());
    let context = layer.forward_state(call, &mut state).context;
    compare(&format!("{what}: output"), &numbers(context.clone()), &expected);
    let last = states.last().expect("one");
    compare(&format!("{what}: hidden"), &numbers(state.hidden.clone()), &last[0]);
    compare(&format!("{what}: cell"), &numbers(state.cell.clone()), &last[1]);

    let mut loss = (context * of(&c, [1, STEPS, D_MODEL], &autodiff)).sum();
    loss = loss + (state.hidden * of(&c_after[0], [1, n], &autodiff)).sum();
    loss = loss + (state.cell * of(&c_after[1], [1, n], &autodiff)).sum();
    let gradients = loss.backward();
    compare(&format!("{what}: x"), &numbers(x.grad(&gradients).expect("a leaf")), &d_x);
    for (name, leaf, expected) in [("hidden", leaves.hidden, &d_before[0]), ("cell", leaves.cell, &d_before[1])] {
        compare(&format!("{what}: {name} before"), &numbers(leaf.grad(&gradients).expect("a leaf")), expected);
    }
    let found = named(&layer, Some(&gradients));
    for (name, expected) in [
        ("input.weight", by.input),
        ("input.bias", by.bias),
        ("recurrent.weight", by.recurrent),
        ("output.weight", by.output),
    ] {
        compare(&format!("{what}: {name}"), &found[name], &expected);
    }
    assert_eq!(found.len(), 4);
}

fn of<const D: usize>(values: &[f64], shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.iter().map(|&x| x as f32).collect::<Vec<_>>(), shape), device)
}

#[test]
fn the_lstms_outputs_state_and_gradients_are_the_oracles() {
    for hidden in [None, Some(1), Some(16), Some(21)] {
        let config = LstmConfig::new(D_MODEL).with_hidden(hidden);
        for padded in [[false; STEPS], PADDED, [true; STEPS]] {
            let what = format!("hidden {hidden:?}, padded {padded:?}");
            hold(&what, &config, &padded);
            without_kernels(|| hold(&format!("{what}, composed"), &config, &padded));
        }
    }
}
