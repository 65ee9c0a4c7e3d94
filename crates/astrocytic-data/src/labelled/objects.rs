//! JSON objects with a text and a label, one a line.

use serde_json::{Map, Value};

use super::row::{LabelledText, Rows};
use crate::text;

pub(super) fn rows(text: &str) -> Rows {
    let row = |(number, line): (usize, &str)| {
        if line.trim().is_empty() {
            return Ok(None);
        }
        let object: Map<String, Value> = serde_json::from_str(line)
            .map_err(|_| format!("line {number} is no JSON object; write one a line, with members text and label"))?;
        let member = |wanted: &str| {
            let named = object.iter().filter(|(name, _)| name.trim().eq_ignore_ascii_case(wanted));
            let values: Vec<&Value> = named.map(|(_, value)| value).collect();
            match values[..] {
                [] | [Value::Null] => Ok(String::new()),
                [Value::String(text)] => Ok(text.trim().into()),
                // 1 and 1.0 are one label.
                [Value::Number(number)] => Ok(number.as_f64().map_or(number.to_string(), |number| number.to_string())),
                [Value::Bool(flag)] => Ok(flag.to_string()),
                [_] => Err(format!("line {number}: \"{wanted}\" is neither a text nor a number")),
                [..] => Err(format!("line {number} has two members \"{wanted}\"; rename one of them")),
            }
        };
        let (label, text) = (member("label")?, member("text")?);
        let empty = |value: &Value| value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty());
        if object.values().all(empty) { Ok(None) } else { LabelledText::whole(number, label, text).map(Some) }
    };
    text::lines(text).map(row).collect()
}
