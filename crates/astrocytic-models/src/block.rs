//! A transformer block: attention and a feed-forward layer, each added to the stream.

use astrocytic_attention::ops::{dropout, gated_silu, rms_norm};
use astrocytic_attention::{Attention, AttentionCache, AttentionConfig, AttentionError, AttentionInput};
use burn::config::Config;
use burn::module::{Module, Param};
use burn::nn::{Dropout, DropoutConfig, Initializer, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::nn::{RmsNorm, RmsNormConfig};
use burn::tensor::activation::{gelu, gelu_approximate};
use burn::tensor::{Device, Tensor};

/// Standard deviation of initial weights (GPT-2).
pub(crate) const INITIAL_STD: f64 = 0.02;

/// What surrounds the attention of a block: the norms and the feed-forward layer.
#[derive(Config, Debug, Copy, PartialEq)]
pub struct BlockConfig {
    /// Layer norm (arXiv 1607.06450) instead of RMS norm (arXiv 1910.07467).
    #[config(default = false)]
    pub layer_norm: bool,
    /// Added to the variance in norms.
    #[config(default = 1e-5)]
    pub norm_epsilon: f64,
    /// Norms before attention and feed-forward layer (pre-norm); else after each sum (post-norm).
    #[config(default = true)]
    pub norm_first: bool,
    /// The feed-forward layer.
    #[config(default = "FeedForwardConfig::GatedSilu")]
    pub feed_forward: FeedForwardConfig,
    /// Biases in the feed-forward layer.
    #[config(default = false)]
    pub bias: bool,
}

/// Which feed-forward layer.
#[derive(Config, Debug, Copy, PartialEq, Eq)]
pub enum FeedForwardConfig {
    /// `(silu(x W_gate) ⊙ x W_up) W_down` (SwiGLU, arXiv 2002.05202).
    GatedSilu,
    /// `gelu(x W_up) W_down` (arXiv 1606.08415).
    Gelu,
    /// The same with the approximation by tanh, as GPT-2 has it.
    GeluTanh,
    /// `relu(x W_up) W_down`.
    Relu,
    /// `silu(x W_up) W_down`.
    Silu,
}

/// A norm over the last axis.
#[derive(Module, Debug)]
pub enum Norm {
    /// By the root of the mean square.
    Rms(RmsNorm),
    /// By mean and standard deviation.
    Layer(LayerNorm),
}

/// A feed-forward layer.
#[derive(Module, Debug)]
pub struct FeedForward {
    /// W_gate, where the layer is gated.
    pub gate: Option<Linear>,
    /// W_up.
    pub up: Linear,
    /// W_down.
    pub down: Linear,
    #[module(skip)]
    config: FeedForwardConfig,
}

/// One block: `x + attention(norm(x))`, then `x + feed_forward(norm(x))`, or with norms behind the
/// sums.
#[derive(Module, Debug)]
pub struct Block {
    /// Norm of the attention.
    pub attention_norm: Norm,
    /// The attention layer.
    pub attention: Attention,
    /// Norm of the feed-forward layer.
    pub feed_forward_norm: Option<Norm>,
    /// The feed-forward layer; `None` where its hidden width is 0.
    pub feed_forward: Option<FeedForward>,
    dropout: Dropout,
    norm_first: bool,
}

impl BlockConfig {
    /// Checks the configuration.
    ///
    /// # Errors
    /// [`AttentionError::Config`], which names the field and what it may be.
    pub(crate) fn validate(&self) -> Result<(), AttentionError> {
        let epsilon = self.norm_epsilon;
        match epsilon > 0.0 && epsilon <= 1.0 {
            true => Ok(()),
            false => {
                let text = format!("block.norm_epsilon = {epsilon} must be above 0 and at most 1");
                Err(AttentionError::Config(text))
            }
        }
    }

    /// A norm of vectors of that size.
    pub(crate) fn norm(&self, size: usize, device: &Device) -> Norm {
        let epsilon = self.norm_epsilon;
        match self.layer_norm {
            true => Norm::Layer(LayerNormConfig::new(size).with_epsilon(epsilon).init(device)),
            false => Norm::Rms(RmsNormConfig::new(size).with_epsilon(epsilon).init(device)),
        }
    }
}

impl Norm {
    /// Normalises; any shape.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        match self {
            Self::Rms(norm) => rms_norm(x, norm),
            Self::Layer(norm) => norm.forward(x),
        }
    }
}

impl FeedForward {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let up = self.up.forward(x.clone());
        let hidden = match (&self.gate, self.config) {
            (Some(gate), _) => gated_silu(up, gate.forward(x)),
            (None, FeedForwardConfig::Gelu) => gelu(up),
            (None, FeedForwardConfig::GeluTanh) => gelu_approximate(up),
            (None, FeedForwardConfig::Relu) => burn::tensor::activation::relu(up),
            (None, _) => burn::tensor::activation::silu(up),
        };
        self.down.forward(hidden)
    }
}

impl Block {
    /// A block of a model with `layers` blocks.
    ///
    /// # Panics
    /// For an attention config that does not hold.
    pub(crate) fn new(
        d_model: usize,
        d_hidden: usize,
        layers: usize,
        attention: &AttentionConfig,
        config: &BlockConfig,
        dropout: f64,
        device: &Device,
    ) -> Self {
        let linear = |d_input, d_output, std, bias| {
            let initializer = Initializer::Normal { mean: 0.0, std };
            let mut linear =
                LinearConfig::new(d_input, d_output).with_bias(false).with_initializer(initializer).init(device);
            linear.bias = bool::then(bias, || Initializer::Zeros.init([d_output], device));
            linear
        };
        // What is added to the stream starts smaller, so that its size does not grow with depth
        // (GPT-2).
        let added_std = INITIAL_STD / (2.0 * layers as f64).sqrt();
        let mut attention = attention.init(device);
        if let Some(output) = attention.output_mut() {
            let bias = output.bias.take();
            // (Not its values, which nobody has drawn yet.)
            let [d_read, _] = output.weight.lazy_shape().dims();
            *output = linear(d_read, d_model, added_std, false);
            output.bias = bias.map(|bias| Param::from_tensor(bias.val().zeros_like()));
        }
        let gated = config.feed_forward == FeedForwardConfig::GatedSilu;
        Self {
            attention_norm: config.norm(d_model, device),
            attention,
            feed_forward_norm: (d_hidden > 0).then(|| config.norm(d_model, device)),
            feed_forward: (d_hidden > 0).then(|| FeedForward {
                gate: gated.then(|| linear(d_model, d_hidden, INITIAL_STD, config.bias)),
                up: linear(d_model, d_hidden, INITIAL_STD, config.bias),
                down: linear(d_hidden, d_model, added_std, config.bias),
                config: config.feed_forward,
            }),
            dropout: DropoutConfig::new(dropout).init(),
            norm_first: config.norm_first,
        }
    }

    /// Switches dropout off, in training too.
    pub(crate) fn stop_dropout(&mut self) {
        self.dropout.prob = 0.0;
        match &mut self.attention {
            Attention::Astrocytic(layer) => layer.write_dropout.prob = 0.0,
            Attention::Softmax(layer) => layer.dropout.prob = 0.0,
            Attention::Burn(layer) => layer.dropout.prob = 0.0,
            _ => {}
        }
    }

    /// `[batch, steps, d_model]` to the same; `attend` is called in the place of the attention.
    pub fn forward_with(&self, x: Tensor<3>, attend: impl FnOnce(Tensor<3>) -> Tensor<3>) -> Tensor<3> {
        if self.norm_first {
            let mixed = attend(self.attention_norm.forward(x.clone()));
            let x = x + dropout(mixed, &self.dropout);
            let Some((norm, layer)) = self.feed_forward_norm.as_ref().zip(self.feed_forward.as_ref()) else { return x };
            let added = layer.forward(norm.forward(x.clone()));
            x + dropout(added, &self.dropout)
        } else {
            let mixed = attend(x.clone());
            let x = self.attention_norm.forward(x + dropout(mixed, &self.dropout));
            let Some((norm, layer)) = self.feed_forward_norm.as_ref().zip(self.feed_forward.as_ref()) else { return x };
            let added = layer.forward(x.clone());
            norm.forward(x + dropout(added, &self.dropout))
        }
    }

    /// `[batch, steps, d_model]` to the same; `input` says how the attention is to be run.
    pub(crate) fn forward(&self, x: Tensor<3>, input: impl Fn(Tensor<3>) -> AttentionInput) -> Tensor<3> {
        self.forward_with(x, |x| self.attention.forward(input(x)).context)
    }

    /// The same for new steps after those in the cache.
    pub(crate) fn forward_cache(
        &self,
        x: Tensor<3>,
        input: &impl Fn(Tensor<3>) -> AttentionInput,
        cache: &mut AttentionCache,
    ) -> Tensor<3> {
        self.forward_with(x, |x| self.attention.forward_cache(input(x), cache).context)
    }
}
