//! The arms of a file, and where in it each is said.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::Value;

use super::endings::ENDINGS;
use super::find::find;
use super::lookup::{BUILT_IN, current, without_ending};
use super::pattern::{One, expand};
use super::table::{Definitions, Table};
use crate::file::{Fault, Source};

/// The key of a file under which its arms stand.
const KEY: &str = "arms";
/// Names stand in tables, pictures and names of files.
const LONGEST_NAME: usize = 100;

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
                let (fault, place) = defined.located(fault.within(name).within(KEY));
                return Err(source.error(&fault, "", &place));
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

    /// The arms of a pattern's name, which an ending may follow, or the name itself.
    pub(crate) fn expanded(&self, name: &str) -> Vec<String> {
        let endings = ENDINGS.iter().filter_map(|(ending, ..)| Some((name.strip_suffix(ending)?, *ending)));
        let forms = std::iter::once((name, "")).chain(endings);
        let of = |(pattern, ending): (&str, &str)| {
            let own = |arm: &&String| self.origins.get(*arm).is_some_and(|(key, _)| key == pattern);
            self.names.iter().filter(own).map(|arm| format!("{arm}{ending}")).collect::<Vec<_>>()
        };
        forms.map(of).find(|arms| !arms.is_empty()).unwrap_or_else(|| vec![name.into()])
    }

    /// Names that stand for several arms.
    pub(crate) fn patterns(&self) -> impl Iterator<Item = &str> {
        self.origins.values().map(|(key, _)| key.as_str()).filter(|key| key.contains('{'))
    }

    /// A fault of the arm whose table says what is wrong, the arm of the path or one of its bases,
    /// and where in the file that is.
    pub(crate) fn located(&self, fault: Fault) -> (Fault, Vec<String>) {
        let path = fault.path().to_vec();
        let [key, name, rest @ ..] = &path[..] else { return (fault, path) };
        if key != KEY {
            return (fault, path);
        }
        let name = self.owner(name, rest.first().map_or("", String::as_str));
        let Some((table, chosen)) = self.origins.get(&name) else { return (fault, path) };
        let mut place = vec![KEY.to_string(), table.clone()];
        if let Some((field, deeper)) = rest.split_first() {
            let said = |field: &str| self.tables.get(&name).is_some_and(|table| table.contains_key(field));
            let is_other = field == "heads" && !said(field) && said("n_heads");
            place.push(if is_other { "n_heads".into() } else { field.clone() });
            place.extend(chosen.get(field).map(ToString::to_string));
            place.extend(deeper.iter().cloned());
        }
        let path = [&[KEY.to_string(), name], rest].concat();
        (fault.moved(path), place)
    }

    /// The arm that says a field: this one or its nearest base that does; if none does, this one.
    fn owner(&self, name: &str, field: &str) -> String {
        let first = without_ending(name, &self.tables);
        let mut name = first.clone();
        // Bases may be a circle.
        for _ in 0..self.names.len() {
            let Some(table) = self.tables.get(&name) else { break };
            if table.contains_key(field) || (field == "heads" && table.contains_key("n_heads")) {
                return name;
            }
            let Some(base) = table.get("base").and_then(Value::as_str) else { break };
            name = without_ending(base, &self.tables);
        }
        first
    }
}

/// Whether an arm of a file can be called so.
fn check(name: &str) -> Result<(), Fault> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.chars().all(plain) {
        return Err(Fault::new(format!("\"{name}\" is no name; use a-z, 0-9, -, _ and .")));
    }
    if name.len() > LONGEST_NAME {
        let start: String = name.chars().take(20).collect();
        let message = format!("\"{start}…\" has {} characters; at most {LONGEST_NAME}", name.len());
        return Err(Fault::new(message));
    }
    if let Some((ending, ..)) = ENDINGS.iter().find(|(ending, ..)| name.ends_with(ending)) {
        return Err(Fault::new(format!(
            "\"{name}\": what ends in {ending} is an arm that the program makes of another"
        )));
    }
    if BUILT_IN.iter().any(|(known, _)| *known == current(name, &Definitions::new())) {
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
    use crate::arms::Beyond;

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
        assert_eq!(all.expanded("mine-{feature_map}+ngram"), ["mine-elu+ngram", "mine-taylor+ngram"]);
        assert_eq!(all.expanded("mine+ngram"), ["mine+ngram"]);
        let hybrid = needed(["hybrid+ngram"], &all.tables);
        assert_eq!(hybrid.keys().collect::<Vec<_>>(), ["hybrid", "mine", "mine-elu"]);
        let mine = find("mine-carried", &all.tables).unwrap();
        assert!(mine.is_carried() && mine.description.starts_with("tripartite with decay = \"fixed\";"));
        // A fault of a base is where the base says it, and names it.
        let located = |path: &[&str]| {
            let path = path.iter().map(ToString::to_string).collect();
            let (fault, place) = all.located(Fault::new("").moved(path));
            (fault.path().join(" "), place.join(" "))
        };
        assert_eq!(located(&["arms", "hybrid", "decay"]), ("arms mine decay".into(), "arms mine decay".into()));
        let (fault, place) = located(&["arms", "mine-taylor", "feature_map"]);
        assert_eq!(
            (fault.as_str(), place.as_str()),
            ("arms mine-taylor feature_map", "arms mine-{feature_map} feature_map 1")
        );
        assert_eq!(located(&["arms", "hybrid"]), ("arms hybrid".into(), "arms hybrid".into()));
    }

    #[test]
    fn a_table_of_the_file_comes_before_endings_and_names_from_before() {
        let table = |name: &str, heads: u32| format!("[arms.{name}]\nbase = \"linear\"\nheads = {heads}\n");
        let text =
            [table("mine", 1), table("mine-dynamic", 2), table("linear-plastic", 4), table("x-memory", 8)].concat();
        let all = defined(&text).unwrap();
        for (name, own) in [("mine-dynamic", "heads = 2"), ("linear-plastic", "heads = 4"), ("x-memory", "heads = 8")] {
            let arm = find(name, &all.tables).unwrap();
            assert!(arm.description.ends_with(own) && arm.beyond == Beyond::Nothing, "{name}: {}", arm.description);
            assert_eq!(needed([name], &all.tables).keys().collect::<Vec<_>>(), [name]);
        }
        // Where there is no such table, the name from before is an ending's.
        let dynamic = find("mine+dynamic", &all.tables).unwrap();
        assert_eq!(find("x-memory-dynamic", &all.tables).unwrap().beyond, dynamic.beyond);
        let learning = find("mine-dynamic+ngram", &all.tables).unwrap();
        assert!(learning.description.contains("heads = 2;") && learning.beyond != Beyond::Nothing);
        let long = defined(&format!("[arms.{}]\nbase = \"linear\"\n", "a".repeat(101))).unwrap_err().to_string();
        assert!(long.contains("has 101 characters; at most 100") && !long.contains(&"a".repeat(102)), "{long}");
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
            (
                "[arms.a]\nbase = \"vanilla\"\nfeature_map = \"elu\"",
                "arms.a.feature_map",
                "an option of astrocytic attention; this arm's preset is softmax",
            ),
            ("[arms.a]\nbase = \"linear\"\nattention_dropout = 0.1", "arms.a.attention_dropout", "preset is linear"),
            ("[arms.a]\nbase = \"rmaat\"\npositions = 8", "arms.a.positions", "a decoder; this arm is an encoder"),
            ("[arms.a]\nbase = \"linear\"\nheads = 1\nn_heads = 2", "arms.a.n_heads", "write heads alone"),
            ("[arms.a]\nbase = \"vanilla+ngrm\"", "arms.a.base", "did you mean \"vanilla+ngram\"?"),
            (
                "[arms.a]\nbase = \"vanilla+ngram\"",
                "arms.a.base",
                "write base = \"vanilla\" and learns = \"ngram\", through_documents = true",
            ),
            ("[arms.a]\nbase = \"b\"\n[arms.b]\nbase = \"c\"\n[arms.c]\nbase = \"b\"", "arms.b.base", "b → c → b"),
            (
                "[arms.a]\nbase = \"linear\"\nlayers = { last = \"b\" }\n[arms.b]\nbase = \"liner\"",
                "arms.b.base",
                "nearest: linear",
            ),
            ("[arms.a]\nbase = \"linear\"\nlayers = { last = \"a\" }", "arms.a.layers.last", "the arm itself"),
            ("[arms.a]\nbase = \"linear\"\nlayers = { last = \"rmt\" }", "arms.a.layers.last", "is an encoder"),
            ("[arms.a]\nbase = \"linear\"\nlayers = { last = \"untrained\" }", "arms.a.layers.last", "to lend"),
            (
                "[arms.a]\nbase = \"linear\"\nlayers = { last = \"linear+ngram\" }",
                "arms.a.layers.last",
                "write \"linear\"",
            ),
            (
                "[arms.a]\nbase = \"linear\"\nmatch = { flops = \"b\" }\n[arms.b]\nbase = \"linear\"\nmatch = { flops = \"b\" }",
                "arms.b.match.flops",
                "a circle: b → b",
            ),
            ("[arms.a]\nbase = \"linear\"\ndescription = \"a\\nb\"", "arms.a.description", "one line"),
            ("[arms.a]\nbase = \"linear\"\nd_model = 64", "arms.a.d_model", "the arms of a study share it"),
            ("[arms.a]\nbase = \"linear\"\nd_hidden = 64", "arms.a.d_hidden", "match = \"nothing\""),
            ("[arms.a]\nbase = \"linear\"\nrole = \"controll\"", "arms.a.role", "did you mean \"control\"?"),
            ("[arms.a]\nbase = \"linear\"\ndata = -1", "arms.a.data", "at least 0"),
            ("[arms.a]\nbase = \"linear\"\nlayers = { last = \"vanila\" }", "arms.a.layers.last", "nearest: vanilla"),
            ("[arms.a]\nbase = \"linear\"\nmatch = { flops = \"a\" }", "arms.a.match.flops", "a circle"),
            ("[arms.a]\nbase = \"linear\"\nlearns = \"ngrams\"", "arms.a.learns", "did you mean \"ngram\"?"),
            ("[arms.a]\nbase = \"linear\"\nreads = \"segments\"", "arms.a.reads", "model = \"encoder\""),
            ("[arms]\na = 1", "arms.a", "a table is wanted"),
        ] {
            let error = defined(text).unwrap_err().to_string();
            let message = error.splitn(4, ':').last().unwrap().trim();
            assert!(message.starts_with(path) && message.contains(said), "{text}: {error}");
        }
    }
}
