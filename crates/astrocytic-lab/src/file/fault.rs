//! What is wrong in a file, and in which field.

use std::fmt;

use serde::de::{Expected, Unexpected};

use super::nearest::did_you_mean;

/// A fault, and the keys that lead to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    path: Vec<String>,
    message: String,
    /// It is the last key that is wrong, not its value.
    of_key: bool,
    /// The path is that of the whole file.
    whole: bool,
}

impl Fault {
    /// A fault of the whole.
    pub fn new(message: impl Into<String>) -> Self {
        Self { path: Vec::new(), message: message.into(), of_key: false, whole: false }
    }

    /// A fault of a field's value.
    pub fn at(field: &str, message: impl Into<String>) -> Self {
        Self::new(message).within(field)
    }

    /// A fault of a field's name, not of its value.
    pub fn of_key(field: &str, message: impl Into<String>) -> Self {
        Self { of_key: true, ..Self::at(field, message) }
    }

    /// A field that is none.
    pub fn unknown_field<'a>(field: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> Self {
        let near = did_you_mean(field, known.clone());
        let known: Vec<&str> = known.into_iter().collect();
        let known = if near.is_empty() { format!("; known: {}", known.join(", ")) } else { near };
        Self::of_key(field, format!("unknown field{known}"))
    }

    /// The fault that a sentence such as "sizes: must be ascending" or "window = 3 must …" tells,
    /// of the field that it opens with.
    pub fn of_message(text: &str) -> Self {
        let end = text.find(|c: char| !c.is_ascii_lowercase() && !"_.".contains(c)).unwrap_or(0);
        let (fields, rest) = text.split_at(end);
        let message = match rest.strip_prefix(": ") {
            Some(message) => message,
            None if rest.starts_with(" = ") => &text[fields.rfind('.').map_or(0, |dot| dot + 1)..],
            None => return Self::new(text),
        };
        match fields.split('.').any(str::is_empty) {
            true => Self::new(text),
            false => Self::new(message).moved(fields.split('.').map(Into::into).collect()),
        }
    }

    /// The same fault, seen from around the table or list with this key.
    pub fn within(mut self, key: impl Into<String>) -> Self {
        if !self.whole {
            self.path.insert(0, key.into());
        }
        self
    }

    /// The same fault, whose path is that of the whole file, from wherever it is seen.
    pub(crate) fn of_file(self) -> Self {
        Self { whole: true, ..self }
    }

    /// The same fault with another path.
    pub(crate) fn moved(self, path: Vec<String>) -> Self {
        Self { path, ..self }
    }

    /// Keys that lead to it, the outermost first.
    pub fn path(&self) -> &[String] {
        &self.path
    }

    /// What is wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether it is the last key that is wrong, not its value.
    pub(super) fn is_of_key(&self) -> bool {
        self.of_key
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // "window = 3 must be …" names its field already, as "tokenizer: …" does.
        let names = |field: &String| {
            self.message.strip_prefix(field).is_some_and(|rest| rest.starts_with(" = ") || rest.starts_with(": "))
        };
        let named = self.path.last().is_some_and(names);
        let path: Vec<String> =
            self.path[..self.path.len() - usize::from(named)].iter().map(|key| short(key)).collect();
        let path = path.join(".");
        if path.is_empty() { f.write_str(&self.message) } else { write!(f, "{path}: {}", self.message) }
    }
}

impl std::error::Error for Fault {}

impl serde::de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Self::new(format!("{}, where {} is wanted", found_in_words(found), wanted_in_words(&wanted.to_string())))
    }

    fn invalid_value(found: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Self::invalid_type(found, wanted)
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::unknown_field(field, expected.iter().copied())
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("{field} is missing"))
    }
}

/// A key, cut where it is long.
fn short(key: &str) -> String {
    if key.chars().count() <= 100 { key.into() } else { key.chars().take(20).chain(['…']).collect() }
}

/// What stands in a file, as the file writes it.
fn found_in_words(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(value) => value.to_string(),
        Unexpected::Unsigned(number) => number.to_string(),
        Unexpected::Signed(number) => number.to_string(),
        Unexpected::Float(number) => format!("{number:?}"),
        Unexpected::Str(text) => format!("\"{text}\""),
        Unexpected::Unit => "nothing".into(),
        Unexpected::Seq => "a list".into(),
        Unexpected::Map => "a table".into(),
        other => other.to_string(),
    }
}

/// What is wanted, which serde says in the words of the program.
fn wanted_in_words(wanted: &str) -> &str {
    match wanted {
        "usize" | "u64" | "u32" | "u16" | "u8" => "a whole number of at least 0",
        "isize" | "i64" | "i32" | "i16" | "i8" => "a whole number",
        "f64" | "f32" => "a number",
        "a string" => "text in quotation marks",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "a table",
        other if other.starts_with("struct") => "a table",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_names_the_field_it_opens_with() {
        for (text, path, said) in [
            ("sizes: must be ascending", "sizes", "sizes: must be ascending"),
            ("window = 3: it needs causal = true", "window", "window = 3: it needs causal = true"),
            ("block.size = 0 is none", "block.size", "block: size = 0 is none"),
            ("a decoder's attention must be causal", "", "a decoder's attention must be causal"),
            ("No field", "", "No field"),
        ] {
            let fault = Fault::of_message(text);
            assert_eq!((fault.path().join("."), fault.to_string().as_str()), (path.into(), said));
        }
    }
}
