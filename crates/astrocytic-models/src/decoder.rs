//! A decoder language model over any attention, written once.

use astrocytic_attention::ops::rms_norm;
use astrocytic_attention::{AttentionCache, AttentionConfig, AttentionError, AttentionInput, Form};
use burn::config::Config;
use burn::module::{Module, ModuleVisitor, Param};
use burn::nn::{Dropout, DropoutConfig, Embedding, EmbeddingConfig, Initializer, RmsNorm, RmsNormConfig};
use burn::tensor::{Device, Int, Tensor};

use crate::block::{Block, INITIAL_STD};

/// More than any machine that this is for can hold; a number that large is a mistake.
const MOST_PARAMETERS: f64 = 1e11;

/// Configuration of a [`Decoder`].
#[derive(Config, Debug, PartialEq)]
pub struct DecoderConfig {
    /// Number of tokens known.
    pub vocabulary: usize,
    /// Width of the stream.
    pub d_model: usize,
    /// Number of blocks.
    pub layers: usize,
    /// Hidden width of the feed-forward layers.
    pub d_hidden: usize,
    /// The attention of every block; it must be causal.
    pub attention: AttentionConfig,
    /// Dropout of the embedding and of what is added to the stream.
    #[config(default = 0.0)]
    pub dropout: f64,
}

/// A pre-norm decoder with tied embeddings.
#[derive(Module, Debug)]
pub struct Decoder {
    /// Token embedding and, transposed, the read-out.
    pub embedding: Embedding,
    /// The blocks, first to last.
    pub blocks: Vec<Block>,
    norm: RmsNorm,
    dropout: Dropout,
    #[module(skip)]
    config: DecoderConfig,
}

impl DecoderConfig {
    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// [`AttentionError::Config`] with the field and what would do.
    pub fn validate(&self) -> Result<(), AttentionError> {
        let fault = |text: String| Err(AttentionError::Config(text));
        if let Some(width) = self.attention.d_model().filter(|&width| width != self.d_model) {
            return fault(format!("the attention's d_model = {width} must be the decoder's, {}", self.d_model));
        }
        if !self.attention.is_causal() {
            return fault("a decoder's attention must have causal = true".into());
        }
        if self.vocabulary == 0 || self.layers == 0 || self.d_hidden == 0 {
            let Self { vocabulary, layers, d_hidden, .. } = self;
            return fault(format!(
                "vocabulary = {vocabulary}, layers = {layers} and d_hidden = {d_hidden} must be above 0"
            ));
        }
        let Self { vocabulary, d_model, layers, d_hidden, .. } = *self;
        let parameters =
            layers as f64 * d_model as f64 * (d_model as f64 + d_hidden as f64) + vocabulary as f64 * d_model as f64;
        if d_model == 0 || parameters > MOST_PARAMETERS {
            return fault(format!(
                "d_model = {d_model}, layers = {layers}, d_hidden = {d_hidden} and vocabulary = {vocabulary} make a model \
                 of no size or of more than {MOST_PARAMETERS:e} parameters"
            ));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return fault(format!("dropout = {} must be in [0, 1)", self.dropout));
        }
        self.attention.validate()
    }

    /// Makes the model.
    ///
    /// # Panics
    /// Where [`validate`](Self::validate) refuses the configuration.
    pub fn init(&self, device: &Device) -> Decoder {
        self.validate().unwrap_or_else(|fault| panic!("{fault}"));
        let block = |_| Block::new(self.d_model, self.d_hidden, self.layers, &self.attention, self.dropout, device);
        let normal = Initializer::Normal { mean: 0.0, std: INITIAL_STD };
        Decoder {
            embedding: EmbeddingConfig::new(self.vocabulary, self.d_model).with_initializer(normal).init(device),
            blocks: (0..self.layers).map(block).collect(),
            norm: RmsNormConfig::new(self.d_model).init(device),
            dropout: DropoutConfig::new(self.dropout).init(),
            config: self.clone(),
        }
    }

    /// Makes the model with weights that depend on the seed alone. (Burn draws a parameter when it is first used, from
    /// random numbers that belong to the process.)
    ///
    /// # Panics
    /// As [`init`](Self::init).
    pub fn init_seeded(&self, seed: u64, device: &Device) -> Decoder {
        device.seed(seed);
        let model = self.init(device);
        model.visit(&mut Materialize);
        model
    }

    /// Operations of a forward pass for each of `steps` tokens; counted as
    /// [`AttentionConfig::flops_per_token`] counts.
    pub fn flops_per_token(&self, steps: usize) -> f64 {
        let (d, hidden, vocabulary) = (self.d_model as f64, self.d_hidden as f64, self.vocabulary as f64);
        self.layers as f64 * (self.attention.flops_per_token(steps) + 6.0 * d * hidden) + 2.0 * d * vocabulary
    }

    /// Bytes of state of one sequence after `steps` tokens, f32.
    pub fn state_bytes(&self, steps: usize) -> u64 {
        self.layers as u64 * self.attention.state_bytes(steps)
    }
}

struct Materialize;

impl ModuleVisitor for Materialize {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        param.val();
    }
}

impl Decoder {
    /// The configuration it was made with.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// Logits of the next token after each step.
    ///
    /// # Shapes
    /// - tokens: `[batch, steps]`
    /// - returns `[batch, steps, vocabulary]`
    ///
    /// # Panics
    /// For a token that is not in the vocabulary.
    pub fn forward(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        self.forward_with(tokens, AttentionInput::self_attn)
    }

    /// As [`forward`](Self::forward), by a given form of the astrocytic recurrence.
    pub fn forward_form(&self, tokens: Tensor<2, Int>, form: Form) -> Tensor<3> {
        self.forward_with(tokens, |x| AttentionInput::self_attn(x).form(form))
    }

    fn forward_with(&self, tokens: Tensor<2, Int>, input: impl Fn(Tensor<3>) -> AttentionInput) -> Tensor<3> {
        let x = self.dropout.forward(self.embedding.forward(tokens));
        self.logits(self.blocks.iter().fold(x, |x, block| block.forward(x, &input)))
    }

    /// Caches that have seen nothing, one a block.
    pub fn empty_caches(&self, batch: usize) -> Vec<AttentionCache> {
        self.blocks.iter().map(|block| block.attention.empty_cache(batch)).collect()
    }

    /// Logits for new tokens after those in the caches, which remember them.
    ///
    /// # Shapes
    /// - tokens: `[batch, new steps]`
    /// - returns `[batch, new steps, vocabulary]`
    ///
    /// # Panics
    /// For caches of another model or batch size.
    pub fn forward_cache(&self, tokens: Tensor<2, Int>, caches: &mut [AttentionCache]) -> Tensor<3> {
        assert_eq!(caches.len(), self.blocks.len(), "caches: one for each block");
        let x = self.embedding.forward(tokens);
        let blocks = self.blocks.iter().zip(caches);
        self.logits(blocks.fold(x, |x, (block, cache)| block.forward_cache(x, cache)))
    }

    fn logits(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, steps, d_model] = x.dims();
        let read_out = self.embedding.weight.val().transpose();
        let logits = rms_norm(x, &self.norm).reshape([batch * steps, d_model]).matmul(read_out);
        logits.reshape([batch, steps, self.config.vocabulary])
    }
}
