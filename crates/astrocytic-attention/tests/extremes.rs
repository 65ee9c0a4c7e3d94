//! Sizes at the edges of f32 and of half precision: finite outputs and finite gradients.

mod common;

use astrocytic_attention::feature_map::Side;
use astrocytic_attention::ops::{self, Feature, MemoryInputs, MemorySpec, Writes, memory_attention};
use astrocytic_attention::{AstrocyticAttentionConfig, AttentionInput, FeatureMapConfig, Form, Normalizer, Plasticity};
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{DType, Device, Distribution, Gradients, Tensor};
use common::{D_MODEL, OTHER_PRECISIONS, To, device, input, layer, relative_error, variants};

/// Holds every parameter's gradient to be finite.
struct Finite<'a> {
    grads: &'a Gradients,
    what: &'a str,
}

impl ModuleVisitor for Finite<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = param.val().grad(self.grads) {
            assert!(grad.is_finite().all().into_scalar::<bool>(), "{}: gradient of a parameter {D}", self.what);
        }
    }
}

/// The element-wise map of a configuration.
fn feature(map: FeatureMapConfig) -> Feature {
    map.element_wise().expect("an element-wise map")
}

#[test]
fn extreme_inputs_give_finite_outputs_and_gradients() {
    let plain = device();
    let device = device().autodiff();
    let both = |(name, config): (&'static str, _)| {
        let causal = AstrocyticAttentionConfig::with_causal;
        [(name, causal(Clone::clone(&config), true)), (name, config)]
    };
    for (name, config) in variants().into_iter().flat_map(both) {
        let layer = layer(&config, &device);
        for (what, size) in [("large", 1e4), ("zero", 0.0), ("denormal", 1e-40), ("constant", f64::NAN)] {
            let x = if size.is_nan() {
                Tensor::full([2, 9, D_MODEL], 3.0, &device)
            } else {
                Tensor::from_inner(input(2, 9, 15, &plain)).mul_scalar(size)
            };
            let x = x.require_grad();
            let context = layer.forward(AttentionInput::self_attn(x.clone())).context;
            assert!(context.clone().is_finite().all().into_scalar::<bool>(), "{name}, {what}: output");
            // The size of the output itself should not decide whether its gradient overflows.
            let grads = context.mul_scalar(1e-4).sum().backward();
            let grad = x.grad(&grads).expect("x was asked for its gradient");
            assert!(grad.is_finite().all().into_scalar::<bool>(), "{name}, {what}: gradient");
            layer.visit(&mut Finite { grads: &grads, what: &format!("{name}, {what}") });
        }
    }
}

/// Random writes in f64: keys of length 1, log decay down to −40 and up to 0, strengths of 0 to 1.
fn writes(steps: usize, device: &Device) -> (Tensor<4>, Writes) {
    let options = (device, DType::F64);
    let draw = |shape: [usize; 4], spread| Tensor::<4>::random(shape, Distribution::Normal(0.0, spread), options);
    let unit = |x: Tensor<4>| x.clone() / x.square().sum_dim(3).sqrt();
    let decay = Tensor::<3>::random([2, 2, steps], Distribution::Uniform(0.0, 1.0), options);
    let seldom = decay.clone().greater_scalar(0.9).float().cast(DType::F64);
    let strength = Tensor::<3>::random([2, 2, steps], Distribution::Uniform(-0.3, 1.3), options).clamp(0.0, 1.0);
    let writes = Writes {
        key: unit(draw([2, 2, steps, 6], 1.0)),
        value: draw([2, 2, steps, 5], 1.0),
        log_decay: Some(-(decay.mul_scalar(0.2) + seldom.mul_scalar(40.0))),
        strength: Some(strength),
    };
    (unit(draw([2, 2, steps, 6], 1.0)), writes)
}

#[test]
fn forms_agree_in_double_precision() {
    if !OTHER_PRECISIONS {
        return;
    }
    let device = device();
    for plasticity in [Plasticity::Hebbian, Plasticity::Delta] {
        for decays in [true, false] {
            let (query, mut all) = writes(50, &device);
            if !decays {
                all.log_decay = None;
            }
            let memory = all.empty_memory() + 0.3;
            let run = |form| ops::causal(query.clone(), all.clone(), memory.clone(), plasticity, form);
            let (expected, expected_memory) = run(Form::Recurrent);
            for form in [1, 2, 7, 16, 64].map(Form::Chunkwise).into_iter().chain([Form::Parallel]) {
                let (found, found_memory) = run(form);
                let error = relative_error(found, expected.clone());
                assert!(error < 1e-12, "{plasticity:?}, {form:?}: {error:e}");
                let error = relative_error(found_memory, expected_memory.clone());
                assert!(error < 1e-12, "{plasticity:?}, {form:?}, memory: {error:e}");
            }
        }
    }
}

/// A key along a random direction of its own length, where the exponent of a positive random feature is largest.
#[test]
fn positive_random_keys_of_large_heads_do_not_overflow() {
    let device = device().autodiff();
    for d in [64, 128, 256] {
        let map = FeatureMapConfig::PositiveRandom { features: 4 * d, seed: 0 }.init(1, 1, d, &device);
        let directions = map.projection.as_ref().expect("directions").val();
        let along = directions.narrow(1, 0, 9).mul_scalar((d as f64).powf(0.25)).unsqueeze::<4>();
        let x = along.detach().require_grad();
        let [query, key] = [Side::Query, Side::Key].map(|side| map.forward(x.clone(), side));
        let spec = MemorySpec {
            plasticity: Plasticity::Hebbian,
            feature: feature(FeatureMapConfig::Identity),
            unit: false,
            calcium: true,
            causal: true,
            form: Form::Chunkwise(4),
        };
        let last = |x: Tensor<4>| x.swap_dims(1, 2);
        let x4 = MemoryInputs {
            query: last(query),
            key: last(key.clone()),
            value: last(x.clone()),
            log_decay: None,
            strength: None,
        };
        let reads = memory_attention(&spec, x4, None, false).0;
        assert!(key.is_finite().all().into_scalar::<bool>(), "{d}: features");
        assert!(reads.clone().is_finite().all().into_scalar::<bool>(), "{d}: reads");
        let grads = reads.sum().backward();
        assert!(x.grad(&grads).expect("a leaf").is_finite().all().into_scalar::<bool>(), "{d}: gradient");
    }
}

/// The kernels that users run, in f64: log decay to −40, strength to 2, a state handed over at any place.
#[test]
fn forms_agree_in_double_precision_through_the_operation() {
    if !OTHER_PRECISIONS {
        return;
    }
    let device = device();
    for plasticity in [Plasticity::Hebbian, Plasticity::Delta] {
        for calcium in [false, plasticity == Plasticity::Hebbian] {
            let (query, mut all) = writes(50, &device);
            if plasticity == Plasticity::Delta {
                all.strength = all.strength.map(|strength| strength.mul_scalar(2.0));
            }
            let run = |form, cut: usize| {
                let feature =
                    if calcium { feature(FeatureMapConfig::Elu) } else { feature(FeatureMapConfig::Identity) };
                let spec = MemorySpec { plasticity, feature, unit: !calcium, calcium, causal: true, form };
                let part = |start: usize, count: usize| {
                    let of = |x: &Tensor<4>| x.clone().swap_dims(1, 2).narrow(1, start, count);
                    let number = |x: &Tensor<3>| x.clone().swap_dims(1, 2).narrow(1, start, count);
                    MemoryInputs {
                        query: of(&query),
                        key: of(&all.key),
                        value: of(&all.value),
                        log_decay: all.log_decay.as_ref().map(number),
                        strength: all.strength.as_ref().map(number),
                    }
                };
                let (first, state) = memory_attention(&spec, part(0, cut), None, true);
                let (second, state) = memory_attention(&spec, part(cut, 50 - cut), state, true);
                (Tensor::cat(vec![first, second], 1), state.expect("asked for").memory)
            };
            let (expected, expected_memory) = run(Form::Recurrent, 1);
            for form in [1, 2, 7, 16, 64].map(Form::Chunkwise).into_iter().chain([Form::Parallel]) {
                for cut in [1, 16, 33, 49] {
                    let (found, found_memory) = run(form, cut);
                    let error = relative_error(found, expected.clone());
                    assert!(error < 1e-12, "{plasticity:?}, {form:?}, cut at {cut}: {error:e}");
                    let error = relative_error(found_memory, expected_memory.clone());
                    assert!(error < 1e-12, "{plasticity:?}, {form:?}, cut at {cut}, memory: {error:e}");
                }
            }
        }
    }
}

/// Every variant as users run it, in f64, against its recurrent form.
#[test]
fn modules_agree_in_double_precision() {
    if !OTHER_PRECISIONS {
        return;
    }
    let device = device();
    for (name, config) in variants() {
        let layer = layer(&config.with_causal(true), &device).map(&mut To(DType::F64));
        let x = input(2, 33, 17, &device).cast(DType::F64);
        let run = |form| layer.forward(AttentionInput::self_attn(x.clone()).form(form)).context;
        let expected = run(Form::Recurrent);
        for form in [Form::Chunkwise(7), Form::Chunkwise(64), Form::Parallel] {
            let error = relative_error(run(form), expected.clone());
            assert!(error < 1e-12, "{name}, {form:?}: {error:e}");
        }
    }
}

#[test]
fn repeated_keys_do_not_blow_up_the_delta_rule() {
    let device = device();
    let steps = 64;
    let key = Tensor::<4>::full([1, 1, steps, 4], 0.5, &device);
    let value = Tensor::<4>::random([1, 1, steps, 3], Distribution::Default, &device);
    let writes = Writes { key: key.clone(), value: value.clone(), log_decay: None, strength: None };
    // The same through the kernel that users run.
    let spec = MemorySpec {
        plasticity: Plasticity::Delta,
        feature: feature(FeatureMapConfig::Identity),
        unit: true,
        calcium: false,
        causal: true,
        form: Form::Chunkwise(64),
    };
    let last = |x: &Tensor<4>| x.clone().swap_dims(1, 2);
    let x = MemoryInputs { query: last(&key), key: last(&key), value: last(&value), log_decay: None, strength: None };
    assert!(relative_error(memory_attention(&spec, x, None, false).0.swap_dims(1, 2), value.clone()) < 1e-5);
    // With β = 1 and one key of length 1, each write replaces the last: the read is the last value.
    let (reads, _) = ops::causal(key, writes.clone(), writes.empty_memory(), Plasticity::Delta, Form::Chunkwise(64));
    assert!(relative_error(reads, value) < 1e-5);
}

#[test]
fn half_precision_keeps_state_and_normaliser_in_single() {
    if !OTHER_PRECISIONS {
        return;
    }
    let device = device();
    for (name, config) in variants() {
        let bounded = config.normalizer != Normalizer::None;
        let layer = layer(&config.with_causal(true), &device);
        let x = input(1, 33, 16, &device);
        let expected = layer.forward(AttentionInput::self_attn(x.clone())).context;
        for (dtype, bound) in [(DType::F16, 2e-2), (DType::BF16, 2e-1)] {
            let half = layer.clone().map(&mut To(dtype));
            let mut state = half.empty_state(1);
            let found = half.forward_state(AttentionInput::self_attn(x.clone().cast(dtype)), &mut state).context;
            assert_eq!((found.dtype(), state.memory.dtype()), (dtype, DType::F32), "{name}");
            assert!(state.calcium.is_none_or(|calcium| calcium.dtype() == DType::F32), "{name}");
            let error = relative_error(found, expected.clone());
            assert!(error < bound, "{name}, {dtype:?}: {error:e}");
        }
        // The memory outgrows the largest f16, 65,504, at once; what is read need not.
        if !bounded {
            continue;
        }
        let half = layer.map(&mut To(DType::F16));
        let large = half.forward(AttentionInput::self_attn(x.cast(DType::F16).mul_scalar(30.0))).context;
        assert!(large.is_finite().all().into_scalar::<bool>(), "{name}");
    }
}

/// log a = −∞ is in its range: nothing of what was before is left.
#[test]
fn a_decay_may_forget_all() {
    let device = device();
    let log = Tensor::<3>::from_data([[[0.0, -0.5, f32::NEG_INFINITY, 0.0, -0.1, f32::NEG_INFINITY]]], &device);
    let draw = || Tensor::<4>::random([1, 1, 6, 4], Distribution::Uniform(0.1, 1.0), &device);
    let (query, key, value) = (draw(), draw(), draw());
    let writes = Writes { key: key.clone(), value: value.clone(), log_decay: Some(log.clone()), strength: None };
    for plasticity in [Plasticity::Hebbian, Plasticity::Delta] {
        let run = |form| ops::causal(query.clone(), writes.clone(), writes.empty_memory(), plasticity, form);
        let (expected, expected_memory) = run(Form::Recurrent);
        assert!(expected.clone().is_finite().all().into_scalar::<bool>());
        let last = |x: &Tensor<4>| x.clone().swap_dims(1, 2);
        for form in [Form::Parallel, Form::Chunkwise(2), Form::Chunkwise(64)] {
            let (found, memory) = run(form);
            assert!(relative_error(found, expected.clone()) < 1e-5, "{plasticity:?}, {form:?}");
            assert!(relative_error(memory, expected_memory.clone()) < 1e-5, "{plasticity:?}, {form:?}, memory");
            let (feature, calcium) = (feature(FeatureMapConfig::Identity), false);
            let spec = MemorySpec { plasticity, feature, unit: false, calcium, causal: true, form };
            let log_decay = Some(log.clone().swap_dims(1, 2));
            let x =
                MemoryInputs { query: last(&query), key: last(&key), value: last(&value), log_decay, strength: None };
            let found = memory_attention(&spec, x, None, false).0.swap_dims(1, 2);
            assert!(relative_error(found, expected.clone()) < 1e-5, "{plasticity:?}, {form:?}, through the operation");
        }
    }
}

/// A product with a later step that is infinite, of numbers that are not.
#[test]
fn what_grows_too_large_later_reaches_nothing_before() {
    let device = device();
    let of = |numbers: [f32; 2]| Tensor::<4>::from_data([[[[numbers[0]], [numbers[1]]]]], &device);
    let writes = Writes { key: of([1.0, 1e38]), value: of([1.0, 1.0]), log_decay: None, strength: None };
    for form in [Form::Recurrent, Form::Parallel, Form::Chunkwise(1), Form::Chunkwise(2)] {
        let (reads, _) = ops::causal(of([10.0, 1.0]), writes.clone(), writes.empty_memory(), Plasticity::Hebbian, form);
        assert_eq!(reads.into_data().iter::<f32>().next(), Some(10.0), "{form:?}");
    }
}
