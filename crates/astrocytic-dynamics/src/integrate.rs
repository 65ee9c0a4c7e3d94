//! Initial value problems with error control, by Dormand and Prince's method of order 8.

use differential_equations::error::Error;
use differential_equations::ivp::IVP;
use differential_equations::methods::ExplicitRungeKutta;

use crate::error::DynamicsError;

/// Error of a step that is as good as none.
pub(crate) const EXACT: f64 = 1e-10;
/// Steps after which a problem counts as too stiff for an explicit method.
const MOST_STEPS: usize = 1_000_000;

/// States at given times.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trajectory {
    /// Seconds, ascending.
    pub times: Vec<f64>,
    /// The state at each of them.
    pub states: Vec<Vec<f64>>,
}

/// Follows `d state / dt = slope(t, state)` from `from` to `to` and tells the state at each of the
/// times asked for, which lie between, and at the end. No step is to be wrong by more than
/// `tolerance` of the state, or a hundredth of it.
///
/// # Errors
/// [`DynamicsError::Integration`] where steps would have to become too small or too many, or the
/// state is no longer finite.
pub fn integrate(
    slope: impl Fn(f64, &[f64], &mut [f64]),
    from: f64,
    to: f64,
    start: Vec<f64>,
    times: &[f64],
    tolerance: f64,
) -> Result<Trajectory, DynamicsError> {
    let mut times: Vec<f64> = times.iter().copied().filter(|&time| time < to).collect();
    times.push(to);
    let slope = |t: f64, y: &Vec<f64>, dydt: &mut Vec<f64>| slope(t, y, dydt);
    let method = ExplicitRungeKutta::dop853().rtol(tolerance).atol(0.01 * tolerance).max_steps(MOST_STEPS);
    let solution = IVP::ode_from_fn(slope, from, to, start).t_eval(&times).method(method).solve();
    let stopped = |time: f64, reason: &str| DynamicsError::Integration { time, reason: reason.into() };
    let solution = solution.map_err(|error| match error {
        Error::MaxSteps { t, .. } | Error::Stiffness { t, .. } => {
            stopped(t, "the time constants lie too far apart for so long a time; bring them nearer or shorten it")
        }
        Error::StepSize { t, .. } => stopped(t, "the step has become too small; the state may grow without bound"),
        other => stopped(from, &format!("{other:?}")),
    })?;
    if let Some((time, _)) = solution.t.iter().zip(&solution.y).find(|(_, y)| y.iter().any(|x| !x.is_finite())) {
        return Err(stopped(*time, "the state is no longer finite"));
    }
    Ok(Trajectory { times: solution.t, states: solution.y })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_oscillator_comes_back() {
        let slope = |_, y: &[f64], dydt: &mut [f64]| (dydt[0], dydt[1]) = (y[1], -y[0]);
        let round = 2.0 * std::f64::consts::PI;
        let found = integrate(slope, 0.0, 5.0 * round, vec![1.0, 0.0], &[0.25 * round, 5.0 * round], EXACT).unwrap();
        assert_eq!(found.times.len(), 2);
        for (state, expected) in found.states.iter().zip([[0.0, -1.0], [1.0, 0.0]]) {
            // Within a step the state is interpolated.
            assert!(state.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{state:?}");
        }
        assert!((found.states[1][0] - 1.0).abs() < 1e-8);
    }

    #[test]
    fn what_grows_without_bound_is_an_error() {
        let slope = |_, y: &[f64], dydt: &mut [f64]| dydt[0] = y[0] * y[0];
        let error = integrate(slope, 0.0, 2.0, vec![1.0], &[], EXACT).unwrap_err();
        assert!(matches!(error, DynamicsError::Integration { time, .. } if (0.9..2.0).contains(&time)), "{error}");
    }
}
