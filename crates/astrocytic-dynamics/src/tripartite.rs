//! The network of neurons and astrocytes that computes attention (Kozachkov, Kastanenka, Krotov,
//! PNAS 2023), in continuous time.
//!
//! Each token is written, then read; a neuromodulator r switches between the two (0 and 1). With
//! hidden firing h (`r φ(q) + (1 − r) φ(k)` is what drives it), output neurons x, Hebbian traces c,
//! calcium p of the process around each synapse, facilitation s of the synapse, and g, what each
//! hidden neuron fired in all:
//!
//! ```text
//! τ_n h′    = −h + r φ(q) + (1 − r) φ(k)
//! τ_n x_i′  = −x_i + r Σ_j s_ij h_j + (1 − r) v_i
//! c_ij′     = (1 − r) h_j x_i / T_w − c_ij / τ_m
//! g_j′      = (1 − r) h_j / T_w − g_j / τ_m
//! τ_p p_ij′ = −p_ij + m g_j h_j + D Σ_kl (p_kl − p_ij) / (N m)
//! τ_s s_ij′ = −p_ij s_ij + c_ij
//! ```
//!
//! Where h, x, p and s are fast and calcium spreads fast (D large), p becomes `Σ_j g_j h_j`
//! everywhere, s becomes `c / p`, and what is read is `Σ_j c_ij φ_j(q) / Σ_j g_j φ_j(q)` with
//! `c = Σ φ(k) v`, `g = Σ φ(k)`: causal Hebbian attention with a calcium normaliser, whose decay
//! from token to token is `e^{−(T_w + T_r)/τ_m}`.
//!
//! The facilitation whose decay rate is the calcium, and the calcium that spreads among all
//! processes, are the authors' own form in continuous time (arXiv 2311.08135, appendix C, eqs. 18
//! to 25). There c is set at once, and p starts, for each token that is read, at what is here its
//! drive; here both follow from what fires, so that nothing is set by hand. Both are larger by m
//! here, which cancels.

use crate::error::{DynamicsError, positive};
use crate::integrate::{EXACT, Trajectory, integrate};

/// More state variables than are worth waiting for.
const MOST_VARIABLES: usize = 100_000;

/// Time constants and durations, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Times {
    /// τ_n: membranes of the hidden and the output neurons.
    pub neuron: f64,
    /// τ_p: calcium of a process.
    pub calcium: f64,
    /// τ_s: facilitation of a synapse.
    pub synapse: f64,
    /// τ_m: what is stored leaks, in Hebbian traces and in g alike; infinite is never.
    pub memory: f64,
    /// T_w: for how long a token is written.
    pub write: f64,
    /// T_r: for how long it is read.
    pub read: f64,
}

impl Times {
    /// Tokens of a second, half of it to write and half to read, and everything that is fast
    /// `separation` times as fast as a half; nothing leaks.
    pub fn separated(separation: f64) -> Self {
        let fast = 0.5 / separation;
        Self { neuron: fast, calcium: fast, synapse: fast, memory: f64::INFINITY, write: 0.5, read: 0.5 }
    }

    /// Decay of the discrete memory that the leak amounts to, from token to token.
    pub fn decay(&self) -> f64 {
        (-(self.write + self.read) / self.memory).exp()
    }
}

/// A network and the tokens that it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// Time constants.
    pub times: Times,
    /// D: how fast calcium spreads among processes, in units of its own time constant.
    pub spread: f64,
    /// φ(k) of each token, m firing rates each.
    pub keys: Vec<Vec<f64>>,
    /// φ(q) of each token.
    pub queries: Vec<Vec<f64>>,
    /// v of each token, N inputs to the output neurons each.
    pub values: Vec<Vec<f64>>,
}

/// What a network did.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// x at the end of each token's reading: the attention's output, `[tokens][N]`.
    pub reads: Vec<Vec<f64>>,
    /// State variables in the course of time.
    pub trajectory: Trajectory,
    sizes: [usize; 2],
}

/// A kind of state variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variable {
    /// h, m of them.
    Hidden,
    /// x, N of them.
    Output,
    /// g, m of them.
    Fired,
    /// c, N × m of them.
    Hebbian,
    /// p, N × m of them.
    Calcium,
    /// s, N × m of them.
    Facilitation,
}

impl Variable {
    fn range(self, [n, m]: [usize; 2]) -> std::ops::Range<usize> {
        let of_synapses = |which: usize| 2 * m + n + which * n * m..2 * m + n + (which + 1) * n * m;
        match self {
            Self::Hidden => 0..m,
            Self::Output => m..m + n,
            Self::Fired => m + n..2 * m + n,
            Self::Hebbian => of_synapses(0),
            Self::Calcium => of_synapses(1),
            Self::Facilitation => of_synapses(2),
        }
    }
}

impl Recording {
    /// A kind of variables at a moment of the trajectory; those of synapses row by row, N rows of
    /// m.
    pub fn at(&self, moment: usize, variable: Variable) -> &[f64] {
        &self.trajectory.states[moment][variable.range(self.sizes)]
    }
}

impl Network {
    /// Shows the network its tokens, one after the other, from rest; `samples` states of each phase
    /// are recorded.
    ///
    /// # Errors
    /// [`DynamicsError::Parameter`] for time constants that are not above 0, tokens of unequal or
    /// no size, rates that are not finite, or a network of more variables than can be followed;
    /// [`DynamicsError::Integration`] where the integration fails, as where a calcium turns
    /// negative and a facilitation grows without bound.
    pub fn run(&self, samples: usize) -> Result<Recording, DynamicsError> {
        let sizes @ [n, m] = self.check()?;
        let mut state = vec![0.0; 2 * m + n + 3 * n * m];
        // At rest there is some calcium; without any a synapse would keep its facilitation for
        // ever.
        state[Variable::Calcium.range(sizes)].fill(1.0);
        let mut recording = Recording { reads: Vec::new(), trajectory: Trajectory::default(), sizes };
        let mut now = 0.0;
        for token in 0..self.keys.len() {
            for (reading, drive, seconds) in
                [(false, &self.keys[token], self.times.write), (true, &self.queries[token], self.times.read)]
            {
                let value = &self.values[token];
                let slope =
                    |_, state: &[f64], slope: &mut [f64]| self.slope(sizes, reading, drive, value, state, slope);
                let times: Vec<f64> = (0..samples).map(|i| now + seconds * i as f64 / samples as f64).collect();
                let mut found = integrate(slope, now, now + seconds, state, &times, EXACT)?;
                now += seconds;
                state = found.states.last().cloned().unwrap_or_default();
                if samples == 0 {
                    (found.times, found.states) = (vec![], vec![]);
                }
                recording.trajectory.times.append(&mut found.times);
                recording.trajectory.states.append(&mut found.states);
            }
            recording.reads.push(state[Variable::Output.range(sizes)].to_vec());
        }
        Ok(recording)
    }

    /// N and m.
    fn check(&self) -> Result<[usize; 2], DynamicsError> {
        let fault = |text: String| Err(DynamicsError::Parameter(text));
        let Times { neuron, calcium, synapse, memory, write, read } = self.times;
        for (name, value) in [
            ("the neurons' time constant", neuron),
            ("the calcium's time constant", calcium),
            ("the synapses' time constant", synapse),
            ("the time of writing", write),
            ("the time of reading", read),
        ] {
            positive(name, value)?;
        }
        if memory.is_nan() || memory <= 0.0 {
            return fault(format!("the memory's time constant = {memory} must be above 0"));
        }
        if !(self.spread >= 0.0 && self.spread.is_finite()) {
            return fault(format!("the spread of calcium = {} must be at least 0 and finite", self.spread));
        }
        let (n, m) = (self.values.first().map_or(0, Vec::len), self.keys.first().map_or(0, Vec::len));
        let fits = |rows: &[Vec<f64>], size: usize| {
            rows.len() == self.keys.len()
                && rows.iter().all(|row| row.len() == size && row.iter().all(|x| x.is_finite()))
        };
        if n == 0 || m == 0 || !fits(&self.keys, m) || !fits(&self.queries, m) || !fits(&self.values, n) {
            return fault(
                "tokens: as many keys, queries and values are needed, finite, all keys and queries of one size, \
                          all values of one size, at least one of each"
                    .into(),
            );
        }
        let variables = n.saturating_mul(m).saturating_mul(3);
        if variables > MOST_VARIABLES {
            return fault(format!(
                "{n} outputs and {m} features make {variables} synaptic variables, more than {MOST_VARIABLES}"
            ));
        }
        Ok([n, m])
    }

    fn slope(
        &self,
        sizes @ [n, m]: [usize; 2],
        reading: bool,
        drive: &[f64],
        value: &[f64],
        state: &[f64],
        slope: &mut [f64],
    ) {
        let Times { neuron, calcium, synapse, memory, write, .. } = self.times;
        let part = |variable: Variable| &state[variable.range(sizes)];
        let [h, x, g] = [Variable::Hidden, Variable::Output, Variable::Fired].map(part);
        let [c, p, s] = [Variable::Hebbian, Variable::Calcium, Variable::Facilitation].map(part);
        let writing = if reading { 0.0 } else { 1.0 / write };
        let mean = p.iter().sum::<f64>() / (n * m) as f64;
        let [c_at, p_at, s_at] =
            [Variable::Hebbian, Variable::Calcium, Variable::Facilitation].map(|variable| variable.range(sizes).start);
        for j in 0..m {
            slope[j] = (drive[j] - h[j]) / neuron;
            slope[m + n + j] = writing * h[j] - g[j] / memory;
        }
        for i in 0..n {
            let row = i * m..(i + 1) * m;
            let read: f64 = s[row.clone()].iter().zip(h).map(|(s, h)| s * h).sum();
            slope[m + i] = (if reading { read } else { value[i] } - x[i]) / neuron;
            for (j, at) in row.enumerate() {
                slope[c_at + at] = writing * h[j] * x[i] - c[at] / memory;
                slope[p_at + at] = (m as f64 * g[j] * h[j] - p[at] + self.spread * (mean - p[at])) / calcium;
                slope[s_at + at] = (c[at] - p[at] * s[at]) / synapse;
            }
        }
    }
}

/// What the discrete module computes of the same tokens: `y_t = H_tᵀ φ(q_t) / (φ(q_t) · g_t)` with
/// `H_t = a H_{t−1} + φ(k_t) v_tᵀ` and `g_t = a g_{t−1} + φ(k_t)`, a the decay.
pub fn discrete(keys: &[Vec<f64>], queries: &[Vec<f64>], values: &[Vec<f64>], decay: f64) -> Vec<Vec<f64>> {
    let (n, m) = (values.first().map_or(0, Vec::len), keys.first().map_or(0, Vec::len));
    let (mut memory, mut calcium) = (vec![0.0; m * n], vec![0.0; m]);
    let mut reads = Vec::new();
    for ((key, query), value) in keys.iter().zip(queries).zip(values) {
        for j in 0..m {
            calcium[j] = decay * calcium[j] + key[j];
            for i in 0..n {
                memory[j * n + i] = decay * memory[j * n + i] + key[j] * value[i];
            }
        }
        let normaliser: f64 = query.iter().zip(&calcium).map(|(q, g)| q * g).sum();
        let read = |i: usize| query.iter().enumerate().map(|(j, q)| q * memory[j * n + i]).sum::<f64>() / normaliser;
        reads.push((0..n).map(read).collect());
    }
    reads
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn network(times: Times, spread: f64) -> Network {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut rows = |count: usize, size: usize, low: f64, high: f64| -> Vec<Vec<f64>> {
            (0..count).map(|_| (0..size).map(|_| rng.random_range(low..high)).collect()).collect()
        };
        let (keys, queries) = (rows(6, 5, 0.2, 2.0), rows(6, 5, 0.2, 2.0));
        Network { times, spread, keys, queries, values: rows(6, 3, -1.0, 1.0) }
    }

    /// Root of the mean squared difference, relative to the discrete reads.
    fn error(network: &Network) -> f64 {
        let found = network.run(0).unwrap().reads;
        let Network { keys, queries, values, times, .. } = network;
        let expected = discrete(keys, queries, values, times.decay()).concat();
        let squares = found.concat().iter().zip(&expected).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
        (squares / expected.iter().map(|b| b * b).sum::<f64>()).sqrt()
    }

    #[test]
    fn the_network_tends_to_the_discrete_algebra_at_first_order() {
        for memory in [f64::INFINITY, 5.0] {
            let errors = [25.0, 50.0, 100.0, 200.0]
                .map(|separation| error(&network(Times { memory, ..Times::separated(separation) }, separation)));
            let orders: Vec<f64> = errors.windows(2).map(|pair| (pair[0] / pair[1]).log2()).collect();
            assert!(orders.iter().all(|order| (order - 1.0).abs() < 0.15), "{memory}: {errors:?} {orders:?}");
            assert!(errors[3] < 0.01, "{errors:?}");
        }
    }

    #[test]
    fn calcium_that_does_not_spread_normalises_otherwise() {
        let [spread, kept] = [100.0, 0.0].map(|spread| error(&network(Times::separated(100.0), spread)));
        assert!(spread < 0.05 && kept > 3.0 * spread, "{spread} {kept}");
    }

    #[test]
    fn what_is_written_leaks_as_the_decay_says() {
        let times = Times { memory: 3.0, ..Times::separated(200.0) };
        let mut network = network(times, 0.0);
        // One token is written, the others write nothing and ask for nothing.
        network.keys[1..].iter_mut().for_each(|key| key.fill(0.0));
        network.queries[1..].iter_mut().for_each(|query| query.fill(0.0));
        network.values[1..].iter_mut().for_each(|value| value.fill(0.0));
        let recording = network.run(1).unwrap();
        // Two phases of two moments a token; the last of the second phase ends it.
        let ends: Vec<f64> = (0..6).map(|token| recording.at(4 * token + 3, Variable::Fired)[0]).collect();
        for pair in ends[1..].windows(2) {
            assert!((pair[1] / pair[0] / times.decay() - 1.0).abs() < 1e-3, "{ends:?}");
        }
    }

    #[test]
    fn the_discrete_form_is_softmax_of_one_key() {
        let keys = vec![vec![1.0, 0.5]];
        assert_eq!(discrete(&keys, &keys, &[vec![2.0, -3.0]], 1.0), [vec![2.0, -3.0]]);
    }

    #[test]
    fn bad_input_is_refused() {
        let refused = |network: Network, word: &str| {
            let error = network.run(0).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        };
        let good = || network(Times::separated(50.0), 10.0);
        refused(Network { times: Times { neuron: -0.1, ..good().times }, ..good() }, "neurons' time constant = -0.1");
        refused(Network { times: Times { memory: 0.0, ..good().times }, ..good() }, "memory's time constant");
        refused(Network { spread: f64::NAN, ..good() }, "spread");
        refused(Network { values: vec![], ..good() }, "tokens");
        refused(Network { keys: vec![vec![1.0; 4]; 6], ..good() }, "tokens");
        refused(Network { values: vec![vec![0.0; 40_000]; 6], ..good() }, "more than 100000");
    }
}
