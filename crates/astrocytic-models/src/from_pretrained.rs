//! Pretrained files as models: a Llama- or GPT-2-family decoder, a BERT-family encoder.

use std::path::PathBuf;

use astrocytic_attention::{Attention, AttentionConfig, SoftmaxAttentionConfig};
use burn::module::Param;
use burn::nn::{Embedding, Linear};
use burn::tensor::{Device, Tensor, TensorData};

use crate::block::{Block, BlockConfig, FeedForward, FeedForwardConfig, Norm};
use crate::boundaries::Boundaries;
use crate::decoder::{Decoder, DecoderConfig};
use crate::pretrained::{Activation, BertConfig, Gpt2Config, LlamaConfig, Pretrained, PretrainedConfig};
use crate::pretrained::{PretrainedError, Tensors};
use crate::text_encoder::{TextEncoder, TextEncoderConfig};

impl Decoder {
    /// A decoder of the Llama or the GPT-2 family, with softmax attention.
    ///
    /// # Errors
    /// For a file of another family, or a tensor that is missing, of another shape or too many;
    /// then nothing is loaded.
    pub fn from_pretrained(pretrained: Pretrained, device: &Device) -> Result<Self, PretrainedError> {
        let Pretrained { config, tensors, path, boundaries, .. } = pretrained;
        let mut fill = Fill { tensors, device, path: path.clone() };
        let model = match &config {
            PretrainedConfig::Llama(config) => llama(config, boundaries, &mut fill)?,
            PretrainedConfig::Gpt2(config) => gpt2(config, boundaries, &mut fill)?,
            _ => return Err(wrong_family(path, "this is an encoder, where a decoder is needed")),
        };
        fill.tensors.finish()?;
        Ok(model)
    }
}

impl TextEncoder {
    /// An encoder of the BERT family, with softmax attention.
    ///
    /// # Errors
    /// As [`Decoder::from_pretrained`].
    pub fn from_pretrained(pretrained: Pretrained, device: &Device) -> Result<Self, PretrainedError> {
        let Pretrained { config, tensors, path, .. } = pretrained;
        let mut fill = Fill { tensors, device, path: path.clone() };
        let PretrainedConfig::Bert(config) = &config else {
            return Err(wrong_family(path, "this is a decoder, where an encoder is needed"));
        };
        let model = bert(config, &mut fill)?;
        fill.tensors.finish()?;
        Ok(model)
    }
}

fn wrong_family(path: PathBuf, reason: &str) -> PretrainedError {
    PretrainedError::Config { path, reason: reason.into() }
}

/// Tensors on their way into modules.
struct Fill<'a> {
    tensors: Tensors,
    device: &'a Device,
    /// Where they are from.
    path: PathBuf,
}

impl Fill<'_> {
    /// The numbers of a tensor, which must be some: with others every figure is made of nothing.
    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, PretrainedError> {
        let numbers = self.tensors.take(name, shape)?;
        if numbers.iter().all(|number| number.is_finite()) {
            return Ok(numbers);
        }
        Err(PretrainedError::Tensor {
            path: self.path.clone(),
            tensor: name.into(),
            reason: "has numbers that are not finite; get the file again".into(),
        })
    }

    fn param<const D: usize>(&mut self, name: &str, shape: [usize; D]) -> Result<Param<Tensor<D>>, PretrainedError> {
        let data = TensorData::new(self.take(name, &shape)?, shape);
        Ok(Param::from_tensor(Tensor::from_data(data, self.device)))
    }

    /// From `[output, input]`, as PyTorch keeps it, to Burn's `[input, output]`.
    fn linear(&mut self, name: &str, [input, output]: [usize; 2], bias: bool) -> Result<Linear, PretrainedError> {
        let weight = self.take(&format!("{name}.weight"), &[output, input])?;
        let mut transposed = vec![0.0; weight.len()];
        for (i, row) in weight.chunks_exact(input).enumerate() {
            for (j, &x) in row.iter().enumerate() {
                transposed[j * output + i] = x;
            }
        }
        let weight = Tensor::from_data(TensorData::new(transposed, [input, output]), self.device);
        let bias = bias.then(|| self.param(&format!("{name}.bias"), [output])).transpose()?;
        Ok(Linear { weight: Param::from_tensor(weight), bias })
    }

    /// GPT-2's `Conv1D`, which keeps `[input, output]` and always a bias.
    fn convolution(&mut self, name: &str, shape: [usize; 2]) -> Result<Linear, PretrainedError> {
        let weight = self.param(&format!("{name}.weight"), shape)?;
        Ok(Linear { weight, bias: Some(self.param(&format!("{name}.bias"), [shape[1]])?) })
    }

    fn norm(&mut self, name: &str, norm: &mut Norm) -> Result<(), PretrainedError> {
        match norm {
            Norm::Rms(norm) => norm.gamma = self.param(&format!("{name}.weight"), norm.gamma.dims())?,
            Norm::Layer(norm) => {
                norm.gamma = self.param(&format!("{name}.weight"), norm.gamma.dims())?;
                norm.beta = Some(self.param(&format!("{name}.bias"), norm.gamma.dims())?);
            }
        }
        Ok(())
    }

    fn embedding(&mut self, name: &str, shape: [usize; 2]) -> Result<Embedding, PretrainedError> {
        Ok(Embedding { weight: self.param(name, shape)? })
    }
}

/// Puts the projections into a block's softmax attention.
fn set_projections(block: &mut Block, [query, key, value, output]: [Linear; 4]) {
    let Attention::Softmax(layer) = &mut block.attention else { unreachable!("made with softmax attention") };
    (layer.query, layer.key, layer.value, layer.output) = (query, key, value, output);
}

fn feed_forward_of(block: &mut Block) -> (&mut Norm, &mut FeedForward) {
    let (Some(norm), Some(layer)) = (&mut block.feed_forward_norm, &mut block.feed_forward) else {
        unreachable!("widths that are read are above 0")
    };
    (norm, layer)
}

fn llama(config: &LlamaConfig, boundaries: Boundaries, fill: &mut Fill) -> Result<Decoder, PretrainedError> {
    let LlamaConfig { vocabulary, d_model, d_hidden, layers, heads, key_heads, .. } = *config;
    let attention = SoftmaxAttentionConfig::new(d_model, heads)
        .with_kv_heads(Some(key_heads))
        .with_causal(true)
        .with_rotary_theta(Some(config.rotary_theta))
        .with_bias(false);
    let mut model = DecoderConfig::new(vocabulary, d_model, layers, d_hidden, AttentionConfig::Softmax(attention))
        .with_boundaries(Some(boundaries))
        .with_block(BlockConfig::new().with_norm_epsilon(config.norm_epsilon))
        .with_tied(config.tied)
        .init(fill.device);
    model.embedding = fill.embedding("model.embed_tokens.weight", [vocabulary, d_model])?;
    let key_width = d_model / heads * key_heads;
    for (i, block) in model.blocks.iter_mut().enumerate() {
        let name = |part: &str| format!("model.layers.{i}.{part}");
        fill.norm(&name("input_layernorm"), &mut block.attention_norm)?;
        let mut projection = |part: &str, shape| fill.linear(&name(&format!("self_attn.{part}_proj")), shape, false);
        let projections = [
            projection("q", [d_model, d_model])?,
            projection("k", [d_model, key_width])?,
            projection("v", [d_model, key_width])?,
            projection("o", [d_model, d_model])?,
        ];
        set_projections(block, projections);
        let (norm, layer) = feed_forward_of(block);
        fill.norm(&name("post_attention_layernorm"), norm)?;
        layer.gate = Some(fill.linear(&name("mlp.gate_proj"), [d_model, d_hidden], false)?);
        layer.up = fill.linear(&name("mlp.up_proj"), [d_model, d_hidden], false)?;
        layer.down = fill.linear(&name("mlp.down_proj"), [d_hidden, d_model], false)?;
    }
    fill.norm("model.norm", &mut model.norm)?;
    if !config.tied {
        model.read_out = Some(fill.linear("lm_head", [d_model, vocabulary], false)?);
    }
    Ok(model)
}

fn feed_forward(activation: Activation) -> FeedForwardConfig {
    match activation {
        Activation::Gelu => FeedForwardConfig::Gelu,
        Activation::GeluTanh => FeedForwardConfig::GeluTanh,
        Activation::Relu => FeedForwardConfig::Relu,
        Activation::Silu => FeedForwardConfig::Silu,
    }
}

fn gpt2(config: &Gpt2Config, boundaries: Boundaries, fill: &mut Fill) -> Result<Decoder, PretrainedError> {
    let Gpt2Config { vocabulary, d_model, d_hidden, layers, heads, max_steps, .. } = *config;
    let block = BlockConfig::new()
        .with_layer_norm(true)
        .with_norm_epsilon(config.norm_epsilon)
        .with_feed_forward(feed_forward(config.activation))
        .with_bias(true);
    let attention = SoftmaxAttentionConfig::new(d_model, heads).with_causal(true);
    let mut model = DecoderConfig::new(vocabulary, d_model, layers, d_hidden, AttentionConfig::Softmax(attention))
        .with_boundaries(Some(boundaries))
        .with_block(block)
        .with_positions(Some(max_steps))
        .with_tied(config.tied)
        .init(fill.device);
    model.embedding = fill.embedding("wte.weight", [vocabulary, d_model])?;
    model.positions = Some(fill.embedding("wpe.weight", [max_steps, d_model])?);
    for (i, block) in model.blocks.iter_mut().enumerate() {
        let name = |part: &str| format!("h.{i}.{part}");
        fill.norm(&name("ln_1"), &mut block.attention_norm)?;
        // Query, key and value side by side.
        let together = fill.convolution(&name("attn.c_attn"), [d_model, 3 * d_model])?;
        let (weight, bias) = (together.weight.val(), together.bias.expect("always there").val());
        let part = |i: usize| Linear {
            weight: Param::from_tensor(weight.clone().narrow(1, i * d_model, d_model).mul_scalar(1.0).detach()),
            bias: Some(Param::from_tensor(bias.clone().narrow(0, i * d_model, d_model).mul_scalar(1.0).detach())),
        };
        let output = fill.convolution(&name("attn.c_proj"), [d_model, d_model])?;
        set_projections(block, [part(0), part(1), part(2), output]);
        let (norm, layer) = feed_forward_of(block);
        fill.norm(&name("ln_2"), norm)?;
        layer.up = fill.convolution(&name("mlp.c_fc"), [d_model, d_hidden])?;
        layer.down = fill.convolution(&name("mlp.c_proj"), [d_hidden, d_model])?;
    }
    fill.norm("ln_f", &mut model.norm)?;
    if !config.tied {
        model.read_out = Some(fill.linear("lm_head", [d_model, vocabulary], false)?);
    }
    Ok(model)
}

fn bert(config: &BertConfig, fill: &mut Fill) -> Result<TextEncoder, PretrainedError> {
    let BertConfig { vocabulary, d_model, d_hidden, layers, heads, max_steps, token_types, .. } = *config;
    let block = BlockConfig::new()
        .with_layer_norm(true)
        .with_norm_epsilon(config.norm_epsilon)
        .with_norm_first(false)
        .with_feed_forward(feed_forward(config.activation))
        .with_bias(true);
    let attention = AttentionConfig::Softmax(SoftmaxAttentionConfig::new(d_model, heads));
    let mut model = TextEncoderConfig::new(vocabulary, d_model, layers, d_hidden, max_steps, token_types, attention)
        .with_block(block)
        .with_pooling(Some(config.pooling))
        .init(fill.device);
    model.words = fill.embedding("embeddings.word_embeddings.weight", [vocabulary, d_model])?;
    model.positions = fill.embedding("embeddings.position_embeddings.weight", [max_steps, d_model])?;
    model.types = fill.embedding("embeddings.token_type_embeddings.weight", [token_types, d_model])?;
    fill.norm("embeddings.LayerNorm", &mut model.norm)?;
    for (i, block) in model.blocks.iter_mut().enumerate() {
        let name = |part: &str| format!("encoder.layer.{i}.{part}");
        let mut projection = |part: &str| fill.linear(&name(part), [d_model, d_model], true);
        let projections = [
            projection("attention.self.query")?,
            projection("attention.self.key")?,
            projection("attention.self.value")?,
            projection("attention.output.dense")?,
        ];
        set_projections(block, projections);
        fill.norm(&name("attention.output.LayerNorm"), &mut block.attention_norm)?;
        let (norm, layer) = feed_forward_of(block);
        fill.norm(&name("output.LayerNorm"), norm)?;
        layer.up = fill.linear(&name("intermediate.dense"), [d_model, d_hidden], true)?;
        layer.down = fill.linear(&name("output.dense"), [d_hidden, d_model], true)?;
    }
    Ok(model)
}
