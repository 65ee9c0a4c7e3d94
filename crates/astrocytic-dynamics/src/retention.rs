//! How much of a memory is kept from segment to segment, from simulated long-term plasticity
//! (RMAAT, arXiv 2601.00426, section 3): a slow astrocyte process p sums up what a synapse s does,
//! cycle by cycle, and saturates.
//!
//! ```text
//! τ_s s′ = −β s + θ(t)
//! τ_l p′ = −γ p + s
//! ```
//!
//! A segment of a sequence is a cycle, in whose first part both neurons fire (θ = 1). Of T cycles
//! the t-th is given `(p(t) − p(t − 1)) / (p(T) − p(0))`: the factors sum to 1 and fall once the
//! synapse has risen, and T must be known before the first of them, which a model of unbounded
//! sequences cannot. Where the synapse is fast and always driven they are
//! `e^{−a (t − 1)} (1 − e^{−a}) / (1 − e^{−a T})` with `a = γ` cycle / τ_l.
//!
//! The source prints its equations as proportionalities, without time constants (its authors'
//! program, of which there is one, was not at hand); the defaults are those of its words: seconds
//! for the synapse, tens of seconds for the process.

use crate::error::{DynamicsError, positive};
use crate::integrate::{EXACT, integrate};

/// More segments than any sequence is cut in.
const MOST_SEGMENTS: usize = 100_000;

/// The macro model of long-term plasticity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LongTermPlasticity {
    /// τ_s, seconds.
    pub synapse: f64,
    /// β.
    pub synapse_leak: f64,
    /// τ_l, seconds.
    pub process: f64,
    /// γ.
    pub process_leak: f64,
    /// Seconds of a cycle.
    pub cycle: f64,
    /// Share of a cycle in which the neurons fire, above 0 and at most 1.
    pub active: f64,
}

impl Default for LongTermPlasticity {
    fn default() -> Self {
        Self { synapse: 1.0, synapse_leak: 1.0, process: 40.0, process_leak: 1.0, cycle: 10.0, active: 0.5 }
    }
}

impl LongTermPlasticity {
    /// The retention factors of a sequence of so many segments.
    ///
    /// # Errors
    /// [`DynamicsError::Parameter`] for time constants, leaks or a cycle that are not above 0, an
    /// active share outside of (0, 1], no segment or too many; [`DynamicsError::Integration`] where
    /// the integration fails.
    pub fn retention_factors(&self, segments: usize) -> Result<Vec<f64>, DynamicsError> {
        let Self { synapse, synapse_leak, process, process_leak, cycle, active } = *self;
        for (name, value) in [
            ("the synapse's time constant", synapse),
            ("the synapse's leak", synapse_leak),
            ("the process's time constant", process),
            ("the process's leak", process_leak),
            ("the cycle", cycle),
            ("the active share", active),
        ] {
            positive(name, value)?;
        }
        if active > 1.0 || !(1..=MOST_SEGMENTS).contains(&segments) {
            return Err(DynamicsError::Parameter(format!(
                "the active share = {active} must be at most 1 and segments = {segments} between 1 and {MOST_SEGMENTS}"
            )));
        }
        let mut state = vec![0.0, 0.0];
        let mut levels = vec![0.0];
        for segment in 0..segments {
            let start = segment as f64 * cycle;
            let ends = [(1.0, start + active * cycle), (0.0, start + cycle)];
            let mut now = start;
            for (drive, end) in ends.into_iter().filter(|(drive, _)| *drive > 0.0 || active < 1.0) {
                let slope = |_, state: &[f64], slope: &mut [f64]| {
                    slope[0] = (drive - synapse_leak * state[0]) / synapse;
                    slope[1] = (state[0] - process_leak * state[1]) / process;
                };
                let found = integrate(slope, now, end, state, &[], EXACT)?;
                (state, now) = (found.states.last().cloned().unwrap_or_default(), end);
            }
            levels.push(state[1]);
        }
        let all = levels[segments];
        Ok(levels.windows(2).map(|pair| (pair[1] - pair[0]) / all).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_synapse_that_is_always_driven_gives_the_closed_form() {
        let model = LongTermPlasticity { synapse: 1e-3, cycle: 20.0, active: 1.0, ..LongTermPlasticity::default() };
        let found = model.retention_factors(4).unwrap();
        for (factor, expected) in found.iter().zip([0.4551, 0.2760, 0.1674, 0.1015]) {
            assert!((factor - expected).abs() < 2e-4, "{found:?}");
        }
    }

    #[test]
    fn factors_fall_sum_to_one_and_are_smaller_the_more_segments_there_are() {
        let model = LongTermPlasticity::default();
        let mut before: Option<Vec<f64>> = None;
        for segments in [2, 4, 8, 16] {
            let factors = model.retention_factors(segments).unwrap();
            assert!((factors.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            // The synapse has yet to rise in the first cycle.
            assert!(factors[1..].windows(2).all(|pair| pair[1] < pair[0]), "{factors:?}");
            if let Some(before) = before {
                assert!(before.iter().zip(&factors).all(|(before, now)| now < before));
            }
            before = Some(factors);
        }
        assert_eq!(model.retention_factors(1).unwrap(), [1.0]);
    }

    #[test]
    fn bad_input_is_refused() {
        let good = LongTermPlasticity::default();
        for (model, segments, word) in [
            (LongTermPlasticity { process: -1.0, ..good }, 3, "process's time constant = -1"),
            (LongTermPlasticity { active: 1.5, ..good }, 3, "active share = 1.5"),
            (LongTermPlasticity { cycle: f64::NAN, ..good }, 3, "cycle = NaN"),
            (good, 0, "segments = 0"),
        ] {
            let error = model.retention_factors(segments).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
