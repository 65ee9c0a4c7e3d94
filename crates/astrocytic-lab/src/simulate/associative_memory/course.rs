//! A recall in the course of time.

/// Slope of the rates, that of the authors' tutorial.
pub(super) const GAIN: f64 = 5.0;

/// The network's states and energies.
pub(super) struct Course {
    /// Moments, time constants of the neurons.
    pub(super) times: Vec<f64>,
    /// The neurons' membranes at each moment.
    pub(super) states: Vec<Vec<f64>>,
    /// Energy at each moment.
    pub(super) energies: Vec<f64>,
}

impl Course {
    /// Overlap of the neurons' firing with a memory at each moment.
    pub(super) fn overlap(&self, pattern: &[f64]) -> Vec<(f64, f64)> {
        let of = |state: &Vec<f64>| {
            pattern.iter().zip(state).map(|(xi, x)| xi * (GAIN * x).tanh()).sum::<f64>() / pattern.len() as f64
        };
        self.times.iter().copied().zip(self.states.iter().map(of)).collect()
    }
}
