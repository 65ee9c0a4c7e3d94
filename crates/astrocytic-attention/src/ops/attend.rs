//! Attention over a memory as one operation: from queries, keys and values to normalised reads.

use burn::tensor::Tensor;

use super::{Form, Plasticity, Writes, causal, write};
use crate::astrocytic::CALCIUM_FLOOR;
use crate::feature_map::{NORM_FLOOR, elu, l2_normalize};
use crate::fused::{self, memory};

pub use crate::fused::memory::Feature;

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
    /// q before the feature map, `[batch, steps_q, heads, d]`.
    pub query: Tensor<4>,
    /// k before the feature map, `[batch, steps, heads, d]`.
    pub key: Tensor<4>,
    /// v, `[batch, steps, heads, d_v]`.
    pub value: Tensor<4>,
    /// log a ≤ 0, `[batch, steps, heads]`; `None` is no decay.
    pub log_decay: Option<Tensor<3>>,
    /// Write strength β in [0, 1], `[batch, steps, heads]`; `None` is 1.
    pub strength: Option<Tensor<3>>,
}

/// A memory H `[batch, heads, m, d_v]` with, where reads are divided by it, calcium g `[batch, heads, m]`.
#[derive(Debug, Clone)]
pub struct Remembered {
    /// H.
    pub memory: Tensor<4>,
    /// g.
    pub calcium: Option<Tensor<3>>,
}

impl Feature {
    /// φ(x), element by element.
    pub fn map(self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Identity => x,
            Self::Elu => elu::map(x),
            Self::Relu => burn::tensor::activation::relu(x),
            Self::Silu => burn::tensor::activation::silu(x),
        }
    }
}

impl Attend {
    /// The reads `[batch, steps_q, heads, d_v]` and, where asked for, what is remembered after the last step. `before` is
    /// what was remembered before the first; `None` is nothing.
    pub fn run(&self, x: Attended, before: Option<Remembered>, remember: bool) -> (Tensor<4>, Option<Remembered>) {
        self.run_fused(&x, before.as_ref(), remember).unwrap_or_else(|| self.compose(x, before))
    }

    fn run_fused(
        &self,
        x: &Attended,
        before: Option<&Remembered>,
        remember: bool,
    ) -> Option<(Tensor<4>, Option<Remembered>)> {
        let Form::Chunkwise(chunk) = self.form else { return None };
        let [batch, steps, heads, m] = x.key.dims();
        let (reads, d) = (x.query.dims()[1], x.value.dims()[3]);
        if batch * steps * reads * heads == 0 {
            return None;
        }
        let kernel = memory::Memory {
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
        let shape = [batch, reads, heads, d];
        if !remember {
            return Some((fused::run::<_, 4>(kernel, inputs)?, None));
        }
        let packed = fused::run::<_, 1>(kernel, inputs)?;
        let ends = [batch * reads * heads * d, batch * heads * m * d, batch * heads * m];
        let memory = packed.clone().narrow(0, ends[0], ends[1]).reshape([batch, heads, m, d]);
        let calcium =
            self.calcium.then(|| packed.clone().narrow(0, ends[0] + ends[1], ends[2]).reshape([batch, heads, m]));
        Some((packed.narrow(0, 0, ends[0]).reshape(shape), Some(Remembered { memory, calcium })))
    }

    /// The same in Burn's operations.
    pub(crate) fn compose(&self, x: Attended, before: Option<Remembered>) -> (Tensor<4>, Option<Remembered>) {
        let map = |x: Tensor<4>| {
            let features = self.feature.map(x.swap_dims(1, 2));
            if self.unit { l2_normalize(features) } else { features }
        };
        let mut writes = Writes {
            key: map(x.key),
            value: x.value.swap_dims(1, 2),
            log_decay: x.log_decay.map(|x| x.swap_dims(1, 2)),
            strength: x.strength.map(|x| x.swap_dims(1, 2)),
        };
        let query = map(x.query);
        let [batch, heads, steps, d] = writes.value.dims();
        let mut memory = before.as_ref().map_or_else(|| writes.empty_memory(), |before| before.memory.clone());
        let [_, _, m, _] = memory.dims();
        let options = (&writes.value.device(), writes.value.dtype());
        if self.calcium {
            // The calcium is one more column of the memory: a value that is always 1.
            let one = Tensor::ones([batch, heads, steps, 1], options);
            writes.value = Tensor::cat(vec![writes.value, one], 3);
            let calcium = before.and_then(|before| before.calcium);
            let calcium = calcium.unwrap_or_else(|| Tensor::zeros([batch, heads, m], options));
            memory = Tensor::cat(vec![memory, calcium.unsqueeze_dim(3)], 3);
        }
        let (mut reads, mut memory) = if self.causal {
            causal(query, writes, memory, self.plasticity, self.form)
        } else {
            let memory = write(writes, memory, self.plasticity, self.form);
            (query.matmul(memory.clone()), memory)
        };
        let mut calcium = None;
        if self.calcium {
            calcium = Some(memory.clone().narrow(3, d, 1).squeeze_dim(3));
            memory = memory.narrow(3, 0, d);
            let n = reads.clone().narrow(3, d, 1).clamp_min(CALCIUM_FLOOR);
            reads = reads.narrow(3, 0, d) / n;
        }
        (reads.swap_dims(1, 2), Some(Remembered { memory, calcium }))
    }
}
