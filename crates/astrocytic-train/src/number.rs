//! Figures of a run that diverged may be NaN or infinite. JSON has neither: `serde_json` writes
//! null, which is read as NaN.

use serde::{Deserialize, Deserializer};

/// Reads a figure; null is NaN.
///
/// # Errors
/// The deserializer's.
pub fn null_is_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}
