//! A GGUF file.
#![no_main]

use astrocytic_fuzz::pretrained::{File, Files};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    astrocytic_fuzz::survive(Files::Gguf(vec![File { path: "file".into(), bytes: bytes.to_vec() }]))
});
