//! Writes the small models of the tests into the corpora, for the fuzzer to start from.

use astrocytic_fuzz::pretrained::Files;
use astrocytic_fuzz::{join, synthetic};

fn main() -> std::io::Result<()> {
    for (name, files) in synthetic::models() {
        let (target, bytes) = match files {
            Files::Gguf(mut parts) => ("gguf", parts.remove(0).bytes),
            Files::Llama2c { model, tokenizer } => {
                ("llama2c", join(&tokenizer.map(|file| file.bytes).unwrap_or_default(), &model.bytes))
            }
            Files::HuggingFace { config, weights, .. } => {
                ("huggingface", join(&config.bytes, &join(&weights[0].bytes, &weights[1].bytes)))
            }
        };
        let folder = format!("{}/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
        std::fs::create_dir_all(&folder)?;
        std::fs::write(format!("{folder}/{}", name.replace([' ', ',', '.'], "")), bytes)?;
    }
    Ok(())
}
