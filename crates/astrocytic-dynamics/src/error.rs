/// Why a network cannot be simulated.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DynamicsError {
    /// A parameter makes no sense: which, its value, what would do.
    #[error("{0}")]
    Parameter(String),
    /// The integrator gave up or the state is no longer finite.
    #[error("at {time} s the integration cannot go on: {reason}")]
    Integration {
        /// When, in seconds.
        time: f64,
        /// Why.
        reason: String,
    },
}

/// Refuses a time constant that is not above 0 and finite.
pub(crate) fn positive(name: &str, value: f64) -> Result<(), DynamicsError> {
    if value > 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(DynamicsError::Parameter(format!("{name} = {value} must be above 0 and finite")))
}
