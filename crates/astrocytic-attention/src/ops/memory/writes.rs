//! What is written into a memory, and what is read of one.

use burn::tensor::Tensor;

/// What is written at each step of a sequence.
#[derive(Debug, Clone)]
pub struct Writes {
    /// φ(k), `[batch, key heads, steps, m]`.
    pub key: Tensor<4>,
    /// v, `[batch, key heads, steps, d_v]`.
    pub value: Tensor<4>,
    /// log a ≤ 0, `[batch, key heads, steps]`; `None` is no decay.
    pub log_decay: Option<Tensor<3>>,
    /// Write strength β in [0, 2], `[batch, key heads, steps]`; `None` is 1.
    pub strength: Option<Tensor<3>>,
}

impl Writes {
    pub(super) fn narrow(&self, start: usize, length: usize) -> Self {
        let steps3 = |t: &Tensor<3>| t.clone().narrow(2, start, length);
        Self {
            key: self.key.clone().narrow(2, start, length),
            value: self.value.clone().narrow(2, start, length),
            log_decay: self.log_decay.as_ref().map(steps3),
            strength: self.strength.as_ref().map(steps3),
        }
    }

    /// β φ(k).
    pub(super) fn scaled_key(&self) -> Tensor<4> {
        match &self.strength {
            Some(strength) => self.key.clone() * strength.clone().unsqueeze_dim(3),
            None => self.key.clone(),
        }
    }

    /// β v.
    pub(super) fn scaled_value(&self) -> Tensor<4> {
        match &self.strength {
            Some(strength) => self.value.clone() * strength.clone().unsqueeze_dim(3),
            None => self.value.clone(),
        }
    }

    /// H = 0, `[batch, key heads, m, d_v]`.
    pub fn empty_memory(&self) -> Tensor<4> {
        let [batch, heads, _, m] = self.key.dims();
        let d_v = self.value.dims()[3];
        Tensor::zeros([batch, heads, m, d_v], (&self.key.device(), self.key.dtype()))
    }
}

/// What every query reads from one memory: `[batch, heads, steps, m]` and `[batch, key heads, m,
/// d_v]` to `[batch, heads, steps, d_v]`.
pub fn read(query: Tensor<4>, memory: Tensor<4>) -> Tensor<4> {
    let ([batch, heads, steps, _], [_, key_heads, _, d]) = (query.dims(), memory.dims());
    fold(query, key_heads).matmul(memory).reshape([batch, heads, steps, d])
}

/// The queries of a group one after another: `[batch, heads, steps, m]` to `[batch, key heads,
/// group · steps, m]`.
fn fold(query: Tensor<4>, key_heads: usize) -> Tensor<4> {
    let [batch, heads, steps, m] = query.dims();
    query.reshape([batch, key_heads, heads / key_heads * steps, m])
}
