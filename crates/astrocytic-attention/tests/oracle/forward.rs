//! The whole layer for one sequence.

use std::ops::Range;

use astrocytic_attention::feature_map::Side;
use astrocytic_attention::reference::{add, sigmoid, silu, times};
use astrocytic_attention::{Normalizer, Plasticity, PositionConfig};

use crate::convolution::convolve;
use crate::linear::linear;
use crate::memory::{self, Writes, read};
use crate::normalizer;
use crate::position::{distance_key, nearness, rotate};
use crate::slices::{add_head, apart, beside, head, in_turn, part, pick, restore, rows};
use crate::softmax::Softmax;
use crate::spec::{Input, LayerSpec, State, Weights, get};
use crate::window::{Window, memory_scale, scores, stabilizer};

/// The steps of one key head. Where steps have several writes, T counts these.
pub struct KeyHead {
    /// `r_t` of the distance memory.
    pub nearness: Vec<Vec<f64>>,
    /// `r_t W`, `[T, d]`.
    pub distance: Vec<f64>,
    /// Keys before the feature map, `[W + T, d]`: those in the window W before the first step too.
    pub key: Vec<f64>,
    /// Their values with a 1 behind each, `[W + T, d + 1]`.
    pub counted: Vec<f64>,
    /// φ(k) of what is written, the first T of them, `[T, m]`.
    pub features: Vec<f64>,
    /// φ(k) + φ(r), `[T, m]`.
    pub written: Vec<f64>,
    /// What is written, `[T, d]`.
    pub value: Vec<f64>,
    /// Its β, 0 where nothing is written, `[T]`.
    pub strength: Vec<f64>,
    /// log a, `[T]`.
    pub log_decay: Vec<f64>,
    /// H before and after every step.
    pub memory: Vec<f64>,
    /// g before and after every step.
    pub calcium: Vec<f64>,
}

impl KeyHead {
    /// What it writes into the memory.
    pub fn writes(&self) -> Writes<'_> {
        let Self { written: key, value, log_decay, strength, .. } = self;
        Writes { key, value, log_decay, strength }
    }
}

/// The steps of one query head.
pub struct QueryHead {
    /// Queries before the feature map, `[T, d]`.
    pub query: Vec<f64>,
    /// φ(q), `[T, m]`.
    pub features: Vec<f64>,
    /// Before the normaliser, `[T, d]`.
    pub reads: Vec<f64>,
    /// c of the window, `[T]`.
    pub stabilizers: Vec<f64>,
}

/// All that lies between input and output.
pub struct Tape {
    /// Which queries and keys are not padded.
    pub unpadded: [Vec<usize>; 2],
    /// Those rows of both inputs.
    pub x: [Vec<f64>; 2],
    /// q, k and v before the convolution.
    pub projected: [Vec<f64>; 3],
    /// Key heads that write a memory.
    pub key_heads: Vec<KeyHead>,
    /// Query heads that read a memory.
    pub query_heads: Vec<QueryHead>,
    /// Those that attend by softmax.
    pub softmax: Softmax,
    /// `x w + b` of the decay, `[T_k, key heads]`, empty where it has no gate.
    pub decay_gate: Vec<f64>,
    /// `x w + b` of the write gate, `[T_k, writes · key heads]`.
    pub write_gate: Vec<f64>,
    /// The factor of write dropout, `[T_k, writes · key heads]`.
    pub release: Vec<f64>,
    /// Reads of all heads after the normaliser, `[T_q, d_model]`.
    pub merged: Vec<f64>,
    /// `x W + b` of the output gate.
    pub gate: Vec<f64>,
    /// What the output projection sees, padded steps included.
    pub gated: Vec<f64>,
}

/// q, k and v: the names of their weights, and which input they come from.
pub const CHANNELS: [(&str, &str, usize); 3] =
    [("query", "convolution.0.kernel", 0), ("key", "convolution.1.kernel", 1), ("value", "convolution.2.kernel", 1)];

/// The layer: output `[T_q, d_model]` and the state after the last step.
///
/// # Panics
/// For calcium with the delta rule, a causal layer whose queries and keys differ in number or
/// padding, or a window in a layer that is not causal or that divides by anything but calcium.
pub fn forward(spec: &LayerSpec, weights: &Weights, input: &Input, state: &State) -> (Vec<f64>, State) {
    let (tape, after) = run(spec, weights, input, state);
    (linear(&tape.gated, spec.d_model, get(weights, "output.weight"), get(weights, "output.bias")), after)
}

/// c of every query head's window at every step that is not padded, for differences that hold it
/// constant, as gradients do.
///
/// # Panics
/// As [`forward`].
pub fn stabilizers(spec: &LayerSpec, weights: &Weights, input: &Input, state: &State) -> Vec<Vec<f64>> {
    run(spec, weights, input, state).0.query_heads.into_iter().map(|head| head.stabilizers).collect()
}

/// What a query sees of the rows `seen` of a key head.
pub fn window_of<'a>(
    spec: &LayerSpec,
    query: &'a [f64],
    source: &'a KeyHead,
    seen: Range<usize>,
    log_gamma: f64,
    c: f64,
) -> Window<'a> {
    let d = spec.head_size();
    let r = if spec.memory { memory_scale(c, spec.feature_map.imitates_softmax()) } else { 0.0 };
    let value = rows(&source.counted, d + 1, seen.clone());
    Window { query, key: rows(&source.key, d, seen), value, log_gamma, c, r }
}

/// The forward pass with all that the backward pass needs.
pub fn run(spec: &LayerSpec, weights: &Weights, input: &Input, state: &State) -> (Tape, State) {
    check(spec);
    let d_model = spec.d_model;
    let unpadded = [(input.query, input.query_pad), (input.key, input.key_pad)].map(|(x, pad)| {
        assert!(pad.is_empty() || pad.len() == x.len() / d_model, "a flag for every step");
        (0..x.len() / d_model).filter(|&t| pad.is_empty() || !pad[t]).collect::<Vec<_>>()
    });
    assert!(!spec.causal || unpadded[0] == unpadded[1], "a causal layer needs the same steps in queries and keys");
    let x = [pick(input.query, d_model, &unpadded[0]), pick(input.key, d_model, &unpadded[1])];
    let mut after = state.clone();
    after.position += unpadded[1].len();

    let gate = |x: &[f64], name: &str| match weights.get(&format!("{name}.weight")) {
        Some(weight) => linear(x, d_model, weight, get(weights, &format!("{name}.bias"))),
        None => Vec::new(),
    };
    // The further writes of a step beside the first.
    let both = |x: &[f64], first: &str, further: &str| beside(&gate(x, first), &gate(x, further), x.len() / d_model);
    let projected = CHANNELS.map(|(name, _, side)| both(&x[side], name, &format!("further.{name}")));
    let mut channels = projected.clone();
    if spec.convolution > 0 {
        for (i, (_, kernel, _)) in CHANNELS.into_iter().enumerate() {
            let kernel = get(weights, kernel);
            (channels[i], after.history[i]) = convolve(&projected[i], kernel, spec.convolution, &state.history[i]);
        }
    }
    let softmax = Softmax::new(spec, &first_heads(spec, &mut channels, &unpadded), state, &mut after);
    let written = spec.memory_key_heads() * spec.writes_per_step;
    let release = match input.release {
        [] => vec![1.0; unpadded[1].len() * written],
        release => pick(release, written, &unpadded[1]),
    };
    let mut tape = Tape {
        decay_gate: gate(&x[1], "decay.gate"),
        write_gate: both(&x[1], "write_gate", "further.gate"),
        gate: gate(&x[0], "gate"),
        key_heads: Vec::new(),
        query_heads: Vec::new(),
        softmax,
        merged: vec![0.0; x[0].len()],
        gated: Vec::new(),
        unpadded,
        x,
        projected,
        release,
    };
    for h in 0..spec.memory_key_heads() {
        tape.key_heads.push(key_head(h, spec, weights, &tape, &channels, state, &mut after));
    }
    for h in 0..spec.n_heads {
        let merged = match h.checked_sub(spec.softmax_heads) {
            Some(h) => {
                let (head, merged) = query_head(h, spec, weights, &tape, &channels[0], input, state);
                tape.query_heads.push(head);
                merged
            }
            None => tape.softmax.reads(spec, h),
        };
        add_head(&mut tape.merged, d_model, h, spec.head_size(), &merged);
    }
    let mut gated = tape.merged.clone();
    if spec.output_gate {
        gated = times(&gated, &tape.gate.iter().map(|&z| silu(z)).collect::<Vec<_>>());
    }
    tape.gated = restore(&gated, d_model, &tape.unpadded[0], input.query.len());
    (tape, after)
}

/// Takes the heads that attend by softmax out of the channels.
fn first_heads(spec: &LayerSpec, channels: &mut [Vec<f64>; 3], unpadded: &[Vec<usize>; 2]) -> [Vec<f64>; 3] {
    std::array::from_fn(|i| {
        let width = spec.softmax_channels()[i] * spec.head_size();
        let [first, rest] = apart(&channels[i], width, unpadded[CHANNELS[i].2].len());
        channels[i] = rest;
        first
    })
}

fn check(spec: &LayerSpec) {
    let hebbian = spec.plasticity == Plasticity::Hebbian;
    assert!(hebbian || spec.alpha().is_none(), "the delta rule has no calcium");
    assert!(
        spec.window == 0 || spec.causal && spec.normalizer == (Normalizer::Calcium { alpha: 1.0 }),
        "a window looks back and shares the calcium's normaliser"
    );
}

/// Rows of a head, `rows` of each step, turned to their places.
fn turned(spec: &LayerSpec, first: usize, rows: usize, mut x: Vec<f64>) -> Vec<f64> {
    if let PositionConfig::Rotary { theta } = spec.position {
        for (i, row) in x.chunks_exact_mut(spec.head_size()).enumerate() {
            row.copy_from_slice(&rotate(row, (first + i / rows) as f64, theta));
        }
    }
    x
}

/// What key head h keeps and writes.
fn key_head(
    h: usize,
    spec: &LayerSpec,
    weights: &Weights,
    tape: &Tape,
    channels: &[Vec<f64>; 3],
    state: &State,
    after: &mut State,
) -> KeyHead {
    let (d, key_heads, n) = (spec.head_size(), spec.memory_key_heads(), spec.writes_per_step);
    let steps = n * tape.unpadded[1].len();
    let projection = part(get(weights, "key_map.projection"), h, key_heads);
    let [recent_key, recent_value, recent_strength] = state.recent.each_ref().map(|heads| heads[h].as_slice());
    let key = turned(spec, state.position, n, in_turn(&channels[1], n * key_heads * d, h, d, n));
    let key = [recent_key, &key].concat();
    let mut value = [recent_value, &in_turn(&channels[2], n * key_heads * d, h, d, n)].concat();
    let counted = value.chunks_exact(d).flat_map(|v| [v, &[1.0]].concat()).collect();
    let features = spec.map(&key[..steps * d], projection, Side::Key);
    let mut written = features.clone();
    let (mut near, mut distance) = (Vec::new(), Vec::new());
    if let PositionConfig::Distance { scale, max_steps } = spec.position {
        near.extend((0..steps).map(|t| nearness((state.position + t) as f64, scale, max_steps)));
        distance.extend(near.iter().flat_map(|r| distance_key(r, get(weights, "distance.projection"))));
        add(&mut written, 1.0, &spec.map(&distance, projection, Side::Key));
    }
    let mut strength = strengths(h, spec, tape);
    strength.splice(..0, recent_strength.iter().copied());
    after.recent[0][h] = key[steps * d..].to_vec();
    after.recent[1][h] = value.split_off(steps * d);
    after.recent[2][h] = strength.split_off(steps);
    strength[..spec.unwritten(state.position, steps)].fill(0.0);
    let log_decay = log_decays(h, spec, weights, tape);
    let writes = Writes { key: &written, value: &value, log_decay: &log_decay, strength: &strength };
    let memory = memory::trace(spec.plasticity, writes, &state.memory[h]);
    after.memory[h] = part(&memory, steps, steps + 1).to_vec();
    let mut calcium = Vec::new();
    if spec.alpha().is_some() {
        calcium = memory::calcium(&features, &log_decay, &strength, &state.calcium[h]);
        after.calcium[h] = part(&calcium, steps, steps + 1).to_vec();
    }
    KeyHead { nearness: near, distance, key, counted, features, written, value, strength, log_decay, memory, calcium }
}

/// β of key head h, `[T]`.
fn strengths(h: usize, spec: &LayerSpec, tape: &Tape) -> Vec<f64> {
    let n = spec.writes_per_step;
    let strength = in_turn(&tape.release, n * spec.memory_key_heads(), h, 1, n);
    if !spec.write_gate {
        return strength;
    }
    let gate = in_turn(&tape.write_gate, n * spec.memory_key_heads(), h, 1, n);
    times(&strength, &gate.iter().map(|&z| spec.largest_write * sigmoid(z)).collect::<Vec<_>>())
}

/// log a of key head h, `[T]`: of a step before its first write.
fn log_decays(h: usize, spec: &LayerSpec, weights: &Weights, tape: &Tape) -> Vec<f64> {
    let n = spec.writes_per_step;
    let mut log_decays = vec![0.0; n * tape.unpadded[1].len()];
    let Some(h) = h.checked_sub(spec.undecayed_heads).filter(|_| spec.memory) else { return log_decays };
    for (t, of_step) in log_decays.chunks_exact_mut(n).enumerate() {
        of_step[0] = spec.decay.reference(h, decay_gate(tape, t, h, spec), decay_rate(weights, h));
    }
    log_decays
}

/// z of the decay of the h-th head that has one, 0 where it has no gate.
pub fn decay_gate(tape: &Tape, t: usize, h: usize, spec: &LayerSpec) -> f64 {
    tape.decay_gate.get(t * spec.decaying_heads() + h).copied().unwrap_or(0.0)
}

/// The rate of a head's decay, 0 where it is not trained.
pub fn decay_rate(weights: &Weights, h: usize) -> f64 {
    get(weights, "decay.rate").get(h).copied().unwrap_or(0.0)
}

/// Query head h, and what it reads after the normaliser, `[T, d]`.
fn query_head(
    h: usize,
    spec: &LayerSpec,
    weights: &Weights,
    tape: &Tape,
    channel: &[f64],
    input: &Input,
    state: &State,
) -> (QueryHead, Vec<f64>) {
    let (d, n, queries) = (spec.head_size(), spec.writes_per_step, tape.unpadded[0].len());
    let steps = n * tape.unpadded[1].len();
    let source = &tape.key_heads[spec.key_head(h)];
    let query = turned(spec, state.position, 1, head(channel, spec.memory_heads() * d, h, d));
    let features = spec.map(&query, part(get(weights, "query_map.projection"), h, spec.memory_heads()), Side::Query);
    let (mut reads, mut stabilizers, mut merged) = (Vec::new(), Vec::new(), Vec::new());
    for t in 0..queries {
        let seen = if spec.causal { n * (t + 1) } else { steps };
        let q = part(&features, t, queries);
        reads.extend(read(q, part(&source.memory, seen, steps + 1)));
        let g = part(&source.calcium, seen, steps + 1);
        if spec.window == 0 {
            merged.extend(spec.normalize(&reads[t * d..], q, g, get(weights, "norm.gamma")));
            continue;
        }
        let (near, seen) = (part(&query, t, queries), spec.seen(t, state.position));
        let imitates = spec.feature_map.imitates_softmax();
        let largest = || stabilizer(&scores(near, rows(&source.key, d, seen.clone())), imitates);
        stabilizers.push(input.stabilizers.get(h).map_or_else(largest, |held| held[t]));
        let window = window_of(spec, near, source, seen.clone(), get(weights, "window_scale")[h], stabilizers[t]);
        merged.extend(window.read(&[&reads[t * d..], &[normalizer::calcium(q, g, 1.0)]].concat()));
    }
    (QueryHead { query, features, reads, stabilizers }, merged)
}
