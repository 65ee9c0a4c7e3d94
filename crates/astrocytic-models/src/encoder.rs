//! An encoder classifier over any attention, written once.

use astrocytic_attention::{AttentionConfig, AttentionError, AttentionInput};
use burn::config::Config;
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Embedding, EmbeddingConfig, Initializer, Linear, LinearConfig};
use burn::tensor::{Bool, Device, Int, Tensor};

use crate::block::{Block, BlockConfig, INITIAL_STD, Norm};

/// Configuration of an [`Encoder`].
#[derive(Config, Debug, PartialEq)]
pub struct EncoderConfig {
    /// Number of tokens known.
    pub vocabulary: usize,
    /// Number of classes.
    pub classes: usize,
    /// Width of the stream.
    pub d_model: usize,
    /// Number of blocks.
    pub layers: usize,
    /// Hidden width of the feed-forward layers.
    pub d_hidden: usize,
    /// The attention of every block, usually not causal.
    pub attention: AttentionConfig,
    /// Dropout of the embedding and of what is added to the stream.
    #[config(default = 0.0)]
    pub dropout: f64,
}

/// A pre-norm encoder whose mean over the steps that are not padded is classified.
#[derive(Module, Debug)]
pub struct Encoder {
    embedding: Embedding,
    /// The blocks, first to last.
    pub blocks: Vec<Block>,
    norm: Norm,
    classifier: Linear,
    dropout: Dropout,
}

impl EncoderConfig {
    /// Makes the model.
    ///
    /// # Errors
    /// [`AttentionError::Config`] with the field and what would do.
    pub fn init(&self, device: &Device) -> Result<Encoder, AttentionError> {
        self.attention.validate()?;
        let width = self.attention.d_model().unwrap_or(self.d_model);
        let sizes = [self.vocabulary, self.classes, self.layers, self.d_hidden];
        if width != self.d_model || sizes.contains(&0) || !(0.0..1.0).contains(&self.dropout) {
            return Err(AttentionError::Config(format!(
                "the attention's d_model must be the encoder's, sizes above 0 and dropout in [0, 1): {self}"
            )));
        }
        let config = BlockConfig::new();
        let new_block =
            |_| Block::new(self.d_model, self.d_hidden, self.layers, &self.attention, &config, self.dropout, device);
        let normal = Initializer::Normal { mean: 0.0, std: INITIAL_STD };
        Ok(Encoder {
            embedding: EmbeddingConfig::new(self.vocabulary, self.d_model).with_initializer(normal).init(device),
            blocks: (0..self.layers).map(new_block).collect(),
            norm: config.norm(self.d_model, device),
            classifier: LinearConfig::new(self.d_model, self.classes).init(device),
            dropout: DropoutConfig::new(self.dropout).init(),
        })
    }

    /// Operations of a forward pass for each of `steps` tokens; counted as
    /// [`AttentionConfig::flops_per_token`] counts.
    pub fn flops_per_token(&self, steps: usize) -> f64 {
        let block = self.attention.flops_per_token(steps) + 6.0 * self.d_model as f64 * self.d_hidden as f64;
        self.layers as f64 * block + 2.0 * (self.d_model * self.classes) as f64 / steps as f64
    }
}

impl Encoder {
    /// Logits of the classes; a row that is all padding is classified from zeros.
    ///
    /// # Shapes
    /// - tokens: `[batch, steps]`; padded: `[batch, steps]`, true where padded
    /// - returns `[batch, classes]`
    pub fn forward(&self, tokens: Tensor<2, Int>, padded: Tensor<2, Bool>) -> Tensor<2> {
        let x = self.dropout.forward(self.embedding.forward(tokens));
        let input = |x: Tensor<3>| AttentionInput::self_attn(x).mask_pad(padded.clone());
        let x = self.norm.forward(self.blocks.iter().fold(x, |x, block| block.forward(x, input)));
        let kept = padded.bool_not().float().cast(x.dtype()).unsqueeze_dim::<3>(2);
        let sum = (x * kept.clone()).sum_dim(1).squeeze_dim::<2>(1);
        let count = kept.sum_dim(1).squeeze_dim::<2>(1).clamp_min(1.0);
        self.classifier.forward(sum / count)
    }
}
