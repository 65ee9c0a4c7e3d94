//! A TOML file, and where in it each value stands.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::Fault;

/// A file's values and their places.
#[derive(Debug)]
pub(crate) struct Source {
    /// As errors call it.
    name: String,
    text: String,
    /// A table of everything that it says.
    value: Value,
    root: Node,
}

/// Where a value stands, and what is inside it: items of a list by their numbers.
#[derive(Debug, Default)]
struct Node {
    key: Range<usize>,
    value: Range<usize>,
    children: BTreeMap<String, Node>,
}

impl Source {
    /// Reads a file.
    ///
    /// # Errors
    /// For a file that cannot be read or is no TOML.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(path.display().to_string(), text)
    }

    /// Reads a text; errors call it `name`.
    ///
    /// # Errors
    /// For a text that is no TOML, with the place.
    pub(crate) fn parse(name: String, text: String) -> Result<Self> {
        if text.trim_start().starts_with('{') {
            return Err(anyhow!(
                "{name}: it is JSON; write TOML, as for `astrocytic run`: question, expected, [shared] and [[studies]]"
            ));
        }
        let mut source = Self { name, text, value: Value::Null, root: Node::default() };
        let parsed = DeTable::parse(&source.text).and_then(|table| Ok((table, toml::from_str(&source.text)?)));
        match parsed {
            Ok((table, value)) => {
                if let Some((span, message)) = unusable(table.get_ref().values()) {
                    return Err(anyhow!("{}", source.marked(span, &message)));
                }
                let root = Node { children: children_of_table(table.get_ref()), ..Node::default() };
                (source.root, source.value) = (root, value);
                Ok(source)
            }
            Err(error) => {
                let message = error.message().replace('\n', " ");
                Err(anyhow!("{}", source.marked(error.span().unwrap_or_default(), &message)))
            }
        }
    }

    /// As errors call it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Everything that it says.
    pub(crate) fn value(&self) -> &Value {
        &self.value
    }

    /// The whole text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Keys of a table in the order in which the file has them.
    pub(crate) fn keys(&self, path: &[&str]) -> Vec<String> {
        let Some(node) = self.node(path) else { return Vec::new() };
        let mut keys: Vec<(usize, &String)> = node.children.iter().map(|(key, child)| (child.key.start, key)).collect();
        keys.sort();
        keys.into_iter().map(|(_, key)| key.clone()).collect()
    }

    /// Whether a value stands there.
    pub(crate) fn has(&self, path: &[&str]) -> bool {
        self.node(path).is_some()
    }

    fn node(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(&self.root, |node, key| node.children.get(*key))
    }

    /// An error that says a fault with its place, or that of what is around it. `about` stands
    /// before the field, such as "study NAME: ".
    pub(crate) fn error(&self, fault: &Fault, about: &str, place: &[String]) -> anyhow::Error {
        let (mut node, mut missed) = (&self.root, false);
        for key in place {
            match node.children.get(key) {
                Some(child) => node = child,
                None => {
                    missed = true;
                    break;
                }
            }
        }
        let whole = node.key.is_empty() && node.value.is_empty();
        let span = if fault.is_of_key() || missed || node.value.is_empty() { &node.key } else { &node.value };
        match whole {
            true => anyhow!("{}: {about}{fault}", self.name),
            false => anyhow!("{}", self.marked(span.clone(), &format!("{about}{fault}"))),
        }
    }

    /// A message behind the place, with the line that it is of.
    fn marked(&self, span: Range<usize>, message: &str) -> String {
        let start = span.start.min(self.text.len());
        let before = &self.text[..start];
        let number = before.matches('\n').count() + 1;
        let begin = before.rfind('\n').map_or(0, |place| place + 1);
        let line = self.text[begin..].lines().next().unwrap_or_default();
        let column = self.text[begin..start].chars().count();
        let marked = self.text[start..span.end.clamp(start, self.text.len())].lines().next().unwrap_or_default();
        let (line, indent, marks) = cut(line, column, marked.chars().count().max(1));
        let (gutter, mark) = (number.to_string(), "^".repeat(marks));
        format!(
            "{}:{number}:{}: {message}\n{gutter} | {line}\n{:width$} | {:indent$}{mark}",
            self.name,
            column + 1,
            "",
            "",
            width = gutter.len()
        )
    }
}

/// Longest piece of a line that an error shows, and how much of it is before what is wrong.
const SHOWN: [usize; 2] = [200, 80];

/// A line, cut around the mark where it is long; where the mark then stands, and its length.
fn cut(line: &str, column: usize, marks: usize) -> (String, usize, usize) {
    let [most, before] = SHOWN;
    let length = line.chars().count();
    if length <= most {
        return (line.into(), column, marks);
    }
    let start = column.saturating_sub(before).min(length - most);
    let piece: String = line.chars().skip(start).take(most).collect();
    let [open, close] = [start > 0, start + most < length].map(|is_cut| if is_cut { "…" } else { "" });
    let indent = column - start + open.chars().count();
    (format!("{open}{piece}{close}"), indent, marks.min((start + most).saturating_sub(column).max(1)))
}

/// The first value that no field can have: a number that is none, or a date.
fn unusable<'a>(values: impl Iterator<Item = &'a Spanned<DeValue<'a>>>) -> Option<(Range<usize>, String)> {
    let of = |value: &'a Spanned<DeValue<'a>>| match value.get_ref() {
        DeValue::Float(number) => {
            let is_none = number.as_str().parse::<f64>().is_ok_and(|number| !number.is_finite());
            is_none.then(|| (value.span(), format!("{} is no number that can be used", number.as_str())))
        }
        DeValue::Datetime(date) => Some((value.span(), format!("{date} is a date, which no field can be"))),
        DeValue::Array(items) => unusable(items.iter()),
        DeValue::Table(table) => unusable(table.values()),
        _ => None,
    };
    values.into_iter().find_map(of)
}

fn children_of_table(table: &DeTable<'_>) -> BTreeMap<String, Node> {
    let child = |key: Range<usize>, value: Range<usize>, of: &DeValue<'_>| Node { key, value, children: children(of) };
    let entries = table.iter();
    entries.map(|(key, value)| (key.get_ref().to_string(), child(key.span(), value.span(), value.get_ref()))).collect()
}

fn children(value: &DeValue<'_>) -> BTreeMap<String, Node> {
    match value {
        DeValue::Table(table) => children_of_table(table),
        DeValue::Array(items) => {
            let node = |span: Range<usize>, of| Node { key: span.clone(), value: span, children: children(of) };
            let items = items.iter().enumerate();
            items.map(|(place, item)| (place.to_string(), node(item.span(), item.get_ref()))).collect()
        }
        _ => BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Result<Source> {
        Source::parse("a.toml".into(), text.into())
    }

    #[test]
    fn a_fault_is_shown_where_it_stands() {
        let source = source("x = 1\n[arms.b]\nmap = \"elv\"\n[arms.a]\nlist = [1, 22]\n").unwrap();
        let said = |fault: &Fault, path: &[&str]| {
            let path: Vec<String> = path.iter().map(ToString::to_string).collect();
            source.error(fault, "", &path).to_string()
        };
        let fault = Fault::at("map", "wrong");
        assert_eq!(said(&fault, &["arms", "b", "map"]), "a.toml:3:7: map: wrong\n3 | map = \"elv\"\n  |       ^^^^^");
        let unknown = Fault::unknown_field("map", ["maps"]);
        assert!(said(&unknown, &["arms", "b", "map"]).starts_with("a.toml:3:1: map: unknown field; did you mean"));
        assert!(said(&fault, &["arms", "a", "list", "1"]).starts_with("a.toml:5:12: "));
        // Of what is not there: what is around it, or the file.
        assert!(
            said(&fault, &["arms", "a", "map"]).starts_with("a.toml:4:7: "),
            "{}",
            said(&fault, &["arms", "a", "map"])
        );
        assert_eq!(said(&fault, &["arm"]), "a.toml: map: wrong");
        assert_eq!(source.keys(&["arms"]), ["b", "a"]);
    }

    #[test]
    fn a_value_that_no_field_can_have_is_refused_with_the_place() {
        for (text, said) in [
            ("x = 1\ny = { loss = inf }", "a.toml:2:14: inf is no number that can be used"),
            ("y = [1.0, -nan]", "a.toml:1:11: -nan is no number"),
            ("[a]\nb = +inf", "a.toml:2:5: +inf is no number"),
            ("a = 2024-01-01", "a.toml:1:5: 2024-01-01 is a date"),
        ] {
            let error = source(text).unwrap_err().to_string();
            assert!(error.starts_with(said), "{error}");
        }
    }

    #[test]
    fn a_long_line_is_cut_around_what_is_wrong() {
        let text = format!("a = [{}inf, {}]", "1, ".repeat(1_000), "2, ".repeat(1_000));
        let error = source(&text).unwrap_err().to_string();
        let lines: Vec<Vec<char>> = error.lines().map(|line| line.chars().collect()).collect();
        assert!(lines.len() == 3 && lines[1].len() < 220, "{error}");
        let marked: String = lines[1].iter().zip(&lines[2]).filter(|(_, mark)| **mark == '^').map(|(c, _)| c).collect();
        assert_eq!(marked, "inf");
    }

    #[test]
    fn what_is_no_toml_is_refused_with_the_place() {
        let broken = source("x = 1\n[[studies]\n").unwrap_err().to_string();
        assert!(broken.starts_with("a.toml:2:"), "{broken}");
        let json = source("{\"corpus\": 1}").unwrap_err().to_string();
        assert!(json.contains("it is JSON; write TOML") && !json.contains('\n'), "{json}");
    }
}
