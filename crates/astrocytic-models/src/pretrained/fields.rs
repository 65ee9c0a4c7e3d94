//! Fields of a configuration that anybody may have written, each refused by name where it makes no
//! sense.

use std::cell::RefCell;
use std::path::Path;

use serde_json::{Map, Value};

use super::activation::Activation;
use super::error::{PretrainedError, one_line};

/// More than any size of a real model; products of a few still fit.
const MOST: u64 = 1 << 28;

/// A configuration's fields; one that is `null` is as one that is not there.
pub(super) struct Fields<'a> {
    pub(super) path: &'a Path,
    pub(super) map: Map<String, Value>,
    /// What was guessed or left out, for the user to know.
    notes: RefCell<Vec<String>>,
}

/// JSON without the byte-order mark that some editors put before it.
pub(super) fn without_mark(json: &[u8]) -> &[u8] {
    json.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(json)
}

/// JSON with null for NaN, Infinity and -Infinity.
fn without_constants(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len());
    let (mut at, mut within) = (0, false);
    while let Some(&byte) = json.get(at) {
        let constant = [&b"NaN"[..], b"-Infinity", b"Infinity"].into_iter().find(|name| json[at..].starts_with(name));
        match (within, byte, constant) {
            (true, b'\\', _) => {
                out.push(byte);
                at += 1;
                out.extend(json.get(at));
            }
            (false, _, Some(name)) => {
                out.extend_from_slice(b"null");
                at += name.len() - 1;
            }
            _ => {
                within ^= byte == b'"';
                out.push(byte);
            }
        }
        at += 1;
    }
    out
}

impl<'a> Fields<'a> {
    pub(super) fn new(path: &'a Path, map: Map<String, Value>) -> Self {
        Self { path, map, notes: RefCell::default() }
    }

    pub(super) fn from_json(path: &'a Path, bytes: &[u8]) -> Result<Self, PretrainedError> {
        let json = without_mark(bytes);
        let map = serde_json::from_slice(json).or_else(|error| {
            // Python writes what JSON does not have.
            serde_json::from_slice(&without_constants(json)).map_err(|_| PretrainedError::config(path, error))
        })?;
        Ok(Self::new(path, map))
    }

    pub(super) fn note(&self, note: impl std::fmt::Display) {
        let (note, mut notes) = (one_line(note), self.notes.borrow_mut());
        if !notes.contains(&note) {
            notes.push(note);
        }
    }

    pub(super) fn into_notes(self) -> Vec<String> {
        self.notes.into_inner()
    }

    /// The first of the names that is there; `names[0]` where none is.
    pub(super) fn spelled<'b>(&self, names: &[&'b str]) -> &'b str {
        names.iter().find(|name| self.get(name).is_some()).unwrap_or(&names[0])
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn error(&self, reason: impl std::fmt::Display) -> PretrainedError {
        PretrainedError::config(self.path, reason)
    }

    fn must_be<T>(&self, name: &str, found: Option<T>, what: &str) -> Result<T, PretrainedError> {
        found.ok_or_else(|| match self.get(name) {
            Some(value) => self.error(format!("{name} = {value} must be {what}")),
            None => self.error(format!("{name} is missing; it must be {what}")),
        })
    }

    /// A size that must be there and above 0.
    pub(super) fn size(&self, name: &str) -> Result<usize, PretrainedError> {
        let size = self.get(name).and_then(Value::as_u64).filter(|size| (1..=MOST).contains(size));
        self.must_be(name, size.map(|size| size as usize), &format!("a whole number from 1 to {MOST}"))
    }

    pub(super) fn size_or(&self, name: &str, default: usize) -> Result<usize, PretrainedError> {
        if self.get(name).is_some() { self.size(name) } else { Ok(default) }
    }

    /// A number that must be there and above 0.
    pub(super) fn number(&self, name: &str) -> Result<f64, PretrainedError> {
        let number = self.get(name).and_then(Value::as_f64).filter(|number| number.is_finite() && *number > 0.0);
        self.must_be(name, number, "a number above 0")
    }

    pub(super) fn number_or(&self, name: &str, default: f64) -> Result<f64, PretrainedError> {
        if self.get(name).is_some() { self.number(name) } else { Ok(default) }
    }

    pub(super) fn flag_or(&self, name: &str, default: bool) -> Result<bool, PretrainedError> {
        self.get(name).map_or(Ok(default), |value| self.must_be(name, value.as_bool(), "true or false"))
    }

    pub(super) fn text_or<'b>(&'b self, name: &str, default: &'b str) -> Result<&'b str, PretrainedError> {
        self.get(name).map_or(Ok(default), |value| self.must_be(name, value.as_str(), "text"))
    }

    /// Numbers of tokens, of one or of a list, that the model has. Nothing is computed with them,
    /// and libraries write numbers of other models by default: one that the model does not have is
    /// none.
    pub(super) fn tokens(&self, name: &str, vocabulary: usize) -> Vec<u32> {
        let Some(value) = self.get(name) else { return Vec::new() };
        let known = |value: &Value| value.as_u64().filter(|&token| token < vocabulary as u64);
        let tokens: Vec<u32> = match value {
            Value::Array(list) => list.iter().filter_map(known).map(|token| token as u32).collect(),
            value => known(value).map(|token| token as u32).into_iter().collect(),
        };
        if tokens.is_empty() {
            self.note(format!("{name} = {value} is no token of the model's {vocabulary}: ignored"));
        }
        tokens
    }

    /// The first of them.
    pub(super) fn token(&self, name: &str, vocabulary: usize) -> Option<u32> {
        self.tokens(name, vocabulary).first().copied()
    }

    pub(super) fn activation_or(&self, name: &str, default: Activation) -> Result<Activation, PretrainedError> {
        let activation = match self.text_or(name, "")? {
            "" => Some(default),
            "gelu" | "gelu_python" => Some(Activation::Gelu),
            "gelu_new" | "gelu_fast" | "gelu_pytorch_tanh" | "gelu_python_tanh" | "gelu_accurate" => {
                Some(Activation::GeluTanh)
            }
            "relu" => Some(Activation::Relu),
            "silu" | "swish" => Some(Activation::Silu),
            _ => None,
        };
        self.must_be(name, activation, "gelu, gelu_new, relu or silu; no other is supported")
    }

    /// Refuses a field that changes the computation unless it is not there or has the one value
    /// that is supported.
    pub(super) fn only(&self, name: &str, supported: impl Into<Value>) -> Result<(), PretrainedError> {
        let supported = supported.into();
        match self.get(name) {
            Some(value) if !same(value, &supported) => {
                Err(self.error(format!("{name} = {value} is not supported; only {supported} is")))
            }
            _ => Ok(()),
        }
    }

    /// Refuses a field that changes the computation.
    pub(super) fn absent(&self, name: &str) -> Result<(), PretrainedError> {
        match self.get(name) {
            Some(value) => Err(self.error(format!("{name} = {value} is not supported; only a model without it is"))),
            None => Ok(()),
        }
    }
}

/// Equality, of numbers by value: 1 is 1.0.
fn same(a: &Value, b: &Value) -> bool {
    a == b || a.as_f64().is_some_and(|a| Some(a) == b.as_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_python_writes_is_read() {
        let json = br#"{"a": NaN, "b": [-Infinity, Infinity], "c \\" NaN": "NaN \\\\", "d": 1}"#;
        let json = String::from_utf8_lossy(json).replace("\\\\", "\\");
        let fields = Fields::from_json("f".as_ref(), json.as_bytes()).unwrap();
        assert!(fields.get("a").is_none() && fields.get("d") == Some(&1.into()));
        assert_eq!(fields.map.len(), 4);
        assert!(Fields::from_json("f".as_ref(), b"{\"a\": nan}").is_err());
    }
}
