//! What a pretrained model is: its family and sizes, in the same terms whichever format they come
//! from.

use std::fmt::Display;

use super::activation::Activation;
use super::pooling::Pooling;

/// The configuration of a pretrained model, by family.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum PretrainedConfig {
    /// A decoder as Llama's: RMS norm before, rotary positions, gated feed-forward layers, no
    /// biases.
    Llama(LlamaConfig),
    /// A decoder as GPT-2: layer norm before, learned positions.
    Gpt2(Gpt2Config),
    /// An encoder as BERT: layer norm after, learned positions, token types.
    Bert(BertConfig),
}

/// Sizes of a Llama-style decoder.
#[derive(Debug, Clone, PartialEq)]
pub struct LlamaConfig {
    /// Number of tokens known.
    pub vocabulary: usize,
    /// Width of the stream.
    pub d_model: usize,
    /// Hidden width of the feed-forward layers.
    pub d_hidden: usize,
    /// Number of blocks.
    pub layers: usize,
    /// Number of query heads, each of width d_model / heads.
    pub heads: usize,
    /// Number of key and value heads; heads is a multiple of it.
    pub key_heads: usize,
    /// Steps that it was trained for.
    pub max_steps: usize,
    /// ε of the RMS norms.
    pub norm_epsilon: f64,
    /// Base of the rotary wavelengths.
    pub rotary_theta: f64,
    /// Whether the output is the token embedding, transposed; then there is no `lm_head.weight`.
    pub tied: bool,
}

/// Sizes of a GPT-2 decoder.
#[derive(Debug, Clone, PartialEq)]
pub struct Gpt2Config {
    /// Number of tokens known.
    pub vocabulary: usize,
    /// Width of the stream.
    pub d_model: usize,
    /// Hidden width of the feed-forward layers.
    pub d_hidden: usize,
    /// Number of blocks.
    pub layers: usize,
    /// Number of heads.
    pub heads: usize,
    /// Positions known.
    pub max_steps: usize,
    /// ε of the layer norms.
    pub norm_epsilon: f64,
    /// Activation of the feed-forward layers.
    pub activation: Activation,
    /// Whether the output is the token embedding, transposed; then there is no `lm_head.weight`.
    pub tied: bool,
}

/// Sizes of a BERT encoder.
#[derive(Debug, Clone, PartialEq)]
pub struct BertConfig {
    /// Number of tokens known.
    pub vocabulary: usize,
    /// Width of the stream.
    pub d_model: usize,
    /// Hidden width of the feed-forward layers.
    pub d_hidden: usize,
    /// Number of blocks.
    pub layers: usize,
    /// Number of heads.
    pub heads: usize,
    /// Positions known.
    pub max_steps: usize,
    /// Kinds of token, such as first and second sentence.
    pub token_types: usize,
    /// ε of the layer norms.
    pub norm_epsilon: f64,
    /// Activation of the feed-forward layers.
    pub activation: Activation,
    /// How the steps of a text become its embedding.
    pub pooling: Pooling,
}

impl PretrainedConfig {
    /// Number of tokens known.
    pub fn vocabulary(&self) -> usize {
        match self {
            Self::Llama(config) => config.vocabulary,
            Self::Gpt2(config) => config.vocabulary,
            Self::Bert(config) => config.vocabulary,
        }
    }

    /// Names and shapes of all its tensors, under Hugging Face's names without the prefix
    /// `transformer.` or `bert.`.
    ///
    /// Matrices are `[out, in]`, but those of GPT-2's blocks, which Hugging Face stores as `[in,
    /// out]`.
    pub fn shapes(&self) -> Box<dyn Iterator<Item = (String, Vec<usize>)>> {
        match self {
            Self::Llama(config) => Box::new(config.shapes()),
            Self::Gpt2(config) => Box::new(config.shapes()),
            Self::Bert(config) => Box::new(config.shapes()),
        }
    }
}

type Shapes = Vec<(String, Vec<usize>)>;

fn named(prefix: impl Display, shapes: &[(&str, &[usize])]) -> Shapes {
    shapes.iter().map(|(name, shape)| (format!("{prefix}{name}"), shape.to_vec())).collect()
}

/// Weights of these shapes, and a bias as wide as each one's output: its last dimension where
/// `transposed`.
fn biased(prefix: impl Display, transposed: bool, shapes: &[(&str, &[usize])]) -> Shapes {
    let pair = |(name, shape): &(&str, &[usize])| {
        let width = if transposed { shape.last() } else { shape.first() };
        let bias = (format!("{prefix}{name}.bias"), width.copied().into_iter().collect());
        [(format!("{prefix}{name}.weight"), shape.to_vec()), bias]
    };
    shapes.iter().flat_map(pair).collect()
}

impl LlamaConfig {
    /// Width of the keys of all heads together.
    pub(super) fn d_key(&self) -> usize {
        self.d_model / self.heads * self.key_heads
    }

    fn shapes(&self) -> impl Iterator<Item = (String, Vec<usize>)> + use<> {
        let Self { vocabulary, d_model, d_hidden, layers, tied, .. } = *self;
        let d_key = self.d_key();
        let block = move |i| {
            let shapes: [(&str, &[usize]); 9] = [
                ("input_layernorm.weight", &[d_model]),
                ("self_attn.q_proj.weight", &[d_model, d_model]),
                ("self_attn.k_proj.weight", &[d_key, d_model]),
                ("self_attn.v_proj.weight", &[d_key, d_model]),
                ("self_attn.o_proj.weight", &[d_model, d_model]),
                ("post_attention_layernorm.weight", &[d_model]),
                ("mlp.gate_proj.weight", &[d_hidden, d_model]),
                ("mlp.up_proj.weight", &[d_hidden, d_model]),
                ("mlp.down_proj.weight", &[d_model, d_hidden]),
            ];
            named(format_args!("model.layers.{i}."), &shapes)
        };
        let ends: [(&str, &[usize]); 3] = [
            ("model.embed_tokens.weight", &[vocabulary, d_model]),
            ("model.norm.weight", &[d_model]),
            ("lm_head.weight", &[vocabulary, d_model]),
        ];
        named("", &ends[..if tied { 2 } else { 3 }]).into_iter().chain((0..layers).flat_map(block))
    }
}

impl Gpt2Config {
    fn shapes(&self) -> impl Iterator<Item = (String, Vec<usize>)> + use<> {
        let Self { vocabulary, d_model, d_hidden, layers, max_steps, tied, .. } = *self;
        let block = move |i| {
            let shapes: [(&str, &[usize]); 6] = [
                ("ln_1", &[d_model]),
                ("attn.c_attn", &[d_model, 3 * d_model]),
                ("attn.c_proj", &[d_model, d_model]),
                ("ln_2", &[d_model]),
                ("mlp.c_fc", &[d_model, d_hidden]),
                ("mlp.c_proj", &[d_hidden, d_model]),
            ];
            biased(format_args!("h.{i}."), true, &shapes)
        };
        let matrices: [(&str, &[usize]); 3] = [
            ("wte.weight", &[vocabulary, d_model]),
            ("wpe.weight", &[max_steps, d_model]),
            ("lm_head.weight", &[vocabulary, d_model]),
        ];
        let norm = biased("", true, &[("ln_f", &[d_model])]);
        named("", &matrices[..if tied { 2 } else { 3 }]).into_iter().chain(norm).chain((0..layers).flat_map(block))
    }
}

impl BertConfig {
    fn shapes(&self) -> impl Iterator<Item = (String, Vec<usize>)> + use<> {
        let Self { vocabulary, d_model, d_hidden, layers, max_steps, token_types, .. } = *self;
        let block = move |i| {
            let shapes: [(&str, &[usize]); 8] = [
                ("attention.self.query", &[d_model, d_model]),
                ("attention.self.key", &[d_model, d_model]),
                ("attention.self.value", &[d_model, d_model]),
                ("attention.output.dense", &[d_model, d_model]),
                ("attention.output.LayerNorm", &[d_model]),
                ("intermediate.dense", &[d_hidden, d_model]),
                ("output.dense", &[d_model, d_hidden]),
                ("output.LayerNorm", &[d_model]),
            ];
            biased(format_args!("encoder.layer.{i}."), false, &shapes)
        };
        let tables: [(&str, &[usize]); 3] = [
            ("embeddings.word_embeddings.weight", &[vocabulary, d_model]),
            ("embeddings.position_embeddings.weight", &[max_steps, d_model]),
            ("embeddings.token_type_embeddings.weight", &[token_types, d_model]),
        ];
        let norm = biased("", false, &[("embeddings.LayerNorm", &[d_model])]);
        named("", &tables).into_iter().chain(norm).chain((0..layers).flat_map(block))
    }
}

/// What is wrong with these numbers of heads, if anything is. Rotary positions need heads of an
/// even width.
pub(super) fn heads_fault(d_model: usize, heads: usize, key_heads: usize, rotary: bool) -> Option<String> {
    let unit = if rotary { 2 } else { 1 };
    if heads == 0 || key_heads == 0 || !d_model.is_multiple_of(unit * heads) || !heads.is_multiple_of(key_heads) {
        let even = if rotary { " into an even width each" } else { "" };
        return Some(format!(
            "a width of {d_model}, {heads} heads and {key_heads} key heads do not fit: heads must divide the \
             width{even}, and key heads the heads"
        ));
    }
    None
}
