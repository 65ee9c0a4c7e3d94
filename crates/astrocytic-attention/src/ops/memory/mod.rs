//! Attention over a memory as one operation: from queries, keys and values to normalised reads.

use burn::tensor::Tensor;

mod chunkwise;
mod faults;
mod feature;
pub(crate) mod forms;
mod host;
mod kept;
mod parallel;
mod recurrent;
pub(crate) mod spec;
mod triangular;
pub(crate) mod writes;

use crate::kernel;
use crate::tensor::{NORM_FLOOR, contiguous, l2_normalize};
use forms::{causal, with_calcium, write};
use spec::{CALCIUM_FLOOR, Form, Plasticity};
use writes::{Writes, read};

pub use feature::Feature;

/// Attention over a memory. On flex and ndarray the chunkwise form, with feature map, calcium and backward pass, is a
/// kernel of its own; other devices and forms compose Burn's operations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Attend {
    /// How a write changes the memory.
    pub plasticity: Plasticity,
    /// Feature map of keys and queries.
    pub feature: Feature,
    /// Whether features are brought to length 1, as the delta rule wants them.
    pub unit: bool,
    /// Whether reads are divided by the calcium, `φ(q) · g`, floored at [`CALCIUM_FLOOR`].
    pub calcium: bool,
    /// Whether a step reads what came up to it, or all read what there is after the last.
    pub causal: bool,
    /// Which form to run.
    pub form: Form,
}

/// What is attended to, and by what.
#[derive(Debug, Clone)]
pub struct Attended {
    /// q before the feature map, `[batch, steps_q, heads, d]`; each group of `heads / key heads` reads one key head.
    pub query: Tensor<4>,
    /// k before the feature map, `[batch, steps, key heads, d]`.
    pub key: Tensor<4>,
    /// v, `[batch, steps, key heads, d_v]`.
    pub value: Tensor<4>,
    /// log a ≤ 0, `[batch, steps, key heads]`; `None` is no decay.
    pub log_decay: Option<Tensor<3>>,
    /// Write strength β in [0, 2], `[batch, steps, key heads]`; `None` is 1.
    pub strength: Option<Tensor<3>>,
}

/// A memory H `[batch, key heads, m, d_v]` with, where reads are divided by it, calcium g `[batch, key heads, m]`.
#[derive(Debug, Clone)]
pub struct Remembered {
    /// H.
    pub memory: Tensor<4>,
    /// g.
    pub calcium: Option<Tensor<3>>,
}

impl Attended {
    /// From tensors `[batch, heads, steps, ·]`.
    pub(crate) fn heads_last(query: Tensor<4>, writes: Writes) -> Self {
        let numbers = |x: Option<Tensor<3>>| x.map(|x| x.swap_dims(1, 2));
        Self {
            query: query.swap_dims(1, 2),
            key: writes.key.swap_dims(1, 2),
            value: writes.value.swap_dims(1, 2),
            log_decay: numbers(writes.log_decay),
            strength: numbers(writes.strength),
        }
    }
}

impl Attend {
    /// The reads `[batch, steps_q, heads, d_v]` and, where asked for, what is remembered after the last step. `before` is
    /// what was remembered before the first; `None` is nothing.
    ///
    /// # Panics
    /// For shapes that do not fit, with `causal` for another number of queries than keys, and for calcium with the delta
    /// rule.
    pub fn run(&self, x: Attended, before: Option<Remembered>, remember: bool) -> (Tensor<4>, Option<Remembered>) {
        self.check(&x, before.as_ref());
        self.run_fused(&x, before.as_ref(), remember).unwrap_or_else(|| self.compose(x, before))
    }

    fn check(&self, x: &Attended, before: Option<&Remembered>) {
        let ([batch, steps, heads, m], [.., d]) = (x.key.dims(), x.value.dims());
        let [_, reads, query_heads, _] = x.query.dims();
        assert!(
            x.query.dims() == [batch, reads, query_heads, m]
                && x.value.dims() == [batch, steps, heads, d]
                && (query_heads == heads || heads > 0 && query_heads % heads == 0),
            "attend: query {:?}, key {:?} and value {:?} do not fit",
            x.query.dims(),
            x.key.dims(),
            x.value.dims()
        );
        let delta = self.plasticity == Plasticity::Delta;
        assert!(!(delta && self.calcium), "attend: the delta rule has no calcium");
        assert!(!self.causal || reads == steps, "attend: {reads} causal queries for {steps} keys");
        for (name, numbers) in [("log decay", &x.log_decay), ("strength", &x.strength)] {
            let fits = numbers.as_ref().is_none_or(|numbers| numbers.dims() == [batch, steps, heads]);
            assert!(fits, "attend: {name} must be [{batch}, {steps}, {heads}]");
        }
        if let Some(Remembered { memory, calcium }) = before {
            let fits = memory.dims() == [batch, heads, m, d];
            assert!(fits, "attend: memory must be [{batch}, {heads}, {m}, {d}], not {:?}", memory.dims());
            let fits = calcium.as_ref().is_none_or(|calcium| calcium.dims() == [batch, heads, m]);
            assert!(fits, "attend: calcium must be [{batch}, {heads}, {m}]");
        }
    }

    fn run_fused(
        &self,
        x: &Attended,
        before: Option<&Remembered>,
        remember: bool,
    ) -> Option<(Tensor<4>, Option<Remembered>)> {
        let Form::Chunkwise(chunk) = self.form else { return None };
        let [batch, steps, heads, m] = x.key.dims();
        let ([_, reads, query_heads, _], d) = (x.query.dims(), x.value.dims()[3]);
        if batch * steps * reads * query_heads * m * d == 0 {
            return None;
        }
        let kernel = host::Memory {
            plasticity: self.plasticity,
            feature: self.feature,
            unit: self.unit.then_some(NORM_FLOOR),
            calcium_floor: self.calcium.then_some(CALCIUM_FLOOR),
            causal: self.causal,
            chunk,
            state: remember,
        };
        let numbers = |x: &Option<Tensor<3>>| x.clone().map(Into::into);
        let inputs = [
            Some(x.query.clone().into()),
            Some(x.key.clone().into()),
            Some(x.value.clone().into()),
            numbers(&x.log_decay),
            numbers(&x.strength),
            before.map(|before| before.memory.clone().into()),
            before.and_then(|before| numbers(&before.calcium)),
        ];
        let shape = [batch, reads, query_heads, d];
        if !remember {
            return Some((kernel::run::<_, 4>(kernel, inputs)?, None));
        }
        let packed = kernel::run::<_, 1>(kernel, inputs)?;
        let ends = [shape.iter().product(), batch * heads * m * d, batch * heads * m];
        let part = |start, count| contiguous(packed.clone().narrow(0, start, count));
        let memory = part(ends[0], ends[1]).reshape([batch, heads, m, d]);
        let calcium = self.calcium.then(|| part(ends[0] + ends[1], ends[2]).reshape([batch, heads, m]));
        Some((packed.narrow(0, 0, ends[0]).reshape(shape), Some(Remembered { memory, calcium })))
    }

    /// The same in Burn's operations.
    pub(crate) fn compose(&self, x: Attended, before: Option<Remembered>) -> (Tensor<4>, Option<Remembered>) {
        let map = |x: Tensor<4>| {
            let features = self.feature.map(x.swap_dims(1, 2));
            if self.unit { l2_normalize(features) } else { features }
        };
        let writes = Writes {
            key: map(x.key),
            value: x.value.swap_dims(1, 2),
            log_decay: x.log_decay.map(|x| x.swap_dims(1, 2)),
            strength: x.strength.map(|x| x.swap_dims(1, 2)),
        };
        let query = map(x.query);
        let [batch, heads, _, m] = writes.key.dims();
        let memory = before.as_ref().map_or_else(|| writes.empty_memory(), |before| before.memory.clone());
        let run = |query: Tensor<4>, writes, memory| {
            if self.causal {
                return causal(query, writes, memory, self.plasticity, self.form);
            }
            let memory = write(writes, memory, self.plasticity, self.form);
            (read(query, memory.clone()), memory)
        };
        let (reads, memory, calcium) = if self.calcium {
            let calcium = before.and_then(|before| before.calcium);
            let options = (&writes.value.device(), writes.value.dtype());
            let calcium = calcium.unwrap_or_else(|| Tensor::zeros([batch, heads, m], options));
            let (reads, n, memory, calcium) = with_calcium(query, writes, memory, calcium, run);
            (reads / n.clamp_min(CALCIUM_FLOOR), memory, Some(calcium))
        } else {
            let (reads, memory) = run(query, writes, memory);
            (reads, memory, None)
        };
        (reads.swap_dims(1, 2), Some(Remembered { memory, calcium }))
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;
    use crate::ops::softmax_attention;

    /// In tests of the crate itself scratch memory and results are poisoned: what a kernel leaves unwritten, or reads
    /// before it writes, shows as NaN. (tests/fused.rs has the figures.)
    #[test]
    fn kernels_leave_no_poison() {
        let device = Device::flex().autodiff();
        for plasticity in [Plasticity::Hebbian, Plasticity::Delta] {
            for (causal, remember, decays) in [(true, false, true), (true, true, false), (false, true, true)] {
                for (steps, m, d) in [(1, 3, 5), (5, 17, 1), (40, 8, 33)] {
                    let draw = |shape: [usize; 4]| {
                        Tensor::<4>::random(shape, Distribution::Uniform(-1.0, 1.0), &device).require_grad()
                    };
                    let x = Attended {
                        query: draw([2, steps, 3, m]),
                        key: draw([2, steps, 3, m]),
                        value: draw([2, steps, 3, d]),
                        log_decay: decays.then(|| -draw([2, steps, 3, 1]).abs().squeeze_dim(3)),
                        strength: Some(draw([2, steps, 3, 1]).abs().squeeze_dim(3)),
                    };
                    let delta = plasticity == Plasticity::Delta;
                    let form = Form::Chunkwise(7);
                    let attend =
                        Attend { plasticity, feature: Feature::Elu, unit: delta, calcium: !delta, causal, form };
                    let (reads, after) = attend.run(x.clone(), None, remember);
                    let sums = [reads.clone().sum()].into_iter().chain(after.map(|after| after.memory.sum()));
                    let gradients = sums.reduce(|a, b| a + b).expect("one at least").backward();
                    for leaf in [&x.query, &x.key, &x.value] {
                        let sum = leaf.grad(&gradients).expect("a leaf").sum().into_scalar::<f32>();
                        assert!(sum.is_finite(), "{attend:?}, {steps} steps, {m} by {d}");
                    }
                    assert!(reads.sum().into_scalar::<f32>().is_finite(), "{attend:?}");
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
        let x = Attended { query: draw(3), key: draw(4), value: draw(4), log_decay: None, strength: None };
        let attend = Attend {
            plasticity: Plasticity::Hebbian,
            feature: Feature::Elu,
            unit: false,
            calcium: true,
            causal: true,
            form: Form::Chunkwise(2),
        };
        attend.run(x, None, false);
    }
}
