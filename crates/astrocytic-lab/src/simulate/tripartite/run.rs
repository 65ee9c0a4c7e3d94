//! The network, run and measured.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, bail};
use astrocytic_dynamics::tripartite::{Network, Recording, Times, Variable, discrete};

use super::page::{Shown, page};
use super::report::{FittedDecay, SeparationError, TripartiteConfig, TripartiteReport};
use super::tokens::{Tokens, tokens};

/// States recorded of each phase.
const SAMPLES: usize = 24;
/// Separations at which the error is measured.
const SEPARATIONS: [f64; 5] = [12.5, 25.0, 50.0, 100.0, 200.0];
/// Time constants of the leak, in tokens, for which a decay is fitted.
const LEAKS: [f64; 5] = [1.0, 2.0, 5.0, 10.0, 30.0];
/// Largest network that is simulated.
const MOST: usize = 256;

/// Runs the network, and writes a page.
///
/// # Errors
/// For parameters that make no sense, an integration that fails, or a folder that cannot be
/// written.
pub fn tripartite(config: &TripartiteConfig, folder: &Path) -> Result<TripartiteReport> {
    let started = Instant::now();
    validate(config)?;
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
    let attention = tokens.softmax_attention(times(1.0).decay());
    let report = TripartiteReport {
        config: config.clone(),
        error: difference(&recording.reads, &expected),
        discrete_against_softmax: difference(&expected, &attention.1),
        errors,
        order,
        decays,
    };
    let shown = Shown { tokens: &tokens, recording: &recording, expected: &expected, attention: &attention.0 };
    page(&report, &shown)?.write(folder, started.elapsed(), &report)?;
    Ok(report)
}

fn validate(config: &TripartiteConfig) -> Result<()> {
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
    Ok(())
}

/// Writes one token, lets tokens pass that write nothing, and fits the decay of what is left.
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
    // A token has two phases, each recorded at its beginning and its end.
    let left = |token: usize| recording.at(4 * token + 3, Variable::Fired).iter().sum::<f64>();
    let fitted = ((left(count - 1) / left(1)).ln() / (count - 2) as f64).exp();
    Ok(FittedDecay { memory, expected: times.decay(), fitted })
}

/// Root of the mean squared difference, relative to the second.
fn difference(found: &[Vec<f64>], expected: &[Vec<f64>]) -> f64 {
    let squares: f64 = found.concat().iter().zip(expected.concat()).map(|(a, b)| (a - b).powi(2)).sum();
    (squares / expected.concat().iter().map(|b| b * b).sum::<f64>()).sqrt()
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
