//! llama2.c's tokenizer and weights.
#![no_main]

use astrocytic_fuzz::pretrained::Files;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let [tokenizer, model] = astrocytic_fuzz::split(input);
    let tokenizer = Some(tokenizer).filter(|file| !file.bytes.is_empty());
    astrocytic_fuzz::survive(Files::Llama2c { model, tokenizer });
});
