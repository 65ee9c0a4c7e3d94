//! Attention over a memory: from queries, keys and values to normalised reads.
//!
//! Three composed forms of one recurrence stand side by side (attention.md section 3): `recurrent`
//! is the definition, step by step; `parallel` is the T×T matrix; `chunkwise` is what training
//! runs. A backend with a kernel ([`backend`]) computes the chunkwise form as one operation, with
//! feature map, calcium and backward pass.

#[cfg(feature = "autodiff")]
mod autodiff;
pub(crate) mod backend;
mod between;
mod chunkwise;
mod faults;
pub(crate) mod forms;
#[cfg(feature = "host-kernels")]
mod host;
mod parallel;
mod recurrent;
pub(crate) mod sparse_reads;
pub(crate) mod spec;
mod states;
mod triangular;
pub(crate) mod writes;

use burn::backend::Dispatch;
use burn::tensor::Tensor;

use crate::debug::kernels_are_off;
use crate::kernel::dispatch::{OptionalTensor, is_on_gpu, is_on_host};
use crate::tensor::l2_normalize;
use backend::{MemoryBackend, MemoryOutputs, MemoryTensors, Wanted};
use forms::{causal, with_calcium, write};
use sparse_reads::{after_last_writes, at_each_write, writes_per_read};
use spec::{CALCIUM_FLOOR, Form, MemoryInputs, MemorySpec, MemoryState, Plasticity};
use writes::{Writes, read};

/// Attention over a memory: writes keys and values, and reads by queries. Each query head reads the
/// memory of its key head. With `causal` there may be several writes to each query, which reads
/// after the last of its own.
///
/// `before` is the state before the first step; `None` is an empty memory. Returns the reads
/// `[batch, steps_q, heads, d_v]` and, with `return_state`, the state after the last step.
///
/// # Panics
/// For shapes that do not fit, with `causal` for a number of keys that is no multiple of that of
/// queries, and for calcium with the delta rule.
pub fn memory_attention(
    spec: &MemorySpec,
    inputs: MemoryInputs,
    before: Option<MemoryState>,
    return_state: bool,
) -> (Tensor<4>, Option<MemoryState>) {
    check(spec, &inputs, before.as_ref());
    if let Some(outputs) = run_kernel(spec, &inputs, before.as_ref(), return_state) {
        return outputs;
    }
    let (reads, state) = compose(spec, inputs, before);
    (reads, return_state.then_some(state))
}

fn check(spec: &MemorySpec, inputs: &MemoryInputs, before: Option<&MemoryState>) {
    let MemoryInputs { query, key, value, log_decay, strength } = inputs;
    let ([batch, steps, heads, m], [.., d]) = (key.dims(), value.dims());
    let [_, reads, query_heads, _] = query.dims();
    assert!(
        query.dims() == [batch, reads, query_heads, m]
            && value.dims() == [batch, steps, heads, d]
            && (query_heads == heads || heads > 0 && query_heads % heads == 0),
        "memory: query {:?}, key {:?} and value {:?} do not fit",
        query.dims(),
        key.dims(),
        value.dims()
    );
    let delta = spec.plasticity == Plasticity::Delta;
    assert!(!(delta && spec.calcium), "memory: the delta rule has no calcium");
    if spec.causal {
        writes_per_read(reads, steps);
    }
    assert!(spec.form != Form::Chunkwise(0), "memory: a chunk has one step at least");
    for (name, numbers) in [("log decay", log_decay), ("strength", strength)] {
        let fits = numbers.as_ref().is_none_or(|numbers| numbers.dims() == [batch, steps, heads]);
        assert!(fits, "memory: {name} must be [{batch}, {steps}, {heads}]");
    }
    if let Some(MemoryState { memory, calcium }) = before {
        let fits = memory.dims() == [batch, heads, m, d];
        assert!(fits, "memory: the state must be [{batch}, {heads}, {m}, {d}], not {:?}", memory.dims());
        let fits = calcium.as_ref().is_none_or(|calcium| calcium.dims() == [batch, heads, m]);
        assert!(fits, "memory: calcium must be [{batch}, {heads}, {m}]");
    }
}

/// The same by a kernel of the backend, if it has one for these inputs.
fn run_kernel(
    spec: &MemorySpec,
    inputs: &MemoryInputs,
    before: Option<&MemoryState>,
    return_state: bool,
) -> Option<(Tensor<4>, Option<MemoryState>)> {
    let MemoryInputs { query, key, value, log_decay, strength } = inputs;
    let empty = [query, key, value].into_iter().any(|x| x.shape().num_elements() == 0);
    if kernels_are_off() || empty || !matches!(spec.form, Form::Chunkwise(_)) {
        return None;
    }
    // Kernels read after every write.
    let times = if spec.causal { writes_per_read(query.dims()[1], key.dims()[1]) } else { 1 };
    let [batch, queries, heads, m] = query.dims();
    let query = at_each_write(query.clone().reshape([batch, 1, queries, heads * m]), times);
    let query = query.reshape([batch, queries * times, heads, m]);
    let numbers = |x: Option<&Tensor<3>>| OptionalTensor::new(x.map(|x| x.clone().into_dispatch()));
    let tensors = MemoryTensors::<Dispatch> {
        query: query.into_dispatch(),
        key: key.clone().into_dispatch(),
        value: value.clone().into_dispatch(),
        log_decay: numbers(log_decay.as_ref()),
        strength: numbers(strength.as_ref()),
        memory: OptionalTensor::new(before.map(|before| before.memory.clone().into_dispatch())),
        calcium: numbers(before.and_then(|before| before.calcium.as_ref())),
    };
    if !tensors.given().all(|tensor| is_on_host(tensor) || is_on_gpu(tensor)) {
        return None;
    }
    let wanted = Wanted { state: return_state, saved: false };
    let (outputs, _) = <Dispatch as MemoryBackend>::memory_forward(*spec, tensors, wanted)?;
    let MemoryOutputs { reads, memory, calcium } = outputs;
    let state = memory.into_option().map(|memory| MemoryState {
        memory: Tensor::from_dispatch(memory),
        calcium: calcium.into_option().map(Tensor::from_dispatch),
    });
    let reads = Tensor::<4>::from_dispatch(reads);
    let d = reads.dims()[3];
    let reads = after_last_writes(reads.reshape([batch, 1, queries * times, heads * d]), times);
    Some((reads.reshape([batch, queries, heads, d]), state))
}

/// The same in Burn's operations.
fn compose(spec: &MemorySpec, inputs: MemoryInputs, before: Option<MemoryState>) -> (Tensor<4>, MemoryState) {
    let map = |x: Tensor<4>| {
        let features = spec.feature.map(x.swap_dims(1, 2));
        if spec.unit { l2_normalize(features) } else { features }
    };
    let writes = Writes {
        key: map(inputs.key),
        value: inputs.value.swap_dims(1, 2),
        log_decay: inputs.log_decay.map(|x| x.swap_dims(1, 2)),
        strength: inputs.strength.map(|x| x.swap_dims(1, 2)),
    };
    let query = map(inputs.query);
    let [batch, heads, _, m] = writes.key.dims();
    let memory = before.as_ref().map_or_else(|| writes.empty_memory(), |before| before.memory.clone());
    let run = |query: Tensor<4>, writes, memory| {
        if spec.causal {
            return causal(query, writes, memory, spec.plasticity, spec.form);
        }
        let memory = write(writes, memory, spec.plasticity, spec.form);
        (read(query, memory.clone()), memory)
    };
    let (reads, memory, calcium) = if spec.calcium {
        let calcium = before.and_then(|before| before.calcium);
        let options = (&writes.value.device(), writes.value.dtype());
        let calcium = calcium.unwrap_or_else(|| Tensor::zeros([batch, heads, m], options));
        let (reads, n, memory, calcium) = with_calcium(query, writes, memory, calcium, run);
        (reads / n.clamp_min(CALCIUM_FLOOR), memory, Some(calcium))
    } else {
        let (reads, memory) = run(query, writes, memory);
        (reads, memory, None)
    };
    (reads.swap_dims(1, 2), MemoryState { memory, calcium })
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;
    use crate::feature_map::FeatureMapConfig;
    use crate::kernel::element_wise::Feature;
    use crate::ops::softmax_attention;

    fn elu() -> Feature {
        FeatureMapConfig::Elu.element_wise().expect("element-wise")
    }

    /// In tests of the crate itself scratch memory and results are poisoned: what a kernel leaves
    /// unwritten, or reads before it writes, shows as NaN. (tests/fused.rs has the figures.)
    #[test]
    fn kernels_leave_no_poison() {
        let device = Device::flex().autodiff();
        for plasticity in [Plasticity::Hebbian, Plasticity::Delta] {
            for (causal, remember, decays) in [(true, false, true), (true, true, false), (false, true, true)] {
                for (steps, m, d) in [(1, 3, 5), (5, 17, 1), (40, 8, 33)] {
                    let draw = |shape: [usize; 4]| {
                        Tensor::<4>::random(shape, Distribution::Uniform(-1.0, 1.0), &device).require_grad()
                    };
                    let x = MemoryInputs {
                        query: draw([2, steps, 3, m]),
                        key: draw([2, steps, 3, m]),
                        value: draw([2, steps, 3, d]),
                        log_decay: decays.then(|| -draw([2, steps, 3, 1]).abs().squeeze_dim(3)),
                        strength: Some(draw([2, steps, 3, 1]).abs().squeeze_dim(3)),
                    };
                    let delta = plasticity == Plasticity::Delta;
                    let form = Form::Chunkwise(7);
                    let spec = MemorySpec { plasticity, feature: elu(), unit: delta, calcium: !delta, causal, form };
                    let (reads, after) = memory_attention(&spec, x.clone(), None, remember);
                    let sums = [reads.clone().sum()].into_iter().chain(after.map(|after| after.memory.sum()));
                    let gradients = sums.reduce(|a, b| a + b).expect("one at least").backward();
                    for leaf in [&x.query, &x.key, &x.value] {
                        let sum = leaf.grad(&gradients).expect("a leaf").sum().into_scalar::<f32>();
                        assert!(sum.is_finite(), "{spec:?}, {steps} steps, {m} by {d}");
                    }
                    assert!(reads.sum().into_scalar::<f32>().is_finite(), "{spec:?}");
                    if m == d || plasticity == Plasticity::Delta {
                        continue;
                    }
                    let (key, value) = (x.key.clone(), x.query.clone());
                    let reads = softmax_attention(x.query.clone(), key, value, causal).sum();
                    let gradients = reads.clone().backward();
                    let sum = reads + x.key.grad(&gradients).expect("a leaf").sum();
                    assert!(sum.into_scalar::<f32>().is_finite(), "softmax, {steps} steps of {m}");
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "3 causal queries for 4 keys")]
    fn causal_queries_are_as_many_as_keys() {
        let device = Device::flex();
        let draw = |steps: usize| Tensor::<4>::zeros([1, steps, 1, 2], &device);
        let x = MemoryInputs { query: draw(3), key: draw(4), value: draw(4), log_decay: None, strength: None };
        let spec = MemorySpec {
            plasticity: Plasticity::Hebbian,
            feature: elu(),
            unit: false,
            calcium: true,
            causal: true,
            form: Form::Chunkwise(2),
        };
        memory_attention(&spec, x, None, false);
    }
}
