//! Files of llama2.c, version 0: seven numbers, the weights as f32, and a tokenizer beside.

use super::config::{LlamaConfig, PretrainedConfig, heads_fault};
use super::dtype::Dtype;
use super::error::PretrainedError;
use super::model::Pretrained;
use super::pieces::{Distinct, Ends, Kind, Piece, is_byte};
use super::reader::Reader;
use super::scored;
use super::tensors::{File, Tensors};
use crate::boundaries::Boundaries;

/// Token that begins a text; the format says so.
const BOS: u32 = 1;
/// Token that ends a text.
const EOS: u32 = 2;

/// Bytes of the header.
const HEADER: usize = 7 * 4;

/// Number of tokens that a model's header gives, to find its tokenizer by.
pub(super) fn vocabulary(model: &[u8]) -> Option<u32> {
    let mut header = Reader::new(model);
    header.bytes(5 * 4)?;
    header.i32().map(i32::unsigned_abs)
}

pub(super) fn read(model: File, tokenizer: Option<File>) -> Result<Pretrained, PretrainedError> {
    let path = model.path.clone();
    let config = config(&model)?;
    let mut tensors = Tensors::new(vec![model]);
    let mut at = HEADER;
    let LlamaConfig { vocabulary, d_model, d_hidden, layers, heads, key_heads, max_steps, tied, .. } = config;
    let d_key = config.d_key();
    let mut next = |name: String, shape: &[usize]| {
        let start = at;
        at += 4 * shape.iter().product::<usize>();
        tensors.insert(name, 0, start, Dtype::F32, shape.to_vec())
    };
    next("model.embed_tokens.weight".into(), &[vocabulary, d_model])?;
    // Each kind of tensor of all layers stands together.
    let kinds: [(&str, &[usize]); 9] = [
        ("input_layernorm", &[d_model]),
        ("self_attn.q_proj", &[d_model, d_model]),
        ("self_attn.k_proj", &[d_key, d_model]),
        ("self_attn.v_proj", &[d_key, d_model]),
        ("self_attn.o_proj", &[d_model, d_model]),
        ("post_attention_layernorm", &[d_model]),
        ("mlp.gate_proj", &[d_hidden, d_model]),
        ("mlp.down_proj", &[d_model, d_hidden]),
        ("mlp.up_proj", &[d_hidden, d_model]),
    ];
    for (kind, shape) in kinds {
        for layer in 0..layers {
            next(format!("model.layers.{layer}.{kind}.weight"), shape)?;
        }
    }
    next("model.norm.weight".into(), &[d_model])?;
    if !tied {
        // Tables of sines and cosines stand between; they follow from the sizes.
        at += 4 * max_steps * (d_model / heads);
        let start = at;
        tensors.insert("lm_head.weight".into(), 0, start, Dtype::F32, vec![vocabulary, d_model])?;
    }
    for layer in 0..layers {
        tensors.set_interleaved(&format!("model.layers.{layer}.self_attn.q_proj.weight"), heads);
        tensors.set_interleaved(&format!("model.layers.{layer}.self_attn.k_proj.weight"), key_heads);
    }
    let (tokenizer, notes) = tokenizer.map(|file| read_tokenizer(&file, vocabulary)).transpose()?.unzip();
    let notes = notes.unwrap_or_default();
    // As its own program: one text follows another after the token that begins it.
    let tokens = [BOS, EOS].into_iter().filter(|&token| (token as usize) < vocabulary);
    let begin = tokens.clone().next();
    let boundaries = Boundaries { begin, end: tokens.collect(), before: begin.into_iter().collect() };
    Ok(Pretrained { config: PretrainedConfig::Llama(config), tensors, tokenizer, boundaries, path, notes })
}

/// The sizes, which together must be the file's.
fn config(model: &File) -> Result<LlamaConfig, PretrainedError> {
    let fail = |reason: String| Err(PretrainedError::format(&model.path, reason));
    if model.bytes.starts_with(b"24ka") {
        return fail("a later version of llama2.c's format; export it with --version 0".into());
    }
    let mut header = Reader::new(&model.bytes);
    let mut sizes = [0i32; 7];
    for size in &mut sizes {
        let Some(read) = header.i32() else { return fail("ends within llama2.c's header of 28 bytes".into()) };
        *size = read;
    }
    let tied = sizes[5] > 0;
    sizes[5] = sizes[5].checked_abs().unwrap_or(0);
    if sizes.iter().any(|&size| size <= 0) {
        return fail(format!("not a llama2.c model: sizes {sizes:?} in its header must be above 0"));
    }
    let [d_model, d_hidden, layers, heads, key_heads, vocabulary, max_steps] = sizes.map(|size| size as usize);
    if let Some(fault) = heads_fault(d_model, heads, key_heads, true) {
        return fail(format!("not a llama2.c model: {fault}"));
    }
    let [d, hidden, l, v, steps] = [d_model, d_hidden, layers, vocabulary, max_steps].map(|size| size as u128);
    let (d_head, d_key) = ((d_model / heads) as u128, (d_model / heads * key_heads) as u128);
    let block = 2 * d + 2 * d * d + 2 * d * d_key + 3 * d * hidden;
    let numbers = if tied { v * d } else { 2 * v * d } + l * block + d + steps * d_head;
    let expected = HEADER as u128 + 4 * numbers;
    if expected != model.bytes.len() as u128 {
        let found = model.bytes.len();
        return fail(format!("has {found} bytes where its header, {sizes:?}, asks for {expected}; get the file again"));
    }
    Ok(LlamaConfig {
        vocabulary,
        d_model,
        d_hidden,
        layers,
        heads,
        key_heads,
        max_steps,
        norm_epsilon: 1e-5,
        rotary_theta: 10_000.0,
        tied,
    })
}

/// Pieces with scores: the length of the longest, then score, length and bytes of each. Gives notes
/// too.
fn read_tokenizer(file: &File, vocabulary: usize) -> Result<(tokenizers::Tokenizer, Vec<String>), PretrainedError> {
    let fail = |reason: String| PretrainedError::tokenizer(&file.path, reason);
    let mut reader = Reader::new(&file.bytes);
    reader.u32().ok_or_else(|| fail("ends within its first number".into()))?;
    let (mut scores, mut tokens) = (Vec::new(), Vec::new());
    while reader.left() > 0 {
        let mut piece = || {
            let score = reader.f32()?;
            let length = usize::try_from(reader.i32()?).ok()?;
            Some((score, reader.bytes(length)?))
        };
        let (score, bytes) = piece().ok_or_else(|| fail(format!("ends within token {}", tokens.len())))?;
        // The two ends are written with line breaks around, to be printed.
        let is_end = matches!(tokens.len() as u32, BOS | EOS);
        scores.push(score);
        tokens.push(if is_end { trim_breaks(bytes) } else { bytes });
    }
    if tokens.len() != vocabulary {
        return Err(fail(format!("has {} tokens, the model {vocabulary}; get the model's own", tokens.len())));
    }
    let Distinct { texts, notes } = Distinct::new(&tokens, scored::text_of);
    let pieces = texts.iter().zip(scores).zip(0u32..).map(|((text, score), token)| {
        let kind = match token {
            0 => Kind::Unknown,
            BOS | EOS => Kind::Control,
            _ if is_byte(text) => Kind::Byte,
            _ => Kind::Normal,
        };
        Piece { text, score, kind }
    });
    let pieces: Vec<Piece> = pieces.collect();
    let tokenizer = scored::tokenizer(&pieces, " ", true, Ends { begin: Some(BOS), end: None }).map_err(fail)?;
    Ok((tokenizer, notes))
}

fn trim_breaks(mut bytes: &[u8]) -> &[u8] {
    while let [b'\n', rest @ ..] | [rest @ .., b'\n'] = bytes {
        bytes = rest;
    }
    bytes
}
