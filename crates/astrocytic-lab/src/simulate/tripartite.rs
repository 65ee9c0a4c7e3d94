//! `simulate tripartite`: the network of neurons and astrocytes computes attention.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, bail};
use astrocytic_dynamics::softmax::of;
use astrocytic_dynamics::tripartite::{Network, Recording, Times, Variable, discrete};
use serde::Serialize;

use super::page::{figures, line, linear, logarithmic, plot, write};
use super::{normals, seeded};
use crate::report::plot::{Pattern, Series, colour};
use crate::report::{Shade, picture};

/// Size of queries and keys.
const KEY_SIZE: usize = 4;
/// Standard deviation of their numbers: scores of about 1.
const KEY_SCALE: f64 = 0.7;
/// States recorded of each phase.
const SAMPLES: usize = 24;
/// Separations at which the error is measured.
const SEPARATIONS: [f64; 5] = [12.5, 25.0, 50.0, 100.0, 200.0];
/// Time constants of the leak, in tokens, for which a decay is fitted.
const LEAKS: [f64; 5] = [1.0, 2.0, 5.0, 10.0, 30.0];
/// Largest network that is simulated.
const MOST: usize = 256;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TripartiteConfig {
    /// Tokens shown.
    pub tokens: usize,
    /// Hidden neurons m.
    pub features: usize,
    /// Output neurons N.
    pub outputs: usize,
    /// How many times as fast as a phase neurons, calcium and synapses are, and how many times as fast calcium spreads.
    pub separation: f64,
    /// Time constant of the leak, seconds (a token takes one); `None` is no leak.
    pub memory: Option<f64>,
    /// Seed.
    pub seed: u64,
}

/// The error at a separation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SeparationError {
    /// Of the time constants.
    pub separation: f64,
    /// Root of the mean squared difference from the discrete module's output, relative.
    pub error: f64,
}

/// The decay that a leak amounts to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FittedDecay {
    /// Time constant of the leak, seconds.
    pub memory: f64,
    /// `e^{−T/τ}`, T the time of a token.
    pub expected: f64,
    /// Fitted to what is left of one write from token to token.
    pub fitted: f64,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TripartiteReport {
    /// What was asked.
    pub config: TripartiteConfig,
    /// Difference from the discrete module's output at the separation asked for.
    pub error: f64,
    /// Difference of the discrete module from softmax attention: that of the random features.
    pub discrete_against_softmax: f64,
    /// The error at several separations.
    pub errors: Vec<SeparationError>,
    /// Mean order at which it falls: 1 is as the inverse of the separation.
    pub order: f64,
    /// Leaks and decays.
    pub decays: Vec<FittedDecay>,
}

/// Tokens, and what they are in the hidden layer.
struct Tokens {
    keys: Vec<Vec<f64>>,
    queries: Vec<Vec<f64>>,
    values: Vec<Vec<f64>>,
    raw: [Vec<Vec<f64>>; 2],
}

/// Runs the network, and writes a page.
///
/// # Errors
/// For parameters that make no sense, an integration that fails, or a folder that cannot be written.
pub fn tripartite(config: &TripartiteConfig, folder: &Path) -> Result<TripartiteReport> {
    let started = Instant::now();
    for (name, value) in [("--tokens", config.tokens), ("--features", config.features), ("--outputs", config.outputs)] {
        if !(1..=MOST).contains(&value) {
            bail!("{name} {value} must be between 1 and {MOST}");
        }
    }
    if !(1.0..=1e4).contains(&config.separation) {
        bail!(
            "--separation {} must be between 1 and 10000: above that steps become too small to wait for",
            config.separation
        );
    }
    let tokens = tokens(config);
    let memory = config.memory.unwrap_or(f64::INFINITY);
    let times = |separation: f64| Times { memory, ..Times::separated(separation) };
    let run = |times: Times, spread: f64, samples: usize| -> Result<Recording> {
        let Tokens { keys, queries, values, .. } = &tokens;
        let network = Network { times, spread, keys: keys.clone(), queries: queries.clone(), values: values.clone() };
        Ok(network.run(samples)?)
    };
    let expected = discrete(&tokens.keys, &tokens.queries, &tokens.values, times(1.0).decay());
    let recording = run(times(config.separation), config.separation, SAMPLES)?;
    let mut errors = Vec::new();
    for separation in SEPARATIONS {
        let reads = run(times(separation), separation, 0)?.reads;
        errors.push(SeparationError { separation, error: difference(&reads, &expected) });
    }
    let orders = errors.windows(2).map(|pair| (pair[0].error / pair[1].error).log2());
    let order = orders.sum::<f64>() / (errors.len() - 1) as f64;
    let decays = LEAKS.iter().map(|&leak| fitted_decay(&tokens, leak)).collect::<Result<Vec<_>>>()?;
    let attended = softmax_attention(&tokens, times(1.0).decay());
    let report = TripartiteReport {
        config: config.clone(),
        error: difference(&recording.reads, &expected),
        discrete_against_softmax: difference(&expected, &attended.1),
        errors,
        order,
        decays,
    };
    let body = body(config, &tokens, &recording, &expected, &attended.0, &report)?;
    let headline = format!(
        "With time constants {} times apart the network reads what the discrete module computes within {:.1} %; the error falls \
         with order {:.2} as they part.",
        config.separation,
        100.0 * report.error,
        order
    );
    write(
        folder,
        "Neurons and astrocytes compute attention",
        &headline,
        &body,
        started.elapsed().as_secs_f64(),
        &report,
    )?;
    Ok(report)
}

/// Random queries, keys and values, and positive random features of them: `e^{w x − |x|²/2} / √m` (arXiv 2009.14794).
fn tokens(config: &TripartiteConfig) -> Tokens {
    let mut rng = seeded(config.seed);
    let directions = normals(&mut rng, config.features, KEY_SIZE, 1.0);
    let [keys, queries] = [(); 2].map(|()| normals(&mut rng, config.tokens, KEY_SIZE, KEY_SCALE));
    let values = normals(&mut rng, config.tokens, config.outputs, 1.0);
    let features = |x: &Vec<f64>| -> Vec<f64> {
        let half = x.iter().map(|x| x * x).sum::<f64>() / 2.0;
        let of = |w: &Vec<f64>| (dot(w, x) - half).exp() / (config.features as f64).sqrt();
        directions.iter().map(of).collect()
    };
    Tokens {
        keys: keys.iter().map(features).collect(),
        queries: queries.iter().map(features).collect(),
        values,
        raw: [keys, queries],
    }
}

/// Weights `[T, T]` and outputs of causal softmax attention whose scores lose `−log a` with every step back.
fn softmax_attention(tokens: &Tokens, decay: f64) -> (Vec<f64>, Vec<Vec<f64>>) {
    let [keys, queries] = &tokens.raw;
    let count = keys.len();
    let mut weights = vec![0.0; count * count];
    let mut outputs = Vec::new();
    for (t, query) in queries.iter().enumerate() {
        let score = |s: usize| dot(query, &keys[s]) + decay.ln() * (t - s) as f64;
        let row = of(&(0..=t).map(score).collect::<Vec<f64>>());
        weights[t * count..][..=t].copy_from_slice(&row);
        let output = |i: usize| row.iter().zip(&tokens.values).map(|(w, v)| w * v[i]).sum();
        outputs.push((0..tokens.values[0].len()).map(output).collect());
    }
    (weights, outputs)
}

/// Writes one token, lets others pass that write nothing, and fits the decay to what is left.
fn fitted_decay(tokens: &Tokens, memory: f64) -> Result<FittedDecay> {
    let count = 8;
    let silent = |first: &Vec<f64>| {
        let mut rows = vec![vec![0.0; first.len()]; count];
        rows[0].clone_from(first);
        rows
    };
    let times = Times { memory, ..Times::separated(100.0) };
    let (keys, values) = (silent(&tokens.keys[0]), silent(&tokens.values[0]));
    let network = Network { times, spread: 0.0, queries: vec![vec![0.0; keys[0].len()]; count], keys, values };
    let recording = network.run(1)?;
    // Two phases a token, of each its beginning and its end.
    let left = |token: usize| recording.at(4 * token + 3, Variable::Fired).iter().sum::<f64>();
    let fitted = ((left(count - 1) / left(1)).ln() / (count - 2) as f64).exp();
    Ok(FittedDecay { memory, expected: times.decay(), fitted })
}

fn body(
    config: &TripartiteConfig,
    tokens: &Tokens,
    recording: &Recording,
    expected: &[Vec<f64>],
    attention: &[f64],
    report: &TripartiteReport,
) -> Result<String> {
    let moments = recording.trajectory.times.len();
    let trace = |variable: Variable, place: usize| -> Vec<(f64, f64)> {
        (0..moments).map(|at| (recording.trajectory.times[at], recording.at(at, variable)[place])).collect()
    };
    let drawn = |count: usize| 0..count.min(4);
    let mut body = String::from("<h2>In the course of time</h2>\n");
    let hidden =
        drawn(config.features).map(|j| line(&format!("h{}", j + 1), colour(j + 1), trace(Variable::Hidden, j)));
    body += &plot("Firing of hidden neurons (feature map)", linear("seconds"), linear("rate"), hidden.collect())?;
    let calcium = drawn(config.outputs)
        .map(|i| line(&format!("p{},1", i + 1), colour(i + 1), trace(Variable::Calcium, i * config.features)));
    body += &plot(
        "Calcium of astrocyte processes (read normaliser)",
        linear("seconds"),
        linear("calcium"),
        calcium.collect(),
    )?;
    let mut outputs: Vec<Series> = drawn(config.outputs)
        .map(|i| line(&format!("x{}", i + 1), colour(i + 1), trace(Variable::Output, i)))
        .collect();
    outputs.extend(drawn(config.outputs).map(|i| Series {
        colour: colour(i + 1),
        dots: expected.iter().enumerate().map(|(t, y)| (t as f64 + 1.0, y[i])).collect(),
        ..Series::default()
    }));
    body += &plot("Output neurons; dots: the discrete module", linear("seconds"), linear("membrane"), outputs)?;
    body += "<p class=\"note\">A token takes a second: the neuromodulator lets the network write for the first half and read for \
             the second. At most four of each kind are drawn; where calcium spreads fast, those of all processes lie on one \
             another. At its end a reading is the attention's output.</p>\n";

    let last = moments - 1;
    let memory = recording.at(last, Variable::Hebbian);
    let count = tokens.keys.len();
    let decay = Times { memory: config.memory.unwrap_or(f64::INFINITY), ..Times::separated(1.0) }.decay();
    let mut weights = vec![0.0; count * count];
    for t in 0..count {
        let row: Vec<f64> =
            (0..=t).map(|s| dot(&tokens.queries[t], &tokens.keys[s]) * decay.powi((t - s) as i32)).collect();
        let sum: f64 = row.iter().sum();
        weights[t * count..][..=t].iter_mut().zip(row).for_each(|(weight, w)| *weight = w / sum);
    }
    let cell = (220 / count).clamp(4, 24);
    body += "<h2>Synapses and attention</h2>\n";
    body += &figures(&[
        (
            picture(memory, config.features, (360 / config.features).clamp(4, 24), Shade::Signed, "Hebbian traces")?,
            "memory H: Hebbian traces c after the last token, outputs by features",
        ),
        (picture(&weights, count, cell, Shade::Rows, "attention")?, "attention by these features"),
        (picture(attention, count, cell, Shade::Rows, "softmax")?, "softmax attention"),
    ]);

    body += "<h2>As time constants part</h2>\n";
    let points: Vec<(f64, f64)> = report.errors.iter().map(|e| (e.separation, e.error)).collect();
    let first = points[0];
    let ideal = points.iter().map(|(separation, _)| (*separation, first.1 * first.0 / separation)).collect();
    let series = vec![
        Series { dots: points.clone(), ..line("network against discrete module", colour(1), points) },
        Series { pattern: Pattern::Dotted, ..line("order 1", colour(0), ideal) },
    ];
    body += &plot(
        "Error of what is read",
        logarithmic("time of a phase over the fast time constants"),
        logarithmic("relative error (root mean square)"),
        series,
    )?;
    let series = vec![
        Series {
            dots: report.decays.iter().map(|d| (d.memory, d.fitted)).collect(),
            ..line("fitted to what is left of a write", colour(1), vec![])
        },
        Series {
            pattern: Pattern::Dotted,
            ..line(
                "e^(−T/τ)",
                colour(0),
                (0..60).map(|i| 30f64.powf(f64::from(i) / 59.0)).map(|tau| (tau, (-1.0 / tau).exp())).collect(),
            )
        },
    ];
    body += &plot(
        "A leak is the discrete module's decay",
        logarithmic("time constant of the leak, in tokens"),
        linear("decay from token to token"),
        series,
    )?;
    body += &format!(
        "<p class=\"note\">The discrete module, with these {} random features, is itself {:.1} % from softmax attention; more features \
         bring it nearer.</p>\n",
        config.features,
        100.0 * report.discrete_against_softmax
    );
    Ok(body)
}

/// Root of the mean squared difference, relative to the second.
fn difference(found: &[Vec<f64>], expected: &[Vec<f64>]) -> f64 {
    let squares: f64 = found.concat().iter().zip(expected.concat()).map(|(a, b)| (a - b).powi(2)).sum();
    (squares / expected.concat().iter().map(|b| b * b).sum::<f64>()).sqrt()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

impl std::fmt::Display for TripartiteReport {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        writeln!(f, "network against discrete module, relative error")?;
        for SeparationError { separation, error } in &self.errors {
            writeln!(f, "  time constants {separation:6.1} times apart  {error:.4}")?;
        }
        writeln!(f, "order {:.2}; decays, expected and fitted:", self.order)?;
        for FittedDecay { memory, expected, fitted } in &self.decays {
            writeln!(f, "  leak of {memory:4.0} tokens  {expected:.4}  {fitted:.4}")?;
        }
        write!(f, "the discrete module against softmax attention: {:.4}", self.discrete_against_softmax)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Unrolled: `y_t = Σ_{j ≤ t} a^{t−j} (φ(q_t)·φ(k_j)) v_j`, over the same sum with v = 1.
    #[test]
    fn the_discrete_form_is_leaking_linear_attention() {
        let config =
            TripartiteConfig { tokens: 7, features: 5, outputs: 3, separation: 50.0, memory: Some(4.0), seed: 1 };
        let tokens = tokens(&config);
        let decay = Times { memory: 4.0, ..Times::separated(1.0) }.decay();
        let found = discrete(&tokens.keys, &tokens.queries, &tokens.values, decay);
        for (t, (query, found)) in tokens.queries.iter().zip(found).enumerate() {
            let weight = |j: usize| {
                let overlap: f64 = query.iter().zip(&tokens.keys[j]).map(|(q, k)| q * k).sum();
                decay.powi((t - j) as i32) * overlap
            };
            let total: f64 = (0..=t).map(weight).sum();
            for (i, found) in found.iter().enumerate() {
                let expected = (0..=t).map(|j| weight(j) * tokens.values[j][i]).sum::<f64>() / total;
                assert!((found - expected).abs() < 1e-12, "token {t}");
            }
        }
    }
}
