//! What the oracle computes: a layer's configuration, its weights, a sequence and a state.

use std::collections::BTreeMap;
use std::ops::{Deref, Range};

use astrocytic_attention::feature_map::Side;
use astrocytic_attention::reference::{add, normalize, normalize_vjp};
use astrocytic_attention::{AstrocyticAttentionConfig as Config, Normalizer, Plasticity};

use crate::normalizer;

/// Which layer. Sizes and options are those of the module's configuration; `causal` is in it.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerSpec(pub Config);

impl Deref for LayerSpec {
    type Target = Config;

    fn deref(&self) -> &Config {
        &self.0
    }
}

/// Weights, or their gradients, by the names and in the layouts of the Burn module.
pub type Weights = BTreeMap<String, Vec<f64>>;

/// A weight, empty where the layer has none of the name.
pub fn get<'a>(weights: &'a Weights, name: &str) -> &'a [f64] {
    weights.get(name).map_or(&[], Vec::as_slice)
}

/// [`get`] to write to.
pub fn get_mut<'a>(weights: &'a mut Weights, name: &str) -> &'a mut [f64] {
    weights.get_mut(name).map_or(&mut [], Vec::as_mut_slice)
}

/// What a layer remembers between calls, or the gradient by it.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// H of every key head, `[m, d]`.
    pub memory: Vec<Vec<f64>>,
    /// g of every key head, `[m]`; empty where the normaliser is not calcium.
    pub calcium: Vec<Vec<f64>>,
    /// Last `convolution − 1` rows of q, k and v before the convolution.
    pub history: [Vec<f64>; 3],
    /// k, v and β of the last `window` steps of every key head, `[window, d]`, `[window, d]` and
    /// `[window]`; 0 where there was no step yet.
    pub recent: [Vec<Vec<f64>>; 3],
    /// k and v of all steps, of every key head that attends by softmax, `[steps, d]`.
    pub softmax: [Vec<Vec<f64>>; 2],
    /// Steps seen.
    pub position: usize,
}

impl State {
    /// Every number of the state, for comparisons and differences.
    pub fn parts_mut(&mut self) -> impl Iterator<Item = &mut Vec<f64>> {
        let of_memories = self.memory.iter_mut().chain(&mut self.calcium).chain(&mut self.history);
        of_memories.chain(self.recent.iter_mut().flatten()).chain(self.softmax.iter_mut().flatten())
    }
}

/// One sequence.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// What queries are made of, `[T_q, d_model]`.
    pub query: &'a [f64],
    /// What keys, values, decay and write strength are made of, `[T_k, d_model]`.
    pub key: &'a [f64],
    /// True where a query is padded, `[T_q]`, or empty: it reads 0 and takes no part in convolution
    /// and positions.
    pub query_pad: &'a [bool],
    /// True where a key is padded, `[T_k]`, or empty: it writes nothing and leaves the state as it
    /// is.
    pub key_pad: &'a [bool],
    /// Write dropout: a factor of β, `[T_k, writes · memories]`, or empty.
    pub release: &'a [f64],
    /// c of a window as [`stabilizers`](crate::forward::stabilizers) finds it, held there whatever
    /// the rest is; or empty.
    pub stabilizers: &'a [Vec<f64>],
}

impl<'a> Input<'a> {
    /// Queries and keys from one sequence.
    pub fn self_attn(x: &'a [f64], pad: &'a [bool]) -> Self {
        Self { query: x, key: x, query_pad: pad, key_pad: pad, release: &[], stabilizers: &[] }
    }

    /// Queries from one sequence, keys from another of which some are padded.
    pub fn cross(query: &'a [f64], key: &'a [f64], key_pad: &'a [bool]) -> Self {
        Self { query, key, query_pad: &[], key_pad, release: &[], stabilizers: &[] }
    }
}

impl LayerSpec {
    /// The key head of a query head, both counted among those of memories or of softmax.
    pub fn key_head(&self, head: usize) -> usize {
        head * self.key_heads() / self.n_heads
    }

    /// Key heads whose memory leaks, behind those that forget nothing.
    pub fn decaying_heads(&self) -> usize {
        self.memory_key_heads() - self.undecayed_heads
    }

    /// Heads of q, k and v that attend by softmax, the first ones.
    pub fn softmax_channels(&self) -> [usize; 3] {
        let key_heads = self.softmax_heads * self.key_heads() / self.n_heads;
        [self.softmax_heads, key_heads, key_heads]
    }

    /// The exponent α, where the normaliser is calcium.
    pub fn alpha(&self) -> Option<f64> {
        if let Normalizer::Calcium { alpha } = self.normalizer { Some(alpha) } else { None }
    }

    /// Whether reads end with an RMS norm.
    fn has_norm(&self) -> bool {
        self.normalizer == Normalizer::Rms || self.alpha().is_some_and(|alpha| alpha != 1.0)
    }

    /// A state that has seen nothing.
    pub fn empty_state(&self) -> State {
        let (d, m, key_heads) = (self.head_size(), self.features(), self.memory_key_heads());
        let calcium = if self.alpha().is_some() { m } else { 0 };
        let past = self.convolution.saturating_sub(1) * d;
        State {
            memory: vec![vec![0.0; m * d]; key_heads],
            calcium: vec![vec![0.0; calcium]; key_heads],
            history: self.heads_of_channels().map(|heads| vec![0.0; past * heads]),
            recent: [d, d, 1].map(|size| vec![vec![0.0; self.window * size]; key_heads]),
            softmax: [1, 2].map(|i| vec![Vec::new(); self.softmax_channels()[i]]),
            position: 0,
        }
    }

    /// Rows of a window that are no steps, where `before` steps have been.
    fn missing(&self, before: usize) -> usize {
        self.window.saturating_sub(before)
    }

    /// At how many of the next steps nothing is written, because nothing leaves the window.
    pub fn unwritten(&self, before: usize, steps: usize) -> usize {
        if self.memory { self.missing(before).min(steps) } else { steps }
    }

    /// Rows of keys that step t has in its window, where `before` steps have been.
    pub fn seen(&self, t: usize, before: usize) -> Range<usize> {
        self.missing(before).max(t + 1)..t + 1 + self.window
    }

    /// φ of every row of x `[T, d]`, of length 1 with the delta rule.
    pub fn map(&self, x: &[f64], projection: &[f64], side: Side) -> Vec<f64> {
        let map = |x: &[f64]| {
            let features = self.feature_map.reference(x, projection, side);
            if self.plasticity == Plasticity::Delta { normalize(&features) } else { features }
        };
        x.chunks_exact(self.head_size()).flat_map(map).collect()
    }

    /// Gradients of [`map`](Self::map) by x and, added to `d_projection`, by the projection.
    pub fn map_vjp(
        &self,
        x: &[f64],
        projection: &[f64],
        side: Side,
        d_y: &[f64],
        d_projection: &mut [f64],
    ) -> Vec<f64> {
        let rows = x.chunks_exact(self.head_size()).zip(d_y.chunks_exact(self.features()));
        let map_vjp = |(x, d_y): (&[f64], &[f64])| {
            let d_features = match self.plasticity {
                Plasticity::Delta => normalize_vjp(&self.feature_map.reference(x, projection, side), d_y),
                Plasticity::Hebbian => d_y.to_vec(),
            };
            let (d_x, d_own) = self.feature_map.reference_vjp(x, projection, side, &d_features);
            add(d_projection, 1.0, &d_own);
            d_x
        };
        rows.flat_map(map_vjp).collect()
    }

    /// A read `[d_v]` after the normaliser.
    pub fn normalize(&self, read: &[f64], query: &[f64], g: &[f64], gamma: &[f64]) -> Vec<f64> {
        let divided = self.divide(read, query, g);
        if self.has_norm() { normalizer::rms(&divided, gamma) } else { divided }
    }

    fn divide(&self, read: &[f64], query: &[f64], g: &[f64]) -> Vec<f64> {
        match self.alpha() {
            Some(alpha) => normalizer::divide(read, normalizer::calcium(query, g, alpha)),
            None => read.to_vec(),
        }
    }

    /// Gradients of [`normalize`](Self::normalize) by the read, φ(q), g and γ.
    pub fn normalize_vjp(&self, read: &[f64], query: &[f64], g: &[f64], gamma: &[f64], d_y: &[f64]) -> [Vec<f64>; 4] {
        let (d_divided, d_gamma) = if self.has_norm() {
            normalizer::rms_vjp(&self.divide(read, query, g), gamma, d_y)
        } else {
            (d_y.to_vec(), Vec::new())
        };
        let Some(alpha) = self.alpha() else {
            return [d_divided, vec![0.0; query.len()], Vec::new(), d_gamma];
        };
        let n = normalizer::calcium(query, g, alpha);
        let (d_read, d_n) = normalizer::divide_vjp(read, n, &d_divided);
        let (d_query, d_g) = normalizer::calcium_vjp(query, g, alpha, d_n);
        [d_read, d_query, d_g, d_gamma]
    }
}
