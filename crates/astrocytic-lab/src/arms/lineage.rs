//! Tables by the names of their arms, their bases followed.

use std::sync::LazyLock;

use serde_json::Value;

use super::names;
use super::preset::Preset;
use super::table::{ABOUT, Definitions, Table};
use crate::file::{Fault, Source, nearest, typed};
use crate::results::Role;

/// The built-in arms, in the order of their file, the baseline first.
pub(super) static BUILT_IN: LazyLock<Vec<(String, Table)>> = LazyLock::new(|| {
    let source = Source::parse("built_in.toml".into(), include_str!("built_in.toml").into()).expect("it is TOML");
    let table = |name: String| {
        let table = source.value()[&name].as_object().expect("a table").clone();
        (name, table)
    };
    source.keys(&[]).into_iter().map(table).collect()
});

/// What tables say of an arm, its bases followed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Merged {
    pub(super) preset: Preset,
    pub(super) role: Role,
    pub(super) description: String,
    /// Every other value, the arm's own before those of its bases.
    pub(super) values: Table,
}

/// The table of an arm.
pub(super) fn table<'a>(name: &str, own: &'a Definitions) -> Option<&'a Table> {
    own.get(name).or_else(|| BUILT_IN.iter().find(|(known, _)| known == name).map(|(_, table)| table))
}

/// Names of arms without endings, those of a file first.
pub(super) fn known(own: &Definitions) -> impl Iterator<Item = &str> {
    own.keys().map(String::as_str).chain(BUILT_IN.iter().map(|(name, _)| name.as_str()))
}

/// A name that is no arm's.
pub(super) fn unknown(name: &str, own: &Definitions) -> Fault {
    let near = nearest(name, known(own)).join(", ");
    Fault::new(format!("unknown arm \"{name}\"; nearest: {near}; see `astrocytic arms list`"))
}

/// What tables say of an arm, its bases followed.
///
/// # Errors
/// For a base that is none, or the arm itself, and for what every table must have.
pub(super) fn merged(name: &str, own: &Definitions) -> Result<Merged, Fault> {
    let mut lineage: Vec<(String, &Table)> = Vec::new();
    let mut next = name.to_string();
    loop {
        let table = table(&next, own).ok_or_else(|| unknown(&next, own)).map_err(|fault| match lineage.is_empty() {
            true => fault,
            false => fault.within("base"),
        })?;
        if let Some(start) = lineage.iter().position(|(before, _)| *before == next) {
            let circle: Vec<&str> = lineage[start..].iter().map(|(name, _)| name.as_str()).collect();
            return Err(Fault::at("base", format!("a circle: {} → {next}", circle.join(" → "))));
        }
        lineage.push((next, table));
        match (text(table, "base")?, table.get("preset")) {
            (Some(_), Some(_)) => return Err(Fault::at("base", "a base or a preset, not both")),
            (Some(base), None) => next = names::current(base, &[]),
            (None, Some(preset)) => {
                let preset = typed(preset).map_err(|fault| fault.within("preset"))?;
                return merge(&lineage, preset);
            }
            (None, None) => {
                return Err(Fault::new(
                    "base or preset is missing: base = \"ARM\" begins with another arm, preset = \"…\" with a layer",
                ));
            }
        }
    }
}

fn merge(lineage: &[(String, &Table)], preset: Preset) -> Result<Merged, Fault> {
    let mut values = Table::new();
    let mut role = preset.role();
    for (place, (_, table)) in lineage.iter().enumerate().rev() {
        let said: Option<Role> = table.get("role").map(typed).transpose().map_err(|f: Fault| f.within("role"))?;
        role = said.unwrap_or(role);
        if place > 0 && role == Role::Baseline {
            // What is made of it is compared with it.
            role = Role::Control;
        }
        values.extend(table.iter().filter(|(key, _)| !ABOUT.contains(&key.as_str())).map(own));
    }
    let (name, table) = &lineage[0];
    let description = match text(table, "description")? {
        Some(description) => description.into(),
        None => describe(table, lineage.get(1).map_or(name, |(base, _)| base)),
    };
    Ok(Merged { preset, role, description, values })
}

fn own((key, value): (&String, &Value)) -> (String, Value) {
    (key.clone(), value.clone())
}

/// A line on an arm that has none: what it changes.
fn describe(table: &Table, base: &str) -> String {
    let changed = table.iter().filter(|(key, _)| !ABOUT.contains(&key.as_str()));
    let changed: Vec<String> = changed.map(|(key, value)| format!("{key} = {}", inline(value))).collect();
    if changed.is_empty() { base.into() } else { format!("{base} with {}", changed.join(", ")) }
}

/// A value as TOML writes it in a line.
pub(super) fn inline(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| format!("{key} = {}", inline(value)));
            format!("{{ {} }}", fields.collect::<Vec<_>>().join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

fn text<'a>(table: &'a Table, key: &str) -> Result<Option<&'a str>, Fault> {
    let fault = || Fault::at(key, "text in quotation marks is wanted");
    table.get(key).map(|value| value.as_str().ok_or_else(fault)).transpose()
}
