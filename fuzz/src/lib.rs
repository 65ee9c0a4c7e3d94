//! The readers of pretrained files, and what is asked of them whatever the bytes are.

#[path = "../../crates/astrocytic-models/src/pretrained/mod.rs"]
pub mod pretrained;

/// So that the small models' own path to the readers is right here too.
extern crate self as astrocytic_models;

#[path = "../../crates/astrocytic-models/tests/synthetic/mod.rs"]
pub mod synthetic;

use pretrained::{File, Files};

/// Reads everything: a whole model, or an error of one line.
pub fn survive(files: Files) {
    match pretrained::read(files) {
        Ok(mut model) => {
            for (name, shape) in model.config.shapes() {
                model.tensors.take(&name, &shape).unwrap();
            }
            model.tensors.finish().unwrap();
            if let Some(tokenizer) = model.tokenizer {
                let encoded = tokenizer.encode("ab an  é 12", true).unwrap();
                tokenizer.decode(encoded.get_ids(), true).unwrap();
            }
        }
        Err(error) => assert_eq!(error.to_string().lines().count(), 1, "{error}"),
    }
}

/// Two files in one input: the first one's length as u32, then both.
pub fn join(first: &[u8], second: &[u8]) -> Vec<u8> {
    [&(first.len() as u32).to_le_bytes()[..], first, second].concat()
}

/// What [`join`] joined; all of it is the second where the length is too large.
pub fn split(input: &[u8]) -> [File; 2] {
    let (length, rest) = input.split_first_chunk().unwrap_or((&[0; 4], input));
    let (first, second) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).unwrap_or((&[], rest));
    [first, second].map(|bytes| File { path: "file".into(), bytes: bytes.to_vec() })
}
