//! The gradients of the whole layer for one sequence.

use astrocytic_attention::PositionConfig;
use astrocytic_attention::feature_map::Side;
use astrocytic_attention::reference::{add, sigmoid_vjp, silu, silu_vjp, times};

use crate::convolution::convolve_vjp;
use crate::forward::{CHANNELS, KeyHead, QueryHead, Tape, decay_gate, decay_rate, run, window_of};
use crate::linear::linear_vjp;
use crate::memory::{WriteGradients, calcium_vjp, read_vjp, trace_vjp};
use crate::normalizer;
use crate::position::{distance_key_vjp, rotate_vjp};
use crate::slices::{self, add_head, add_in_turn, apart, beside, part, part_mut, pick, restore, rows_mut};
use crate::spec::{Input, LayerSpec, State, Weights, get, get_mut};

/// Gradients of [`forward`](crate::forward::forward).
#[derive(Debug, Clone)]
pub struct Gradients {
    /// By `Input::query`; in self-attention the gradient by x is the sum of this and `key`.
    pub query: Vec<f64>,
    /// By `Input::key`.
    pub key: Vec<f64>,
    /// By every weight.
    pub weights: Weights,
    /// By the state before.
    pub state: State,
}

/// Gradients of [`forward`](crate::forward::forward), from those by its output `[T_q, d_model]` and
/// by the state after it.
///
/// # Panics
/// As it.
pub fn backward(
    spec: &LayerSpec,
    weights: &Weights,
    input: &Input,
    state: &State,
    d_out: &[f64],
    d_after: &State,
) -> Gradients {
    let (tape, _) = run(spec, weights, input, state);
    let mut pass = Pass::new(spec, weights, state, d_after, &tape);
    let d_merged = pass.output(d_out);
    pass.softmax_heads(&d_merged);
    for (h, head) in tape.query_heads.iter().enumerate() {
        pass.query_head(h, head, &d_merged);
    }
    for (h, head) in tape.key_heads.iter().enumerate() {
        pass.key_head(h, head);
    }
    pass.gates();
    pass.channels();
    Gradients {
        query: restore(&pass.d_x[0], spec.d_model, &tape.unpadded[0], input.query.len()),
        key: restore(&pass.d_x[1], spec.d_model, &tape.unpadded[1], input.key.len()),
        weights: pass.d_weights,
        state: pass.d_before,
    }
}

/// A backward pass: what it knows, and the gradients that it has so far.
struct Pass<'a> {
    spec: &'a LayerSpec,
    weights: &'a Weights,
    state: &'a State,
    d_after: &'a State,
    tape: &'a Tape,
    d_weights: Weights,
    d_before: State,
    d_x: [Vec<f64>; 2],
    /// By the channels of memories, and of softmax heads.
    d_channels: [Vec<f64>; 3],
    d_softmax: [Vec<f64>; 3],
    /// By H and g before and after every step, and by k and v with its 1, of every key head.
    d_memory: Vec<Vec<f64>>,
    d_calcium: Vec<Vec<f64>>,
    d_keys: Vec<Vec<f64>>,
    d_counted: Vec<Vec<f64>>,
    d_decay_gate: Vec<f64>,
    d_write_gate: Vec<f64>,
}

impl<'a> Pass<'a> {
    fn new(spec: &'a LayerSpec, weights: &'a Weights, state: &'a State, d_after: &'a State, tape: &'a Tape) -> Self {
        let zeros = |x: &Vec<f64>| vec![0.0; x.len()];
        let of_heads = |part: fn(&KeyHead) -> &Vec<f64>| tape.key_heads.iter().map(|head| zeros(part(head))).collect();
        Self {
            spec,
            weights,
            state,
            d_after,
            tape,
            d_weights: weights.iter().map(|(name, values)| (name.clone(), zeros(values))).collect(),
            d_before: spec.empty_state(),
            d_x: tape.x.each_ref().map(zeros),
            d_channels: std::array::from_fn(|i| {
                let softmax = spec.softmax_channels()[i] * spec.head_size();
                vec![0.0; tape.projected[i].len() - softmax * tape.unpadded[CHANNELS[i].2].len()]
            }),
            d_softmax: [const { Vec::new() }; 3],
            d_memory: of_heads(|head| &head.memory),
            d_calcium: of_heads(|head| &head.calcium),
            d_keys: of_heads(|head| &head.key),
            d_counted: of_heads(|head| &head.counted),
            d_decay_gate: zeros(&tape.decay_gate),
            d_write_gate: zeros(&tape.write_gate),
        }
    }

    /// Through a linear layer: the gradient by x.
    fn linear(&mut self, name: &str, x: &[f64], d_y: &[f64]) -> Vec<f64> {
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        let (d_x, d_weight, d_bias) = linear_vjp(x, self.spec.d_model, get(self.weights, &weight), d_y);
        add(get_mut(&mut self.d_weights, &weight), 1.0, &d_weight);
        add(get_mut(&mut self.d_weights, &bias), 1.0, &d_bias);
        d_x
    }

    /// Through two linear layers of one input, whose outputs stand side by side. The second is there
    /// where steps have further writes.
    fn both(&mut self, first: &str, further: &str, side: usize, d_y: &[f64]) {
        let tape = self.tape;
        let x = &tape.x[side];
        let steps = tape.unpadded[side].len();
        if steps == 0 || !self.weights.contains_key(&format!("{first}.weight")) {
            return;
        }
        let width = get(self.weights, &format!("{first}.weight")).len() / self.spec.d_model;
        let [d_first, d_further] = apart(d_y, width, steps);
        let d_x = self.linear(first, x, &d_first);
        add(&mut self.d_x[side], 1.0, &d_x);
        if !d_further.is_empty() {
            let d_x = self.linear(further, x, &d_further);
            add(&mut self.d_x[side], 1.0, &d_x);
        }
    }

    /// Through output projection and gate: the gradient by the reads of all heads.
    fn output(&mut self, d_out: &[f64]) -> Vec<f64> {
        let tape = self.tape;
        let d_gated = self.linear("output", &tape.gated, d_out);
        let d_merged = pick(&d_gated, self.spec.d_model, &tape.unpadded[0]);
        if !self.spec.output_gate {
            return d_merged;
        }
        let d_open = times(&d_merged, &tape.merged);
        let d_gate: Vec<f64> = tape.gate.iter().zip(d_open).map(|(&z, d_open)| silu_vjp(z, d_open)).collect();
        let d_x = self.linear("gate", &tape.x[0], &d_gate);
        add(&mut self.d_x[0], 1.0, &d_x);
        times(&d_merged, &tape.gate.iter().map(|&z| silu(z)).collect::<Vec<_>>())
    }

    fn softmax_heads(&mut self, d_merged: &[f64]) {
        let (spec, d) = (self.spec, self.spec.head_size());
        if spec.softmax_heads == 0 {
            return;
        }
        let d_reads: Vec<_> = (0..spec.softmax_heads).map(|h| slices::head(d_merged, spec.d_model, h, d)).collect();
        let d_before;
        (self.d_softmax, d_before) = self.tape.softmax.vjp(spec, &d_reads, self.d_after, self.state.position);
        self.d_before.softmax = d_before.softmax;
    }

    fn query_head(&mut self, h: usize, head: &QueryHead, d_merged: &[f64]) {
        let (spec, d_model, d) = (self.spec, self.spec.d_model, self.spec.head_size());
        let mut d_features = Vec::with_capacity(head.features.len());
        let mut d_query = vec![0.0; head.query.len()];
        for t in 0..self.tape.unpadded[0].len() {
            let d_y = &d_merged[t * d_model + (spec.softmax_heads + h) * d..][..d];
            d_features.extend(self.read(h, head, t, d_y, &mut d_query));
        }
        let projection = part(get(self.weights, "query_map.projection"), h, spec.memory_heads());
        let d_projection = part_mut(get_mut(&mut self.d_weights, "query_map.projection"), h, spec.memory_heads());
        add(&mut d_query, 1.0, &spec.map_vjp(&head.query, projection, Side::Query, &d_features, d_projection));
        let d_query = self.turned_back(d_query, 1);
        add_head(&mut self.d_channels[0], spec.memory_heads() * d, h, d, &d_query);
    }

    /// What query head h reads at step t: the gradient by φ(q) and, added to `d_query`, by q where
    /// a window sees it.
    fn read(&mut self, h: usize, head: &QueryHead, t: usize, d_y: &[f64], d_query: &mut [f64]) -> Vec<f64> {
        let (spec, d, k) = (self.spec, self.spec.head_size(), self.spec.key_head(h));
        let [queries, steps] = self.tape.unpadded.each_ref().map(Vec::len);
        let (source, n) = (&self.tape.key_heads[k], spec.writes_per_step);
        let steps = n * steps;
        let seen = if spec.causal { n * (t + 1) } else { steps };
        let q = part(&head.features, t, queries);
        let g = part(&source.calcium, seen, steps + 1);
        let read = part(&head.reads, t, queries);
        let [d_read, mut d_q, d_g, d_gamma] = if spec.window > 0 {
            let near = spec.seen(t, self.state.position);
            let log_gamma = get(self.weights, "window_scale")[h];
            let query = part(&head.query, t, queries);
            let window = window_of(spec, query, source, near.clone(), log_gamma, head.stabilizers[t]);
            let by = window.read_vjp(&[read, &[normalizer::calcium(q, g, 1.0)]].concat(), d_y);
            add(part_mut(d_query, t, queries), 1.0, &by.query);
            add(rows_mut(&mut self.d_keys[k], d, near.clone()), 1.0, &by.key);
            add(rows_mut(&mut self.d_counted[k], d + 1, near), 1.0, &by.value);
            get_mut(&mut self.d_weights, "window_scale")[h] += by.log_gamma;
            let (d_q, d_g) = normalizer::calcium_vjp(q, g, 1.0, by.memory[d]);
            [by.memory[..d].to_vec(), d_q, d_g, Vec::new()]
        } else {
            spec.normalize_vjp(read, q, g, get(self.weights, "norm.gamma"), d_y)
        };
        let (d_q_read, d_h) = read_vjp(q, part(&source.memory, seen, steps + 1), &d_read);
        add(&mut d_q, 1.0, &d_q_read);
        add(part_mut(&mut self.d_memory[k], seen, steps + 1), 1.0, &d_h);
        add(part_mut(&mut self.d_calcium[k], seen, steps + 1), 1.0, &d_g);
        add(get_mut(&mut self.d_weights, "norm.gamma"), 1.0, &d_gamma);
        d_q
    }

    fn key_head(&mut self, h: usize, head: &KeyHead) {
        let (spec, d, key_heads) = (self.spec, self.spec.head_size(), self.spec.memory_key_heads());
        let n = spec.writes_per_step;
        let steps = n * self.tape.unpadded[1].len();
        let (by, d_features) = self.writes(h, head);
        let projection = part(get(self.weights, "key_map.projection"), h, key_heads);
        let d_projection = part_mut(get_mut(&mut self.d_weights, "key_map.projection"), h, key_heads);
        let mut d_key = std::mem::take(&mut self.d_keys[h]);
        add(&mut d_key, 1.0, &spec.map_vjp(&head.key[..steps * d], projection, Side::Key, &d_features, d_projection));
        if let PositionConfig::Distance { .. } = spec.position {
            let d_distance = spec.map_vjp(&head.distance, projection, Side::Key, &by.key, d_projection);
            let d_w = get_mut(&mut self.d_weights, "distance.projection");
            for (r, d_distance) in head.nearness.iter().zip(d_distance.chunks_exact(d)) {
                add(d_w, 1.0, &distance_key_vjp(r, d_distance));
            }
        }
        let counted = &self.d_counted[h];
        let mut d_value: Vec<_> = counted.chunks_exact(d + 1).flat_map(|row| &row[..d]).copied().collect();
        add(&mut d_value, 1.0, &by.value);
        let mut d_strength = by.strength;
        d_strength[..spec.unwritten(self.state.position, steps)].fill(0.0);
        d_strength.resize(spec.window + steps, 0.0);
        let mut d_rows = [(d_key, d), (d_value, d), (d_strength, 1)];
        let [d_key, d_value, d_strength] = std::array::from_fn(|i| {
            let (d_all, size) = &mut d_rows[i];
            add(&mut d_all[steps * *size..], 1.0, &self.d_after.recent[i][h]);
            let d_new = d_all.split_off(spec.window * *size);
            self.d_before.recent[i][h] = std::mem::take(d_all);
            d_new
        });
        let d_key = self.turned_back(d_key, n);
        add_in_turn(&mut self.d_channels[1], n * key_heads * d, h, d, n, &d_key);
        add_in_turn(&mut self.d_channels[2], n * key_heads * d, h, d, n, &d_value);
        self.strengths(h, &d_strength);
        self.decays(h, &by.log_decay);
    }

    /// Through memory and calcium: the gradients by what is written, and by φ(k).
    fn writes(&mut self, h: usize, head: &KeyHead) -> (WriteGradients, Vec<f64>) {
        let steps = self.spec.writes_per_step * self.tape.unpadded[1].len();
        add(part_mut(&mut self.d_memory[h], steps, steps + 1), 1.0, &self.d_after.memory[h]);
        let mut by = trace_vjp(self.spec.plasticity, head.writes(), &head.memory, &self.d_memory[h]);
        self.d_before.memory[h] = std::mem::take(&mut by.memory);
        let mut d_features = by.key.clone();
        if self.spec.alpha().is_some() {
            add(part_mut(&mut self.d_calcium[h], steps, steps + 1), 1.0, &self.d_after.calcium[h]);
            let also = calcium_vjp(&head.features, &head.log_decay, &head.strength, &head.calcium, &self.d_calcium[h]);
            add(&mut d_features, 1.0, &also.key);
            add(&mut by.log_decay, 1.0, &also.log_decay);
            add(&mut by.strength, 1.0, &also.strength);
            self.d_before.calcium[h] = also.memory;
        }
        (by, d_features)
    }

    /// Through the write gate.
    fn strengths(&mut self, h: usize, d_strength: &[f64]) {
        if !self.spec.write_gate {
            return;
        }
        // Write w of step t is row t · writes + w there, and column w · heads + h of step t here.
        for (row, d_strength) in d_strength.iter().enumerate() {
            let i = row * self.spec.memory_key_heads() + h;
            let d_gate = self.spec.largest_write * d_strength * self.tape.release[i];
            self.d_write_gate[i] = sigmoid_vjp(self.tape.write_gate[i], d_gate);
        }
    }

    /// Through the decay to its gate and its rate, where it has them.
    fn decays(&mut self, h: usize, d_log_decay: &[f64]) {
        if !self.spec.memory {
            return;
        }
        let Some(h) = h.checked_sub(self.spec.undecayed_heads) else { return };
        let rate = decay_rate(self.weights, h);
        for (t, &d_log_decay) in d_log_decay.iter().step_by(self.spec.writes_per_step).enumerate() {
            let z = decay_gate(self.tape, t, h, self.spec);
            let [d_z, d_rate] = self.spec.decay.reference_vjp(h, z, rate, d_log_decay);
            if let Some(sum) = self.d_decay_gate.get_mut(t * self.spec.decaying_heads() + h) {
                *sum = d_z;
            }
            if let Some(sum) = get_mut(&mut self.d_weights, "decay.rate").get_mut(h) {
                *sum += d_rate;
            }
        }
    }

    fn gates(&mut self) {
        let (d_decay, d_write) = (std::mem::take(&mut self.d_decay_gate), std::mem::take(&mut self.d_write_gate));
        self.both("decay.gate", "", 1, &d_decay);
        self.both("write_gate", "further.gate", 1, &d_write);
    }

    /// Through convolutions and projections.
    fn channels(&mut self) {
        let tape = self.tape;
        for (i, (name, kernel, side)) in CHANNELS.into_iter().enumerate() {
            let (d_softmax, d_memories) = (&self.d_softmax[i], &self.d_channels[i]);
            let mut d_projected = beside(d_softmax, d_memories, tape.unpadded[side].len());
            if self.spec.convolution > 0 {
                let (x, past) = (&tape.projected[i], &self.state.history[i]);
                let (taps, d_past) = (get(self.weights, kernel), &self.d_after.history[i]);
                let (d_x, d_kernel, d_history) =
                    convolve_vjp(x, taps, self.spec.convolution, past, &d_projected, d_past);
                add(get_mut(&mut self.d_weights, kernel), 1.0, &d_kernel);
                (d_projected, self.d_before.history[i]) = (d_x, d_history);
            }
            self.both(name, &format!("further.{name}"), side, &d_projected);
        }
    }

    /// The gradient by rows of a head before they were turned, `rows` of each step.
    fn turned_back(&self, mut d_x: Vec<f64>, rows: usize) -> Vec<f64> {
        if let PositionConfig::Rotary { theta } = self.spec.position {
            for (i, row) in d_x.chunks_exact_mut(self.spec.head_size()).enumerate() {
                row.copy_from_slice(&rotate_vjp((self.state.position + i / rows) as f64, theta, row));
            }
        }
        d_x
    }
}
