//! An encoder of texts over any attention: BERT's (arXiv 1810.04805), whose steps are pooled to a text's embedding
//! (Sentence-BERT, arXiv 1908.10084).

use astrocytic_attention::{AttentionConfig, AttentionError, AttentionInput};
use burn::config::Config;
use burn::module::Module;
use burn::nn::{Embedding, EmbeddingConfig, Initializer};
use burn::tensor::{Bool, Device, FloatDType, Int, Tensor};

use crate::block::{Block, BlockConfig, INITIAL_STD, Norm};
use crate::decoder::{MOST_PARAMETERS, SwappedLayer};
use crate::pretrained::{PooledSteps, Pooling};

/// Configuration of a [`TextEncoder`].
#[derive(Config, Debug, PartialEq)]
pub struct TextEncoderConfig {
    /// Number of tokens known.
    pub vocabulary: usize,
    /// Width of the stream.
    pub d_model: usize,
    /// Number of blocks.
    pub layers: usize,
    /// Hidden width of the feed-forward layers.
    pub d_hidden: usize,
    /// Learned positions.
    pub positions: usize,
    /// Kinds of segments.
    pub token_types: usize,
    /// The attention of every block.
    pub attention: AttentionConfig,
    /// Blocks whose attention is another.
    #[config(default = "Vec::new()")]
    pub swapped: Vec<SwappedLayer>,
    /// What surrounds the attention.
    #[config(default = "BlockConfig::new().with_layer_norm(true).with_norm_first(false)")]
    pub block: BlockConfig,
    /// How the steps become a text's embedding; `None`, as in older files, is the mean brought to length 1.
    #[config(default = "None")]
    pub pooling: Option<Pooling>,
}

/// A post-norm encoder of texts.
#[derive(Module, Debug)]
pub struct TextEncoder {
    /// Token embedding.
    pub words: Embedding,
    /// Learned positions.
    pub positions: Embedding,
    /// Embedding of the kinds of segments; all tokens are of the first.
    pub types: Embedding,
    /// Norm of their sum.
    pub norm: Norm,
    /// The blocks, first to last.
    pub blocks: Vec<Block>,
    #[module(skip)]
    config: TextEncoderConfig,
}

impl TextEncoderConfig {
    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// [`AttentionError::Config`] with the field and what would do.
    pub fn validate(&self) -> Result<(), AttentionError> {
        let fault = |text: String| Err(AttentionError::Config(text));
        let Self { vocabulary, d_model, layers, d_hidden, positions, token_types, .. } = *self;
        let sizes = [vocabulary, d_model, layers, d_hidden, positions, token_types];
        let parameters = layers as f64 * d_model as f64 * (d_model as f64 + d_hidden as f64)
            + (vocabulary as f64 + positions as f64 + token_types as f64) * d_model as f64;
        if sizes.contains(&0) || parameters > MOST_PARAMETERS {
            return fault(format!(
                "sizes {sizes:?} make a model of no size or of more than {MOST_PARAMETERS:e} parameters"
            ));
        }
        if self.swapped.iter().any(|swapped| swapped.layer >= layers) {
            return fault(format!("swapped: a layer is not one of {layers}"));
        }
        for attention in std::iter::once(&self.attention).chain(self.swapped.iter().map(|swapped| &swapped.attention)) {
            if let Some(width) = attention.d_model().filter(|&width| width != d_model) {
                return fault(format!("the attention's d_model = {width} must be the encoder's, {d_model}"));
            }
            attention.validate()?;
        }
        Ok(())
    }

    /// Makes the model.
    ///
    /// # Panics
    /// Where [`validate`](Self::validate) refuses the configuration.
    pub fn init(&self, device: &Device) -> TextEncoder {
        self.validate().unwrap_or_else(|fault| panic!("{fault}"));
        let normal = Initializer::Normal { mean: 0.0, std: INITIAL_STD };
        let embedding = |count| EmbeddingConfig::new(count, self.d_model).with_initializer(normal.clone()).init(device);
        let block = |layer| {
            let swapped = self.swapped.iter().find(|swapped| swapped.layer == layer);
            let attention = swapped.map_or(&self.attention, |swapped| &swapped.attention);
            Block::new(self.d_model, self.d_hidden, self.layers, attention, &self.block, 0.0, device)
        };
        TextEncoder {
            words: embedding(self.vocabulary),
            positions: embedding(self.positions),
            types: embedding(self.token_types),
            norm: self.block.norm(self.d_model, device),
            blocks: (0..self.layers).map(block).collect(),
            config: self.clone(),
        }
    }
}

impl TextEncoder {
    /// The configuration it was made with, and what was swapped since.
    pub fn config(&self) -> &TextEncoderConfig {
        &self.config
    }

    /// Swaps the attention of a block, its projections kept.
    ///
    /// # Errors
    /// As [`Attention::swap`](astrocytic_attention::Attention::swap).
    ///
    /// # Panics
    /// For a layer that the model does not have.
    pub fn swap(&mut self, layer: usize, attention: &AttentionConfig) -> Result<(), AttentionError> {
        self.blocks[layer].attention.swap(attention)?;
        self.config.swapped.retain(|swapped| swapped.layer != layer);
        let attention = self.blocks[layer].attention.config();
        self.config.swapped.push(SwappedLayer { layer, attention });
        self.config.swapped.sort_by_key(|swapped| swapped.layer);
        Ok(())
    }

    /// What goes into the first block.
    ///
    /// # Shapes
    /// - tokens: `[batch, steps]`
    /// - returns `[batch, steps, d_model]`
    ///
    /// # Panics
    /// For more steps than the model has positions.
    pub fn embed_tokens(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        let [_, steps] = tokens.dims();
        let most = self.config.positions;
        assert!(steps <= most, "{steps} steps are more than the model's {most} positions");
        let device = tokens.device();
        let places = Tensor::<1, Int>::arange(0..steps as i64, &device).unsqueeze::<2>();
        let first_kind = Tensor::<2, Int>::zeros([1, 1], &device);
        let x = self.words.forward(tokens) + self.positions.forward(places);
        self.norm.forward(x + self.types.forward(first_kind))
    }

    /// What each step became.
    ///
    /// # Shapes
    /// - tokens: `[batch, steps]`; padded: `[batch, steps]`, true where padded
    /// - returns `[batch, steps, d_model]`
    ///
    /// # Panics
    /// For more steps than the model has positions.
    pub fn forward(&self, tokens: Tensor<2, Int>, padded: &Tensor<2, Bool>) -> Tensor<3> {
        let input = |x: Tensor<3>| AttentionInput::self_attn(x).mask_pad(padded.clone());
        self.blocks.iter().fold(self.embed_tokens(tokens), |x, block| block.forward(x, input))
    }

    /// How the steps become a text's embedding.
    pub fn pooling(&self) -> Pooling {
        self.config.pooling.unwrap_or_default()
    }

    /// The embedding of each text: its steps pooled. The first step of a text is the row's first: padding follows.
    ///
    /// # Shapes
    /// - as [`forward`](Self::forward); returns `[batch, d_model]`
    pub fn embed(&self, tokens: Tensor<2, Int>, padded: &Tensor<2, Bool>) -> Tensor<2> {
        self.pool(self.forward(tokens, padded), padded)
    }

    /// The embeddings of texts from what their steps became: `[batch, steps, d_model]` to `[batch, d_model]`.
    pub fn pool(&self, x: Tensor<3>, padded: &Tensor<2, Bool>) -> Tensor<2> {
        let Pooling { steps, normalized } = self.pooling();
        let pooled = match steps {
            PooledSteps::First => x.narrow(1, 0, 1).squeeze_dim::<2>(1),
            PooledSteps::Mean => {
                let kept = padded.clone().bool_not().cast(FloatDType::from(x.dtype())).unsqueeze_dim::<3>(2);
                let count = kept.clone().sum_dim(1).squeeze_dim::<2>(1).clamp_min(1.0);
                (x * kept).sum_dim(1).squeeze_dim::<2>(1) / count
            }
        };
        if !normalized {
            return pooled;
        }
        let length = pooled.clone().square().sum_dim(1).sqrt().clamp_min(1e-12);
        pooled / length
    }
}
