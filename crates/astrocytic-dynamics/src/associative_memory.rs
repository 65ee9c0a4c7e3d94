//! The neuron–astrocyte associative memory (Kozachkov, Slotine, Krotov, PNAS 2025, arXiv
//! 2311.08135), beside the two networks that it stands between: Hopfield's and the dense
//! associative memory.
//!
//! N neurons x, N² synapses s, N² astrocyte processes p, with rates φ, g, ψ = tanh(β x), tanh(β s),
//! tanh(β p) (eq. 6 of the paper):
//!
//! ```text
//! τ_n x_i′  = −λ x_i + Σ_j g_ij φ_j
//! τ_s s_ij′ = −α s_ij + φ_i φ_j + ψ_ij
//! τ_p p_ij′ = −γ p_ij + Σ_kl T_ijkl ψ_kl + g_ij
//! ```
//!
//! Memories ξ are stored in how calcium flows between processes,
//! `T_ijkl = Σ_μ ξ_i ξ_j ξ_k ξ_l / N³` (eq. 10; the factor is that of the authors' code). An
//! [`energy`](NeuronAstrocyte::energy) decreases along every trajectory. With α = γ = 0 the fixed
//! points are those of the dense memory `x_i′ = −x_i + Σ_μ ξ_i (ξ · φ)³ / N³`.

use crate::error::{DynamicsError, positive};
use crate::integrate::{Trajectory, integrate};

/// Error of an integration step: only signs are read in the end.
const TOLERANCE: f64 = 1e-6;
/// More state variables than are worth waiting for.
const MOST_VARIABLES: usize = 1_000_000;

/// A network with memories in it.
#[derive(Debug, Clone, PartialEq)]
pub enum AssociativeMemory {
    /// Hopfield's, in continuous time: `x_i′ = −x_i + Σ_μ ξ_i (ξ · φ) / N`.
    Hopfield(Patterns),
    /// The dense associative memory of degree 4: `x_i′ = −x_i + Σ_μ ξ_i (ξ · φ)³ / N³` (Krotov and
    /// Hopfield, arXiv 1606.01164).
    Dense(Patterns),
    /// Neurons, synapses and astrocyte processes.
    NeuronAstrocyte(NeuronAstrocyte),
}

/// Memories, and the slope β of the rates.
#[derive(Debug, Clone, PartialEq)]
pub struct Patterns {
    /// ξ: as many numbers of +1 or −1 as there are neurons, for each memory.
    pub patterns: Vec<Vec<f64>>,
    /// β.
    pub gain: f64,
}

/// The network of eq. 6.
#[derive(Debug, Clone, PartialEq)]
pub struct NeuronAstrocyte {
    /// What is stored.
    pub memories: Patterns,
    /// λ, α and γ: leaks of neurons, synapses and processes.
    pub leaks: [f64; 3],
    /// τ_n, τ_s and τ_p, in seconds. Fixed points do not depend on them.
    pub times: [f64; 3],
}

impl NeuronAstrocyte {
    /// Leaks and time constants of 1, as in the authors' tutorial.
    pub fn new(memories: Patterns) -> Self {
        Self { memories, leaks: [1.0; 3], times: [1.0; 3] }
    }

    /// Σ_kl T_ijkl ψ_kl, `[N, N]`; T itself, of N⁴ numbers, is never made.
    fn flow(&self, psi: &[f64]) -> Vec<f64> {
        let n = self.memories.neurons();
        let mut flow = vec![0.0; n * n];
        for pattern in &self.memories.patterns {
            let rows = psi.chunks_exact(n).zip(pattern).map(|(row, xi)| xi * dot(row, pattern));
            let through = rows.sum::<f64>() / (n as f64).powi(3);
            for (row, xi) in flow.chunks_exact_mut(n).zip(pattern) {
                row.iter_mut().zip(pattern).for_each(|(flow, xj)| *flow += through * xi * xj);
            }
        }
        flow
    }

    /// Synapses and processes at rest for neurons held at x and no leak: `ψ = −φ φᵀ`, `g = −T ψ`.
    fn start(&self, x: &[f64]) -> Vec<f64> {
        // Where tanh is so near to 1 that it has no inverse.
        let inverse = |rate: f64| rate.clamp(-1.0 + 1e-12, 1.0 - 1e-12).atanh() / self.memories.gain;
        let phi = self.memories.rates(x);
        let psi: Vec<f64> = phi.iter().flat_map(|a| phi.iter().map(move |b| -a * b)).collect();
        let g = self.flow(&psi).into_iter().map(|flow| inverse(-flow));
        x.iter().copied().chain(g).chain(psi.iter().map(|&psi| inverse(psi))).collect()
    }

    fn slope(&self, state: &[f64], slope: &mut [f64]) {
        let n = self.memories.neurons();
        let [lambda, alpha, gamma] = self.leaks;
        let [tau_n, tau_s, tau_p] = self.times;
        let rates = self.memories.rates(state);
        let ((phi, rest), (x, leaking)) = (rates.split_at(n), state.split_at(n));
        let ((g, psi), (s, p)) = (rest.split_at(n * n), leaking.split_at(n * n));
        let flow = self.flow(psi);
        for i in 0..n {
            slope[i] = (dot(&g[i * n..(i + 1) * n], phi) - lambda * x[i]) / tau_n;
            for j in 0..n {
                let at = i * n + j;
                slope[n + at] = (phi[i] * phi[j] + psi[at] - alpha * s[at]) / tau_s;
                slope[n + n * n + at] = (flow[at] + g[at] - gamma * p[at]) / tau_p;
            }
        }
    }

    /// The energy of a state (x, s, p), which decreases along trajectories (eqs. 5, 13, 14):
    /// `λ [Σ x φ − L(x)] + α/2 [Σ s g − L(s)] + γ/2 [Σ p ψ − L(p)] − ½ Σ g φ φ − ½ Σ ψ g − ¼ Σ T ψ ψ`
    /// with `L(z) = Σ ln cosh(β z) / β`.
    pub fn energy(&self, state: &[f64]) -> f64 {
        let n = self.memories.neurons();
        let rates = self.memories.rates(state);
        let lagrangian = |z: f64| {
            let bz = (self.memories.gain * z).abs();
            (bz + (-2.0 * bz).exp().ln_1p() - std::f64::consts::LN_2) / self.memories.gain
        };
        let own = |from: usize, to: usize| -> f64 {
            state[from..to].iter().zip(&rates[from..to]).map(|(z, rate)| z * rate - lagrangian(*z)).sum()
        };
        let (phi, g, psi) = (&rates[..n], &rates[n..n + n * n], &rates[n + n * n..]);
        let [lambda, alpha, gamma] = self.leaks;
        let synaptic: f64 = g.chunks_exact(n).zip(phi).map(|(row, phi_i)| phi_i * dot(row, phi)).sum();
        lambda * own(0, n) + 0.5 * alpha * own(n, n + n * n) + 0.5 * gamma * own(n + n * n, state.len())
            - 0.5 * synaptic
            - 0.5 * dot(psi, g)
            - 0.25 * dot(&self.flow(psi), psi)
    }
}

impl Patterns {
    fn neurons(&self) -> usize {
        self.patterns.first().map_or(0, Vec::len)
    }

    fn rates(&self, state: &[f64]) -> Vec<f64> {
        state.iter().map(|z| (self.gain * z).tanh()).collect()
    }

    fn slope(&self, degree: i32, x: &[f64], slope: &mut [f64]) {
        let phi = self.rates(x);
        slope.iter_mut().zip(x).for_each(|(slope, x)| *slope = -x);
        for pattern in &self.patterns {
            let pull = dot(pattern, &phi).powi(degree) / (x.len() as f64).powi(degree);
            slope.iter_mut().zip(pattern).for_each(|(slope, xi)| *slope += pull * xi);
        }
    }
}

impl AssociativeMemory {
    fn memories(&self) -> &Patterns {
        match self {
            Self::Hopfield(memories) | Self::Dense(memories) => memories,
            Self::NeuronAstrocyte(network) => &network.memories,
        }
    }

    /// Lets the network go from a state of its neurons, and tells the whole state, neurons first,
    /// at `samples` times and the end. Synapses and processes start where they rest when the
    /// neurons are held there and nothing leaks (appendix D).
    ///
    /// # Errors
    /// [`DynamicsError::Parameter`] for memories of unequal sizes or of other numbers than ±1, a
    /// start of another size, a gain, time constants or a duration that are not above 0, leaks
    /// below 0, or a network too large to follow; [`DynamicsError::Integration`] where the
    /// integration fails.
    pub fn run(&self, start: &[f64], seconds: f64, samples: usize) -> Result<Trajectory, DynamicsError> {
        let Patterns { patterns, gain } = self.memories();
        let n = start.len();
        let fault = |text: String| Err(DynamicsError::Parameter(text));
        let fits = |pattern: &Vec<f64>| pattern.len() == n && pattern.iter().all(|xi| xi.abs() == 1.0);
        if n == 0 || patterns.is_empty() || !patterns.iter().all(fits) || start.iter().any(|x| !x.is_finite()) {
            return fault(format!("memories: at least one is needed, each of {n} numbers of 1 or -1, as the start"));
        }
        positive("the gain", *gain)?;
        positive("the duration", seconds)?;
        let times: Vec<f64> = (0..samples).map(|i| seconds * i as f64 / samples as f64).collect();
        match self {
            Self::Hopfield(memories) | Self::Dense(memories) => {
                let degree = if matches!(self, Self::Dense(_)) { 3 } else { 1 };
                let slope = |_, x: &[f64], slope: &mut [f64]| memories.slope(degree, x, slope);
                integrate(slope, 0.0, seconds, start.to_vec(), &times, TOLERANCE)
            }
            Self::NeuronAstrocyte(network) => {
                for time in network.times {
                    positive("a time constant", time)?;
                }
                if let Some(leak) = network.leaks.iter().find(|leak| !(**leak >= 0.0 && leak.is_finite())) {
                    return fault(format!("leak = {leak} must be at least 0 and finite"));
                }
                let variables = n.saturating_mul(n).saturating_mul(2);
                if variables > MOST_VARIABLES {
                    return fault(format!(
                        "{n} neurons make {variables} synapses and processes, more than {MOST_VARIABLES}"
                    ));
                }
                let slope = |_, state: &[f64], slope: &mut [f64]| network.slope(state, slope);
                integrate(slope, 0.0, seconds, network.start(start), &times, TOLERANCE)
            }
        }
    }

    /// Whether the network, let go from a state, comes to rest with the signs of a pattern after so
    /// many seconds.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn recalls(&self, pattern: &[f64], start: &[f64], seconds: f64) -> Result<bool, DynamicsError> {
        let found = self.run(start, seconds, 0)?;
        let end = found.states.last().map_or(&[][..], Vec::as_slice);
        Ok(end.iter().zip(pattern).all(|(x, xi)| x * xi > 0.0))
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn patterns(count: usize, neurons: usize, rng: &mut ChaCha8Rng) -> Patterns {
        let mut sign = || if rng.random_range(0.0..1.0) < 0.5 { -1.0 } else { 1.0 };
        let patterns = (0..count).map(|_| (0..neurons).map(|_| sign()).collect()).collect();
        Patterns { patterns, gain: 5.0 }
    }

    fn flipped(pattern: &[f64], count: usize) -> Vec<f64> {
        pattern.iter().enumerate().map(|(i, xi)| if i < count { -xi } else { *xi }).collect()
    }

    #[test]
    fn the_energy_decreases_along_every_trajectory() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let memories = patterns(3, 12, &mut rng);
        for (leaks, times) in [([1.0; 3], [1.0; 3]), ([1.0, 0.5, 0.2], [1.0, 0.3, 3.0]), ([1.0, 0.0, 0.0], [1.0; 3])] {
            let network = NeuronAstrocyte { memories: memories.clone(), leaks, times };
            let start: Vec<f64> = (0..12).map(|_| rng.random_range(-1.0..1.0)).collect();
            let found = AssociativeMemory::NeuronAstrocyte(network.clone()).run(&start, 10.0, 200).unwrap();
            let energies: Vec<f64> = found.states.iter().map(|state| network.energy(state)).collect();
            assert!(energies.windows(2).all(|pair| pair[1] <= pair[0] + 1e-6), "{leaks:?}: {energies:?}");
            assert!(energies[0] - energies[energies.len() - 1] > 0.1, "{energies:?}");
        }
    }

    #[test]
    fn the_slopes_are_those_of_the_energy() {
        // x′ = −∂E/∂φ, s′ = −2 ∂E/∂g, p′ = −2 ∂E/∂ψ (time constants 1).
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        let network = NeuronAstrocyte { leaks: [1.0, 0.7, 0.4], ..NeuronAstrocyte::new(patterns(2, 4, &mut rng)) };
        let n = 4;
        let mut state: Vec<f64> = (0..n + 2 * n * n).map(|_| rng.random_range(-0.3..0.3)).collect();
        // Synapses and processes are symmetric.
        for from in [n, n + n * n] {
            for i in 0..n {
                for j in 0..i {
                    state[from + i * n + j] = state[from + j * n + i];
                }
            }
        }
        let mut slope = vec![0.0; state.len()];
        network.slope(&state, &mut slope);
        for place in 0..state.len() {
            let factor = if place < n { 1.0 } else { 2.0 };
            let step = 1e-6;
            let at = |by: f64| {
                let mut moved = state.clone();
                moved[place] += by;
                network.energy(&moved)
            };
            let by_state = (at(step) - at(-step)) / (2.0 * step);
            let rate = (5.0 * state[place]).tanh();
            let by_rate = by_state / (5.0 * (1.0 - rate * rate));
            assert!((slope[place] + factor * by_rate).abs() < 1e-6, "{place}: {} {by_rate}", slope[place]);
        }
    }

    #[test]
    fn a_corrupted_memory_is_recalled() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let memories = patterns(4, 40, &mut rng);
        let pattern = memories.patterns[2].clone();
        let start = flipped(&pattern, 5);
        for network in [
            AssociativeMemory::Hopfield(memories.clone()),
            AssociativeMemory::Dense(memories.clone()),
            AssociativeMemory::NeuronAstrocyte(NeuronAstrocyte::new(memories.clone())),
        ] {
            assert!(network.recalls(&pattern, &start, 30.0).unwrap(), "{network:?}");
            assert!(!network.recalls(&memories.patterns[1], &start, 30.0).unwrap());
        }
    }

    #[test]
    fn what_fills_a_hopfield_network_is_little_for_the_dense_ones() {
        let mut rng = ChaCha8Rng::seed_from_u64(8);
        let memories = patterns(20, 30, &mut rng);
        let share = |network: &AssociativeMemory| {
            let recalled = |pattern: &&Vec<f64>| network.recalls(pattern, &flipped(pattern, 2), 30.0).unwrap();
            memories.patterns.iter().filter(recalled).count()
        };
        let hopfield = share(&AssociativeMemory::Hopfield(memories.clone()));
        let dense = share(&AssociativeMemory::Dense(memories.clone()));
        let astrocyte = share(&AssociativeMemory::NeuronAstrocyte(NeuronAstrocyte::new(memories.clone())));
        assert!(hopfield < 10 && dense > 18 && astrocyte > 18, "{hopfield} {dense} {astrocyte}");
    }

    #[test]
    fn bad_input_is_refused() {
        let good = Patterns { patterns: vec![vec![1.0, -1.0]], gain: 5.0 };
        let refused = |network: AssociativeMemory, start: &[f64], word: &str| {
            let error = network.run(start, 1.0, 0).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        };
        refused(AssociativeMemory::Hopfield(good.clone()), &[1.0], "each of 1 numbers");
        refused(
            AssociativeMemory::Dense(Patterns { patterns: vec![vec![0.5, 1.0]], ..good.clone() }),
            &[1.0; 2],
            "1 or -1",
        );
        refused(AssociativeMemory::Dense(Patterns { gain: 0.0, ..good.clone() }), &[1.0; 2], "gain = 0");
        let network = NeuronAstrocyte::new(good);
        let slow = NeuronAstrocyte { times: [1.0, -2.0, 1.0], ..network.clone() };
        refused(AssociativeMemory::NeuronAstrocyte(slow), &[1.0; 2], "time constant = -2");
        let growing = NeuronAstrocyte { leaks: [1.0, -0.1, 1.0], ..network };
        refused(AssociativeMemory::NeuronAstrocyte(growing), &[1.0; 2], "leak = -0.1");
        let large = Patterns { patterns: vec![vec![1.0; 1000]], gain: 5.0 };
        let large = AssociativeMemory::NeuronAstrocyte(NeuronAstrocyte::new(large));
        refused(large, &[1.0; 1000], "more than 1000000");
    }
}
