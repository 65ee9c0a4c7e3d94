//! The arms of a file, and where in it each is said.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::Value;

use super::endings::ENDINGS;
use super::find::{current, find, without_ending};
use super::lineage::BUILT_IN;
use super::pattern::{One, expand};
use super::table::{Definitions, Table};
use crate::file::{Fault, Source};

/// The key of a file under which its arms stand.
const KEY: &str = "arms";

/// The arms of a file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Defined {
    /// Their tables.
    pub(crate) tables: Definitions,
    /// Their names in the order of the file.
    pub(crate) names: Vec<String>,
    /// Which table of the file each is of, and which values of its lists.
    origins: BTreeMap<String, (String, BTreeMap<String, usize>)>,
}

impl Defined {
    /// Reads the arms of a file, each of which must be one.
    ///
    /// # Errors
    /// With the place in the file.
    pub(crate) fn of(source: &Source) -> Result<Self> {
        let mut defined = Self::default();
        let error = |fault: &Fault| source.error(fault, "", fault.path());
        if source.value().get(KEY).is_some_and(|arms| !arms.is_object()) {
            return Err(error(&Fault::at(KEY, "tables are wanted, such as [arms.my-arm]")));
        }
        for key in source.keys(&[KEY]) {
            let fault = match source.value()[KEY][&key].as_object() {
                Some(table) => defined.add(&key, table).err(),
                None => Some(Fault::new("a table is wanted")),
            };
            if let Some(fault) = fault {
                return Err(error(&fault.within(&key).within(KEY)));
            }
        }
        for name in &defined.names {
            if let Err(fault) = find(name, &defined.tables) {
                let fault = fault.within(name).within(KEY);
                return Err(source.error(&fault, "", &defined.place(fault.path())));
            }
        }
        Ok(defined)
    }

    fn add(&mut self, key: &str, table: &Table) -> Result<(), Fault> {
        for One { name, table, chosen } in expand(key, table)? {
            check(&name)?;
            if self.tables.insert(name.clone(), table).is_some() {
                return Err(Fault::new(format!("two arms are called {name}")));
            }
            self.origins.insert(name.clone(), (key.into(), chosen));
            self.names.push(name);
        }
        Ok(())
    }

    /// The arms of a pattern's name, or the name itself.
    pub(crate) fn expanded(&self, name: &str) -> Vec<String> {
        let own = |arm: &&String| self.origins.get(*arm).is_some_and(|(key, _)| key == name);
        let arms: Vec<String> = self.names.iter().filter(own).cloned().collect();
        if arms.is_empty() { vec![name.into()] } else { arms }
    }

    /// Where in the file a fault of an arm stands: in the arm's table, or in that of a base.
    pub(crate) fn place(&self, path: &[String]) -> Vec<String> {
        let [key, name, rest @ ..] = path else { return path.to_vec() };
        if key != KEY {
            return path.to_vec();
        }
        let field = rest.first().map_or("", String::as_str);
        let mut name = without_ending(name, &self.tables);
        let first = name.clone();
        // Bases are no circle where a fault is of something else; else the first table has it.
        for _ in 0..self.names.len() {
            match self.tables.get(&name) {
                Some(table) if !table.contains_key(field) => match table.get("base").and_then(Value::as_str) {
                    Some(base) if self.tables.contains_key(base) => name = base.into(),
                    _ => break,
                },
                _ => break,
            }
        }
        let has = self.tables.get(&name).is_some_and(|table| table.contains_key(field));
        let name = if has { name } else { first };
        let Some((key, chosen)) = self.origins.get(&name) else { return path.to_vec() };
        let mut place = vec![KEY.to_string(), key.clone()];
        if let Some((field, deeper)) = rest.split_first() {
            place.push(field.clone());
            place.extend(chosen.get(field).map(ToString::to_string));
            place.extend(deeper.iter().cloned());
        }
        place
    }
}

/// Whether an arm of a file can be called so.
fn check(name: &str) -> Result<(), Fault> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.chars().all(plain) {
        return Err(Fault::new(format!("\"{name}\" is no name; use a-z, 0-9, -, _ and .")));
    }
    if let Some((ending, ..)) = ENDINGS.iter().find(|(ending, ..)| name.ends_with(ending)) {
        return Err(Fault::new(format!(
            "\"{name}\": what ends in {ending} is an arm that the program makes of another"
        )));
    }
    if BUILT_IN.iter().any(|(known, _)| *known == current(name)) {
        return Err(Fault::new(format!("\"{name}\" is a built-in arm; give yours another name")));
    }
    Ok(())
}

/// Those of a file's arms that these names need.
pub(crate) fn needed<'a>(names: impl IntoIterator<Item = &'a str>, all: &Definitions) -> Definitions {
    let mut needed = Definitions::new();
    let mut waiting: Vec<String> = names.into_iter().map(|name| without_ending(name, all)).collect();
    while let Some(name) = waiting.pop() {
        let Some(table) = all.get(&name).filter(|_| !needed.contains_key(&name)) else { continue };
        let layers = table.get("layers").and_then(Value::as_object).into_iter().flat_map(|layers| layers.values());
        let flops = table.get("match").and_then(|matching| matching.get("flops"));
        let others = layers.chain(flops).chain(table.get("base")).filter_map(Value::as_str);
        waiting.extend(others.map(|name| without_ending(name, all)));
        needed.insert(name, table.clone());
    }
    needed
}

/// A file's arms as options of a run, each value by its name; what only describes is left out.
pub(crate) fn as_options(definitions: &Definitions) -> impl Iterator<Item = (String, Value)> {
    definitions.iter().flat_map(|(name, table)| {
        let values = table.iter().filter(|(key, _)| *key != "description");
        values.map(move |(key, value)| (format!("{KEY}.{name}.{key}"), value.clone()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defined(text: &str) -> Result<Defined> {
        Defined::of(&Source::parse("a.toml".into(), text.into()).unwrap())
    }

    #[test]
    fn arms_of_a_file_are_what_their_tables_say() {
        let text = "[arms.mine]\nbase = \"tripartite\"\ndecay = \"fixed\"\n[arms.\"mine-{feature_map}\"]\nbase = \"mine\"\n\
                    feature_map = [\"elu\", \"taylor\"]\n[arms.hybrid]\nbase = \"mine-elu\"\nlayers = { last = \"vanilla\" }\n\
                    match = { flops = \"mine\" }\n";
        let all = defined(text).unwrap();
        assert_eq!(all.names, ["mine", "mine-elu", "mine-taylor", "hybrid"]);
        assert_eq!(all.expanded("mine-{feature_map}"), ["mine-elu", "mine-taylor"]);
        let hybrid = needed(["hybrid+ngram"], &all.tables);
        assert_eq!(hybrid.keys().collect::<Vec<_>>(), ["hybrid", "mine", "mine-elu"]);
        let mine = find("mine-carried", &all.tables).unwrap();
        assert!(mine.is_carried() && mine.description.starts_with("tripartite with decay = \"fixed\";"));
        // A fault of a base is where the base says it.
        let path = |path: &[&str]| path.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(all.place(&path(&["arms", "hybrid", "decay"])), path(&["arms", "mine", "decay"]));
        let elu = all.place(&path(&["arms", "mine-taylor", "feature_map"]));
        assert_eq!(elu, path(&["arms", "mine-{feature_map}", "feature_map", "1"]));
        assert_eq!(all.place(&path(&["arms", "hybrid"])), path(&["arms", "hybrid"]));
    }

    #[test]
    fn what_is_no_arm_is_refused_with_its_key() {
        for (text, path, said) in [
            ("[arms.vanilla]\nbase = \"linear\"", "arms.vanilla", "is a built-in arm"),
            ("[arms.linear-norm]\nbase = \"linear\"", "arms.linear-norm", "is a built-in arm"),
            ("[arms.\"a b\"]\nbase = \"linear\"", "arms.a b", "is no name"),
            ("[arms.a-carried]\nbase = \"linear\"", "arms.a-carried", "ends in -carried"),
            ("[arms.a]\nbase = \"liner\"", "arms.a.base", "nearest: linear"),
            ("[arms.a]\nbase = \"b\"\n[arms.b]\nbase = \"a\"", "arms.a.base", "a circle: a → b → a"),
            ("[arms.a]\nbase = \"linear\"\npreset = \"linear\"", "arms.a.base", "not both"),
            ("[arms.a]\npreset = \"lineal\"", "arms.a.preset", "did you mean \"linear\"?"),
            ("[arms.a]\ndecay = \"gated\"", "arms.a", "base or preset is missing"),
            ("[arms.a]\nbase = \"linear\"\nfeature_mop = 1", "arms.a.feature_mop", "did you mean \"feature_map\"?"),
            ("[arms.a]\nbase = \"vanilla\"\nfeature_map = \"elu\"", "arms.a.feature_map", "unknown field"),
            ("[arms.a]\nbase = \"linear\"\nd_model = 64", "arms.a.d_model", "the arms of a study share it"),
            ("[arms.a]\nbase = \"linear\"\nd_hidden = 64", "arms.a.d_hidden", "match = \"nothing\""),
            ("[arms.a]\nbase = \"linear\"\nrole = \"controll\"", "arms.a.role", "did you mean \"control\"?"),
            ("[arms.a]\nbase = \"linear\"\ndata = -1", "arms.a.data", "at least 0"),
            ("[arms.a]\nbase = \"linear\"\nlayers = { last = \"vanila\" }", "arms.a.layers.last", "nearest: vanilla"),
            ("[arms.a]\nbase = \"linear\"\nmatch = { flops = \"a\" }", "arms.a.match.flops", "a circle"),
            ("[arms.a]\nbase = \"linear\"\nlearns = \"ngrams\"", "arms.a.learns", "did you mean \"ngram\"?"),
            ("[arms.a]\nbase = \"linear\"\nreads = \"segments\"", "arms.a.model", "model = \"encoder\""),
            ("[arms]\na = 1", "arms.a", "a table is wanted"),
        ] {
            let error = defined(text).unwrap_err().to_string();
            let message = error.splitn(4, ':').last().unwrap().trim();
            assert!(message.starts_with(path) && message.contains(said), "{text}: {error}");
        }
    }
}
