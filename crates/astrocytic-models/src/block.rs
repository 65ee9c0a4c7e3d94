//! A pre-norm transformer block: attention and a gated feed-forward layer, each added to the stream.

use astrocytic_attention::ops::{gated_silu, rms_norm};
use astrocytic_attention::{Attention, AttentionCache, AttentionConfig, AttentionInput};
use burn::module::{Module, Param};
use burn::nn::{Dropout, DropoutConfig, Initializer, Linear, LinearConfig, RmsNorm, RmsNormConfig};
use burn::tensor::{Device, Tensor};

/// Standard deviation of initial weights (GPT-2).
pub(crate) const INITIAL_STD: f64 = 0.02;

/// `(silu(x W_gate) ⊙ x W_up) W_down` (SwiGLU, arXiv 2002.05202).
#[derive(Module, Debug)]
pub struct FeedForward {
    gate: Linear,
    up: Linear,
    down: Linear,
}

/// One block: `x + attention(norm(x))`, then `x + feed_forward(norm(x))`.
#[derive(Module, Debug)]
pub struct Block {
    attention_norm: RmsNorm,
    /// The attention layer.
    pub attention: Attention,
    feed_forward_norm: RmsNorm,
    feed_forward: FeedForward,
    dropout: Dropout,
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
        dropout: f64,
        device: &Device,
    ) -> Self {
        let linear = |d_input, d_output, std| {
            let initializer = Initializer::Normal { mean: 0.0, std };
            LinearConfig::new(d_input, d_output).with_bias(false).with_initializer(initializer).init(device)
        };
        // What is added to the stream starts smaller, so that its size does not grow with depth (GPT-2).
        let added_std = INITIAL_STD / (2.0 * layers as f64).sqrt();
        let mut attention = attention.init(device);
        let added = match &mut attention {
            Attention::Astrocytic(layer) => Some(&mut layer.output),
            Attention::Softmax(layer) => Some(&mut layer.output),
            _ => None,
        };
        if let Some(output) = added {
            let bias = output.bias.take();
            *output = linear(d_model, d_model, added_std);
            output.bias = bias.map(|bias| Param::from_tensor(bias.val().zeros_like()));
        }
        Self {
            attention_norm: RmsNormConfig::new(d_model).init(device),
            attention,
            feed_forward_norm: RmsNormConfig::new(d_model).init(device),
            feed_forward: FeedForward {
                gate: linear(d_model, d_hidden, INITIAL_STD),
                up: linear(d_model, d_hidden, INITIAL_STD),
                down: linear(d_hidden, d_model, added_std),
            },
            dropout: DropoutConfig::new(dropout).init(),
        }
    }

    /// `[batch, steps, d_model]` to the same; `input` says how the attention is to be run.
    pub(crate) fn forward(&self, x: Tensor<3>, input: impl Fn(Tensor<3>) -> AttentionInput) -> Tensor<3> {
        let mixed = self.attention.forward(input(rms_norm(x.clone(), &self.attention_norm))).context;
        self.feed_forward(x + self.dropout.forward(mixed))
    }

    /// The same for new steps after those in the cache.
    pub(crate) fn forward_cache(&self, x: Tensor<3>, cache: &mut AttentionCache) -> Tensor<3> {
        let mixed = self.attention.forward_cache(rms_norm(x.clone(), &self.attention_norm), cache);
        self.feed_forward(x + mixed)
    }

    fn feed_forward(&self, x: Tensor<3>) -> Tensor<3> {
        let FeedForward { gate, up, down } = &self.feed_forward;
        let normed = rms_norm(x.clone(), &self.feed_forward_norm);
        let hidden = gated_silu(up.forward(normed.clone()), gate.forward(normed));
        x + self.dropout.forward(down.forward(hidden))
    }
}
