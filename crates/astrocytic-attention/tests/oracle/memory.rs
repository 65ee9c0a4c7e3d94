//! The memory of one head: what each step writes and what a query reads.

use astrocytic_attention::Plasticity;
use astrocytic_attention::reference::{add, dot, outer, product, product_transposed, scale};

/// What a sequence writes.
#[derive(Debug, Clone, Copy)]
pub struct Writes<'a> {
    /// φ(k), `[T, m]`.
    pub key: &'a [f64],
    /// v, `[T, d_v]`.
    pub value: &'a [f64],
    /// log a ≤ 0, `[T]`.
    pub log_decay: &'a [f64],
    /// β, `[T]`.
    pub strength: &'a [f64],
}

impl<'a> Writes<'a> {
    fn steps(&self) -> usize {
        self.log_decay.len()
    }

    fn at(&self, t: usize) -> Writes<'a> {
        let row = |x: &'a [f64]| {
            let size = x.len() / self.steps();
            &x[t * size..(t + 1) * size]
        };
        Writes {
            key: row(self.key),
            value: row(self.value),
            log_decay: row(self.log_decay),
            strength: row(self.strength),
        }
    }
}

/// Gradients by what is written, in the shapes of [`Writes`], and by the memory `[m, d_v]` before it.
#[derive(Debug, Clone, Default)]
pub struct WriteGradients {
    /// By φ(k).
    pub key: Vec<f64>,
    /// By v.
    pub value: Vec<f64>,
    /// By log a.
    pub log_decay: Vec<f64>,
    /// By β.
    pub strength: Vec<f64>,
    /// By the memory before the first step.
    pub memory: Vec<f64>,
}

/// The memory after one step (T = 1 in `write`).
pub fn step(plasticity: Plasticity, memory: &[f64], write: Writes) -> Vec<f64> {
    let mut memory = scale(memory, write.log_decay[0].exp());
    let novel = novel(plasticity, &memory, write);
    add(&mut memory, write.strength[0], &outer(write.key, &novel));
    memory
}

/// Gradients of [`step`].
pub fn step_vjp(plasticity: Plasticity, memory: &[f64], write: Writes, d_after: &[f64]) -> WriteGradients {
    let (a, strength) = (write.log_decay[0].exp(), write.strength[0]);
    let decayed = scale(memory, a);
    let novel = novel(plasticity, &decayed, write);
    let d_value = scale(&product_transposed(d_after, write.key), strength);
    let d_key_alone = product(d_after, &novel);
    let mut d_key = scale(&d_key_alone, strength);
    let mut d_decayed = d_after.to_vec();
    if plasticity == Plasticity::Delta {
        add(&mut d_key, -1.0, &product(&decayed, &d_value));
        add(&mut d_decayed, -1.0, &outer(write.key, &d_value));
    }
    WriteGradients {
        strength: vec![dot(write.key, &d_key_alone)],
        log_decay: vec![dot(&decayed, &d_decayed)],
        memory: scale(&d_decayed, a),
        key: d_key,
        value: d_value,
    }
}

/// What is stored with the key: the value, less what the decayed memory recalls already.
fn novel(plasticity: Plasticity, decayed: &[f64], write: Writes) -> Vec<f64> {
    let mut novel = write.value.to_vec();
    if plasticity == Plasticity::Delta {
        add(&mut novel, -1.0, &read(write.key, decayed));
    }
    novel
}

/// The memory before the first and after every step, `[T + 1, m, d_v]`, from `memory [m, d_v]`.
pub fn trace(plasticity: Plasticity, writes: Writes, memory: &[f64]) -> Vec<f64> {
    let mut trace = memory.to_vec();
    for t in 0..writes.steps() {
        trace.extend(step(plasticity, &trace[t * memory.len()..], writes.at(t)));
    }
    trace
}

/// Gradients of [`trace`], of which `trace` is the result and `d_trace` the gradient.
pub fn trace_vjp(plasticity: Plasticity, writes: Writes, trace: &[f64], d_trace: &[f64]) -> WriteGradients {
    let (steps, size) = (writes.steps(), trace.len() / (writes.steps() + 1));
    let row = |x: &[f64], t: usize| x[t * size..(t + 1) * size].to_vec();
    let mut all = WriteGradients { memory: row(d_trace, steps), ..Default::default() };
    let mut by_step = Vec::with_capacity(steps);
    for t in (0..steps).rev() {
        let mut one = step_vjp(plasticity, &row(trace, t), writes.at(t), &all.memory);
        all.memory = std::mem::take(&mut one.memory);
        add(&mut all.memory, 1.0, &row(d_trace, t));
        by_step.push(one);
    }
    for one in by_step.into_iter().rev() {
        all.key.extend(one.key);
        all.value.extend(one.value);
        all.log_decay.extend(one.log_decay);
        all.strength.extend(one.strength);
    }
    all
}

fn causal(plasticity: Plasticity, query: &[f64], writes: Writes, memory: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let trace = trace(plasticity, writes, memory);
    let (m, size) = (query.len() / writes.steps().max(1), memory.len());
    let at = |t: usize| &trace[t * size..(t + 1) * size];
    let reads = (0..writes.steps()).flat_map(|t| read(&query[t * m..(t + 1) * m], at(t + 1))).collect();
    (reads, at(writes.steps()).to_vec())
}

fn causal_vjp(
    plasticity: Plasticity,
    query: &[f64],
    writes: Writes,
    memory: &[f64],
    d_reads: &[f64],
    d_memory: &[f64],
) -> (Vec<f64>, WriteGradients) {
    let trace = trace(plasticity, writes, memory);
    let (steps, size) = (writes.steps(), memory.len());
    let (m, d_v) = (query.len() / steps.max(1), d_reads.len() / steps.max(1));
    let (mut d_query, mut d_trace) = (Vec::with_capacity(query.len()), vec![0.0; size]);
    for t in 0..steps {
        let after = &trace[(t + 1) * size..(t + 2) * size];
        let (d_q, d_after) = read_vjp(&query[t * m..(t + 1) * m], after, &d_reads[t * d_v..(t + 1) * d_v]);
        d_query.extend(d_q);
        d_trace.extend(d_after);
    }
    add(&mut d_trace[steps * size..], 1.0, d_memory);
    (d_query, trace_vjp(plasticity, writes, &trace, &d_trace))
}

/// `y = Hᵀ φ(q)` for φ(q) `[m]`, H `[m, d_v]`.
pub fn read(query: &[f64], memory: &[f64]) -> Vec<f64> {
    product_transposed(memory, query)
}

/// Gradients of [`read`] by φ(q) and H.
pub fn read_vjp(query: &[f64], memory: &[f64], d_read: &[f64]) -> (Vec<f64>, Vec<f64>) {
    (product(memory, d_read), outer(query, d_read))
}

/// Causal Hebbian memory: `H_t = a_t H_{t−1} + β_t φ(k_t) v_tᵀ`, `y_t = H_tᵀ φ(q_t)`.
///
/// query `[T, m]`, memory `[m, d_v]` before the first step; returns y `[T, d_v]` and the memory after the last.
pub fn hebbian(query: &[f64], writes: Writes, memory: &[f64]) -> (Vec<f64>, Vec<f64>) {
    causal(Plasticity::Hebbian, query, writes, memory)
}

/// Gradients of [`hebbian`] by the query and the rest, from those of its reads and of its last memory.
pub fn hebbian_vjp(
    query: &[f64],
    writes: Writes,
    memory: &[f64],
    d_reads: &[f64],
    d_memory: &[f64],
) -> (Vec<f64>, WriteGradients) {
    causal_vjp(Plasticity::Hebbian, query, writes, memory, d_reads, d_memory)
}

/// Causal delta rule: `H_t = a_t (I − β_t φ(k_t) φ(k_t)ᵀ) H_{t−1} + β_t φ(k_t) v_tᵀ`, `y_t = H_tᵀ φ(q_t)`. Shapes as in
/// [`hebbian`].
pub fn delta(query: &[f64], writes: Writes, memory: &[f64]) -> (Vec<f64>, Vec<f64>) {
    causal(Plasticity::Delta, query, writes, memory)
}

/// Gradients of [`delta`], as [`hebbian_vjp`].
pub fn delta_vjp(
    query: &[f64],
    writes: Writes,
    memory: &[f64],
    d_reads: &[f64],
    d_memory: &[f64],
) -> (Vec<f64>, WriteGradients) {
    causal_vjp(Plasticity::Delta, query, writes, memory, d_reads, d_memory)
}

/// The calcium before the first and after every step, `[T + 1, m]`: `g_t = a_t g_{t−1} + β_t φ(k_t)`, a Hebbian memory
/// of the value 1.
///
/// key `[T, m]`, log a and β `[T]`, g before the first step `[m]`.
pub fn calcium(key: &[f64], log_decay: &[f64], strength: &[f64], calcium: &[f64]) -> Vec<f64> {
    let value = vec![1.0; log_decay.len()];
    trace(Plasticity::Hebbian, Writes { key, value: &value, log_decay, strength }, calcium)
}

/// Gradients of [`calcium`], of which `trace` is the result and `d_trace` the gradient; `memory` is that by g before
/// the first step, `value` is empty.
pub fn calcium_vjp(key: &[f64], log_decay: &[f64], strength: &[f64], trace: &[f64], d_trace: &[f64]) -> WriteGradients {
    let value = vec![1.0; log_decay.len()];
    let writes = Writes { key, value: &value, log_decay, strength };
    WriteGradients { value: Vec::new(), ..trace_vjp(Plasticity::Hebbian, writes, trace, d_trace) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Random, check, distance};
    use astrocytic_attention::FeatureMapConfig;
    use astrocytic_attention::feature_map::Side;
    use astrocytic_attention::reference::normalize;

    /// One test sequence.
    struct Case {
        query: Vec<f64>,
        key: Vec<f64>,
        value: Vec<f64>,
        log_decay: Vec<f64>,
        strength: Vec<f64>,
        memory: Vec<f64>,
    }

    impl Case {
        fn new(steps: usize, m: usize, d_v: usize, random: &mut Random) -> Self {
            let unit = |x: Vec<f64>| x.chunks(m).flat_map(normalize).collect::<Vec<_>>();
            Self {
                query: unit(random.normals(steps * m)),
                key: unit(random.normals(steps * m)),
                value: random.normals(steps * d_v),
                log_decay: random.uniforms(steps).iter().map(|u| u.ln()).collect(),
                strength: random.uniforms(steps),
                memory: random.normals(m * d_v),
            }
        }

        fn writes(&self) -> Writes<'_> {
            Writes { key: &self.key, value: &self.value, log_decay: &self.log_decay, strength: &self.strength }
        }
    }

    #[test]
    fn gradients() {
        let mut random = Random::new(8);
        for (steps, m, d_v) in [(5, 3, 2), (1, 4, 3), (6, 1, 1), (0, 2, 2)] {
            for plasticity in [Plasticity::Hebbian, Plasticity::Delta] {
                let case = Case::new(steps, m, d_v, &mut random);
                let (c, c_memory) = (random.normals(steps * d_v), random.normals(m * d_v));
                let loss = |query: &[f64], writes: Writes, memory: &[f64]| {
                    let (reads, memory) = match plasticity {
                        Plasticity::Hebbian => hebbian(query, writes, memory),
                        Plasticity::Delta => delta(query, writes, memory),
                    };
                    dot(&c, &reads) + dot(&c_memory, &memory)
                };
                let (q, w, h) = (&case.query, case.writes(), &case.memory);
                let (d_query, d) = match plasticity {
                    Plasticity::Hebbian => hebbian_vjp(q, w, h, &c, &c_memory),
                    Plasticity::Delta => delta_vjp(q, w, h, &c, &c_memory),
                };
                let name = |part: &str| format!("{plasticity:?}, {steps} steps, {part}");
                check(&name("query"), q, &d_query, |q| loss(q, w, h));
                check(&name("key"), w.key, &d.key, |key| loss(q, Writes { key, ..w }, h));
                check(&name("value"), w.value, &d.value, |value| loss(q, Writes { value, ..w }, h));
                check(&name("decay"), w.log_decay, &d.log_decay, |x| loss(q, Writes { log_decay: x, ..w }, h));
                check(&name("strength"), w.strength, &d.strength, |x| loss(q, Writes { strength: x, ..w }, h));
                check(&name("memory"), h, &d.memory, |h| loss(q, w, h));
            }
            let case = Case::new(steps, m, 1, &mut random);
            let (key, a, b, g) = (&case.key, &case.log_decay, &case.strength, &case.memory);
            let trace = calcium(key, a, b, g);
            let c = random.normals(trace.len());
            let d = calcium_vjp(key, a, b, &trace, &c);
            check("calcium, key", key, &d.key, |key| dot(&c, &calcium(key, a, b, g)));
            check("calcium, decay", a, &d.log_decay, |a| dot(&c, &calcium(key, a, b, g)));
            check("calcium, strength", b, &d.strength, |b| dot(&c, &calcium(key, a, b, g)));
            check("calcium, before", g, &d.memory, |g| dot(&c, &calcium(key, a, b, g)));
        }
    }

    #[test]
    fn the_hebbian_memory_is_linear_attention() {
        let mut random = Random::new(9);
        let (steps, m, d_v) = (9, 4, 3);
        let case = Case::new(steps, m, d_v, &mut random);
        let features = |x: &[f64]| FeatureMapConfig::Elu.reference(&scale(x, 3.0), &[], Side::Key);
        let (query, key) = (features(&case.query), features(&case.key));
        let (none, ones) = (vec![0.0; steps], vec![1.0; steps]);
        let writes = Writes { key: &key, value: &case.value, log_decay: &none, strength: &ones };
        let (reads, _) = hebbian(&query, writes, &vec![0.0; m * d_v]);
        let g = calcium(&key, &none, &ones, &vec![0.0; m]);
        for t in 0..steps {
            let score = |j: usize| dot(&query[t * m..(t + 1) * m], &key[j * m..(j + 1) * m]);
            let total: f64 = (0..=t).map(score).sum();
            assert!((total - dot(&query[t * m..(t + 1) * m], &g[(t + 1) * m..(t + 2) * m])).abs() < 1e-12);
            let mut direct = vec![0.0; d_v];
            (0..=t).for_each(|j| add(&mut direct, score(j), &case.value[j * d_v..(j + 1) * d_v]));
            assert!(distance(&direct, &reads[t * d_v..(t + 1) * d_v]) < 1e-12);
        }
    }

    #[test]
    fn the_delta_rule_is_its_matrix_equation() {
        let mut random = Random::new(10);
        let (m, d_v) = (4, 3);
        let case = Case::new(1, m, d_v, &mut random);
        let (k, b, a) = (&case.key, case.strength[0], case.log_decay[0].exp());
        let mut expected = scale(&outer(k, &case.value), b);
        for i in 0..m {
            for n in 0..m {
                let identity = if i == n { 1.0 } else { 0.0 };
                let weight = a * (identity - b * k[i] * k[n]);
                add(&mut expected[i * d_v..(i + 1) * d_v], weight, &case.memory[n * d_v..(n + 1) * d_v]);
            }
        }
        assert!(distance(&delta(&case.query, case.writes(), &case.memory).1, &expected) < 1e-14);
    }

    #[test]
    fn the_delta_rule_recalls_orthonormal_keys_and_replaces_old_values() {
        let m = 5;
        let mut random = Random::new(11);
        // A reflection's rows are orthonormal; every key is written twice, with another value.
        let axis = normalize(&scale(&random.normals(m), 1e6));
        let mut keys = scale(&outer(&axis, &axis), -2.0);
        (0..m).for_each(|i| keys[i * m + i] += 1.0);
        let key = [keys.clone(), keys.clone()].concat();
        let value = random.normals(2 * m * 3);
        let (none, ones) = (vec![0.0; 2 * m], vec![1.0; 2 * m]);
        let writes = Writes { key: &key, value: &value, log_decay: &none, strength: &ones };
        let (reads, memory) = delta(&key, writes, &[0.0; 15]);
        assert!(distance(&reads, &value) < 1e-12);
        let recalled: Vec<f64> = keys.chunks(m).flat_map(|k| read(k, &memory)).collect();
        assert!(distance(&recalled, &value[m * 3..]) < 1e-12);
    }

    /// RMS error of bidirectional attention with m positive random features against softmax attention.
    fn softmax_error(m: usize) -> f64 {
        let (steps, d, tries) = (12, 4, 40);
        let mut square = 0.0;
        for seed in 0..tries {
            let mut random = Random::new(100 + seed);
            let [query, key] = [steps * d; 2].map(|n| scale(&random.normals(n), 0.5));
            let value = random.normals(steps * d);
            let omega = random.normals(m * d);
            let map = |x: &[f64], side| {
                let features = FeatureMapConfig::PositiveRandom { features: m, seed: 0 };
                x.chunks(d).flat_map(|x| features.reference(x, &omega, side)).collect::<Vec<_>>()
            };
            let (features, written) = (map(&query, Side::Query), map(&key, Side::Key));
            let (none, ones) = (vec![0.0; steps], vec![1.0; steps]);
            let writes = Writes { key: &written, value: &value, log_decay: &none, strength: &ones };
            let memory = trace(Plasticity::Hebbian, writes, &vec![0.0; m * d]).split_off(steps * m * d);
            let g = calcium(&written, &none, &ones, &vec![0.0; m]).split_off(steps * m);
            for (q, features) in query.chunks(d).zip(features.chunks(m)) {
                let found = scale(&read(features, &memory), 1.0 / dot(features, &g));
                let scores: Vec<f64> = key.chunks(d).map(|k| (dot(q, k) / (d as f64).sqrt()).exp()).collect();
                let softmax = scale(&product_transposed(&value, &scores), 1.0 / scores.iter().sum::<f64>());
                square += found.iter().zip(&softmax).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
            }
        }
        (square / (steps * d * tries as usize) as f64).sqrt()
    }

    #[test]
    fn random_features_tend_to_softmax_as_one_over_root_m() {
        let errors = [64, 1024].map(softmax_error);
        // 16 times the features: a quarter of the error.
        let ratio = errors[0] / errors[1];
        assert!((3.0..5.5).contains(&ratio) && errors[1] < 0.05, "{errors:?}");
    }
}
