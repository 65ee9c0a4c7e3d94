//! A sliding softmax window beside the memory: the last W steps are seen exactly, older ones through
//! the memory, both under one normaliser (LoLCATs, arXiv 2410.10254, eq. 7; Based, arXiv 2402.18668).
//!
//! `y = (γ Σ_j e^{s_j − c} v_j + r N) / (γ Σ_j e^{s_j − c} + r n)` over the steps j in the window,
//! where N and n are what the query reads of memory and calcium. A step is written into them when it
//! leaves the window, with its own β, and they decay by the step that enters:
//! `H_t = a_t H_{t−1} + β_{t−W} φ(k_{t−W}) v_{t−W}ᵀ`.

use crate::normalizer::{divide, divide_vjp};
use astrocytic_attention::reference::{add, dot, outer, product, product_transposed, scale};

/// `s_j = q·k_j / √d` for q `[d]`, k `[w, d]`.
pub fn scores(query: &[f64], key: &[f64]) -> Vec<f64> {
    scale(&product(key, query), (query.len() as f64).powf(-0.5))
}

/// Gradients of [`scores`] by q and k.
pub fn scores_vjp(query: &[f64], key: &[f64], d_scores: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let d_products = scale(d_scores, (query.len() as f64).powf(-0.5));
    (product_transposed(key, &d_products), outer(&d_products, query))
}

/// c, the largest score, so that nothing overflows; at least 0 where the feature map `imitates` e^s.
pub fn stabilizer(scores: &[f64], imitates: bool) -> f64 {
    scores.iter().copied().fold(if imitates { 0.0 } else { f64::NEG_INFINITY }, f64::max)
}

/// r: where the feature map `imitates` e^s, the memory is scaled as the window is, and the sum is one
/// softmax.
pub fn memory_scale(c: f64, imitates: bool) -> f64 {
    if imitates { (-c).exp() } else { 1.0 }
}

/// `Σ_j e^{s_j − c} v_j` for s `[w]`, v `[w, d_v]`.
pub fn sums(scores: &[f64], value: &[f64], c: f64) -> Vec<f64> {
    product_transposed(value, &exponentials(scores, c))
}

/// Gradients of [`sums`] by s and v, with c held constant.
pub fn sums_vjp(scores: &[f64], value: &[f64], c: f64, d_sums: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let e = exponentials(scores, c);
    let d_scores = e.iter().zip(product(value, d_sums)).map(|(e, d_e)| e * d_e).collect();
    (d_scores, outer(&e, d_sums))
}

fn exponentials(scores: &[f64], c: f64) -> Vec<f64> {
    scores.iter().map(|s| (s - c).exp()).collect()
}

/// `γ x + r y`, γ by its logarithm.
pub fn mix(log_gamma: f64, x: &[f64], r: f64, y: &[f64]) -> Vec<f64> {
    let mut sum = scale(x, log_gamma.exp());
    add(&mut sum, r, y);
    sum
}

/// Gradients of [`mix`] by ln γ, x and y.
pub fn mix_vjp(log_gamma: f64, x: &[f64], r: f64, d_sum: &[f64]) -> (f64, Vec<f64>, Vec<f64>) {
    let d_x = scale(d_sum, log_gamma.exp());
    (dot(x, &d_x), d_x, scale(d_sum, r))
}

/// One query and what it sees exactly.
#[derive(Debug, Clone)]
pub struct Window<'a> {
    /// q, `[d]`.
    pub query: &'a [f64],
    /// k of the steps in the window, `[w, d]`.
    pub key: &'a [f64],
    /// v of them with a 1 behind each, `[w, d + 1]`.
    pub value: &'a [f64],
    /// ln γ.
    pub log_gamma: f64,
    /// c, a constant: no gradient goes through it.
    pub c: f64,
    /// r; 0 where there is no memory.
    pub r: f64,
}

/// Gradients by what is read.
#[derive(Debug, Clone)]
pub struct WindowGradients {
    /// By q.
    pub query: Vec<f64>,
    /// By k.
    pub key: Vec<f64>,
    /// By v and the ones.
    pub value: Vec<f64>,
    /// By ln γ.
    pub log_gamma: f64,
    /// By N and n.
    pub memory: Vec<f64>,
}

impl Window<'_> {
    /// y `[d]`; `memory` is N with n behind it, `[d + 1]`.
    pub fn read(&self, memory: &[f64]) -> Vec<f64> {
        let all = mix(self.log_gamma, &self.sums(), self.r, memory);
        divide(&all[..self.query.len()], all[self.query.len()])
    }

    /// Gradients of [`read`](Self::read).
    pub fn read_vjp(&self, memory: &[f64], d_y: &[f64]) -> WindowGradients {
        let (d, sums) = (self.query.len(), self.sums());
        let all = mix(self.log_gamma, &sums, self.r, memory);
        let (mut d_all, d_n) = divide_vjp(&all[..d], all[d], d_y);
        d_all.push(d_n);
        let (log_gamma, d_sums, memory) = mix_vjp(self.log_gamma, &sums, self.r, &d_all);
        let (d_scores, value) = sums_vjp(&scores(self.query, self.key), self.value, self.c, &d_sums);
        let (query, key) = scores_vjp(self.query, self.key, &d_scores);
        WindowGradients { query, key, value, log_gamma, memory }
    }

    fn sums(&self) -> Vec<f64> {
        sums(&scores(self.query, self.key), self.value, self.c)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Random, check, distance};

    #[test]
    fn gradients() {
        let mut random = Random::new(12);
        for (w, d) in [(1, 1), (1, 4), (3, 2), (5, 3)] {
            let [query, key, value, memory, c] = [d, w * d, w * (d + 1), d + 1, d].map(|n| random.normals(n));
            let (value, memory) = (value.iter().map(|v| v.abs()).collect::<Vec<_>>(), scale(&memory, 0.1));
            for (imitates, scaled) in [(true, 1.0), (false, 1.0), (false, 0.0)] {
                let held = stabilizer(&scores(&query, &key), imitates);
                let r = scaled * memory_scale(held, imitates);
                let window = Window { query: &query, key: &key, value: &value, log_gamma: 0.3, c: held, r };
                let found = window.read_vjp(&memory, &c);
                let loss = |window: Window, memory: &[f64]| dot(&c, &window.read(memory));
                let at = || window.clone();
                check("query", &query, &found.query, |query| loss(Window { query, ..at() }, &memory));
                check("key", &key, &found.key, |key| loss(Window { key, ..at() }, &memory));
                check("value", &value, &found.value, |value| loss(Window { value, ..at() }, &memory));
                check("memory", &memory, &found.memory, |memory| loss(at(), memory));
                check("γ", &[0.3], &[found.log_gamma], |x| loss(Window { log_gamma: x[0], ..at() }, &memory));
            }
        }
    }

    #[test]
    fn alone_it_is_softmax_attention() {
        let (query, key) = ([1.0, -2.0], [0.5, 1.0, 3.0, 1.0, -1.0, 0.0]);
        let value = [1.0, 2.0, 1.0, -3.0, 0.0, 1.0, 4.0, 5.0, 1.0];
        let e = [-1.5, 1.0, -1.0].map(|s: f64| (s / 2f64.sqrt()).exp());
        let total: f64 = e.iter().sum();
        let expected = [(e[0] - 3.0 * e[1] + 4.0 * e[2]) / total, (2.0 * e[0] + 5.0 * e[2]) / total];
        for (log_gamma, c) in [(0.0, 0.7), (-2.0, 0.7), (0.0, 0.0)] {
            let window = Window { query: &query, key: &key, value: &value, log_gamma, c, r: 0.0 };
            assert!(distance(&window.read(&[7.0; 3]), &expected) < 1e-14);
        }
    }

    /// A memory of e^s itself behind the window is more of the same softmax.
    #[test]
    fn a_map_that_imitates_makes_one_softmax() {
        let mut random = Random::new(13);
        let (query, key) = (scale(&random.normals(3), 4.0), random.normals(5 * 3));
        let value: Vec<f64> = (0..5).flat_map(|_| [random.normals(3), vec![1.0]].concat()).collect();
        let all = scores(&query, &key);
        let whole = Window { query: &query, key: &key, value: &value, log_gamma: 0.0, c: 0.0, r: 0.0 }.read(&[0.0; 4]);
        let c = stabilizer(&all[2..], true);
        let (key, near) = (&key[2 * 3..], &value[2 * 4..]);
        let window = Window { query: &query, key, value: near, log_gamma: 0.0, c, r: memory_scale(c, true) };
        assert!(distance(&window.read(&sums(&all[..2], &value[..2 * 4], 0.0)), &whole) < 1e-12);
    }
}
