//! One table for many arms: a name with `{key}` in it, and a list of values for the key.

use std::collections::BTreeMap;

use serde_json::Value;

use super::table::Table;
use crate::file::{Fault, kebab};

/// Keys whose value is itself a pair of numbers: a list of pairs makes arms of them.
const PAIRS: [&str; 2] = ["initial_leak", "initial_write"];

/// One arm of a pattern.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct One {
    pub(super) name: String,
    pub(super) table: Table,
    /// Places of its values in the lists.
    pub(super) chosen: BTreeMap<String, usize>,
}

/// The arms of a table, in the order of the lists; one where its name has no `{key}`.
///
/// # Errors
/// For a list that the name does not have, and a key in the name without a list.
pub(super) fn expand(name: &str, table: &Table) -> Result<Vec<One>, Fault> {
    let keys = placeholders(name)?;
    let is_list = |key: &str, value: &Value| value.is_array() && !(PAIRS.contains(&key) && value[0].is_number());
    if let Some((key, _)) = table.iter().find(|(key, value)| is_list(key, value) && !keys.contains(&key.as_str())) {
        let example = format!("[arms.\"{name}-{{{key}}}\"]");
        let message =
            format!("a list makes one arm of each of its values, and the name must say which: write {example}");
        return Err(Fault::at(key, message));
    }
    let one = One { name: name.into(), table: table.clone(), chosen: BTreeMap::new() };
    keys.into_iter().try_fold(vec![one], |arms, key| {
        let values = table.get(key).and_then(Value::as_array).filter(|values| !values.is_empty());
        let values = values.ok_or_else(|| {
            Fault::new(format!("the name has {{{key}}}, and so the table needs a list: {key} = [\"…\", \"…\"]"))
        })?;
        let of = |arm: &One| values.iter().enumerate().map(|(at, value)| with(arm, key, at, value)).collect::<Vec<_>>();
        Ok(arms.iter().flat_map(of).collect())
    })
}

/// The arm with one value of a list.
fn with(arm: &One, key: &str, at: usize, value: &Value) -> One {
    let (hole, label) = (format!("{{{key}}}"), label(value));
    let mut one = One { name: arm.name.replace(&hole, &label), ..arm.clone() };
    one.table.insert(key.into(), value.clone());
    for text in one.table.values_mut() {
        if let Value::String(text) = text {
            *text = text.replace(&hole, &label);
        }
    }
    one.chosen.insert(key.into(), at);
    one
}

/// Keys between braces, each once.
fn placeholders(name: &str) -> Result<Vec<&str>, Fault> {
    let fault = || Fault::new(format!("the braces in \"{name}\" must stand around a key, such as {{feature_map}}"));
    let mut keys = Vec::new();
    let mut rest = name;
    while let Some((_, after)) = rest.split_once('{') {
        let (key, after) = after.split_once('}').filter(|(key, _)| !key.contains('{')).ok_or_else(fault)?;
        if !keys.contains(&key) {
            keys.push(key);
        }
        rest = after;
    }
    if rest.contains('}') { Err(fault()) } else { Ok(keys) }
}

/// A value as part of a name: "dpfp-2" of `{ dpfp = { nu = 2 } }`.
fn label(value: &Value) -> String {
    match value {
        Value::String(text) => kebab(text),
        Value::Object(fields) => {
            let one = |(key, value): (&String, &Value)| match value {
                Value::Object(_) => format!("{}-{}", kebab(key), label(value)),
                value => label(value),
            };
            fields.iter().map(one).collect::<Vec<_>>().join("-")
        }
        Value::Array(items) => items.iter().map(label).collect::<Vec<_>>().join("-"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names(name: &str, table: Value) -> Result<Vec<String>, Fault> {
        Ok(expand(name, table.as_object().unwrap())?.into_iter().map(|arm| arm.name).collect())
    }

    #[test]
    fn a_name_with_keys_is_every_combination() {
        let table = json!({ "base": "linear", "map": ["elu", { "dpfp": { "nu": 2 } }], "layers": [1, 2] });
        assert_eq!(names("{map}-{layers}", table.clone()).unwrap(), ["elu-1", "elu-2", "dpfp-2-1", "dpfp-2-2"]);
        let last = expand("{map}-{layers}", table.as_object().unwrap()).unwrap().pop().unwrap();
        assert_eq!(Value::Object(last.table), json!({ "base": "linear", "map": { "dpfp": { "nu": 2 } }, "layers": 2 }));
        assert_eq!(last.chosen, BTreeMap::from([("map".into(), 1), ("layers".into(), 1)]));
        let told = expand("x-{map}", json!({ "map": ["elu"], "description": "with {map}" }).as_object().unwrap());
        assert_eq!(told.unwrap()[0].table["description"], "with elu");
        assert_eq!(names("plain", json!({})).unwrap(), ["plain"]);
        // A pair is a value, and a list of pairs a list of values.
        assert_eq!(names("high", json!({ "initial_write": [1.0, 1.9] })).unwrap(), ["high"]);
        let pairs = json!({ "initial_write": [[1.0, 1.9], [0.5, 1.0]] });
        assert_eq!(names("high-{initial_write}", pairs.clone()).unwrap(), ["high-1.0-1.9", "high-0.5-1.0"]);
        assert!(names("high", pairs).is_err());
    }

    #[test]
    fn a_list_and_its_place_in_the_name_need_each_other() {
        let said = |name, table| names(name, table).unwrap_err().to_string();
        let list = said("gated", json!({ "feature_map": ["elu"] }));
        assert!(list.starts_with("feature_map: ") && list.ends_with("write [arms.\"gated-{feature_map}\"]"), "{list}");
        let hole = said("gated-{map}", json!({ "map": "elu" }));
        assert!(hole.contains("the name has {map}") && hole.contains("map = ["), "{hole}");
        for name in ["a-{", "a-}", "a-{b{c}}"] {
            assert!(said(name, json!({ "b": [1], "c": [1] })).contains("braces"), "{name}");
        }
    }
}
