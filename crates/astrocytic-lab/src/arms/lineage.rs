//! Tables by the names of their arms, their bases followed.

use serde_json::Value;

use super::endings::ENDINGS;
use super::lookup::{known, split, table};
use super::preset::Preset;
use super::table::{ABOUT, Definitions, Table};
use crate::file::{Fault, did_you_mean, nearest, typed};
use crate::results::Role;

/// What tables say of an arm, its bases followed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Merged {
    pub(super) preset: Preset,
    pub(super) role: Role,
    pub(super) description: String,
    /// Every other value, the arm's own before those of its bases.
    pub(super) values: Table,
}

/// A name that is no arm's, and what it may have been meant for.
pub(super) fn unknown(name: &str, own: &Definitions) -> Fault {
    if name.contains('{') {
        return Fault::new(format!("\"{name}\" is a pattern's name, which stands for several arms; name one arm"));
    }
    let meant = misspelt(name, own).map(|meant| format!("did you mean \"{meant}\"?"));
    let near = || format!("nearest: {}; see `astrocytic arms list`", nearest(name, known(own)).join(", "));
    Fault::new(format!("unknown arm \"{name}\"; {}", meant.unwrap_or_else(near)))
}

/// An arm's name with an ending of which one is misspelt.
fn misspelt(name: &str, own: &Definitions) -> Option<String> {
    let near = |text: &str, all: Vec<&str>| {
        let found = nearest(text, all.iter().copied()).first().map(ToString::to_string)?;
        (!did_you_mean(text, all).is_empty()).then_some(found)
    };
    let endings: Vec<&str> = ENDINGS.iter().map(|(ending, ..)| *ending).collect();
    let model = known(own).filter(|model| name.starts_with(model)).max_by_key(|model| model.len());
    let ending =
        || near(&name[model?.len()..], endings.clone()).map(|ending| format!("{}{ending}", model.unwrap_or("")));
    let model = || {
        let ending = endings.iter().find(|ending| name.ends_with(*ending))?;
        near(name.strip_suffix(ending)?, known(own).collect()).map(|model| format!("{model}{ending}"))
    };
    ending().or_else(model)
}

/// A fault of a table, with its path in the file where it is one of a file.
pub(super) fn of_table(fault: Fault, name: &str, own: &Definitions) -> Fault {
    if own.contains_key(name) { fault.within(name).within("arms").of_file() } else { fault }
}

/// What tables say of an arm, its bases followed.
///
/// # Errors
/// For a base that is none, or the arm itself, and for what every table must have.
pub(super) fn merged(name: &str, own: &Definitions) -> Result<Merged, Fault> {
    let mut lineage: Vec<(String, &Table)> = Vec::new();
    let mut next = name.to_string();
    loop {
        let table = table(&next, own).ok_or_else(|| unknown(&next, own))?;
        lineage.push((next.clone(), table));
        match begins(table, &lineage, own).map_err(|fault| of_table(fault, &next, own))? {
            Begins::Base(base) => next = base,
            Begins::Preset(preset) => return merge(&lineage, preset, own),
        }
    }
}

/// What a table begins with.
enum Begins {
    /// Another table.
    Base(String),
    Preset(Preset),
}

/// What the last table of a lineage begins with.
fn begins(table: &Table, lineage: &[(String, &Table)], own: &Definitions) -> Result<Begins, Fault> {
    let base = match (text(table, "base")?, table.get("preset")) {
        (Some(_), Some(_)) => return Err(Fault::at("base", "a base or a preset, not both")),
        (Some(base), None) => base,
        (None, Some(preset)) => return typed(preset).map(Begins::Preset).map_err(|fault| fault.within("preset")),
        (None, None) => {
            return Err(Fault::new(
                "base or preset is missing: base = \"ARM\" begins with another arm, preset = \"…\" with a layer",
            ));
        }
    };
    let base = match split(base, own).ok_or_else(|| unknown(base, own).within("base"))? {
        (base, None) => base,
        (model, Some((_, beyond, _))) => {
            let instead = format!("write base = \"{model}\" and {}", beyond.settings());
            return Err(Fault::at("base", format!("\"{base}\" has an ending, which a base cannot have; {instead}")));
        }
    };
    if let Some(start) = lineage.iter().position(|(before, _)| *before == base) {
        let circle: Vec<&str> = lineage[start..].iter().map(|(name, _)| name.as_str()).collect();
        let fault = Fault::at("base", format!("a circle: {} → {base}", circle.join(" → ")));
        return Err(of_table(fault, &base, own));
    }
    Ok(Begins::Base(base))
}

fn merge(lineage: &[(String, &Table)], preset: Preset, own: &Definitions) -> Result<Merged, Fault> {
    let mut values = Table::new();
    let mut role = preset.role();
    for (place, (name, table)) in lineage.iter().enumerate().rev() {
        let said = table.get("role").map(typed::<Role>).transpose();
        let said = said.map_err(|fault| of_table(fault.within("role"), name, own))?;
        role = said.unwrap_or(role);
        if place > 0 && role == Role::Baseline {
            // What is made of it is compared with it.
            role = Role::Control;
        }
        values.extend(table.iter().filter(|(key, _)| !ABOUT.contains(&key.as_str())).map(pair));
    }
    let (name, table) = &lineage[0];
    let description = match text(table, "description")? {
        Some(text) if text.chars().any(char::is_control) => {
            return Err(Fault::at("description", "it stands in tables: one line, without tabs"));
        }
        Some(description) => description.into(),
        None => describe(table, lineage.get(1).map_or(name, |(base, _)| base)),
    };
    Ok(Merged { preset, role, description, values })
}

fn pair((key, value): (&String, &Value)) -> (String, Value) {
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
