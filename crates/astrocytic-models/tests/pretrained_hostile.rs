//! Readers of pretrained files against files that are damaged or meant to harm: always a model that
//! is whole or an error of one line, never a panic, and memory within the files' size times a
//! constant.
//!
//! ASTROCYTIC_FUZZ_SECONDS=600 makes more of the random ones, for that long.

#[path = "synthetic/mod.rs"]
mod synthetic;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use astrocytic_models::pretrained::{self, File, Files};
use peak_alloc::PeakAlloc;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// What reading may take: 12 times the bytes for 2-bit numbers as f32; texts of a few bytes cost
/// far more each.
const MEMORY_FACTOR: usize = 128;
/// What it may take however small the files are: regular expressions and tables of the tokenizers.
const MEMORY_FLOOR: usize = 16 << 20;

fn parts(files: &mut Files) -> Vec<&mut File> {
    match files {
        Files::HuggingFace { config, weights, tokenizer, sentence, texts } => {
            std::iter::once(config).chain(weights).chain(tokenizer).chain(sentence).chain(texts).collect()
        }
        Files::Gguf(parts) => parts.iter_mut().collect(),
        Files::Llama2c { model, tokenizer } => std::iter::once(model).chain(tokenizer).collect(),
    }
}

/// Reads everything; whether that was a model.
fn survives(files: Files, what: &dyn std::fmt::Display) -> bool {
    let (is_model, excess) = read_all(files.clone(), what);
    // A library's table that grows with the number of models, not with this one, has grown once:
    // read again it does not.
    let excess = excess.and_then(|_| read_all(files, what).1);
    assert!(excess.is_none(), "{what}: {} bytes of memory", excess.unwrap_or(0));
    is_model
}

/// Whether that was a model, and the memory that it took where that is too much.
fn read_all(mut files: Files, what: &dyn std::fmt::Display) -> (bool, Option<usize>) {
    let size: usize = parts(&mut files).iter().map(|file| file.bytes.len()).sum();
    // A tokenizer.json is the library's business once it is read.
    let own_tokenizer = !matches!(files, Files::HuggingFace { .. });
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    let read = catch_unwind(AssertUnwindSafe(|| match pretrained::read(files) {
        Ok(mut model) => {
            let mut decoded = 0;
            for (name, shape) in model.config.shapes() {
                let values = model.tensors.take(&name, &shape).unwrap();
                assert_eq!(values.len(), shape.iter().product::<usize>());
                decoded += 4 * values.len();
            }
            assert!(decoded <= 13 * size, "{decoded} bytes of tensors from {size}");
            model.tensors.finish().unwrap();
            if let Some(tokenizer) = model.tokenizer.filter(|_| own_tokenizer) {
                let encoded = tokenizer.encode("ab an  é 12", true).unwrap();
                tokenizer.decode(encoded.get_ids(), true).unwrap();
            }
            true
        }
        Err(error) => {
            let error = error.to_string();
            assert!(error.lines().count() == 1 && error.chars().count() < 2000, "{error}");
            false
        }
    }));
    let used = ALLOCATOR.peak_usage().saturating_sub(before);
    let excess = (used > MEMORY_FACTOR * size + MEMORY_FLOOR).then_some(used);
    (read.unwrap_or_else(|_| panic!("{what}: panicked")), excess)
}

/// Where damage does most: headers and texts, not numbers of the model.
fn interesting(file: &File) -> usize {
    match file.path.extension().and_then(|extension| extension.to_str()) {
        Some("json") => file.bytes.len(),
        Some("safetensors") => 8 + u64::from_le_bytes(file.bytes[..8].try_into().unwrap()) as usize,
        Some("gguf") => file.bytes.len().min(16_000),
        _ if file.path.ends_with("tokenizer.bin") => file.bytes.len(),
        _ => 28,
    }
}

/// Damages one of the files at random; says how.
fn damage(files: &mut Files, random: &mut ChaCha8Rng) -> String {
    let mut parts = parts(files);
    let at = random.random_range(0..parts.len());
    let file = &mut parts[at];
    let mut text = format!("{}:", file.path.display());
    for _ in 0..random.random_range(1..4) {
        if file.bytes.is_empty() {
            break;
        }
        let length = file.bytes.len();
        let near = if random.random_bool(0.9) { interesting_now(file) } else { length };
        let at = random.random_range(0..near.clamp(1, length));
        let words =
            [0u64, 1, 2, 31, 32, 255, 1 << 20, 1 << 31, (1 << 31) - 1, u64::MAX, u64::MAX / 2, u64::MAX / 8, 1 << 63];
        match random.random_range(0..7) {
            0 => file.bytes[at] ^= 1 << random.random_range(0..8),
            1 => file.bytes[at] = random.random(),
            2 => file.bytes.truncate(at),
            3 => {
                let end = (at + random.random_range(1..64)).min(length);
                file.bytes.drain(at..end);
            }
            4 => {
                let end = (at + random.random_range(1..64)).min(length);
                let copy = file.bytes[at..end].to_vec();
                let to = random.random_range(0..=length);
                file.bytes.splice(to..to, copy);
            }
            5 => {
                let bytes = words.choose(random).unwrap().to_le_bytes();
                let width = [4, 8].choose(random).unwrap().min(&(length - at)).to_owned();
                file.bytes[at..at + width].copy_from_slice(&bytes[..width]);
            }
            _ => {
                // A number of a text becomes another.
                let digit = file.bytes[at..].iter().position(u8::is_ascii_digit);
                if let Some(start) = digit.map(|digit| at + digit) {
                    let digits = file.bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                    let numbers: [&[u8]; 9] =
                        [b"0", b"-1", b"1e400", b"1e19", b"18446744073709551615", b"null", b"0.5", b"[[]]", b"\"1\""];
                    file.bytes.splice(start..start + digits, numbers.choose(random).unwrap().iter().copied());
                }
            }
        }
        text += &format!(" at {at}");
    }
    text
}

/// As [`interesting`], for a file that is damaged already.
fn interesting_now(file: &File) -> usize {
    if file.bytes.len() < 28 { file.bytes.len() } else { interesting(file).min(file.bytes.len()) }
}

fn random_damage(seed: u64) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    for (name, files) in synthetic::models() {
        let mut files = files;
        let how = damage(&mut files, &mut random);
        survives(files, &format_args!("{name}, seed {seed}, {how}"));
    }
}

/// One test, because memory is counted for the whole process.
#[test]
fn damaged_files_are_errors() {
    let started = Instant::now();
    for (name, files) in synthetic::models() {
        assert!(survives(files.clone(), &name), "{name} is whole");
        let count = parts(&mut files.clone()).len();
        for part in 0..count {
            let with = |change: &dyn Fn(&mut Vec<u8>)| {
                let mut files = files.clone();
                change(&mut parts(&mut files)[part].bytes);
                files
            };
            let (length, near) = {
                let mut files = files.clone();
                let part = &parts(&mut files)[part];
                (part.bytes.len(), interesting(part))
            };
            // Cuts, at each byte of a header's first part and of every structure beyond.
            let step = near / 400 + 1;
            for at in (0..near).step_by(step).chain([near, length.saturating_sub(1)]).filter(|&at| at < length) {
                let cut = with(&|bytes| bytes.truncate(at));
                assert!(!survives(cut, &format_args!("{name}, file {part} cut at {at}")), "{name} cut at {at}");
            }
            for at in (0..near.min(length - 8)).step_by(step) {
                for word in [0, 1, u64::MAX, i64::MAX as u64, 1 << 40, length as u64] {
                    for width in [4, 8] {
                        let changed =
                            with(&|bytes| bytes[at..at + width].copy_from_slice(&word.to_le_bytes()[..width]));
                        survives(changed, &format_args!("{name}, file {part}: {word} in {width} bytes at {at}"));
                    }
                }
            }
        }
    }
    println!("cuts and lengths: {:.1} s", started.elapsed().as_secs_f64());

    (0..300).for_each(random_damage);
    println!("and random damage: {:.1} s", started.elapsed().as_secs_f64());

    large_and_empty();
    println!("and large files: {:.1} s", started.elapsed().as_secs_f64());

    if let Ok(seconds) = std::env::var("ASTROCYTIC_FUZZ_SECONDS") {
        let limit = Duration::from_secs(seconds.parse().expect("ASTROCYTIC_FUZZ_SECONDS is a number of seconds"));
        let (started, mut seed) = (Instant::now(), 1_000_000);
        while started.elapsed() < limit {
            random_damage(seed);
            seed += 1;
        }
        println!("and {} more seeds", seed - 1_000_000);
    }
}

/// Files of some megabytes that would take quadratic time, or memory, from a reader that believes
/// them.
fn large_and_empty() {
    let started = Instant::now();
    let file = |bytes: Vec<u8>| File { path: "file".into(), bytes };
    let gguf = |tensors: u64, values: u64, rest: Vec<u8>| {
        let head = [&b"GGUF\x03\0\0\0"[..], &tensors.to_le_bytes(), &values.to_le_bytes()].concat();
        Files::Gguf(vec![file([head, rest].concat())])
    };
    let value = |i: u32| [&4u64.to_le_bytes()[..], &i.to_le_bytes(), &[0, 0, 0, 0, 1]].concat();
    let tensor =
        |i: u32| [&4u64.to_le_bytes()[..], format!("{i:04x}").as_bytes(), &1u32.to_le_bytes(), &[0; 20]].concat();
    let (_, llama2c) = synthetic::models().remove(0);
    let tokenizer = |bytes: Vec<u8>| {
        let Files::Llama2c { model, .. } = llama2c.clone() else { unreachable!() };
        Files::Llama2c { model, tokenizer: Some(file(bytes)) }
    };
    let piece = |text: &[u8]| [&[0; 4][..], &(text.len() as i32).to_le_bytes(), text].concat();
    let json = |config: &str, header: &str| Files::HuggingFace {
        config: file(config.into()),
        weights: vec![file([&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat())],
        tokenizer: None,
        sentence: Vec::new(),
        texts: Vec::new(),
    };
    let bert = r#"{"model_type": "bert", "vocab_size": 9, "hidden_size": 4, "intermediate_size": 4, "num_hidden_layers":
        100000000, "num_attention_heads": 1, "max_position_embeddings": 9}"#;
    let entry = |i: usize| format!(r#""{i}": {{"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}"#);
    let cases = [
        gguf(0, 0, vec![]),
        gguf(u64::MAX, 0, vec![0; 1 << 20]),
        gguf(0, u64::MAX, (0..100_000).flat_map(value).collect()),
        gguf(100_000, 0, (0..100_000).flat_map(tensor).collect()),
        gguf(u64::MAX, 0, (0..60_000).flat_map(tensor).collect()),
        tokenizer(vec![]),
        tokenizer([vec![0; 4], piece(&vec![b'a'; 1 << 20])].concat()),
        tokenizer([vec![0; 4], (0..300).flat_map(|n| piece(&vec![b'a'; n])).collect()].concat()),
        tokenizer(vec![0; 1 << 20]),
        json("", ""),
        json(&"[".repeat(1 << 20), ""),
        json(&format!("{{\"a\":{}", "{\"a\":".repeat(1 << 18)), ""),
        json(bert, ""),
        json(bert, "{}"),
        json(bert, &format!("{{{}}}", (0..20_000).map(entry).collect::<Vec<_>>().join(","))),
        json(
            bert,
            &format!(r#"{{"a": {{"dtype": "F32", "shape": [{}1], "data_offsets": [0, 4]}}}}"#, "1,".repeat(1 << 19)),
        ),
        json(
            bert,
            r#"{"a": {"dtype": "U8", "shape": [18446744073709551615, 2], "data_offsets": [0, 18446744073709551615]}}"#,
        ),
        json(bert, r#"{"a": {"dtype": "F32", "shape": [4611686018427387904], "data_offsets": [0, 0]}}"#),
    ];
    for (i, files) in cases.into_iter().enumerate() {
        assert!(!survives(files, &format_args!("large {i}")), "large {i} was read");
    }
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}
