//! The whole layer for one sequence, forward and backward.

use std::collections::BTreeMap;
use std::ops::Range;

use super::algebra::{add, times};
use super::convolution::{convolve, convolve_vjp};
use super::decay::{self, Decay};
use super::feature_map::{FeatureMap, Side, normalize, normalize_vjp};
use super::linear::{linear, linear_vjp, sigmoid, sigmoid_vjp, silu, silu_vjp};
use super::memory::{Plasticity, WriteGradients, Writes, calcium as calcium_trace, calcium_vjp, read, read_vjp};
use super::normalizer::{self, Normalizer};
use super::position::{Position, distance_key, distance_key_vjp, nearness, rotate, rotate_vjp};
use super::window::{Window, memory_scale, scores, stabilizer};

/// Which layer: the options of `AstrocyticAttentionConfig`.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerSpec {
    /// Width of input and output.
    pub d_model: usize,
    /// Number of query heads.
    pub heads: usize,
    /// Number of key heads; query head h reads key head `h / (heads / kv_heads)`.
    pub kv_heads: usize,
    /// Whether step t sees only steps up to t; else every query reads the final memory.
    pub causal: bool,
    /// Feature map, normalised to length 1 with the delta rule.
    pub feature_map: FeatureMap,
    /// Decay of each key head.
    pub decay: Decay,
    /// How a write changes the memory.
    pub plasticity: Plasticity,
    /// What a read is divided by.
    pub normalizer: Normalizer,
    /// Whether β is `b_max sigmoid(x w + b)` rather than 1.
    pub write_gate: bool,
    /// b_max, in (0, 2].
    pub largest_write: f64,
    /// Width of the short convolution on q, k and v, 0 for none.
    pub convolution: usize,
    /// Whether reads are gated by `silu(x W + b)`.
    pub output_gate: bool,
    /// How steps know their place.
    pub position: Position,
    /// Steps that a softmax window sees exactly, 0 for none; the memory has those before.
    pub window: usize,
    /// Whether there is a memory: off leaves the window alone.
    pub memory: bool,
    /// Biases in the projections and the output gate.
    pub bias: bool,
}

/// Weights, or their gradients, by the names and in the layouts of the Burn module; [`LayerSpec::shapes`] lists them.
pub type Weights = BTreeMap<&'static str, Vec<f64>>;

impl LayerSpec {
    /// Linear attention (arXiv 2006.16236), bidirectional: every option at its default.
    pub fn new(d_model: usize, heads: usize) -> Self {
        Self {
            d_model,
            heads,
            kv_heads: heads,
            causal: false,
            feature_map: FeatureMap::Elu,
            decay: Decay::None,
            plasticity: Plasticity::Hebbian,
            normalizer: Normalizer::Calcium { alpha: 1.0 },
            write_gate: false,
            largest_write: 1.0,
            convolution: 0,
            output_gate: false,
            position: Position::None,
            window: 0,
            memory: true,
            bias: true,
        }
    }

    /// Size d of a head.
    pub fn head_size(&self) -> usize {
        self.d_model / self.heads
    }

    /// Number m of features of a head.
    pub fn features(&self) -> usize {
        self.feature_map.features(self.head_size())
    }

    /// Name and shape of every weight that the layer has. The projections of random feature maps are among them,
    /// although the Burn module does not train them.
    pub fn shapes(&self) -> Vec<(&'static str, Vec<usize>)> {
        let (d_model, d, heads, kv_heads) = (self.d_model, self.head_size(), self.heads, self.kv_heads);
        let width = kv_heads * d;
        let directions = self.feature_map.directions(d);
        let (learned, gated) = (self.decay == Decay::Learned, self.decay == Decay::Gated);
        let (convolved, taps) = (self.convolution > 0, self.convolution);
        let max_steps = if let Position::Distance { max_steps, .. } = self.position { max_steps } else { 0 };
        let all = [
            (true, "query.weight", vec![d_model, d_model]),
            (self.bias, "query.bias", vec![d_model]),
            (true, "key.weight", vec![d_model, width]),
            (self.bias, "key.bias", vec![width]),
            (true, "value.weight", vec![d_model, width]),
            (self.bias, "value.bias", vec![width]),
            (true, "output.weight", vec![d_model, d_model]),
            (self.bias, "output.bias", vec![d_model]),
            (directions > 0, "query_map.projection", vec![heads, directions, d]),
            (directions > 0, "key_map.projection", vec![kv_heads, directions, d]),
            (learned || gated, "decay.rate", vec![kv_heads]),
            (gated, "decay.gate.weight", vec![d_model, kv_heads]),
            (gated, "decay.gate.bias", vec![kv_heads]),
            (self.write_gate, "write_gate.weight", vec![d_model, kv_heads]),
            (self.write_gate, "write_gate.bias", vec![kv_heads]),
            (convolved, "convolution.0.kernel", vec![d_model, taps]),
            (convolved, "convolution.1.kernel", vec![width, taps]),
            (convolved, "convolution.2.kernel", vec![width, taps]),
            (max_steps > 0, "distance.projection", vec![max_steps, d]),
            (self.normalizer.has_norm(), "norm.gamma", vec![d]),
            (self.output_gate, "gate.weight", vec![d_model, d_model]),
            (self.output_gate && self.bias, "gate.bias", vec![d_model]),
            (self.window > 0, "window_scale", vec![heads]),
        ];
        all.into_iter().filter(|(present, ..)| *present).map(|(_, name, shape)| (name, shape)).collect()
    }

    /// Weights that are all 0.
    pub fn zeros(&self) -> Weights {
        self.shapes().into_iter().map(|(name, shape)| (name, vec![0.0; shape.iter().product()])).collect()
    }

    /// A state that has seen nothing.
    pub fn empty_state(&self) -> State {
        let (d, m) = (self.head_size(), self.features());
        let calcium = if self.normalizer.alpha().is_some() { m } else { 0 };
        let past = self.convolution.saturating_sub(1) * d;
        State {
            memory: vec![vec![0.0; m * d]; self.kv_heads],
            calcium: vec![vec![0.0; calcium]; self.kv_heads],
            history: [self.heads, self.kv_heads, self.kv_heads].map(|heads| vec![0.0; past * heads]),
            recent: [d, d, 1].map(|size| vec![vec![0.0; self.window * size]; self.kv_heads]),
            position: 0,
        }
    }

    /// Rows of a window that are no steps, where `before` steps have been.
    fn missing(&self, before: usize) -> usize {
        self.window.saturating_sub(before)
    }

    /// At how many of the next steps nothing is written, because nothing leaves the window.
    fn unwritten(&self, before: usize, steps: usize) -> usize {
        if self.memory { self.missing(before).min(steps) } else { steps }
    }

    /// Rows of a [`KeyHead`] that step t has in its window, where `before` steps have been.
    fn seen(&self, t: usize, before: usize) -> Range<usize> {
        self.missing(before).max(t + 1)..t + 1 + self.window
    }

    /// What a query sees of those rows.
    fn window_of<'a>(
        &self,
        query: &'a [f64],
        source: &'a KeyHead,
        seen: Range<usize>,
        log_gamma: f64,
        c: f64,
    ) -> Window<'a> {
        let d = self.head_size();
        let r = if self.memory { memory_scale(c, self.imitates()) } else { 0.0 };
        Window {
            query,
            key: rows(&source.key, d, seen.clone()),
            value: rows(&source.counted, d + 1, seen),
            log_gamma,
            c,
            r,
        }
    }

    /// Whether the feature map's kernel imitates e^s.
    fn imitates(&self) -> bool {
        self.feature_map == FeatureMap::Taylor
    }

    fn key_head(&self, head: usize) -> usize {
        head * self.kv_heads / self.heads
    }

    /// φ of every row of x `[T, d]`.
    fn map(&self, x: &[f64], projection: &[f64], side: Side) -> Vec<f64> {
        let map = |x: &[f64]| {
            let features = self.feature_map.map(x, projection, side);
            if self.plasticity == Plasticity::Delta { normalize(&features) } else { features }
        };
        x.chunks_exact(self.head_size()).flat_map(map).collect()
    }

    /// Gradients of `map` by x and, added to `d_projection`, by the projection.
    fn map_vjp(&self, x: &[f64], projection: &[f64], side: Side, d_y: &[f64], d_projection: &mut [f64]) -> Vec<f64> {
        let rows = x.chunks_exact(self.head_size()).zip(d_y.chunks_exact(self.features()));
        let map_vjp = |(x, d_y): (&[f64], &[f64])| {
            let d_features = match self.plasticity {
                Plasticity::Delta => normalize_vjp(&self.feature_map.map(x, projection, side), d_y),
                Plasticity::Hebbian => d_y.to_vec(),
            };
            let (d_x, d_own) = self.feature_map.map_vjp(x, projection, side, &d_features);
            add(d_projection, 1.0, &d_own);
            d_x
        };
        rows.flat_map(map_vjp).collect()
    }

    /// A read `[d_v]` after the normaliser.
    fn normalize(&self, read: &[f64], query: &[f64], g: &[f64], gamma: &[f64]) -> Vec<f64> {
        let divided = self.divide(read, query, g);
        if self.normalizer.has_norm() { normalizer::rms(&divided, gamma) } else { divided }
    }

    fn divide(&self, read: &[f64], query: &[f64], g: &[f64]) -> Vec<f64> {
        match self.normalizer {
            Normalizer::Calcium { alpha } => normalizer::divide(read, normalizer::calcium(query, g, alpha)),
            _ => read.to_vec(),
        }
    }

    /// Gradients of `normalize` by the read, φ(q), g and γ.
    fn normalize_vjp(&self, read: &[f64], query: &[f64], g: &[f64], gamma: &[f64], d_y: &[f64]) -> [Vec<f64>; 4] {
        let (d_divided, d_gamma) = if self.normalizer.has_norm() {
            normalizer::rms_vjp(&self.divide(read, query, g), gamma, d_y)
        } else {
            (d_y.to_vec(), Vec::new())
        };
        let Normalizer::Calcium { alpha } = self.normalizer else {
            return [d_divided, vec![0.0; query.len()], Vec::new(), d_gamma];
        };
        let n = normalizer::calcium(query, g, alpha);
        let (d_read, d_n) = normalizer::divide_vjp(read, n, &d_divided);
        let (d_query, d_g) = normalizer::calcium_vjp(query, g, alpha, d_n);
        [d_read, d_query, d_g, d_gamma]
    }
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
    /// Steps seen.
    pub position: usize,
}

impl State {
    /// Every number of the state, for comparisons and differences.
    pub fn parts_mut(&mut self) -> impl Iterator<Item = &mut Vec<f64>> {
        self.memory.iter_mut().chain(&mut self.calcium).chain(&mut self.history).chain(self.recent.iter_mut().flatten())
    }
}

/// One sequence.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// What queries are made of, `[T_q, d_model]`.
    pub query: &'a [f64],
    /// What keys, values, decay and write strength are made of, `[T_k, d_model]`.
    pub key: &'a [f64],
    /// True where a query is padded, `[T_q]`, or empty: it reads 0 and takes no part in convolution and positions.
    pub query_pad: &'a [bool],
    /// True where a key is padded, `[T_k]`, or empty: it writes nothing and leaves the state as it is.
    pub key_pad: &'a [bool],
    /// Write dropout: a factor of β, `[T_k, kv_heads]`, or empty.
    pub release: &'a [f64],
    /// c of a window as [`stabilizers`] finds it, held there whatever the rest is; or empty.
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

/// Gradients of [`forward`].
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

/// The steps of one key head.
struct KeyHead {
    /// `r_t` of the distance memory.
    nearness: Vec<Vec<f64>>,
    /// `r_t W`, `[T, d]`.
    distance: Vec<f64>,
    /// Keys before the feature map, `[W + T, d]`: those in the window W before the first step too.
    key: Vec<f64>,
    /// Their values with a 1 behind each, `[W + T, d + 1]`.
    counted: Vec<f64>,
    /// φ(k) of what is written, the first T of them, `[T, m]`.
    features: Vec<f64>,
    /// φ(k) + φ(r), `[T, m]`.
    written: Vec<f64>,
    /// What is written, `[T, d]`, and its β, 0 where nothing is.
    value: Vec<f64>,
    strength: Vec<f64>,
    log_decay: Vec<f64>,
    /// H before and after every step.
    memory: Vec<f64>,
    /// g before and after every step.
    calcium: Vec<f64>,
}

impl KeyHead {
    fn writes(&self) -> Writes<'_> {
        let Self { written: key, value, log_decay, strength, .. } = self;
        Writes { key, value, log_decay, strength }
    }
}

/// The steps of one query head.
struct QueryHead {
    /// Queries before the feature map, `[T, d]`.
    query: Vec<f64>,
    /// φ(q), `[T, m]`.
    features: Vec<f64>,
    /// Before the normaliser, `[T, d]`.
    reads: Vec<f64>,
    /// c of the window, `[T]`.
    stabilizers: Vec<f64>,
}

/// All that lies between input and output.
struct Tape {
    /// Which queries and keys are not padded.
    kept: [Vec<usize>; 2],
    /// The kept rows of both inputs.
    x: [Vec<f64>; 2],
    /// q, k and v before the convolution.
    projected: [Vec<f64>; 3],
    key_heads: Vec<KeyHead>,
    query_heads: Vec<QueryHead>,
    /// `x w + b` of a gated decay and of the write gate, `[T_k, kv_heads]`.
    decay_gate: Vec<f64>,
    write_gate: Vec<f64>,
    /// The factor of write dropout, `[T_k, kv_heads]`.
    release: Vec<f64>,
    /// Reads of all heads after the normaliser, `[T_q, d_model]`, and what gates them.
    merged: Vec<f64>,
    gate: Vec<f64>,
    /// What the output projection sees, padded steps included.
    gated: Vec<f64>,
}

/// q, k and v: the names of their weights, and which input they come from.
const CHANNELS: [(&str, &str, &str, usize); 3] = [
    ("query.weight", "query.bias", "convolution.0.kernel", 0),
    ("key.weight", "key.bias", "convolution.1.kernel", 1),
    ("value.weight", "value.bias", "convolution.2.kernel", 1),
];

/// The layer: output `[T_q, d_model]` and the state after the last step.
///
/// # Panics
/// For weights other than [`LayerSpec::shapes`] lists, calcium with the delta rule, a causal layer
/// whose queries and keys differ in number or padding, or a window in a layer that is not causal or
/// that divides by anything but calcium.
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

fn run(spec: &LayerSpec, weights: &Weights, input: &Input, state: &State) -> (Tape, State) {
    let sizes: Vec<_> = weights.iter().map(|(name, values)| (*name, values.len())).collect();
    let expected: BTreeMap<_, _> = spec.shapes().into_iter().map(|(n, shape)| (n, shape.iter().product())).collect();
    assert_eq!(sizes, expected.into_iter().collect::<Vec<(&str, usize)>>(), "names and sizes of the weights");
    assert!(
        spec.plasticity == Plasticity::Hebbian || spec.normalizer.alpha().is_none(),
        "the delta rule has no calcium"
    );
    assert!(
        spec.window == 0 || spec.causal && spec.normalizer == (Normalizer::Calcium { alpha: 1.0 }),
        "a window looks back and shares the calcium's normaliser"
    );
    let (d_model, d) = (spec.d_model, spec.head_size());
    let kept = [(input.query, input.query_pad), (input.key, input.key_pad)].map(|(x, pad)| {
        assert!(pad.is_empty() || pad.len() == x.len() / d_model, "a flag for every step");
        (0..x.len() / d_model).filter(|&t| pad.is_empty() || !pad[t]).collect::<Vec<_>>()
    });
    assert!(!spec.causal || kept[0] == kept[1], "a causal layer needs the same steps in queries and keys");
    let x = [pick(input.query, d_model, &kept[0]), pick(input.key, d_model, &kept[1])];
    let steps = kept[1].len();
    let mut after = state.clone();
    after.position += steps;

    let projected = CHANNELS.map(|(w, b, _, side)| linear(&x[side], d_model, get(weights, w), get(weights, b)));
    let mut channels = projected.clone();
    if spec.convolution > 0 {
        for (i, (.., kernel, _)) in CHANNELS.into_iter().enumerate() {
            let kernel = get(weights, kernel);
            (channels[i], after.history[i]) = convolve(&projected[i], kernel, spec.convolution, &state.history[i]);
        }
    }
    let turned = |mut x: Vec<f64>| {
        if let Position::Rotary { theta } = spec.position {
            for (t, row) in x.chunks_exact_mut(d).enumerate() {
                row.copy_from_slice(&rotate(row, (state.position + t) as f64, theta));
            }
        }
        x
    };

    let kv_heads = spec.kv_heads;
    let decay_gate = match spec.decay {
        Decay::Gated => linear(&x[1], d_model, get(weights, "decay.gate.weight"), get(weights, "decay.gate.bias")),
        _ => Vec::new(),
    };
    let write_gate = match spec.write_gate {
        true => linear(&x[1], d_model, get(weights, "write_gate.weight"), get(weights, "write_gate.bias")),
        false => Vec::new(),
    };
    let release = match input.release {
        [] => vec![1.0; steps * kv_heads],
        release => pick(release, kv_heads, &kept[1]),
    };
    let mut key_heads = Vec::with_capacity(kv_heads);
    for h in 0..kv_heads {
        let projection = part(get(weights, "key_map.projection"), h, kv_heads);
        let [recent_key, recent_value, recent_strength] = state.recent.each_ref().map(|heads| heads[h].as_slice());
        let key = [recent_key, &turned(head(&channels[1], kv_heads * d, h, d))].concat();
        let mut value = [recent_value, &head(&channels[2], kv_heads * d, h, d)].concat();
        let counted = value.chunks_exact(d).flat_map(|v| [v, &[1.0]].concat()).collect();
        let features = spec.map(&key[..steps * d], projection, Side::Key);
        let mut written = features.clone();
        let (mut near, mut distance) = (Vec::new(), Vec::new());
        if let Position::Distance { scale, max_steps } = spec.position {
            near.extend((0..steps).map(|t| nearness((state.position + t) as f64, scale, max_steps)));
            distance.extend(near.iter().flat_map(|r| distance_key(r, get(weights, "distance.projection"))));
            add(&mut written, 1.0, &spec.map(&distance, projection, Side::Key));
        }
        let rate = || get(weights, "decay.rate")[h];
        let log_decay = match spec.decay {
            _ if !spec.memory => vec![0.0; steps],
            Decay::None => vec![0.0; steps],
            Decay::Fixed => vec![decay::fixed(h); steps],
            Decay::Learned => vec![decay::learned(rate()); steps],
            Decay::Gated => head(&decay_gate, kv_heads, h, 1).iter().map(|&z| decay::gated(z, rate())).collect(),
        };
        let mut strength = head(&release, kv_heads, h, 1);
        if spec.write_gate {
            let graded: Vec<f64> =
                head(&write_gate, kv_heads, h, 1).iter().map(|&z| spec.largest_write * sigmoid(z)).collect();
            strength = times(&strength, &graded);
        }
        strength.splice(..0, recent_strength.iter().copied());
        after.recent[0][h] = key[steps * d..].to_vec();
        after.recent[1][h] = value.split_off(steps * d);
        after.recent[2][h] = strength.split_off(steps);
        strength[..spec.unwritten(state.position, steps)].fill(0.0);
        let writes = Writes { key: &written, value: &value, log_decay: &log_decay, strength: &strength };
        let memory = spec.plasticity.trace(writes, &state.memory[h]);
        after.memory[h] = part(&memory, steps, steps + 1).to_vec();
        let mut calcium = Vec::new();
        if spec.normalizer.alpha().is_some() {
            calcium = calcium_trace(&features, &log_decay, &strength, &state.calcium[h]);
            after.calcium[h] = part(&calcium, steps, steps + 1).to_vec();
        }
        key_heads.push(KeyHead {
            nearness: near,
            distance,
            key,
            counted,
            features,
            written,
            value,
            strength,
            log_decay,
            memory,
            calcium,
        });
    }

    let queries = kept[0].len();
    let mut merged = vec![0.0; queries * d_model];
    let mut query_heads = Vec::with_capacity(spec.heads);
    for h in 0..spec.heads {
        let source = &key_heads[spec.key_head(h)];
        let query = turned(head(&channels[0], d_model, h, d));
        let features = spec.map(&query, part(get(weights, "query_map.projection"), h, spec.heads), Side::Query);
        let mut reads = Vec::with_capacity(query.len());
        let mut stabilizers = Vec::new();
        for t in 0..queries {
            let seen = if spec.causal { t + 1 } else { steps };
            let q = part(&features, t, queries);
            reads.extend(read(q, part(&source.memory, seen, steps + 1)));
            let g = part(&source.calcium, seen, steps + 1);
            let y = if spec.window > 0 {
                let (q, seen) = (part(&query, t, queries), spec.seen(t, state.position));
                let largest = || stabilizer(&scores(q, rows(&source.key, d, seen.clone())), spec.imitates());
                stabilizers.push(input.stabilizers.get(h).map_or_else(largest, |held| held[t]));
                let window = spec.window_of(q, source, seen.clone(), get(weights, "window_scale")[h], stabilizers[t]);
                window.read(&[&reads[t * d..], &[normalizer::calcium(part(&features, t, queries), g, 1.0)]].concat())
            } else {
                spec.normalize(&reads[t * d..], q, g, get(weights, "norm.gamma"))
            };
            merged[t * d_model + h * d..][..d].copy_from_slice(&y);
        }
        query_heads.push(QueryHead { query, features, reads, stabilizers });
    }
    let (gate, gated) = if spec.output_gate {
        let gate = linear(&x[0], d_model, get(weights, "gate.weight"), get(weights, "gate.bias"));
        let open: Vec<f64> = gate.iter().map(|&z| silu(z)).collect();
        let gated = times(&merged, &open);
        (gate, gated)
    } else {
        (Vec::new(), merged.clone())
    };
    let gated = put_back(&gated, d_model, &kept[0], input.query.len());
    (Tape { kept, x, projected, key_heads, query_heads, decay_gate, write_gate, release, merged, gate, gated }, after)
}

/// Gradients of [`forward`], from those by its output `[T_q, d_model]` and by the state after it.
///
/// # Panics
/// As [`forward`].
pub fn backward(
    spec: &LayerSpec,
    weights: &Weights,
    input: &Input,
    state: &State,
    d_out: &[f64],
    d_after: &State,
) -> Gradients {
    let (tape, _) = run(spec, weights, input, state);
    let (d_model, d, kv_heads) = (spec.d_model, spec.head_size(), spec.kv_heads);
    let [queries, steps] = [tape.kept[0].len(), tape.kept[1].len()];
    let mut d_weights = spec.zeros();
    let mut d_before = spec.empty_state();
    let mut d_x = tape.x.each_ref().map(|x| vec![0.0; x.len()]);
    let linear_back = |d_weights: &mut Weights, (w, b): (&str, &str), x: &[f64], d_y: &[f64]| {
        let (d_x, d_weight, d_bias) = linear_vjp(x, d_model, get(weights, w), d_y);
        add(get_mut(d_weights, w), 1.0, &d_weight);
        add(get_mut(d_weights, b), 1.0, &d_bias);
        d_x
    };
    let turned_back = |mut d_x: Vec<f64>| {
        if let Position::Rotary { theta } = spec.position {
            for (t, row) in d_x.chunks_exact_mut(d).enumerate() {
                row.copy_from_slice(&rotate_vjp((state.position + t) as f64, theta, row));
            }
        }
        d_x
    };

    let d_gated = linear_back(&mut d_weights, ("output.weight", "output.bias"), &tape.gated, d_out);
    let mut d_merged = pick(&d_gated, d_model, &tape.kept[0]);
    if spec.output_gate {
        let d_open = times(&d_merged, &tape.merged);
        let d_gate: Vec<f64> = tape.gate.iter().zip(d_open).map(|(&z, d_open)| silu_vjp(z, d_open)).collect();
        add(&mut d_x[0], 1.0, &linear_back(&mut d_weights, ("gate.weight", "gate.bias"), &tape.x[0], &d_gate));
        d_merged = times(&d_merged, &tape.gate.iter().map(|&z| silu(z)).collect::<Vec<_>>());
    }

    let mut d_channels = tape.projected.each_ref().map(|x| vec![0.0; x.len()]);
    let mut d_memory: Vec<_> = tape.key_heads.iter().map(|k| vec![0.0; k.memory.len()]).collect();
    let mut d_calcium: Vec<_> = tape.key_heads.iter().map(|k| vec![0.0; k.calcium.len()]).collect();
    let mut d_keys: Vec<_> = tape.key_heads.iter().map(|k| vec![0.0; k.key.len()]).collect();
    let mut d_counted: Vec<_> = tape.key_heads.iter().map(|k| vec![0.0; k.counted.len()]).collect();
    for (h, own) in tape.query_heads.iter().enumerate() {
        let k = spec.key_head(h);
        let source = &tape.key_heads[k];
        let mut d_features = Vec::with_capacity(own.features.len());
        let mut d_query = vec![0.0; own.query.len()];
        for t in 0..queries {
            let seen = if spec.causal { t + 1 } else { steps };
            let q = part(&own.features, t, queries);
            let g = part(&source.calcium, seen, steps + 1);
            let d_y = &d_merged[t * d_model + h * d..][..d];
            let gamma = get(weights, "norm.gamma");
            let read_t = part(&own.reads, t, queries);
            let [d_read, mut d_q, d_g, d_gamma] = if spec.window > 0 {
                let seen = spec.seen(t, state.position);
                let log_gamma = get(weights, "window_scale")[h];
                let window =
                    spec.window_of(part(&own.query, t, queries), source, seen.clone(), log_gamma, own.stabilizers[t]);
                let by = window.read_vjp(&[read_t, &[normalizer::calcium(q, g, 1.0)]].concat(), d_y);
                add(part_mut(&mut d_query, t, queries), 1.0, &by.query);
                add(rows_mut(&mut d_keys[k], d, seen.clone()), 1.0, &by.key);
                add(rows_mut(&mut d_counted[k], d + 1, seen), 1.0, &by.value);
                get_mut(&mut d_weights, "window_scale")[h] += by.log_gamma;
                let (d_q, d_g) = normalizer::calcium_vjp(q, g, 1.0, by.memory[d]);
                [by.memory[..d].to_vec(), d_q, d_g, Vec::new()]
            } else {
                spec.normalize_vjp(read_t, q, g, gamma, d_y)
            };
            let (d_q_read, d_h) = read_vjp(q, part(&source.memory, seen, steps + 1), &d_read);
            add(&mut d_q, 1.0, &d_q_read);
            d_features.extend(d_q);
            add(part_mut(&mut d_memory[k], seen, steps + 1), 1.0, &d_h);
            add(part_mut(&mut d_calcium[k], seen, steps + 1), 1.0, &d_g);
            add(get_mut(&mut d_weights, "norm.gamma"), 1.0, &d_gamma);
        }
        let projection = part(get(weights, "query_map.projection"), h, spec.heads);
        let d_projection = part_mut(get_mut(&mut d_weights, "query_map.projection"), h, spec.heads);
        add(&mut d_query, 1.0, &spec.map_vjp(&own.query, projection, Side::Query, &d_features, d_projection));
        add_head(&mut d_channels[0], d_model, h, d, &turned_back(d_query));
    }

    let mut d_decay_gate = vec![0.0; tape.decay_gate.len()];
    let mut d_write_gate = vec![0.0; tape.write_gate.len()];
    for (h, own) in tape.key_heads.iter().enumerate() {
        add(part_mut(&mut d_memory[h], steps, steps + 1), 1.0, &d_after.memory[h]);
        let mut by: WriteGradients = spec.plasticity.trace_vjp(own.writes(), &own.memory, &d_memory[h]);
        d_before.memory[h] = by.memory;
        let mut d_features = by.key.clone();
        if spec.normalizer.alpha().is_some() {
            add(part_mut(&mut d_calcium[h], steps, steps + 1), 1.0, &d_after.calcium[h]);
            let also = calcium_vjp(&own.features, &own.log_decay, &own.strength, &own.calcium, &d_calcium[h]);
            add(&mut d_features, 1.0, &also.key);
            add(&mut by.log_decay, 1.0, &also.log_decay);
            add(&mut by.strength, 1.0, &also.strength);
            d_before.calcium[h] = also.memory;
        }
        let projection = part(get(weights, "key_map.projection"), h, kv_heads);
        let d_projection = part_mut(get_mut(&mut d_weights, "key_map.projection"), h, kv_heads);
        let mut d_key = std::mem::take(&mut d_keys[h]);
        add(&mut d_key, 1.0, &spec.map_vjp(&own.key[..steps * d], projection, Side::Key, &d_features, d_projection));
        let mut d_value: Vec<_> = d_counted[h].chunks_exact(d + 1).flat_map(|row| &row[..d]).copied().collect();
        add(&mut d_value, 1.0, &by.value);
        let mut d_strength = by.strength;
        d_strength[..spec.unwritten(state.position, steps)].fill(0.0);
        d_strength.resize(spec.window + steps, 0.0);
        let mut d_rows = [(d_key, d), (d_value, d), (d_strength, 1)];
        let [d_key, d_value, d_strength] = std::array::from_fn(|i| {
            let (d_all, size) = &mut d_rows[i];
            add(&mut d_all[steps * *size..], 1.0, &d_after.recent[i][h]);
            let d_new = d_all.split_off(spec.window * *size);
            d_before.recent[i][h] = std::mem::take(d_all);
            d_new
        });
        add_head(&mut d_channels[1], kv_heads * d, h, d, &turned_back(d_key));
        add_head(&mut d_channels[2], kv_heads * d, h, d, &d_value);
        if let Position::Distance { .. } = spec.position {
            let d_distance = spec.map_vjp(&own.distance, projection, Side::Key, &by.key, d_projection);
            let d_w = get_mut(&mut d_weights, "distance.projection");
            for (r, d_distance) in own.nearness.iter().zip(d_distance.chunks_exact(d)) {
                add(d_w, 1.0, &distance_key_vjp(r, d_distance));
            }
        }
        for (t, (&d_strength, &d_log_decay)) in d_strength.iter().zip(&by.log_decay).enumerate() {
            let i = t * kv_heads + h;
            if spec.write_gate {
                d_write_gate[i] = sigmoid_vjp(tape.write_gate[i], spec.largest_write * d_strength * tape.release[i]);
            }
            let d_rate = match spec.decay {
                _ if !spec.memory => continue,
                Decay::None | Decay::Fixed => continue,
                Decay::Learned => decay::learned_vjp(get(weights, "decay.rate")[h], d_log_decay),
                Decay::Gated => {
                    let rate = get(weights, "decay.rate")[h];
                    let (d_z, d_rate) = decay::gated_vjp(tape.decay_gate[i], rate, d_log_decay);
                    d_decay_gate[i] = d_z;
                    d_rate
                }
            };
            get_mut(&mut d_weights, "decay.rate")[h] += d_rate;
        }
    }
    if spec.decay == Decay::Gated {
        let names = ("decay.gate.weight", "decay.gate.bias");
        add(&mut d_x[1], 1.0, &linear_back(&mut d_weights, names, &tape.x[1], &d_decay_gate));
    }
    if spec.write_gate {
        let names = ("write_gate.weight", "write_gate.bias");
        add(&mut d_x[1], 1.0, &linear_back(&mut d_weights, names, &tape.x[1], &d_write_gate));
    }

    for (i, (w, b, kernel, side)) in CHANNELS.into_iter().enumerate() {
        let mut d_projected = std::mem::take(&mut d_channels[i]);
        if spec.convolution > 0 {
            let (x, past) = (&tape.projected[i], &state.history[i]);
            let (taps, d_past) = (get(weights, kernel), &d_after.history[i]);
            let (d_x, d_kernel, d_history) = convolve_vjp(x, taps, spec.convolution, past, &d_projected, d_past);
            add(get_mut(&mut d_weights, kernel), 1.0, &d_kernel);
            (d_projected, d_before.history[i]) = (d_x, d_history);
        }
        add(&mut d_x[side], 1.0, &linear_back(&mut d_weights, (w, b), &tape.x[side], &d_projected));
    }
    Gradients {
        query: put_back(&d_x[0], d_model, &tape.kept[0], input.query.len()),
        key: put_back(&d_x[1], d_model, &tape.kept[1], input.key.len()),
        weights: d_weights,
        state: d_before,
    }
}

/// A weight, empty where the layer has none of the name.
fn get<'a>(weights: &'a Weights, name: &str) -> &'a [f64] {
    weights.get(name).map_or(&[], Vec::as_slice)
}

fn get_mut<'a>(weights: &'a mut Weights, name: &str) -> &'a mut [f64] {
    weights.get_mut(name).map_or(&mut [], Vec::as_mut_slice)
}

/// Part i of n equal ones.
fn part(x: &[f64], i: usize, n: usize) -> &[f64] {
    let size = x.len() / n;
    &x[i * size..(i + 1) * size]
}

fn part_mut(x: &mut [f64], i: usize, n: usize) -> &mut [f64] {
    let size = x.len() / n;
    &mut x[i * size..(i + 1) * size]
}

/// Some rows of a given width.
fn rows(x: &[f64], width: usize, which: Range<usize>) -> &[f64] {
    &x[which.start * width..which.end * width]
}

fn rows_mut(x: &mut [f64], width: usize, which: Range<usize>) -> &mut [f64] {
    &mut x[which.start * width..which.end * width]
}

/// Columns of head h out of rows of heads of size d side by side.
fn head(x: &[f64], width: usize, h: usize, d: usize) -> Vec<f64> {
    x.chunks_exact(width).flat_map(|row| &row[h * d..(h + 1) * d]).copied().collect()
}

fn add_head(sum: &mut [f64], width: usize, h: usize, d: usize, x: &[f64]) {
    for (row, x) in sum.chunks_exact_mut(width).zip(x.chunks_exact(d)) {
        add(&mut row[h * d..(h + 1) * d], 1.0, x);
    }
}

/// The kept rows.
fn pick(x: &[f64], width: usize, kept: &[usize]) -> Vec<f64> {
    kept.iter().flat_map(|t| &x[t * width..(t + 1) * width]).copied().collect()
}

/// The kept rows back where they were, 0 between them.
fn put_back(x: &[f64], width: usize, kept: &[usize], size: usize) -> Vec<f64> {
    let mut all = vec![0.0; size];
    for (row, t) in x.chunks_exact(width).zip(kept) {
        all[t * width..(t + 1) * width].copy_from_slice(row);
    }
    all
}

#[cfg(test)]
#[path = "layer_tests.rs"]
mod tests;
