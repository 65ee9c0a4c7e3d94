//! config.json and two safetensors files. tokenizer.json is left out: a panic of the library that reads it is made an error,
//! but the fuzzer stops at every panic.
#![no_main]

use astrocytic_fuzz::pretrained::Files;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let [config, weights] = astrocytic_fuzz::split(input);
    let weights = astrocytic_fuzz::split(&weights.bytes).into();
    astrocytic_fuzz::survive(Files::HuggingFace { config, weights, tokenizer: None, sentence: Vec::new(), texts: Vec::new() });
});
