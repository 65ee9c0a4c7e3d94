//! An arm as the command line shows it: in words, in numbers, and what its options come to.

use std::fmt;

use anyhow::Result;
use serde::Serialize;
use serde_json::{Map, Value};

use super::arm::{Arm, Matching};
use super::endings::Beyond;
use super::find::find;
use super::lineage::inline;
use super::lookup::BUILT_IN;
use super::model_config::parameters;
use super::sizes::{Sizes, carried_tokens};
use super::table::{Definitions, Draw};
use crate::file::{Fault, kebab};
use crate::results::Role;

/// One line on an arm.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// What it does.
    pub description: String,
}

/// The arms of a file in their order, then the built-in ones.
///
/// # Errors
/// For a table that cannot be.
pub fn listed(names: &[String], own: &Definitions) -> Result<Vec<Listed>, Fault> {
    let names = names.iter().chain(BUILT_IN.iter().map(|(name, _)| name));
    let listed = names.map(|name| {
        let Arm { name, role, description, .. } = find(name, own)?;
        Ok(Listed { name, role, description })
    });
    listed.collect()
}

/// An arm at given sizes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ArmSheet {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// What it does.
    pub description: String,
    /// Trained parameters.
    pub parameters: u64,
    /// Bytes that it keeps of a full context, f32.
    pub state_bytes: u64,
    /// Operations of a forward pass for each token.
    pub flops_per_token: f64,
    /// Times the data of a cell that it is given.
    pub data: f64,
    /// What its table says of how it is compared, where that is not what other arms do.
    pub comparison: Vec<(String, String)>,
    /// Everything that its model is made of.
    pub model: Value,
}

impl ArmSheet {
    /// The arm of that name, one of a file or a built-in one.
    ///
    /// # Errors
    /// For a name that is none, and sizes that its model cannot have.
    pub fn of(name: &str, own: &Definitions, sizes: Sizes) -> Result<Self> {
        let arm = find(name, own)?;
        let model = arm.model(sizes)?;
        let parameters = parameters(&model)?;
        let carried = if arm.is_carried() { carried_tokens(sizes.context) } else { 0 };
        let learned = match arm.beyond {
            Beyond::Learned(way) => way.learns.state_bytes(sizes.vocabulary, sizes.d_model, parameters),
            Beyond::Nothing | Beyond::Carried => 0,
        };
        Ok(Self {
            parameters,
            state_bytes: model.state_bytes(sizes.context + carried) + learned,
            flops_per_token: model.flops_per_token(sizes.context + 2 * carried),
            model: serde_json::to_value(&model)?,
            data: arm.data,
            comparison: comparison(&arm),
            name: arm.name,
            role: arm.role,
            description: arm.description,
        })
    }
}

impl fmt::Display for ArmSheet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, description, parameters, state_bytes, flops_per_token, data, .. } = self;
        writeln!(f, "{name} ({}): {description}", role_name(self.role))?;
        writeln!(
            f,
            "{parameters} parameters, {state_bytes} bytes of state, {flops_per_token:.0} operations per token"
        )?;
        if *data != 1.0 {
            writeln!(f, "given {data} times the data of each size")?;
        }
        let mut lines: Vec<_> = self.comparison.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        add("", &self.model, &mut lines);
        let width = lines.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
        let lines: Vec<String> = lines.iter().map(|(key, value)| format!("{key:width$} = {value}")).collect();
        f.write_str(&lines.join("\n"))
    }
}

/// Settings of an arm that are not the usual ones, as files write them.
fn comparison(arm: &Arm) -> Vec<(String, String)> {
    let matching = match &arm.matching {
        Matching::Parameters(_) => None,
        Matching::Flops(other) => Some(format!("{{ flops = \"{}\" }}", other.name)),
        Matching::Width(_) => Some("\"nothing\"".into()),
    };
    let other = |draw: Draw| (draw == Draw::Other).then(|| "\"other\"".to_string());
    let data = (arm.data != 1.0).then(|| arm.data.to_string());
    let all = [("match", matching), ("data", data), ("seeds", other(arm.seeds)), ("weights", other(arm.weights))];
    all.into_iter().filter_map(|(key, value)| Some((key.to_string(), value?))).collect()
}

/// A role as files write it.
pub fn role_name(role: Role) -> String {
    kebab(&format!("{role:?}"))
}

/// Lines of keys and values, as files write them.
fn add(key: &str, value: &Value, lines: &mut Vec<(String, String)>) {
    let inner = |name: &str| if key.is_empty() { name.to_string() } else { format!("{key}.{name}") };
    match value {
        Value::Array(layers) if key == "swapped" => {
            for layer in layers {
                add(&format!("layer {}", layer["layer"]), &layer["attention"], lines);
            }
        }
        Value::Object(fields) => match variant(fields) {
            // The attention's kind, and its own options below.
            Some((kind, options @ Value::Object(_))) if key == "attention" || key.starts_with("layer ") => {
                lines.push((key.into(), format!("\"{}\"", kebab(kind))));
                add(key, options, lines);
            }
            Some(_) => lines.push((key.into(), inline(&written(value)))),
            None => fields.iter().for_each(|(name, value)| add(&inner(name), value, lines)),
        },
        value => lines.push((key.into(), inline(&written(value)))),
    }
}

/// A variant with values: one key, not in lower case.
fn variant(fields: &Map<String, Value>) -> Option<(&str, &Value)> {
    let (name, value) = fields.iter().next().filter(|_| fields.len() == 1)?;
    name.starts_with(|c: char| c.is_ascii_uppercase()).then_some((name, value))
}

/// A value in the words of a file.
fn written(value: &Value) -> Value {
    match value {
        Value::Null => "none".into(),
        Value::String(text) => kebab(text).into(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (if variant(fields).is_some() { kebab(name) } else { name.clone() }, written(value)))
            .collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_says_what_options_come_to() {
        let sizes =
            Sizes { vocabulary: 512, d_model: 64, layers: 2, heads: 2, dropout: 0.1, context: 64, feed_forward: true };
        let none = Definitions::new();
        let sheet = ArmSheet::of("gated-linear-last-softmax", &none, sizes).unwrap().to_string();
        for line in [
            "gated-linear-last-softmax (astrocytic): ",
            "parameters",
            "\"gated\"",
            "layer 1 ",
            "{ rotary = { theta = 10000.0 } }",
        ] {
            assert!(sheet.contains(line), "{line}: {sheet}");
        }
        let all = listed(&[], &none).unwrap();
        assert_eq!((all[0].name.as_str(), all[0].role), ("vanilla", Role::Baseline));
        assert!(ArmSheet::of("untrained", &none, sizes).unwrap().to_string().contains("given 0 times"));
        for (name, line) in [
            ("vanilla-other-weights", "weights "),
            ("vanilla-other-seeds", "seeds "),
            ("vanilla-more-data", "data "),
            ("vanilla-wide", "match "),
        ] {
            let sheet = ArmSheet::of(name, &none, sizes).unwrap().to_string();
            assert!(sheet.lines().any(|said| said.starts_with(line)), "{line}: {sheet}");
        }
        let unknown = ArmSheet::of("vanila", &none, sizes).unwrap_err().to_string();
        assert!(unknown.starts_with("unknown arm \"vanila\"; nearest: vanilla, "), "{unknown}");
    }
}
