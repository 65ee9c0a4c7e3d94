//! How far a Llama's attention and its rotary positions reach.

use serde_json::Value;

use crate::pretrained::error::PretrainedError;
use crate::pretrained::fields::Fields;

/// Refuses a window of attention that is shorter than the texts.
pub(super) fn window(fields: &Fields, kind: &str, max_steps: usize) -> Result<(), PretrainedError> {
    if fields.get("use_sliding_window") == Some(&Value::Bool(false)) {
        return Ok(());
    }
    if let Some(Value::Array(types)) = fields.get("layer_types")
        && let Some(other) = types.iter().find(|&kind| kind != "full_attention")
    {
        return Err(fields.error(format!("layer_types with {other} is not supported; only \"full_attention\" is")));
    }
    let Some(window) = fields.get("sliding_window") else {
        if kind == "mistral" && !fields.map.contains_key("sliding_window") && max_steps > 4096 {
            fields.note("sliding_window is missing: taken for none; the library's default is 4096");
        }
        return Ok(());
    };
    if kind == "llama" && fields.get("use_sliding_window").is_none() {
        fields.note(format_args!("sliding_window = {window} is no field of Llama: ignored"));
        return Ok(());
    }
    if window.as_u64().is_some_and(|window| window >= max_steps as u64) {
        return Ok(());
    }
    Err(fields.error(format!("sliding_window = {window} is not supported; attention to all {max_steps} steps is")))
}

/// θ, which stands alone or, in newer files, among `rope_parameters`; only a scaling that changes
/// nothing is supported.
pub(super) fn rotary_theta(fields: &Fields) -> Result<f64, PretrainedError> {
    let mut theta = fields.number_or("rope_theta", 10_000.0)?;
    for name in ["rope_scaling", "rope_parameters"] {
        let Some(value) = fields.get(name) else { continue };
        let Value::Object(map) = value else { return Err(fields.error(format!("{name} = {value} must be an object"))) };
        let within = Fields::new(fields.path, map.clone());
        theta = within.number_or("rope_theta", theta)?;
        within.only("partial_rotary_factor", 1)?;
        let kind = within.get(within.spelled(&["rope_type", "type"]));
        if kind.is_some_and(|kind| kind == "default") {
            // Nothing else is read then.
            continue;
        }
        let known = |key: &str| matches!(key, "rope_theta" | "rope_type" | "type" | "partial_rotary_factor");
        let scaled = map.iter().find(|(key, value)| !known(key) && !value.is_null());
        let neutral = match kind.map(Value::as_str) {
            None => scaled.is_none() || is_one(within.get("factor")),
            // A factor of 1 leaves every wavelength as it is.
            Some(Some("linear" | "llama3")) => is_one(within.get("factor")),
            // Here the factor is another where the original steps are given.
            Some(Some("yarn")) => {
                is_one(within.get("factor"))
                    && within.get("attention_factor").is_none_or(|value| is_one(Some(value)))
                    && within.get("original_max_position_embeddings").is_none()
            }
            Some(_) => false,
        };
        if !neutral {
            let (key, value) = match kind {
                Some(kind) => (within.spelled(&["rope_type", "type"]), kind),
                None => scaled.map_or(("", value), |(key, value)| (key.as_str(), value)),
            };
            return Err(
                fields.error(format!("{name}.{key} = {value} is not supported; only plain rotary positions are"))
            );
        }
    }
    Ok(theta)
}

fn is_one(value: Option<&Value>) -> bool {
    value.and_then(Value::as_f64) == Some(1.0)
}
