//! The Burn module held to an oracle: outputs, final state and every gradient, for every variant.
//!
//! The oracle is the layer once more, in plain f64 on slices: no Burn, no batch, one function an
//! equation. Beside each function `f` stands its gradient `f_vjp`, written by hand: it takes the
//! inputs of `f` and the gradient of some loss by its outputs, and returns the gradient of that
//! loss by its inputs. Slow and plain, so that it can be trusted: central differences hold it, and
//! it holds the Burn module. Arrays are row-major, T is the number of steps, d the size of a head,
//! m its number of features, d_v the size of its values.

mod backward;
mod check;
#[path = "../common/mod.rs"]
mod common;
mod convolution;
mod forward;
mod linear;
mod lstm;
mod maps;
mod memory;
mod normalizer;
mod position;
mod properties;
mod slices;
mod softmax;
mod spec;
mod window;

use std::collections::BTreeMap;

use astrocytic_attention::debug::without_kernels;
use astrocytic_attention::{
    AstrocyticAttention, AstrocyticAttentionConfig as Config, AttentionInput, AttentionState, Form, KeyValues,
};
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Bool, DType, Device, Gradients, Tensor, TensorData};
use common::{device, input, layer, variants, ways};
use spec::{Input, LayerSpec, State, Weights};

/// Relative to the root mean square of what is compared, outputs and gradients alike.
const BOUND: f64 = 1e-4;
const STEPS: usize = 9;
const PADDED: [bool; STEPS] = [true, false, false, true, false, false, false, true, false];

fn spec(config: &Config, causal: bool) -> LayerSpec {
    LayerSpec(config.clone().with_causal(causal))
}

/// Every parameter by name, or with `gradients` its gradient (none where it is not trained).
struct Named<'a> {
    path: Vec<String>,
    gradients: Option<&'a Gradients>,
    found: BTreeMap<String, Vec<f64>>,
}

impl ModuleVisitor for Named<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let values = match self.gradients {
            None => Some(numbers(param.val())),
            Some(gradients) => param.val().grad(gradients).map(numbers),
        };
        self.found.extend(values.map(|values| (self.path.join("."), values)));
    }
}

/// The parameters of a layer as the oracle takes them, or their gradients.
fn named(layer: &AstrocyticAttention, gradients: Option<&Gradients>) -> Weights {
    let mut visitor = Named { path: Vec::new(), gradients, found: BTreeMap::new() };
    layer.visit(&mut visitor);
    visitor.found
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().convert_dtype(DType::F64).iter::<f64>().collect()
}

fn compare(what: &str, found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{what}: sizes");
    assert!(found.iter().all(|x| x.is_finite()), "{what}: not finite");
    let square = |x: f64| x * x;
    let error: f64 = found.iter().zip(expected).map(|(a, b)| square(a - b)).sum();
    let size: f64 = expected.iter().copied().map(square).sum();
    // What is 0 by its nature (a gradient through a floor) is 0 up to rounding.
    let relative = (error / size.max(1e-8 * expected.len() as f64)).sqrt();
    assert!(relative <= BOUND, "{what}: {relative:e}");
}

/// A state as the Burn layer keeps it.
fn tensors(state: &State, spec: &LayerSpec, device: &Device) -> AttentionState {
    let (d, m) = (spec.head_size(), spec.features());
    let tensor = |values: Vec<f64>, shape: &[usize]| TensorData::new(values, shape.to_vec()).convert_dtype(DType::F32);
    let key_heads = spec.memory_key_heads();
    let calcium = tensor(state.calcium.concat(), &[1, key_heads, state.calcium[0].len()]);
    let history = spec.heads_of_channels().map(|heads| heads * d);
    AttentionState {
        memory: Tensor::from_data(tensor(state.memory.concat(), &[1, key_heads, m, d]), device),
        calcium: spec.alpha().map(|_| Tensor::from_data(calcium, device)),
        history: (spec.convolution > 0).then(|| {
            [0, 1, 2].map(|i| {
                let values = tensor(state.history[i].clone(), &[1, spec.convolution - 1, history[i]]);
                Tensor::from_data(values, device)
            })
        }),
        recent: (spec.window > 0).then(|| {
            let key = tensor(state.recent[0].concat(), &[1, spec.key_heads(), spec.window, d]);
            let value = tensor(values(state, spec), &[1, spec.key_heads(), spec.window, d + 2]);
            [key, value].map(|data| Tensor::from_data(data, device))
        }),
        softmax: match state.softmax[0].first().map_or(0, |keys| keys.len() / d) {
            0 => KeyValues::default(),
            steps => KeyValues::of(
                state
                    .softmax
                    .each_ref()
                    .map(|heads| Tensor::from_data(tensor(heads.concat(), &[1, heads.len(), steps, d]), device)),
            ),
        },
        position: Tensor::from_data([state.position as i64], device),
    }
}

/// Values in the window as the Burn layer keeps them: behind each a 1, if it was a step, and β.
fn values(state: &State, spec: &LayerSpec) -> Vec<f64> {
    let [_, values, strengths] = &state.recent;
    let missing = spec.window.saturating_sub(state.position);
    let row = |(t, (value, &strength)): (usize, (&[f64], &f64))| {
        [value, &[(t % spec.window >= missing) as usize as f64, strength]].concat()
    };
    let of_heads = values.concat();
    let rows = of_heads.chunks_exact(spec.head_size()).zip(strengths.iter().flatten());
    rows.enumerate().flat_map(row).collect()
}

/// Every part of a state that has a gradient.
fn parts(state: &AttentionState) -> Vec<Vec<f64>> {
    let calcium = state.calcium.clone().map(numbers);
    let history = state.history.clone().into_iter().flatten().map(numbers);
    let recent = state.recent.clone().into_iter().flatten().map(numbers);
    // Padded steps are kept too, behind the others.
    let unpadded = state.position.clone().into_scalar::<i64>() as usize;
    let softmax = state.softmax.steps().into_iter().flatten().map(|seen| numbers(seen.narrow(2, 0, unpadded)));
    [numbers(state.memory.clone())].into_iter().chain(calcium).chain(history).chain(recent).chain(softmax).collect()
}

struct Case<'a> {
    name: String,
    config: &'a Config,
    causal: bool,
    padded: bool,
    form: Option<Form>,
}

/// Runs both with a state that a sequence left behind (causal) or an empty one, and a loss of
/// random weights over the output and the state after it.
fn hold(case: &Case) {
    let device = device();
    let autodiff = device.clone().autodiff();
    let layer = layer(&case.config.clone().with_causal(case.causal), &autodiff);
    let spec = spec(case.config, case.causal);
    let weights = named(&layer, None);

    let mut before = spec.empty_state();
    if case.causal {
        let past = numbers(input(1, 4, 31, &device));
        let past = Input::self_attn(&past, &[]);
        before = forward::forward(&spec, &weights, &past, &before).1;
    }
    let x = input(1, STEPS, 32, &device);
    let x_numbers = numbers(x.clone());
    let pad: &[bool] = if case.padded { &PADDED } else { &[] };
    let own_input = Input::self_attn(&x_numbers, pad);
    let (expected, expected_after) = forward::forward(&spec, &weights, &own_input, &before);

    let x = Tensor::from_data(x.into_data(), &autodiff).require_grad();
    let leaves = tensors(&before, &spec, &autodiff);
    let softmax = leaves.softmax.steps().map(|steps| steps.map(Tensor::require_grad));
    let leaves = AttentionState {
        memory: leaves.memory.require_grad(),
        calcium: leaves.calcium.map(Tensor::require_grad),
        history: leaves.history.map(|h| h.map(Tensor::require_grad)),
        recent: leaves.recent.map(|r| r.map(Tensor::require_grad)),
        softmax: softmax.clone().map_or_else(KeyValues::default, KeyValues::of),
        position: leaves.position,
    };
    let mut call = AttentionInput::self_attn(x.clone());
    if case.padded {
        call = call.mask_pad(Tensor::<1, Bool>::from_data(PADDED, &autodiff).unsqueeze());
    }
    if let Some(form) = case.form {
        call = call.form(form);
    }
    let mut after = leaves.clone();
    let context = if case.causal { layer.forward_state(call, &mut after).context } else { layer.forward(call).context };
    compare(&format!("{}: output", case.name), &numbers(context.clone()), &expected);

    let c = input(1, STEPS, 33, &device);
    let mut loss = (context * Tensor::from_data(c.clone().into_data(), &autodiff)).sum();
    let mut by_after = expected_after.clone();
    by_after.parts_mut().for_each(|part| part.fill(0.0));
    if case.causal {
        for (i, (found, expected)) in
            parts(&after).iter().zip(parts(&tensors(&expected_after, &spec, &device))).enumerate()
        {
            compare(&format!("{}: state {i}", case.name), found, &expected);
        }
        // The sine of the index is as good as random.
        let mut place = 0.0f64;
        for part in by_after.parts_mut() {
            part.iter_mut().for_each(|value| {
                place += 1.0;
                *value = place.sin();
            });
        }
        let c = tensors(&by_after, &spec, &autodiff);
        loss = loss + (after.memory * c.memory).sum();
        if let (Some(calcium), Some(c)) = (after.calcium, c.calcium) {
            loss = loss + (calcium * c).sum();
        }
        for (history, c) in after.history.into_iter().flatten().zip(c.history.into_iter().flatten()) {
            loss = loss + (history * c).sum();
        }
        for (recent, c) in after.recent.into_iter().flatten().zip(c.recent.into_iter().flatten()) {
            loss = loss + (recent * c).sum();
        }
        for (seen, c) in after.softmax.steps().into_iter().flatten().zip(c.softmax.steps().into_iter().flatten()) {
            loss = loss + (seen.narrow(2, 0, c.dims()[2]) * c).sum();
        }
    }
    let gradients = loss.backward();
    let expected = backward::backward(&spec, &weights, &own_input, &before, &numbers(c), &by_after);

    let both: Vec<f64> = expected.query.iter().zip(&expected.key).map(|(q, k)| q + k).collect();
    compare(&format!("{}: gradient of x", case.name), &numbers(x.grad(&gradients).expect("a leaf")), &both);
    let found = named(&layer, Some(&gradients));
    for (name, expected) in &expected.weights {
        // Random directions are not trained, and a parameter that nothing reads has no gradient.
        let Some(found) = found.get(name) else {
            let random = layer.key_map.is_random();
            let unread = !case.config.memory && expected.iter().all(|&x| x == 0.0);
            assert!(unread || random && name.ends_with("projection"), "{}: no gradient of {name}", case.name);
            continue;
        };
        if name == "window_scale" && expected.iter().all(|x| x.abs() < 1e-12) {
            // With nothing behind the window its scale divides out: what is left is rounding.
            assert!(found.iter().all(|x| x.abs() < 1e-6), "{}: gradient of {name}: {found:?}", case.name);
            continue;
        }
        compare(&format!("{}: gradient of {name}", case.name), found, expected);
    }
    if case.causal {
        let memory = numbers(leaves.memory.grad(&gradients).expect("a leaf"));
        compare(&format!("{}: gradient of memory", case.name), &memory, &expected.state.memory.concat());
        if let Some(calcium) = &leaves.calcium {
            let calcium = numbers(calcium.grad(&gradients).expect("a leaf"));
            compare(&format!("{}: gradient of calcium", case.name), &calcium, &expected.state.calcium.concat());
        }
        for (i, history) in leaves.history.iter().flatten().enumerate() {
            let found = numbers(history.grad(&gradients).expect("a leaf"));
            compare(&format!("{}: gradient of history {i}", case.name), &found, &expected.state.history[i]);
        }
        for (i, seen) in softmax.iter().flatten().enumerate() {
            let found = numbers(seen.grad(&gradients).expect("a leaf"));
            compare(&format!("{}: gradient of steps {i}", case.name), &found, &expected.state.softmax[i].concat());
        }
        if let Some([key, value]) = &leaves.recent {
            let [key, mut value] = [key, value].map(|x| numbers(x.grad(&gradients).expect("a leaf")));
            // The 1 only says that there was a step.
            let columns = spec.head_size() + 2;
            value.chunks_exact_mut(columns).for_each(|row| row[columns - 2] = 0.0);
            let unmarked = State { position: 0, ..expected.state.clone() };
            compare(&format!("{}: gradient of the window's keys", case.name), &key, &expected.state.recent[0].concat());
            compare(&format!("{}: gradient of the window's values", case.name), &value, &values(&unmarked, &spec));
        }
    }
}

#[test]
fn outputs_state_and_gradients_are_the_oracles() {
    for (name, config) in variants() {
        for &causal in ways(&config) {
            for padded in [false, true] {
                let name = format!("{name}, causal {causal}, padded {padded}");
                hold(&Case { name, config: &config, causal, padded, form: None });
            }
        }
    }
}

#[test]
fn every_form_has_the_oracles_gradients() {
    for (name, config) in variants() {
        for form in [Form::Recurrent, Form::Parallel, Form::Chunkwise(1), Form::Chunkwise(4), Form::Chunkwise(STEPS)] {
            for padded in [false, true] {
                let name = format!("{name}, {form:?}, padded {padded}");
                hold(&Case { name, config: &config, causal: true, padded, form: Some(form) });
            }
        }
    }
}

/// What a GPU trains with: the composed forms under autodiff.
#[test]
fn composed_forms_have_the_oracles_gradients() {
    for (name, config) in variants() {
        for &causal in ways(&config) {
            for padded in [false, true] {
                let name = format!("{name}, causal {causal}, padded {padded}, composed");
                let case = Case { name, config: &config, causal, padded, form: None };
                without_kernels(|| hold(&case));
            }
        }
        for form in [Form::Chunkwise(4), Form::Chunkwise(STEPS + 3)] {
            let name = format!("{name}, {form:?}, composed");
            let case = Case { name, config: &config, causal: true, padded: false, form: Some(form) };
            without_kernels(|| hold(&case));
        }
    }
}

#[test]
fn cross_attention_is_the_oracles() {
    let device = device();
    let autodiff = device.clone().autodiff();
    for (name, config) in variants().into_iter().filter(|(_, config)| ways(config).contains(&false)) {
        let layer = layer(&config.clone().with_causal(false), &autodiff);
        let spec = spec(&config, false);
        let weights = named(&layer, None);
        let (query, key, c) = (input(1, 4, 34, &device), input(1, STEPS, 35, &device), input(1, 4, 36, &device));
        let [query_numbers, key_numbers, c_numbers] = [&query, &key, &c].map(|x| numbers(x.clone()));
        let crossed = Input::cross(&query_numbers, &key_numbers, &PADDED);
        let empty = spec.empty_state();
        let (expected, _) = forward::forward(&spec, &weights, &crossed, &empty);
        let gradients = backward::backward(&spec, &weights, &crossed, &empty, &c_numbers, &empty);

        let [query, key, c] = [query, key, c].map(|x| Tensor::<3>::from_data(x.into_data(), &autodiff));
        let (query, key) = (query.require_grad(), key.require_grad());
        let padded = Tensor::<1, Bool>::from_data(PADDED, &autodiff).unsqueeze();
        let call = AttentionInput::new(query.clone(), key.clone(), key.clone()).mask_pad(padded);
        let context = layer.forward(call).context;
        compare(&format!("{name}: output"), &numbers(context.clone()), &expected);
        let found = (context * c).sum().backward();
        compare(&format!("{name}: query"), &numbers(query.grad(&found).expect("a leaf")), &gradients.query);
        compare(&format!("{name}: key"), &numbers(key.grad(&found).expect("a leaf")), &gradients.key);
    }
}
