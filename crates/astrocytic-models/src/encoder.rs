//! An encoder classifier over any attention, written once; a sequence is read whole, or segment by
//! segment.

use astrocytic_attention::ops::dropout;
use astrocytic_attention::{AstrocyticAttentionConfig, AttentionConfig, AttentionError, AttentionInput};
use burn::config::Config;
use burn::module::{Module, Param};
use burn::nn::{Dropout, DropoutConfig, Embedding, EmbeddingConfig, Initializer, Linear, LinearConfig};
use burn::tensor::{Bool, Device, FloatDType, Int, Tensor};

use crate::block::{Block, BlockConfig, INITIAL_STD, Norm};
use crate::cost;
use crate::decoder::{MOST_PARAMETERS, draw_parameters};
use crate::segments::SegmentsConfig;

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
    /// Segments that are read one after the other, a memory between them; `None` reads the whole.
    pub segments: Option<SegmentsConfig>,
    /// The classes are tokens, and the embedding reads them out, as a decoder's does.
    #[config(default = false)]
    pub tied: bool,
}

/// A pre-norm encoder. What is classified is the mean over the steps that are not padded, or, where
/// segments are read, over the memory tokens that the last of them left.
#[derive(Module, Debug)]
pub struct Encoder {
    embedding: Embedding,
    /// The memory before the first segment, `[memory tokens, d_model]`, where segments are read.
    pub(crate) memory: Option<Param<Tensor<2>>>,
    /// The blocks, first to last.
    pub blocks: Vec<Block>,
    norm: Norm,
    /// `None` where the embedding reads out.
    classifier: Option<Linear>,
    dropout: Dropout,
    #[module(skip)]
    pub(crate) segments: Option<SegmentsConfig>,
}

impl EncoderConfig {
    /// The recurrent memory augmented astromorphic transformer (RMAAT, arXiv 2601.00426):
    /// astromorphic attention within segments, memory tokens between them that retention factors
    /// scale.
    ///
    /// ```
    /// use astrocytic_dynamics::retention::LongTermPlasticity;
    /// use astrocytic_models::{EncoderConfig, SegmentsConfig};
    /// use burn::tensor::{Bool, Device, Int, Tensor};
    ///
    /// let retention = LongTermPlasticity::default().retention_factors(4).unwrap();
    /// let model = EncoderConfig::rmaat(256, 10, 32, 2, 96, 2, SegmentsConfig::new(64, 8, retention));
    /// let model = model.init(&Device::flex()).unwrap();
    /// let (tokens, padded) = (Tensor::<2, Int>::ones([3, 200], &Device::flex()), [3, 200]);
    /// assert_eq!(model.forward(tokens, Tensor::<2, Bool>::zeros(padded, &Device::flex())).dims(), [3, 10]);
    /// ```
    pub fn rmaat(
        vocabulary: usize,
        classes: usize,
        d_model: usize,
        layers: usize,
        d_hidden: usize,
        n_heads: usize,
        segments: SegmentsConfig,
    ) -> Self {
        let steps = segments.length + segments.memory_tokens;
        let attention = AttentionConfig::Astrocytic(AstrocyticAttentionConfig::astromorphic(d_model, n_heads, steps));
        Self::new(vocabulary, classes, d_model, layers, d_hidden, attention).with_segments(Some(segments))
    }

    /// Checks the configuration.
    ///
    /// # Errors
    /// [`AttentionError::Config`], which names the field and what it may be.
    pub fn validate(&self) -> Result<(), AttentionError> {
        let fault = |text: String| Err(AttentionError::Config(text));
        let Self { vocabulary, classes, d_model, layers, d_hidden, dropout, .. } = *self;
        if let Some(width) = self.attention.d_model().filter(|&width| width != d_model) {
            return fault(format!("the attention's d_model = {width} must be the encoder's, {d_model}"));
        }
        let parameters =
            layers as f64 * d_model as f64 * (d_model as f64 + d_hidden as f64) + vocabulary as f64 * d_model as f64;
        if [vocabulary, classes, d_model, layers, d_hidden].contains(&0) || parameters > MOST_PARAMETERS {
            return fault(format!(
                "d_model = {d_model}, layers = {layers}, d_hidden = {d_hidden}, vocabulary = {vocabulary} and classes = \
                 {classes} make a model of no size or of more than {MOST_PARAMETERS:e} parameters"
            ));
        }
        if !(0.0..1.0).contains(&dropout) {
            return fault(format!("dropout = {dropout} must be in [0, 1)"));
        }
        if self.tied && self.classes != self.vocabulary {
            return Err(AttentionError::Config(format!(
                "tied: the {} classes must be the {} tokens",
                self.classes, self.vocabulary
            )));
        }
        self.segments.as_ref().map_or(Ok(()), |segments| segments.validate(&self.attention))?;
        self.attention.validate()
    }

    /// Makes the model.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn init(&self, device: &Device) -> Result<Encoder, AttentionError> {
        self.validate()?;
        let config = BlockConfig::new();
        let new_block =
            |_| Block::new(self.d_model, self.d_hidden, self.layers, &self.attention, &config, self.dropout, device);
        let normal = Initializer::Normal { mean: 0.0, std: INITIAL_STD };
        Ok(Encoder {
            embedding: EmbeddingConfig::new(self.vocabulary, self.d_model)
                .with_initializer(normal.clone())
                .init(device),
            memory: self.segments.as_ref().map(|s| normal.init([s.memory_tokens, self.d_model], device)),
            blocks: (0..self.layers).map(new_block).collect(),
            norm: config.norm(self.d_model, device),
            classifier: (!self.tied).then(|| LinearConfig::new(self.d_model, self.classes).init(device)),
            dropout: DropoutConfig::new(self.dropout).init(),
            segments: self.segments.clone(),
        })
    }

    /// Makes the model with weights that depend on the seed alone, as
    /// [`DecoderConfig::init_seeded`](crate::DecoderConfig::init_seeded).
    ///
    /// # Errors
    /// As [`init`](Self::init).
    pub fn init_seeded(&self, seed: u64, device: &Device) -> Result<Encoder, AttentionError> {
        device.seed(seed);
        let model = self.init(device)?;
        draw_parameters(&model);
        Ok(model)
    }

    /// Operations of a forward pass for each of `steps` tokens; counted as
    /// [`cost::flops_per_token`] counts. Memory tokens cost what tokens do.
    pub fn flops_per_token(&self, steps: usize) -> f64 {
        let (together, each) = self.segments.as_ref().map_or((steps, 1.0), |segments| {
            let length = segments.length.min(steps);
            (length + segments.memory_tokens, (length + segments.memory_tokens) as f64 / length as f64)
        });
        let block = cost::flops_per_token(&self.attention, together) + 6.0 * self.d_model as f64 * self.d_hidden as f64;
        self.layers as f64 * block * each + 2.0 * (self.d_model * self.classes) as f64 / steps as f64
    }

    /// Bytes of what has to be kept of `steps` tokens until there is an answer, f32: the memory
    /// tokens and the stream of one segment, or the stream of the whole.
    pub fn state_bytes(&self, steps: usize) -> u64 {
        let together = self.segments.as_ref().map_or(steps, |s| s.length.min(steps) + s.memory_tokens);
        4 * (together * self.d_model) as u64
    }
}

impl Encoder {
    /// Logits of the classes; a row that is all padding is classified from zeros, or from the
    /// memory as it was at first.
    ///
    /// # Shapes
    /// - tokens: `[batch, steps]`; padded: `[batch, steps]`, true where padded: the end of a row,
    ///   where segments are read
    /// - returns `[batch, classes]`
    ///
    /// # Panics
    /// For more segments than there are retention factors.
    pub fn forward(&self, tokens: Tensor<2, Int>, padded: Tensor<2, Bool>) -> Tensor<2> {
        let Some(memory) = self.initial_memory(tokens.dims()[0]) else {
            let x = self.normalised(self.embed(tokens), &padded);
            let kept = padded.bool_not().cast(FloatDType::from(x.dtype())).unsqueeze_dim::<3>(2);
            let sum = (x * kept.clone()).sum_dim(1).squeeze_dim::<2>(1);
            let count = kept.sum_dim(1).squeeze_dim::<2>(1).clamp_min(1.0);
            return self.read_out(sum / count);
        };
        let segments = self.cut(tokens, padded);
        self.classify(segments.iter().fold(memory, |memory, segment| self.read(memory, segment)))
    }

    /// Logits of the classes from the memory after the last segment, `[batch, memory tokens,
    /// d_model]`.
    pub fn classify(&self, memory: Tensor<3>) -> Tensor<2> {
        self.read_out(memory.mean_dim(1).squeeze_dim::<2>(1))
    }

    fn read_out(&self, x: Tensor<2>) -> Tensor<2> {
        match &self.classifier {
            Some(classifier) => classifier.forward(x),
            None => x.matmul(self.embedding.weight.val().transpose()),
        }
    }

    pub(crate) fn embed(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        dropout(self.embedding.forward(tokens), &self.dropout)
    }

    /// What leaves the last block, normalised.
    pub(crate) fn normalised(&self, x: Tensor<3>, padded: &Tensor<2, Bool>) -> Tensor<3> {
        let input = |x: Tensor<3>| AttentionInput::self_attn(x).mask_pad(padded.clone());
        self.norm.forward(self.blocks.iter().fold(x, |x, block| block.forward(x, input)))
    }

    /// Where its parameters are.
    pub fn device(&self) -> Device {
        self.embedding.weight.val().device()
    }
}
