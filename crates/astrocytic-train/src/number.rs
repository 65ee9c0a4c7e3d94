//! Figures in JSON: twelve digits, because `serde_json` reads back the last of seventeen only
//! nearly right, and a report made from memory must equal one made from the file; null for NaN and
//! infinity, which a run that diverged may have.

use serde::{Deserialize, Deserializer, Serializer};

/// Writes a figure.
///
/// # Errors
/// The serializer's.
pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    match format!("{value:.11e}").parse::<f64>() {
        Ok(rounded) if rounded.is_finite() => serializer.serialize_f64(rounded),
        _ => serializer.serialize_none(),
    }
}

/// Reads a figure; null is NaN.
///
/// # Errors
/// The deserializer's.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}
