//! GGUF files: metadata, descriptions of the tensors, then their numbers, quantised or not; in one
//! file or several parts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Map, Value};

use super::boundaries::{Said, turn_ends};
use super::config::PretrainedConfig;
use super::dtype::Dtype;
use super::error::PretrainedError;
use super::fields::Fields;
use super::gguf_values::{ARRAY, Array, Arrays, scalar, string};
use super::model::Pretrained;
use super::reader::Reader;
use super::tensors::{File, Tensors};
use super::{gguf_config, gguf_tokenizer};

/// Most dimensions of a tensor; the format says so.
const MOST_DIMENSIONS: u32 = 4;

pub(super) fn read(parts: Vec<File>) -> Result<Pretrained, PretrainedError> {
    let mut headers = parts.iter().map(Header::read).collect::<Result<Vec<_>, _>>()?;
    let first = first(&parts, &headers)?;
    let path = parts[first].path.clone();
    let mut values = std::mem::take(&mut headers[first].values);
    let arrays = &headers[first].arrays;
    // One value for each layer is one value where they are all the same.
    let uniform = arrays.iter().filter(|(name, _)| !name.starts_with("tokenizer."));
    values.extend(uniform.filter_map(|(name, array)| Some((name.to_string(), array.uniform()?))));
    // The numbers that SentencePiece gives.
    if values.get("tokenizer.ggml.model").is_some_and(|model| model == "llama") {
        for (name, number) in [("unknown", 0), ("bos", 1), ("eos", 2)] {
            values.entry(format!("tokenizer.ggml.{name}_token_id")).or_insert_with(|| number.into());
        }
    }
    let fields = Fields::new(&path, values);
    let all = || headers.iter().flat_map(|header| &header.tensors);
    let shape = |name: &str| all().find(|tensor| tensor.name == name).map(|tensor| &tensor.shape[..]);
    let mut config = gguf_config::read(&fields, arrays.keys().copied(), &shape)?;
    let vocabulary = config.vocabulary();
    let tokenizer = gguf_tokenizer::read(&fields, arrays, vocabulary)?;
    let tokens = |name: &str| fields.tokens(&format!("tokenizer.ggml.{name}_token_id"), vocabulary);
    let mut said = Said {
        begin: tokens("bos").first().copied(),
        end: ["eos", "eot", "eom"].into_iter().flat_map(tokens).collect(),
        adds_begin: None,
    };
    said.end.extend(turn_ends(tokenizer.as_ref()));
    said.end.retain(|&token| (token as usize) < vocabulary);
    let boundaries = said.complete(tokenizer.as_ref(), vocabulary);

    let described: Vec<_> = headers.into_iter().map(|header| (header.start, header.tensors)).collect();
    let mut tensors = Tensors::new(parts);
    for (file, (start, described)) in described.into_iter().enumerate() {
        refuse_overlaps(&tensors.file(file).path, &described)?;
        for tensor in described {
            insert(&mut tensors, &config, file, start, tensor)?;
        }
    }
    let (tied, embedding) = match &mut config {
        PretrainedConfig::Llama(config) => (&mut config.tied, "model.embed_tokens.weight"),
        PretrainedConfig::Gpt2(config) => (&mut config.tied, "wte.weight"),
        PretrainedConfig::Bert(_) => unreachable!("no architecture of GGUF that is read is BERT's"),
    };
    *tied = *tied || tensors.remove_copy("lm_head.weight", embedding);
    let notes = fields.into_notes();
    Ok(Pretrained { config, tensors, tokenizer, boundaries, path, notes })
}

/// The part that has the metadata, if none is missing.
fn first(parts: &[File], headers: &[Header]) -> Result<usize, PretrainedError> {
    let number = |header: &Header, name: &str| header.values.get(name).and_then(Value::as_u64);
    let count = headers.iter().filter_map(|header| number(header, "split.count")).max().unwrap_or(1);
    if count > headers.len() as u64 {
        let there: BTreeSet<u64> = headers.iter().filter_map(|header| number(header, "split.no")).collect();
        let missing = (0..count).find(|number| !there.contains(number)).unwrap_or(0) + 1;
        let path = parts.first().map_or(Path::new(""), |part| &part.path);
        let reason = format!(
            "is of a model in {count} parts; part {missing} is missing: put them in one folder, their names ending with \
             -00001-of-{count:05}.gguf and so on"
        );
        return Err(PretrainedError::format(path, reason));
    }
    Ok(headers.iter().position(|header| header.values.contains_key("general.architecture")).unwrap_or(0))
}

/// Adds a tensor under its name here; one that computes nothing is left out.
fn insert(
    tensors: &mut Tensors,
    config: &PretrainedConfig,
    file: usize,
    start: usize,
    Described { name, shape, kind, offset }: Described,
) -> Result<(), PretrainedError> {
    let File { path, bytes } = tensors.file(file);
    let fail = |reason: &str| Err(PretrainedError::tensor(path, &name, reason));
    let Some(at) = start.checked_add(offset) else { return fail("is beyond the end") };
    let dtype = dtype(kind);
    let stored = dtype.and_then(|dtype| bytes.get(at..at.checked_add(dtype.bytes(&shape)?)?));
    if gguf_config::computes_nothing(config, &name, stored) {
        return Ok(());
    }
    let Some(plain) = gguf_config::plain_name(config, &name) else {
        return fail("not known in a model of this architecture; the computation it belongs to is not supported");
    };
    let Some(dtype) = dtype else {
        let kind = type_name(kind).map_or_else(|| kind.to_string(), String::from);
        return fail(&format!(
            "its type, {kind}, is not supported; F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K to Q6_K, IQ4_NL and \
             IQ4_XS are"
        ));
    };
    tensors.insert(plain.clone(), file, at, dtype, shape)?;
    match config {
        PretrainedConfig::Llama(config) if plain.ends_with("q_proj.weight") => {
            tensors.set_interleaved(&plain, config.heads);
        }
        PretrainedConfig::Llama(config) if plain.ends_with("k_proj.weight") => {
            tensors.set_interleaved(&plain, config.key_heads);
        }
        // Here the matrices of its blocks are [out, in].
        PretrainedConfig::Gpt2(_) if plain.starts_with("h.") => tensors.set_transposed(&plain),
        _ => {}
    }
    Ok(())
}

/// What stands before the numbers.
struct Header<'a> {
    values: Map<String, Value>,
    arrays: Arrays<'a>,
    tensors: Vec<Described>,
    /// Byte at which the numbers start.
    start: usize,
}

/// A tensor as the header describes it, but for its last dimension, which is last here.
struct Described {
    name: String,
    shape: Vec<usize>,
    /// The number of its type.
    kind: u32,
    /// From the start of the numbers.
    offset: usize,
}

impl<'a> Header<'a> {
    fn read(file: &'a File) -> Result<Self, PretrainedError> {
        let fail = |reason: String| PretrainedError::format(&file.path, reason);
        let ended = || fail("ends within its header; get the file again".into());
        let mut reader = Reader::new(&file.bytes);
        if reader.bytes(4) != Some(b"GGUF") {
            return Err(fail("not a GGUF file: it does not begin with GGUF".into()));
        }
        match reader.u32().ok_or_else(ended)? {
            2 | 3 => {}
            version if matches!(version.swap_bytes(), 1..=3) => {
                return Err(fail("big-endian; only little-endian GGUF is supported".into()));
            }
            version => return Err(fail(format!("GGUF of version {version}; 2 and 3 are supported"))),
        }
        let [tensor_count, value_count] = [reader.u64(), reader.u64()];
        let (tensor_count, value_count) = tensor_count.zip(value_count).ok_or_else(ended)?;

        let (mut values, mut arrays) = (Map::new(), BTreeMap::new());
        // Each of them takes bytes, so that a count beyond the file's size ends with the file.
        for _ in 0..value_count {
            let name = string(&mut reader).ok_or_else(ended)?;
            let name = str::from_utf8(name).map_err(|_| fail("a name of its metadata is not UTF-8".into()))?;
            let kind = reader.u32().ok_or_else(ended)?;
            let twice = match kind {
                ARRAY => {
                    let array = Array::read(&mut reader).map_err(|reason| fail(format!("{name} {reason}")))?;
                    arrays.insert(name, array).is_some()
                }
                _ => {
                    let value = scalar(&mut reader, kind).map_err(|reason| fail(format!("{name} {reason}")))?;
                    values.insert(name.into(), value).is_some()
                }
            };
            if twice {
                return Err(fail(format!("{name} is there twice")));
            }
        }
        let mut tensors = Vec::new();
        for _ in 0..tensor_count {
            tensors.push(Described::read(&mut reader, &file.path)?.ok_or_else(ended)?);
        }
        let alignment = match values.get("general.alignment") {
            None => 32,
            Some(value) => value
                .as_u64()
                .filter(|size| size.is_power_of_two() && *size <= 1 << 20)
                .ok_or_else(|| fail(format!("general.alignment = {value} must be a power of two up to a million")))?,
        } as usize;
        let start = (file.bytes.len() - reader.left()).next_multiple_of(alignment);
        if let Some(tensor) = tensors.iter().find(|tensor| tensor.offset % alignment != 0) {
            let reason = format!("its offset, {}, is no multiple of {alignment}", tensor.offset);
            return Err(PretrainedError::tensor(&file.path, &tensor.name, reason));
        }
        Ok(Self { values, arrays, tensors, start })
    }
}

impl Described {
    /// `None` where the file ends first.
    fn read(reader: &mut Reader, path: &Path) -> Result<Option<Self>, PretrainedError> {
        let Some(name) = string(reader) else { return Ok(None) };
        let name = String::from_utf8_lossy(name).into_owned();
        let Some(dimensions) = reader.u32() else { return Ok(None) };
        if !(1..=MOST_DIMENSIONS).contains(&dimensions) {
            let reason = format!("has {dimensions} dimensions; 1 to {MOST_DIMENSIONS} are possible");
            return Err(PretrainedError::tensor(path, name, reason));
        }
        // The first is the contiguous one.
        let shape: Option<Vec<usize>> = (0..dimensions).map(|_| reader.length()).collect();
        let Some((mut shape, (kind, offset))) = shape.zip(reader.u32().zip(reader.length())) else { return Ok(None) };
        shape.reverse();
        Ok(Some(Self { name, shape, kind, offset }))
    }
}

fn dtype(kind: u32) -> Option<Dtype> {
    Some(match kind {
        0 => Dtype::F32,
        1 => Dtype::F16,
        2 => Dtype::Q4_0,
        3 => Dtype::Q4_1,
        6 => Dtype::Q5_0,
        7 => Dtype::Q5_1,
        8 => Dtype::Q8_0,
        10 => Dtype::Q2_K,
        11 => Dtype::Q3_K,
        12 => Dtype::Q4_K,
        13 => Dtype::Q5_K,
        14 => Dtype::Q6_K,
        20 => Dtype::IQ4_NL,
        23 => Dtype::IQ4_XS,
        28 => Dtype::F64,
        30 => Dtype::BF16,
        _ => return None,
    })
}

/// Names of the types that are not supported.
fn type_name(kind: u32) -> Option<&'static str> {
    Some(match kind {
        9 => "Q8_1",
        15 => "Q8_K",
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        21 => "IQ3_S",
        22 => "IQ2_S",
        24 => "I8",
        25 => "I16",
        26 => "I32",
        27 => "I64",
        29 => "IQ1_M",
        34 => "TQ1_0",
        35 => "TQ2_0",
        39 => "MXFP4",
        _ => return None,
    })
}

/// Tensors that share bytes could ask for far more memory than the file has.
fn refuse_overlaps(path: &Path, tensors: &[Described]) -> Result<(), PretrainedError> {
    let mut ranges: Vec<(usize, usize, &str)> = Vec::with_capacity(tensors.len());
    for Described { name, shape, kind, offset } in tensors {
        // What is of no type that is read is refused, or not read.
        let Some(dtype) = dtype(*kind) else { continue };
        let end = dtype.bytes(shape).and_then(|size| offset.checked_add(size));
        let Some(end) = end else {
            let reason = format!("shape {shape:?} is no whole number of blocks of {dtype:?}, or too large");
            return Err(PretrainedError::tensor(path, name, reason));
        };
        ranges.push((*offset, end, name));
    }
    ranges.sort_unstable();
    match ranges.windows(2).find(|pair| pair[1].0 < pair[0].1) {
        Some(pair) => Err(PretrainedError::tensor(path, pair[1].2, format!("shares bytes with {}", pair[0].2))),
        None => Ok(()),
    }
}
