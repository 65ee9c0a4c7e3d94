//! The oracle held to central differences, and to what a layer must do.

use astrocytic_attention::reference::dot;
use astrocytic_attention::{
    AstrocyticAttentionConfig as Config, DecayConfig, FeatureMapConfig, Normalizer, Plasticity,
};

use crate::backward::backward;
use crate::check::{Random, check, distance};
use crate::common::{device, layer, variants_of_width, ways};
use crate::forward::{forward, stabilizers};
use crate::named;
use crate::slices::{pick, rows};
use crate::spec::{Input, LayerSpec, State, Weights};

/// The variants, narrow, because differences take a forward pass for each number; and heads of size
/// 1.
fn specs() -> Vec<(&'static str, LayerSpec)> {
    let narrow =
        [("heads of size 1", Config::tripartite(2, 2)), ("size 1", Config::new(1, 1).with_decay(DecayConfig::Learned))];
    variants_of_width(8).into_iter().chain(narrow).map(|(name, config)| (name, LayerSpec(config))).collect()
}

impl LayerSpec {
    fn with_causal(&self, causal: bool) -> Self {
        Self(self.0.clone().with_causal(causal))
    }
}

/// Causal, and not where a spec can be both.
fn both_ways(spec: LayerSpec) -> impl Iterator<Item = LayerSpec> {
    ways(&spec.0).iter().copied().map(move |causal| spec.with_causal(causal))
}

/// The parameters of a layer, moved at random from where they start.
fn weights(spec: &LayerSpec, random: &mut Random) -> Weights {
    let mut weights = named(&layer(&spec.0, &device()), None);
    for values in weights.values_mut() {
        values.iter_mut().for_each(|value| *value += 0.3 * random.normal());
    }
    weights
}

/// A state that a sequence has left behind.
fn used_state(spec: &LayerSpec, weights: &Weights, random: &mut Random) -> State {
    let x = random.normals(3 * spec.d_model);
    forward(&spec.with_causal(true), weights, &Input::self_attn(&x, &[]), &spec.empty_state()).1
}

fn state_distance(mut a: State, mut b: State) -> f64 {
    assert_eq!(a.position, b.position);
    a.parts_mut().zip(b.parts_mut()).map(|(a, b)| distance(a, b)).fold(0.0, f64::max)
}

fn hold_gradients(name: &str, spec: &LayerSpec, input: &Input, from_scratch: bool, random: &mut Random) {
    let weights = weights(spec, random);
    let state = if from_scratch { spec.empty_state() } else { used_state(spec, &weights, random) };
    // Gradients take c of a window for a constant.
    let stabilizers = stabilizers(spec, &weights, input, &state);
    let input = &Input { stabilizers: &stabilizers, ..*input };
    let c = random.normals(input.query.len());
    let mut c_state = forward(spec, &weights, input, &state).1;
    c_state.parts_mut().for_each(|x| *x = random.normals(x.len()));
    let loss = |weights: &Weights, input: &Input, state: &State| {
        let (out, mut after) = forward(spec, weights, input, state);
        assert!(out.iter().all(|x| x.is_finite()), "{name}");
        let parts = after.parts_mut().zip(c_state.clone().parts_mut()).map(|(x, c)| dot(x, c)).sum::<f64>();
        dot(&out, &c) + parts
    };
    let mut found = backward(spec, &weights, input, &state, &c, &c_state);
    let label = |part: &str| format!("{name}, causal {}, {part}", spec.causal);
    check(&label("query"), input.query, &found.query, |query| loss(&weights, &Input { query, ..*input }, &state));
    check(&label("key"), input.key, &found.key, |key| loss(&weights, &Input { key, ..*input }, &state));
    for (part, values) in &weights {
        check(&label(part), values, &found.weights[part], |values| {
            let mut weights = weights.clone();
            weights.insert(part.clone(), values.to_vec());
            loss(&weights, input, &state)
        });
    }
    let parts: Vec<_> = state
        .clone()
        .parts_mut()
        .map(std::mem::take)
        .zip(found.state.parts_mut())
        .collect::<Vec<_>>()
        .into_iter()
        .map(|(values, gradient)| (values, gradient.clone()))
        .collect();
    for (i, (values, gradient)) in parts.iter().enumerate() {
        check(&label(&format!("state {i}")), values, gradient, |values| {
            let mut state = state.clone();
            *state.parts_mut().nth(i).unwrap() = values.to_vec();
            loss(&weights, input, &state)
        });
    }
}

#[test]
fn gradients() {
    let mut random = Random::new(20);
    let pad = [true, false, false, true, false, true];
    for (name, spec) in specs() {
        for spec in both_ways(spec) {
            for (steps, pad) in [(5, &[][..]), (1, &[]), (6, &pad)] {
                let x = random.normals(steps * spec.d_model);
                let released: Vec<f64> = (0..steps * spec.memory_key_heads() * spec.writes_per_step)
                    .map(|i| (i % 3 != 1) as usize as f64)
                    .collect();
                for from_scratch in [true, false] {
                    let release = if from_scratch { &[][..] } else { &released };
                    let input = Input { release, ..Input::self_attn(&x, pad) };
                    hold_gradients(name, &spec, &input, from_scratch, &mut random);
                }
            }
            if !spec.causal {
                let (q, k) = (random.normals(3 * spec.d_model), random.normals(6 * spec.d_model));
                hold_gradients(name, &spec, &Input::cross(&q, &k, &pad), false, &mut random);
            }
        }
    }
}

#[test]
fn a_cut_sequence_goes_on_where_it_was() {
    let mut random = Random::new(21);
    for (name, spec) in specs() {
        let (spec, width, steps) = (spec.with_causal(true), spec.d_model, 7);
        let weights = weights(&spec, &mut random);
        let x = random.normals(steps * width);
        let (whole, after) = forward(&spec, &weights, &Input::self_attn(&x, &[]), &spec.empty_state());
        for cut in 0..=steps {
            let part =
                |range, state: &State| forward(&spec, &weights, &Input::self_attn(rows(&x, width, range), &[]), state);
            let (first, state) = part(0..cut, &spec.empty_state());
            let (second, state) = part(cut..steps, &state);
            assert_eq!([first, second].concat(), whole, "{name}, cut at {cut}");
            assert_eq!(state, after, "{name}, cut at {cut}");
        }
    }
}

#[test]
fn padded_is_unpadded() {
    let mut random = Random::new(22);
    let pads = [[true, true, false, false, false], [false, true, false, true, true], [true; 5]];
    for (name, spec) in specs() {
        for (spec, pad) in both_ways(spec).flat_map(|spec| pads.map(|pad| (spec.clone(), pad))) {
            let width = spec.d_model;
            let weights = weights(&spec, &mut random);
            let state = used_state(&spec, &weights, &mut random);
            let x = random.normals(5 * width);
            let unpadded: Vec<usize> = (0..5).filter(|&t| !pad[t]).collect();
            let (out, after) = forward(&spec, &weights, &Input::self_attn(&x, &pad), &state);
            let alone = pick(&x, width, &unpadded);
            let (expected, expected_after) = forward(&spec, &weights, &Input::self_attn(&alone, &[]), &state);
            assert_eq!(pick(&out, width, &unpadded), expected, "{name}");
            assert_eq!(after, expected_after, "{name}");
            if unpadded.is_empty() {
                assert_eq!(after, state, "{name}");
            }
            let silent: Vec<usize> = (0..5).filter(|&t| pad[t]).collect();
            let bias = if spec.bias { weights["output.bias"].clone() } else { vec![0.0; width] };
            assert_eq!(pick(&out, width, &silent), bias.repeat(silent.len()), "{name}");
        }
    }
}

#[test]
fn the_future_changes_no_bit_of_the_past() {
    let mut random = Random::new(23);
    for (name, spec) in specs() {
        let (spec, width, steps) = (spec.with_causal(true), spec.d_model, 6);
        let (weights, state) = (weights(&spec, &mut random), spec.empty_state());
        let x = random.normals(steps * width);
        let (before, _) = forward(&spec, &weights, &Input::self_attn(&x, &[]), &state);
        for t in 0..steps {
            let mut changed = x.clone();
            changed[t * width..].iter_mut().for_each(|x| *x = -3.0 * *x + 1.0);
            let (after, _) = forward(&spec, &weights, &Input::self_attn(&changed, &[]), &state);
            assert_eq!(rows(&before, width, 0..t), rows(&after, width, 0..t), "{name}, {t}");
            assert_ne!(rows(&before, width, t..steps), rows(&after, width, t..steps), "{name}, {t}");
            // The gradient of what comes before t by what comes from t on is exactly 0.
            let mut d_out = vec![0.0; steps * width];
            d_out[..t * width].fill(1.0);
            let found = backward(&spec, &weights, &Input::self_attn(&x, &[]), &state, &d_out, &state);
            for d_x in [&found.query, &found.key] {
                assert!(rows(d_x, width, t..steps).iter().all(|&x| x == 0.0), "{name}, {t}");
            }
        }
    }
}

#[test]
fn the_last_query_reads_the_same_causal_or_not() {
    let mut random = Random::new(24);
    for (name, spec) in specs().into_iter().filter(|(_, spec)| ways(spec).contains(&false)) {
        let (width, steps) = (spec.d_model, 5);
        let weights = weights(&spec, &mut random);
        let x = random.normals(steps * width);
        let run = |causal| {
            let spec = spec.with_causal(causal);
            forward(&spec, &weights, &Input::self_attn(&x, &[]), &spec.empty_state())
        };
        let ((causal, after), (free, free_after)) = (run(true), run(false));
        assert_eq!(rows(&causal, width, 4..5), rows(&free, width, 4..5), "{name}");
        assert_eq!(state_distance(after, free_after), 0.0, "{name}");
    }
}

/// Key heads that are shared are key heads written down once for each query head.
#[test]
fn grouped_heads_are_repeated_heads() {
    let mut random = Random::new(27);
    for (name, spec) in specs() {
        if spec.key_heads() != spec.n_heads
            || spec.n_heads == 1
            || spec.decay == DecayConfig::Fixed
            || spec.undecayed_heads > 0
            || spec.writes_per_step > 1
            || spec.softmax_heads > 0
        {
            continue;
        }
        let whole = LayerSpec(Config { causal: true, d_model: 8, n_heads: 4, kv_heads: None, ..spec.0 });
        let few = LayerSpec(whole.0.clone().with_kv_heads(Some(2)));
        let shared = weights(&few, &mut random);
        let mut repeated = shared.clone();
        for (part, values) in weights(&whole, &mut random) {
            let wide = values.len();
            let values = &shared[&part];
            let narrow = values.len();
            if wide == narrow {
                continue;
            }
            // The axis of the heads is the last of a matrix's two, else the first.
            let by_column = part.ends_with("weight");
            let width = if by_column { narrow / 8 / 2 } else { narrow / 2 };
            let row = if by_column { narrow / 8 } else { narrow };
            let twice = |row: &[f64]| row.chunks(width).flat_map(|h| [h, h].concat()).collect::<Vec<_>>();
            repeated.insert(part, values.chunks(row).flat_map(twice).collect());
        }
        let x = random.normals(5 * 8);
        let run = |spec: &LayerSpec, weights| forward(spec, weights, &Input::self_attn(&x, &[]), &spec.empty_state());
        let ((found, state), (expected, wide)) = (run(&few, &shared), run(&whole, &repeated));
        assert_eq!(found, expected, "{name}");
        assert_eq!([0, 0, 1, 1].map(|h| &state.memory[h]), [0, 1, 2, 3].map(|h| &wide.memory[h]), "{name}");
    }
}

/// Bidirectional linear attention over two heads, written without any function of the oracle.
#[test]
fn the_layer_is_linear_attention() {
    let spec = LayerSpec(Config::new(4, 2));
    let mut random = Random::new(25);
    let weights = weights(&spec, &mut random);
    let x = random.normals(3 * 4);
    let project = |name: &str, bias: &str, x: &[f64], c: usize| {
        weights[bias][c] + (0..4).map(|i| x[i] * weights[name][i * 4 + c]).sum::<f64>()
    };
    let firing = |x: f64| if x > 0.0 { x + 1.0 } else { x.exp() };
    let row = |t: usize| &x[t * 4..(t + 1) * 4];
    let mut expected = Vec::new();
    for t in 0..3 {
        let mut merged = [0.0; 4];
        for (c, merged) in merged.iter_mut().enumerate() {
            let columns = c / 2 * 2..c / 2 * 2 + 2;
            let score = |j: usize| -> f64 {
                let pair = |i| {
                    firing(project("query.weight", "query.bias", row(t), i))
                        * firing(project("key.weight", "key.bias", row(j), i))
                };
                columns.clone().map(pair).sum()
            };
            let total: f64 = (0..3).map(score).sum();
            *merged = (0..3).map(|j| score(j) * project("value.weight", "value.bias", row(j), c)).sum::<f64>() / total;
        }
        expected.extend((0..4).map(|c| project("output.weight", "output.bias", &merged, c)));
    }
    let (out, _) = forward(&spec, &weights, &Input::self_attn(&x, &[]), &spec.empty_state());
    assert!(distance(&out, &expected) < 1e-12);
}

/// One gated delta layer of one head, its equations in a row.
#[test]
fn the_layer_is_a_gated_delta_rule() {
    let config = Config::new(2, 1)
        .with_causal(true)
        .with_feature_map(FeatureMapConfig::Silu)
        .with_decay(DecayConfig::Gated)
        .with_plasticity(Plasticity::Delta)
        .with_normalizer(Normalizer::Rms)
        .with_write_gate(true)
        .with_convolution(2)
        .with_output_gate(true);
    let spec = LayerSpec(config);
    let mut random = Random::new(26);
    let w = weights(&spec, &mut random);
    let x = random.normals(4 * 2);
    let (found, _) = forward(&spec, &w, &Input::self_attn(&x, &[]), &spec.empty_state());
    let project = |name: &str, t: usize, c: usize| {
        let (weight, n) = (&w[format!("{name}.weight").as_str()], w[format!("{name}.bias").as_str()].len());
        w[format!("{name}.bias").as_str()][c] + x[t * 2] * weight[c] + x[t * 2 + 1] * weight[n + c]
    };
    let swish = |x: f64| x / (1.0 + (-x).exp());
    let mut memory = [[0.0; 2]; 2];
    for t in 0..4 {
        let channel = |name: &str, kernel: &str| {
            [0, 1].map(|c| {
                let past = if t > 0 { w[kernel][c * 2] * project(name, t - 1, c) } else { 0.0 };
                past + w[kernel][c * 2 + 1] * project(name, t, c)
            })
        };
        let unit = |x: [f64; 2]| {
            let y = x.map(swish);
            y.map(|z| z / (y[0] * y[0] + y[1] * y[1] + 1e-6).sqrt())
        };
        let (q, k) = (unit(channel("query", "convolution.0.kernel")), unit(channel("key", "convolution.1.kernel")));
        let v = channel("value", "convolution.2.kernel");
        let a = (-(1.0 + project("decay.gate", t, 0).exp()).ln() * w["decay.rate"][0].exp()).exp();
        let b = 1.0 / (1.0 + (-project("write_gate", t, 0)).exp());
        memory = memory.map(|row| row.map(|h| a * h));
        let recalled = [0, 1].map(|j| k[0] * memory[0][j] + k[1] * memory[1][j]);
        for i in 0..2 {
            for j in 0..2 {
                memory[i][j] += b * k[i] * (v[j] - recalled[j]);
            }
        }
        let y = [0, 1].map(|j| q[0] * memory[0][j] + q[1] * memory[1][j]);
        let size = ((y[0] * y[0] + y[1] * y[1]) / 2.0 + 1e-5).sqrt();
        let y = [0, 1].map(|j| y[j] / size * w["norm.gamma"][j] * swish(project("gate", t, j)));
        let out = [0, 1].map(|c| w["output.bias"][c] + y[0] * w["output.weight"][c] + y[1] * w["output.weight"][2 + c]);
        assert!(distance(&out, rows(&found, 2, t..t + 1)) < 1e-12, "step {t}");
    }
}

/// A window of two steps beside a gated memory, head by head and pair by pair.
#[test]
fn the_layer_is_a_window_beside_a_memory() {
    let config = Config::new(4, 2).with_causal(true).with_window(2).with_decay(DecayConfig::Gated);
    let spec = LayerSpec(config.with_write_gate(true));
    let mut random = Random::new(28);
    let w = weights(&spec, &mut random);
    let x = random.normals(6 * 4);
    let (found, _) = forward(&spec, &w, &Input::self_attn(&x, &[]), &spec.empty_state());
    let project = |name: &str, t: usize, c: usize| {
        let (weight, bias) = (&w[format!("{name}.weight").as_str()], &w[format!("{name}.bias").as_str()]);
        bias[c] + (0..4).map(|i| x[t * 4 + i] * weight[i * bias.len() + c]).sum::<f64>()
    };
    let firing = |x: f64| if x > 0.0 { x + 1.0 } else { x.exp() };
    for t in 0..6 {
        let mut merged = [0.0; 4];
        for head in 0..2 {
            let pair = |name, t| [0, 1].map(|i| project(name, t, head * 2 + i));
            let score = |j: usize| dot(&pair("query", t), &pair("key", j)) / 2f64.sqrt();
            let first = t.saturating_sub(1);
            let largest = (first..=t).map(score).fold(f64::NEG_INFINITY, f64::max);
            let weight = |j: usize| {
                if j >= first {
                    return w["window_scale"][head].exp() * (score(j) - largest).exp();
                }
                // It was written two steps later, and has leaked since.
                let softplus = |x: f64| (1.0 + x.exp()).ln();
                let leak = |l: usize| -softplus(project("decay.gate", l, head)) * w["decay.rate"][head].exp();
                let strength = 1.0 / (1.0 + (-project("write_gate", j, head)).exp());
                let leaked: f64 = (j + 3..=t).map(leak).sum();
                dot(&pair("query", t).map(firing), &pair("key", j).map(firing)) * strength * leaked.exp()
            };
            let total: f64 = (0..=t).map(weight).sum();
            for i in 0..2 {
                merged[head * 2 + i] = (0..=t).map(|j| weight(j) * pair("value", j)[i]).sum::<f64>() / total;
            }
        }
        let out = [0, 1, 2, 3]
            .map(|c| w["output.bias"][c] + (0..4).map(|i| merged[i] * w["output.weight"][i * 4 + c]).sum::<f64>());
        assert!(distance(&out, rows(&found, 4, t..t + 1)) < 1e-12, "step {t}");
    }
}
