//! Softmax as a fixed point of astrocyte dynamics, in two ways.
//!
//! [`shared_calcium`]: neurons whose output an astrocyte divides by a calcium that integrates all
//! of their firing. [`replicator`]: gains of astrocyte processes that compete for a resource (Vivet
//! and Arenas, arXiv 2604.25481).

use crate::error::{DynamicsError, positive};
use crate::integrate::{EXACT, Trajectory, integrate};

/// Time constants of [`shared_calcium`], in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SharedCalcium {
    /// τ_n of the neurons' membranes.
    pub neuron: f64,
    /// τ_a of the calcium, longer.
    pub calcium: f64,
}

impl Default for SharedCalcium {
    /// 10 ms and 0.5 s: a membrane, and calcium in an astrocyte's process.
    fn default() -> Self {
        Self { neuron: 0.01, calcium: 0.5 }
    }
}

/// Neurons n relax to their inputs x, an astrocyte's calcium A to the sum of what they fire, by
/// which it divides: `τ_n n′ = −n + x`, `τ_a A′ = −A + Σ_j e^{n_j}`, `y_i = e^{n_i} / A`. From any
/// start y tends to softmax(x). Inputs are taken less the largest, to which softmax is blind
/// (inhibition that all share): nothing overflows.
///
/// Returns y at each of `samples` times up to `seconds`; it starts from neurons at rest and calcium
/// 1.
///
/// # Errors
/// For no input, an input that is not finite, time constants or a duration that are not above 0, or
/// a failed integration.
pub fn shared_calcium(
    inputs: &[f64],
    times: SharedCalcium,
    seconds: f64,
    samples: usize,
) -> Result<Trajectory, DynamicsError> {
    check(inputs, seconds)?;
    positive("the neurons' time constant", times.neuron)?;
    positive("the calcium's time constant", times.calcium)?;
    let largest = inputs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let count = inputs.len();
    let slope = |_, state: &[f64], slope: &mut [f64]| {
        for i in 0..count {
            slope[i] = (inputs[i] - largest - state[i]) / times.neuron;
        }
        slope[count] = (state[..count].iter().map(|n| n.exp()).sum::<f64>() - state[count]) / times.calcium;
    };
    let mut start = vec![0.0; count];
    start.push(1.0);
    let mut found = integrate(slope, 0.0, seconds, start, &moments(seconds, samples), EXACT)?;
    for state in &mut found.states {
        let calcium = state.pop().unwrap_or(1.0);
        state.iter_mut().for_each(|n| *n = n.exp() / calcium);
    }
    Ok(found)
}

/// Gains p of astrocyte processes, on the simplex: `τ_p p_i′ = p_i (F_i − Σ_j p_j F_j)` with
/// `F_i = f_i − T ln p_i` (arXiv 2604.25481, eqs. 6 and 7). From any inner start p tends to
/// softmax(f / T) (eq. 11); `Σ p f − T Σ p ln p` only grows.
///
/// Returns p at each of `samples` times up to `seconds`; it starts from equal gains.
///
/// # Errors
/// As [`shared_calcium`], and for a temperature that is not above 0.
pub fn replicator(
    scores: &[f64],
    temperature: f64,
    time_constant: f64,
    seconds: f64,
    samples: usize,
) -> Result<Trajectory, DynamicsError> {
    check(scores, seconds)?;
    positive("the gains' time constant", time_constant)?;
    positive("the temperature", temperature)?;
    // In ln p, up to a constant that all share: p stays above 0 and its sum at 1, whatever the
    // integrator does.
    let slope = |_, logs: &[f64], slope: &mut [f64]| {
        for ((slope, score), log) in slope.iter_mut().zip(scores).zip(logs) {
            *slope = (score - temperature * log) / time_constant;
        }
        // Less the mean fitness, so that nothing drifts; it is the same for all.
        let mean = slope.iter().sum::<f64>() / slope.len() as f64;
        slope.iter_mut().for_each(|slope| *slope -= mean);
    };
    let mut found = integrate(slope, 0.0, seconds, vec![0.0; scores.len()], &moments(seconds, samples), EXACT)?;
    found.states.iter_mut().for_each(|logs| *logs = of(logs));
    Ok(found)
}

/// softmax(x).
pub fn of(x: &[f64]) -> Vec<f64> {
    let largest = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let e: Vec<f64> = x.iter().map(|x| (x - largest).exp()).collect();
    let sum: f64 = e.iter().sum();
    e.iter().map(|e| e / sum).collect()
}

fn check(inputs: &[f64], seconds: f64) -> Result<(), DynamicsError> {
    if inputs.is_empty() || inputs.iter().any(|x| !x.is_finite()) {
        return Err(DynamicsError::Parameter(format!("inputs must be finite and at least one, got {inputs:?}")));
    }
    positive("the duration", seconds)
}

/// `count` times, evenly spaced, from 0 on; the end comes by itself.
fn moments(seconds: f64, count: usize) -> Vec<f64> {
    (0..count).map(|i| seconds * i as f64 / count as f64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn largest_error(found: &[f64], expected: &[f64]) -> f64 {
        found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    }

    #[test]
    fn both_settle_to_softmax_within_1e_9() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for size in [1, 2, 7, 40] {
            let x: Vec<f64> = (0..size).map(|_| rng.random_range(-6.0..6.0)).collect();
            let calcium = shared_calcium(&x, SharedCalcium::default(), 20.0, 5).unwrap();
            assert!(largest_error(calcium.states.last().unwrap(), &of(&x)) < 1e-9);
            for temperature in [0.5, 1.0] {
                let gains = replicator(&x, temperature, 0.1, 6.0, 5).unwrap();
                let scaled: Vec<f64> = x.iter().map(|x| x / temperature).collect();
                assert!(largest_error(gains.states.last().unwrap(), &of(&scaled)) < 1e-9);
            }
        }
    }

    #[test]
    fn large_inputs_settle_too() {
        let x = [900.0, 899.0, -900.0];
        let calcium = shared_calcium(&x, SharedCalcium::default(), 20.0, 0).unwrap();
        assert!(largest_error(calcium.states.last().unwrap(), &of(&x)) < 1e-9);
    }

    #[test]
    fn the_gains_follow_the_replicator_equation_and_climb() {
        let (f, temperature, tau) = ([1.0, -0.5, 0.3, 2.0], 0.7, 0.4);
        let step = 1e-4;
        let found = replicator(&f, temperature, tau, 2000.0 * step, 2000).unwrap();
        let free = |p: &[f64]| p.iter().zip(f).map(|(p, f)| p * (f - temperature * p.ln())).sum::<f64>();
        for triple in found.states.windows(3).step_by(100) {
            let p = &triple[1];
            let fitness: Vec<f64> = p.iter().zip(f).map(|(p, f)| f - temperature * p.ln()).collect();
            let mean: f64 = p.iter().zip(&fitness).map(|(p, f)| p * f).sum();
            for i in 0..f.len() {
                let slope = (triple[2][i] - triple[0][i]) / (2.0 * step);
                assert!((slope - p[i] * (fitness[i] - mean) / tau).abs() < 1e-6);
            }
            assert!(free(&triple[2]) >= free(p) - 1e-12);
        }
    }

    #[test]
    fn bad_input_is_refused() {
        let refused = |result: Result<Trajectory, DynamicsError>, word: &str| {
            assert!(result.is_err_and(|error| error.to_string().contains(word)), "{word}");
        };
        let slow = SharedCalcium { calcium: -1.0, ..SharedCalcium::default() };
        refused(shared_calcium(&[0.0], slow, 1.0, 1), "calcium's time constant = -1");
        refused(shared_calcium(&[], SharedCalcium::default(), 1.0, 1), "at least one");
        refused(shared_calcium(&[f64::NAN], SharedCalcium::default(), 1.0, 1), "finite");
        refused(replicator(&[0.0], 0.0, 1.0, 1.0, 1), "temperature = 0");
        refused(replicator(&[0.0], 1.0, 1.0, f64::INFINITY, 1), "duration");
    }
}
