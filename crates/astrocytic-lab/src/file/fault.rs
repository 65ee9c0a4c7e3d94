//! What is wrong in a file, and in which field.

use std::fmt;

use super::nearest::did_you_mean;

/// A fault, and the keys that lead to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    path: Vec<String>,
    message: String,
    /// It is the last key that is wrong, not its value.
    of_key: bool,
}

impl Fault {
    /// A fault of the whole.
    pub fn new(message: impl Into<String>) -> Self {
        Self { path: Vec::new(), message: message.into(), of_key: false }
    }

    /// A fault of a field's value.
    pub fn at(field: &str, message: impl Into<String>) -> Self {
        Self::new(message).within(field)
    }

    /// A field that is none.
    pub fn unknown_field<'a>(field: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> Self {
        let near = did_you_mean(field, known.clone());
        let known: Vec<&str> = known.into_iter().collect();
        let known = if near.is_empty() { format!("; known: {}", known.join(", ")) } else { near };
        Self { of_key: true, ..Self::at(field, format!("unknown field{known}")) }
    }

    /// The fault that a sentence such as "sizes: must be ascending" or "window = 3 must …" tells,
    /// of the field that it opens with.
    pub fn of_message(text: &str) -> Self {
        let end = text.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(0);
        let (field, rest) = text.split_at(end);
        match rest.strip_prefix(": ") {
            _ if field.is_empty() => Self::new(text),
            Some(message) => Self::at(field, message),
            None if rest.starts_with(" = ") => Self::at(field, text),
            None => Self::new(text),
        }
    }

    /// The same fault, seen from around the table or list with this key.
    pub fn within(mut self, key: impl Into<String>) -> Self {
        self.path.insert(0, key.into());
        self
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
        // "window = 3 must be …" names its field already.
        let named = self.path.last().is_some_and(|field| self.message.starts_with(&format!("{field} = ")));
        let path = self.path[..self.path.len() - usize::from(named)].join(".");
        if path.is_empty() { f.write_str(&self.message) } else { write!(f, "{path}: {}", self.message) }
    }
}

impl std::error::Error for Fault {}

impl serde::de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::unknown_field(field, expected.iter().copied())
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("{field} is missing"))
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
            ("a decoder's attention must be causal", "", "a decoder's attention must be causal"),
            ("No field", "", "No field"),
        ] {
            let fault = Fault::of_message(text);
            assert_eq!((fault.path().join("."), fault.to_string().as_str()), (path.into(), said));
        }
    }
}
