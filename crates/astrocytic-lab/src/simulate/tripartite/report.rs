//! What is asked of the network, and what came of it.

use serde::Serialize;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TripartiteConfig {
    /// Tokens shown.
    pub tokens: usize,
    /// Hidden neurons m.
    pub features: usize,
    /// Output neurons N.
    pub outputs: usize,
    /// Length of a phase over the time constants of neurons, calcium and synapses, and speed at
    /// which calcium spreads, in phases.
    pub separation: f64,
    /// Time constant of the leak, seconds (a token takes one); `None` is no leak.
    pub memory: Option<f64>,
    /// Seed.
    pub seed: u64,
}

/// The error at a separation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SeparationError {
    /// Length of a phase over the fast time constants.
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
    /// Difference of the discrete module from softmax attention, which the random features cause.
    pub discrete_against_softmax: f64,
    /// The error at several separations.
    pub errors: Vec<SeparationError>,
    /// Mean order at which it falls: 1 if the error is inverse to the separation.
    pub order: f64,
    /// Leaks and decays.
    pub decays: Vec<FittedDecay>,
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
