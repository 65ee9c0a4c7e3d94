//! Which initial weights can be.

use burn::nn::Initializer;

/// Says why an initialisation cannot be.
pub(crate) fn check_initializer(initializer: &Initializer) -> Result<(), String> {
    let fits = match *initializer {
        Initializer::Constant { value } => value.is_finite(),
        Initializer::Uniform { min, max } => min.is_finite() && max.is_finite() && min <= max,
        Initializer::Normal { mean, std } => mean.is_finite() && std.is_finite() && std >= 0.0,
        Initializer::KaimingUniform { gain, .. }
        | Initializer::KaimingNormal { gain, .. }
        | Initializer::XavierUniform { gain }
        | Initializer::XavierNormal { gain }
        | Initializer::Orthogonal { gain } => gain.is_finite() && gain > 0.0,
        _ => true,
    };
    match fits {
        true => Ok(()),
        false => {
            Err("initializer: its numbers must be finite, min at most max, std at least 0 and gain above 0".into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_negative_deviation_is_none() {
        for (initializer, fits) in [
            (Initializer::Normal { mean: 0.0, std: 0.02 }, true),
            (Initializer::Normal { mean: 0.0, std: -1.0 }, false),
            (Initializer::Uniform { min: 1.0, max: 0.0 }, false),
            (Initializer::XavierNormal { gain: f64::NAN }, false),
            (Initializer::Zeros, true),
        ] {
            assert_eq!(check_initializer(&initializer).is_ok(), fits, "{initializer}");
        }
    }
}
