//! GGUF files: metadata, descriptions of the tensors, then their numbers, quantised or not.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};
use tokenizers::Tokenizer;

use super::config::{LlamaConfig, PretrainedConfig, heads_fault};
use super::dtype::Dtype;
use super::error::PretrainedError;
use super::fields::Fields;
use super::pieces::{Ends, Kind, Piece};
use super::reader::Reader;
use super::{File, Pretrained, Tensors, byte_level, scored};

/// Most dimensions of a tensor; the format says so.
const MOST_DIMENSIONS: u32 = 4;

pub(super) fn read(file: File) -> Result<Pretrained, PretrainedError> {
    let path = file.path.clone();
    let header = Header::read(&file)?;
    let fields = Fields { path: &path, map: header.values };
    let config = llama(&fields, &header.arrays, &header.tensors)?;
    let tokenizer = read_tokenizer(&fields, &header.arrays, config.vocabulary)?;
    let (described, start) = (header.tensors, header.start);
    refuse_overlaps(&path, &described)?;

    let mut tensors = Tensors::new(vec![file]);
    for Described { name, shape, dtype, offset } in described {
        let Some(plain) = plain_name(&name) else {
            let reason = "not known in a llama model; the computation it belongs to is not supported";
            return Err(PretrainedError::tensor(&path, name, reason));
        };
        let at = start.checked_add(offset).ok_or_else(|| PretrainedError::tensor(&path, &name, "is beyond the end"))?;
        tensors.insert(plain.clone(), 0, at, dtype, shape)?;
        if plain.ends_with("q_proj.weight") {
            tensors.set_interleaved(&plain, config.heads);
        } else if plain.ends_with("k_proj.weight") {
            tensors.set_interleaved(&plain, config.key_heads);
        }
    }
    Ok(Pretrained { config: PretrainedConfig::Llama(config), tensors, tokenizer, path })
}

/// What stands before the numbers.
struct Header<'a> {
    values: Map<String, Value>,
    arrays: BTreeMap<&'a str, Array<'a>>,
    tensors: Vec<Described>,
    /// Byte at which the numbers start.
    start: usize,
}

/// An array as it is stored.
#[derive(Clone, Copy)]
struct Array<'a> {
    kind: u32,
    count: usize,
    bytes: &'a [u8],
}

/// A tensor as the header describes it, but for its last dimension, which is last here.
struct Described {
    name: String,
    shape: Vec<usize>,
    dtype: Dtype,
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

/// A string's bytes, after their number.
fn string<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let length = reader.length()?;
    reader.bytes(length)
}

const INT32: u32 = 5;
const FLOAT32: u32 = 6;
const STRING: u32 = 8;
const ARRAY: u32 = 9;

/// Bytes of a number of a kind.
fn width(kind: u32) -> Option<usize> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

/// A value that is no array, in JSON's terms, so that configurations of all formats are read alike.
fn scalar(reader: &mut Reader, kind: u32) -> Result<Value, String> {
    let ended = "ends with the file; get the file again";
    if kind == STRING {
        // Texts that nothing here reads, such as templates of chats, may be anything.
        return Ok(String::from_utf8_lossy(string(reader).ok_or(ended)?).into());
    }
    let width = width(kind).ok_or_else(|| format!("is of kind {kind}, which is not known"))?;
    let bytes = reader.bytes(width).ok_or(ended)?;
    let mut wide = [0; 8];
    wide[..width].copy_from_slice(bytes);
    let unsigned = u64::from_le_bytes(wide);
    // The sign is the uppermost bit of the width.
    let unused = 64 - 8 * width as u32;
    let signed = ((unsigned << unused) as i64) >> unused;
    Ok(match kind {
        0 | 2 | 4 | 10 => unsigned.into(),
        1 | 3 | INT32 | 11 => signed.into(),
        7 => (unsigned != 0).into(),
        // By its shortest digits: 1e-5 as f32 is meant as 1e-5.
        FLOAT32 => f32::from_bits(unsigned as u32).to_string().parse::<f64>().unwrap_or(f64::NAN).into(),
        _ => f64::from_bits(unsigned).into(),
    })
}

impl<'a> Array<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, String> {
        let ended = "ends with the file; get the file again";
        let (kind, count) = reader.u32().zip(reader.length()).ok_or(ended)?;
        let mut after = *reader;
        if kind == STRING {
            for _ in 0..count {
                string(&mut after).ok_or(ended)?;
            }
        } else {
            let width = width(kind).ok_or_else(|| format!("is an array of kind {kind}, which is not supported"))?;
            count.checked_mul(width).and_then(|length| after.bytes(length)).ok_or(ended)?;
        }
        let bytes = reader.bytes(reader.left() - after.left()).ok_or(ended)?;
        Ok(Self { kind, count, bytes })
    }

    /// The strings; there is not one more than the bytes hold.
    fn strings(&self) -> Option<Vec<&'a str>> {
        let mut reader = Reader::new(self.bytes);
        let mut next = || str::from_utf8(string(&mut reader)?).ok();
        (self.kind == STRING).then(|| (0..self.count).map(|_| next()).collect())?
    }

    /// Four bytes each, of the kind given.
    fn words(&self, kind: u32) -> Option<Vec<[u8; 4]>> {
        (self.kind == kind).then(|| self.bytes.as_chunks().0.to_vec())
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
        let dtype = match kind {
            0 => Dtype::F32,
            1 => Dtype::F16,
            2 => Dtype::Q4_0,
            3 => Dtype::Q4_1,
            8 => Dtype::Q8_0,
            28 => Dtype::F64,
            30 => Dtype::BF16,
            _ => {
                let kind = type_name(kind).map_or_else(|| kind.to_string(), String::from);
                let reason = format!("its type, {kind}, is not supported; F32, F16, BF16, Q8_0, Q4_0 and Q4_1 are");
                return Err(PretrainedError::tensor(path, name, reason));
            }
        };
        Ok(Some(Self { name, shape, dtype, offset }))
    }
}

/// Names of the commonest types that are not supported.
fn type_name(kind: u32) -> Option<&'static str> {
    Some(match kind {
        6 => "Q5_0",
        7 => "Q5_1",
        9 => "Q8_1",
        10 => "Q2_K",
        11 => "Q3_K",
        12 => "Q4_K",
        13 => "Q5_K",
        14 => "Q6_K",
        15 => "Q8_K",
        20 => "IQ4_NL",
        23 => "IQ4_XS",
        24 => "I8",
        25 => "I16",
        26 => "I32",
        27 => "I64",
        _ => return None,
    })
}

/// Tensors that share bytes could ask for far more memory than the file has.
fn refuse_overlaps(path: &Path, tensors: &[Described]) -> Result<(), PretrainedError> {
    let mut ranges: Vec<(usize, usize, &str)> = Vec::with_capacity(tensors.len());
    for Described { name, shape, dtype, offset } in tensors {
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

/// Hugging Face's name of a tensor of a llama model.
fn plain_name(name: &str) -> Option<String> {
    let plain = match name {
        "token_embd.weight" => "model.embed_tokens.weight",
        "output_norm.weight" => "model.norm.weight",
        "output.weight" => "lm_head.weight",
        _ => {
            let (layer, kind) = name.strip_prefix("blk.")?.split_once('.')?;
            let layer: usize = layer.parse().ok()?;
            let kind = match kind {
                "attn_norm.weight" => "input_layernorm",
                "attn_q.weight" => "self_attn.q_proj",
                "attn_k.weight" => "self_attn.k_proj",
                "attn_v.weight" => "self_attn.v_proj",
                "attn_output.weight" => "self_attn.o_proj",
                "ffn_norm.weight" => "post_attention_layernorm",
                "ffn_gate.weight" => "mlp.gate_proj",
                "ffn_up.weight" => "mlp.up_proj",
                "ffn_down.weight" => "mlp.down_proj",
                _ => return None,
            };
            return Some(format!("model.layers.{layer}.{kind}.weight"));
        }
    };
    Some(plain.into())
}

fn llama(
    fields: &Fields,
    arrays: &BTreeMap<&str, Array>,
    tensors: &[Described],
) -> Result<LlamaConfig, PretrainedError> {
    match fields.text_or("general.architecture", "")? {
        "llama" => {}
        other => {
            let reason = format!("general.architecture = {other:?} is not supported; only \"llama\" is");
            return Err(fields.error(reason));
        }
    }
    let (d_model, heads) = (fields.size("llama.embedding_length")?, fields.size("llama.attention.head_count")?);
    let key_heads = fields.size_or("llama.attention.head_count_kv", heads)?;
    if let Some(fault) = heads_fault(d_model, heads, key_heads, true) {
        return Err(fields.error(fault));
    }
    let d_head = d_model / heads;
    // The tokens are as many as the embedding has rows, if the metadata does not say.
    let embedding = tensors.iter().find(|tensor| tensor.name == "token_embd.weight");
    let rows = embedding.and_then(|embedding| embedding.shape.first()).copied();
    let rows = rows.ok_or_else(|| PretrainedError::tensor(fields.path, "token_embd.weight", "is missing"))?;
    let vocabulary = fields.size_or("llama.vocab_size", rows)?;
    let config = LlamaConfig {
        vocabulary,
        d_model,
        d_hidden: fields.size("llama.feed_forward_length")?,
        layers: fields.size("llama.block_count")?,
        heads,
        key_heads,
        max_steps: fields.size("llama.context_length")?,
        norm_epsilon: fields.number("llama.attention.layer_norm_rms_epsilon")?,
        rotary_theta: fields.number_or("llama.rope.freq_base", 10_000.0)?,
        tied: tensors.iter().all(|tensor| tensor.name != "output.weight"),
        bos: fields.token("tokenizer.ggml.bos_token_id", vocabulary)?,
        eos: fields.token("tokenizer.ggml.eos_token_id", vocabulary)?,
    };
    // What is left of the architecture's metadata must be known to change nothing.
    let read = [
        "embedding_length",
        "attention.head_count",
        "attention.head_count_kv",
        "vocab_size",
        "feed_forward_length",
        "block_count",
        "context_length",
        "attention.layer_norm_rms_epsilon",
        "rope.freq_base",
    ];
    for name in fields.map.keys() {
        let Some(short) = name.strip_prefix("llama.") else { continue };
        match short {
            _ if read.contains(&short) => {}
            "rope.dimension_count" | "attention.key_length" | "attention.value_length" => fields.only(name, d_head)?,
            "rope.scaling.type" => fields.only(name, "none")?,
            "rope.scaling.factor" | "rope.scale_linear" => fields.only(name, 1)?,
            "expert_count" | "expert_used_count" | "attention.sliding_window" => fields.only(name, 0)?,
            "attention.causal" => fields.only(name, true)?,
            "use_parallel_residual" => fields.only(name, false)?,
            "tensor_data_layout" => fields.only(name, "Meta AI original pth")?,
            _ => fields.absent(name)?,
        }
    }
    match arrays.keys().find(|name| name.starts_with("llama.")) {
        Some(name) => Err(fields.error(format!("{name} as an array is not supported; one value for all layers is"))),
        None => Ok(config),
    }
}

fn read_tokenizer(
    fields: &Fields,
    arrays: &BTreeMap<&str, Array>,
    vocabulary: usize,
) -> Result<Option<Tokenizer>, PretrainedError> {
    let fail = |reason: String| PretrainedError::tokenizer(fields.path, reason);
    let model = match fields.text_or("tokenizer.ggml.model", "no_vocab")? {
        "no_vocab" | "none" => return Ok(None),
        model => model,
    };
    let malformed = |name: &str| fail(format!("{name} is missing or not an array of what it should hold"));
    let strings = |name: &str| arrays.get(name).and_then(Array::strings).ok_or_else(|| malformed(name));
    let words = |name: &str, kind: u32| match arrays.get(name) {
        Some(array) => array.words(kind).map(Some).ok_or_else(|| malformed(name)),
        None => Ok(None),
    };
    let tokens = strings("tokenizer.ggml.tokens")?;
    if tokens.len() != vocabulary {
        return Err(fail(format!("has {} tokens, the model {vocabulary}", tokens.len())));
    }
    let scores = words("tokenizer.ggml.scores", FLOAT32)?;
    let kinds = words("tokenizer.ggml.token_type", INT32)?;
    for (name, list) in [("tokenizer.ggml.scores", &scores), ("tokenizer.ggml.token_type", &kinds)] {
        if let Some(list) = list.as_ref().filter(|list| list.len() != tokens.len()) {
            return Err(fail(format!("{name} has {} numbers for {} tokens", list.len(), tokens.len())));
        }
    }
    let number = |name: &str| fields.token(name, vocabulary);
    let (begin, end) = (number("tokenizer.ggml.bos_token_id")?, number("tokenizer.ggml.eos_token_id")?);
    let unknown = number("tokenizer.ggml.unknown_token_id")?;
    let piece = |at: usize| {
        let kind = match kinds.as_ref().map(|kinds| i32::from_le_bytes(kinds[at])) {
            Some(1) => Kind::Normal,
            Some(2) => Kind::Unknown,
            Some(3) => Kind::Control,
            Some(4) => Kind::UserDefined,
            Some(5) => Kind::Unused,
            Some(6) => Kind::Byte,
            Some(other) => return Err(fail(format!("token {at} is of kind {other}, which is not known"))),
            None => Kind::Normal,
        };
        // Ends are special whatever the list says of them.
        let at_number = Some(at as u32);
        let kind = match kind {
            _ if at_number == begin || at_number == end => Kind::Control,
            Kind::Normal if at_number == unknown => Kind::Unknown,
            kind => kind,
        };
        let score = scores.as_ref().map_or(0.0, |scores| f32::from_le_bytes(scores[at]));
        Ok(Piece { text: tokens[at], score, kind })
    };
    let pieces: Vec<Piece> = (0..tokens.len()).map(piece).collect::<Result<_, _>>()?;
    let ends = |begins: bool| -> Result<Ends, PretrainedError> {
        let begins = fields.flag_or("tokenizer.ggml.add_bos_token", begins)?;
        let ends = fields.flag_or("tokenizer.ggml.add_eos_token", false)?;
        Ok(Ends { begin: begin.filter(|_| begins), end: end.filter(|_| ends) })
    };
    let built = match model {
        "llama" => {
            if scores.is_none() {
                return Err(malformed("tokenizer.ggml.scores"));
            }
            let prefix = fields.flag_or("tokenizer.ggml.add_space_prefix", true)?;
            scored::tokenizer(&pieces, "▁", prefix, ends(true)?)
        }
        "gpt2" => {
            let name = fields.text_or("tokenizer.ggml.pre", "")?;
            let Some(splitting) = byte_level::Splitting::from_name(name) else {
                let reason = format!("tokenizer.ggml.pre = {name:?} is not supported; gpt-2, smollm and llama-bpe are");
                return Err(fail(reason));
            };
            let merges = strings("tokenizer.ggml.merges")?;
            byte_level::tokenizer(&pieces, &merges, splitting, ends(splitting == byte_level::Splitting::Llama3)?)
        }
        other => Err(format!("tokenizer.ggml.model = {other:?} is not supported; gpt2 and llama are")),
    };
    built.map(Some).map_err(fail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_every_kind() {
        let value = |kind, bytes: &[u8]| scalar(&mut Reader::new(bytes), kind);
        assert_eq!(value(0, &[200]), Ok(200.into()));
        assert_eq!(value(1, &[200]), Ok((-56).into()));
        assert_eq!(value(3, &(-2i16).to_le_bytes()), Ok((-2).into()));
        assert_eq!(value(4, &u32::MAX.to_le_bytes()), Ok(u32::MAX.into()));
        assert_eq!(value(5, &i32::MIN.to_le_bytes()), Ok(i32::MIN.into()));
        assert_eq!(value(6, &1e-5f32.to_le_bytes()), Ok(1e-5.into()));
        assert_eq!(value(6, &f32::NAN.to_le_bytes()), Ok(Value::Null));
        assert_eq!(value(7, &[1]), Ok(true.into()));
        assert_eq!(value(8, b"\x02\0\0\0\0\0\0\0ab"), Ok("ab".into()));
        assert_eq!(value(10, &u64::MAX.to_le_bytes()), Ok(u64::MAX.into()));
        assert_eq!(value(11, &i64::MIN.to_le_bytes()), Ok(i64::MIN.into()));
        assert_eq!(value(12, &0.1f64.to_le_bytes()), Ok(0.1.into()));
        assert!(value(13, &[0; 8]).is_err() && value(4, &[0; 3]).is_err());
    }

    #[test]
    fn arrays_do_not_believe_their_count() {
        let array = |kind: u32, count: u64, bytes: &[u8]| {
            let all = [&kind.to_le_bytes()[..], &count.to_le_bytes(), bytes].concat();
            Array::read(&mut Reader::new(&all)).map(|array| array.count)
        };
        assert_eq!(array(5, 2, &[0; 8]), Ok(2));
        assert_eq!(array(STRING, 2, &[0; 16]), Ok(2));
        for (kind, count) in [(5, 3), (5, u64::MAX), (12, u64::MAX / 8 + 2), (STRING, u64::MAX), (ARRAY, 1)] {
            assert!(array(kind, count, &[0; 8]).is_err(), "{kind} {count}");
        }
    }

    #[test]
    fn names() {
        assert_eq!(plain_name("blk.12.ffn_gate.weight").unwrap(), "model.layers.12.mlp.gate_proj.weight");
        for unknown in ["blk.0.attn_q.bias", "rope_freqs.weight", "blk..attn_q.weight", "blk.1", "output"] {
            assert_eq!(plain_name(unknown), None);
        }
    }
}
