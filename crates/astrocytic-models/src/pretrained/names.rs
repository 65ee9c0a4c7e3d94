//! What a stored tensor is by its name: a weight of the model, or nothing that it computes with.

use super::config::PretrainedConfig;

/// What a stored tensor is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Role {
    /// A weight, under the name that it has here; one that the family does not have is refused by
    /// that name.
    Weight(String),
    /// What follows from the configuration, such as a mask, whatever it holds.
    Nothing,
    /// A head, or a block beyond those that the configuration asks for.
    Unused,
}

/// How a family names its tensors.
pub(super) struct Names {
    /// Before the names of the model without heads; it may be missing.
    prefix: &'static str,
    /// Whether names have the prefix here.
    keeps_prefix: bool,
    /// Whether the files' names have it: then what is without it is a head.
    is_prefixed: bool,
    /// First parts of the names, that of the blocks first.
    parts: &'static [&'static str],
    layers: usize,
    /// The output's name.
    output: &'static str,
    /// Where the embedding is stored under the output's name alone, its name.
    embedding: Option<&'static str>,
}

/// Ends of names of what follows from the configuration: masks, positions and wavelengths.
const NOTHING: [&str; 8] = [
    ".attn.bias",
    ".attn.masked_bias",
    "position_ids",
    "embeddings.token_type_ids",
    "rotary_emb.inv_freq",
    "rotary_emb.original_inv_freq",
    "rotary_emb.cos_cached",
    "rotary_emb.sin_cached",
];

/// First parts of the names of heads.
const HEADS: [&str; 9] =
    ["cls", "pooler", "classifier", "score", "qa_outputs", "multiple_choice_head", "summary", "v_head", "value_head"];

impl Names {
    /// Of the names of all files.
    pub(super) fn new<'a>(config: &PretrainedConfig, stored: impl Iterator<Item = &'a str> + Clone) -> Self {
        let (prefix, parts, layers): (_, &[&str], _) = match config {
            PretrainedConfig::Llama(config) => ("model.", &["layers.", "embed_tokens.", "norm."], config.layers),
            PretrainedConfig::Gpt2(config) => ("transformer.", &["h.", "wte.", "wpe.", "ln_f."], config.layers),
            PretrainedConfig::Bert(config) => ("bert.", &["encoder.layer.", "embeddings."], config.layers),
        };
        let (output, embedding, tied) = match config {
            PretrainedConfig::Llama(config) => ("lm_head.weight", "model.embed_tokens.weight", config.tied),
            PretrainedConfig::Gpt2(config) => ("lm_head.weight", "wte.weight", config.tied),
            PretrainedConfig::Bert(_) => ("cls.predictions.decoder.weight", "embeddings.word_embeddings.weight", true),
        };
        let mut names = Self {
            prefix,
            keeps_prefix: matches!(config, PretrainedConfig::Llama(_)),
            is_prefixed: stored.clone().any(|name| name.starts_with(prefix)),
            parts,
            layers,
            output,
            embedding: None,
        };
        let is_embedding = |name| names.role(name) == Role::Weight(embedding.into());
        names.embedding = (tied && !stored.clone().any(is_embedding)).then_some(embedding);
        names
    }

    pub(super) fn role(&self, name: &str) -> Role {
        if name == self.output {
            return match self.embedding {
                Some(embedding) => Role::Weight(embedding.into()),
                None if name == "lm_head.weight" => Role::Weight(name.into()),
                None => Role::Unused,
            };
        }
        if NOTHING.iter().any(|end| name.ends_with(end)) {
            return Role::Nothing;
        }
        let (inner, has_prefix) = name.strip_prefix(self.prefix).map_or((name, false), |inner| (inner, true));
        let plain = || match self.keeps_prefix {
            true => format!("{}{inner}", self.prefix),
            // The oldest files have other names for the two parts of a norm.
            false => inner.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias"),
        };
        if self.parts.iter().any(|part| inner.starts_with(part)) {
            let layer = inner.strip_prefix(self.parts[0]).and_then(|rest| rest.split('.').next()?.parse().ok());
            return match layer {
                Some(layer) if self.layers <= layer => Role::Unused,
                _ => Role::Weight(plain()),
            };
        }
        let first = inner.split('.').next().unwrap_or(inner);
        let is_head = HEADS.contains(&first) || (self.is_prefixed && !has_prefix && first != "lm_head");
        if is_head { Role::Unused } else { Role::Weight(name.into()) }
    }
}
