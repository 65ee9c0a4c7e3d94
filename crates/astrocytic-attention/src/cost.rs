//! What a layer costs: floating-point operations as they are executed, and bytes of state.

use crate::astrocytic::{AstrocyticAttentionConfig, Normalizer};
use crate::attention::AttentionConfig;
use crate::decay::DecayConfig;
use crate::ops::Plasticity;
use crate::position::PositionConfig;
use crate::softmax::SoftmaxAttentionConfig;

/// Bytes of an f32.
const FLOAT: u64 = 4;

impl AttentionConfig {
    /// Operations of a forward pass for each of `steps` tokens of a sequence; a multiply-add counts as two, an exp or a
    /// division as one. Element-wise work below 1 % of the products (norms, gates) is left out.
    pub fn flops_per_token(&self, steps: usize) -> f64 {
        match self {
            Self::Astrocytic(config) => config.flops_per_token(steps),
            Self::Softmax(config) => config.flops_per_token(steps),
            Self::Off => 0.0,
        }
    }

    /// Bytes of state of one sequence after `steps` tokens, in f32.
    pub fn state_bytes(&self, steps: usize) -> u64 {
        match self {
            Self::Astrocytic(config) => config.state_bytes(),
            Self::Softmax(config) => config.state_bytes(steps),
            Self::Off => 0,
        }
    }
}

/// Query, key, value and output projections, gate and convolutions.
fn surroundings(d_model: usize, key_width: usize, convolution: usize, gate: bool) -> f64 {
    let (d, key) = (d_model as f64, key_width as f64);
    let matrices = 2.0 * d * (2.0 * d + 2.0 * key) + if gate { 2.0 * d * d } else { 0.0 };
    matrices + 2.0 * convolution as f64 * (d + 2.0 * key)
}

fn history_bytes(d_model: usize, key_width: usize, convolution: usize) -> u64 {
    FLOAT * (convolution.saturating_sub(1) * (d_model + 2 * key_width)) as u64
}

impl AstrocyticAttentionConfig {
    /// See [`AttentionConfig::flops_per_token`]; the chunkwise form.
    pub fn flops_per_token(&self, steps: usize) -> f64 {
        let size = self.head_size();
        let (heads, key_heads) = (self.n_heads as f64, self.key_heads() as f64);
        let (m, c) = (self.features() as f64, self.chunk.min(steps) as f64);
        let plain = matches!(self.normalizer, Normalizer::Calcium { alpha } if alpha == 1.0)
            && !matches!(self.position, PositionConfig::Distance { .. });
        let d_v = size as f64 + if plain { 1.0 } else { 0.0 };
        // Of a query head: scores and their product with the values inside a chunk, and reading the state. Of a key head:
        // writing it.
        let (mut read, mut write) = (2.0 * c * (m + d_v) + 2.0 * m * d_v, 2.0 * m * d_v);
        if !self.causal && self.plasticity == Plasticity::Hebbian && self.decay == DecayConfig::None {
            read = 2.0 * m * d_v; // one sum over all steps
        } else if !self.causal {
            read += 2.0 * m * d_v; // what a causal pass reads is not used, and every query reads the end
        }
        if self.plasticity == Plasticity::Delta {
            let inverse = (c.log2().ceil() - 1.0).max(0.0) * 4.0 * c * c;
            write += 2.0 * c * m + inverse + 2.0 * c * (m + d_v) + 2.0 * m * d_v;
        }
        if !plain && matches!(self.normalizer, Normalizer::Calcium { .. }) {
            write += 2.0 * c * m;
            read += 4.0 * m;
        }
        let mut maps = (heads + key_heads) * self.feature_map.flops(size);
        if let PositionConfig::Distance { max_steps, .. } = self.position {
            maps += 2.0 * (max_steps * size) as f64 + key_heads * self.feature_map.flops(size);
        }
        let gates = 2.0
            * self.d_model as f64
            * key_heads
            * (f64::from(u8::from(self.write_gate)) + f64::from(u8::from(self.decay.is_gated())));
        let memory = if self.memory { heads * read + key_heads * write + maps } else { 0.0 };
        // Each block of queries meets its own steps and a window before them.
        let block = self.window.min(steps) as f64;
        let window = if self.window > 0 { (block + self.window as f64) * (4.0 * size as f64 + 2.0) } else { 0.0 };
        surroundings(self.d_model, self.key_heads() * size, self.convolution, self.output_gate)
            + memory
            + heads * window
            + gates
    }

    /// See [`AttentionConfig::state_bytes`].
    pub fn state_bytes(&self) -> u64 {
        let d = self.head_size();
        let calcium = usize::from(matches!(self.normalizer, Normalizer::Calcium { .. }));
        FLOAT * (self.key_heads() * self.features() * (d + calcium)) as u64
            + FLOAT * (self.key_heads() * self.window * (2 * d + 2)) as u64
            + history_bytes(self.d_model, self.key_heads() * d, self.convolution)
    }
}

impl SoftmaxAttentionConfig {
    /// See [`AttentionConfig::flops_per_token`]; the whole T×T matrix, as it is executed.
    pub fn flops_per_token(&self, steps: usize) -> f64 {
        let key_width = self.d_model / self.n_heads * self.key_heads();
        let mixing = 4.0 * self.d_model as f64 * steps as f64 + 5.0 * self.n_heads as f64 * steps as f64;
        let around = surroundings(self.d_model, key_width, self.convolution, self.output_gate);
        let gate = if self.decay.is_gated() { 2.0 * (self.d_model * self.key_heads()) as f64 } else { 0.0 };
        // A column more of scores and reads.
        let fading = if self.decay == DecayConfig::None { 0.0 } else { (4 * self.n_heads * steps) as f64 };
        around + mixing + gate + fading
    }

    /// See [`AttentionConfig::state_bytes`].
    pub fn state_bytes(&self, steps: usize) -> u64 {
        let key_width = self.d_model / self.n_heads * self.key_heads();
        let fading = if self.decay == DecayConfig::None { 0 } else { self.key_heads() };
        FLOAT * (2 * steps * (key_width + fading)) as u64 + history_bytes(self.d_model, key_width, self.convolution)
    }
}
