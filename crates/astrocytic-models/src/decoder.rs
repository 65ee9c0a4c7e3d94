//! A decoder language model over any attention, written once.

use astrocytic_attention::ops::dropout;
use astrocytic_attention::{AttentionCache, AttentionConfig, AttentionError, AttentionInput, Form};
use burn::config::Config;
use burn::module::{Module, ModuleVisitor, Param};
use burn::nn::{Dropout, DropoutConfig, Embedding, EmbeddingConfig, Initializer, Linear, LinearConfig};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use crate::block::{Block, BlockConfig, FeedForwardConfig, INITIAL_STD, Norm};
use crate::boundaries::Boundaries;
use crate::cost;

/// More parameters than any machine in mind holds: a number that large is a mistake.
pub(crate) const MOST_PARAMETERS: f64 = 1e11;
/// More positions than any model has learned.
const MOST_POSITIONS: usize = 1 << 20;

/// Configuration of a [`Decoder`].
#[derive(Config, Debug, PartialEq)]
pub struct DecoderConfig {
    /// Number of tokens known.
    pub vocabulary: usize,
    /// Width of the stream.
    pub d_model: usize,
    /// Number of blocks.
    pub layers: usize,
    /// Hidden width of the feed-forward layers; 0 is none.
    pub d_hidden: usize,
    /// The attention of every block; it must be causal.
    pub attention: AttentionConfig,
    /// Blocks whose attention is another, in the order of their places.
    #[config(default = "Vec::new()")]
    pub swapped: Vec<SwappedLayer>,
    /// What surrounds the attention.
    #[config(default = "BlockConfig::new()")]
    pub block: BlockConfig,
    /// Number of learned positions; `None` if the attention encodes positions itself.
    pub positions: Option<usize>,
    /// The read-out is the embedding, transposed.
    #[config(default = true)]
    pub tied: bool,
    /// Dropout of the embedding and of what is added to the stream.
    #[config(default = 0.0)]
    pub dropout: f64,
    /// Where its texts begin and end. `None`: the token that ends a document by its tokenizer
    /// stands between them.
    pub boundaries: Option<Boundaries>,
}

/// A block whose attention is not that of the others.
#[derive(Config, Debug, PartialEq)]
pub struct SwappedLayer {
    /// Place of the block, from 0.
    pub layer: usize,
    /// Its attention.
    pub attention: AttentionConfig,
}

/// What a decoder keeps of the tokens it has read.
#[derive(Debug, Clone)]
pub struct DecoderCache {
    blocks: Vec<AttentionCache>,
    steps: usize,
    /// Number of unpadded steps of each row, `[batch]`; `None` if no step was padded.
    unpadded: Option<Tensor<1, Int>>,
}

impl DecoderCache {
    /// What each block remembers, first to last.
    pub fn blocks(&self) -> &[AttentionCache] {
        &self.blocks
    }

    /// What the next window of training starts from, without the graph of gradients: whole
    /// memories, and the keys and values of the last `most` tokens.
    pub fn truncate(self, most: usize) -> Self {
        Self { blocks: self.blocks.into_iter().map(|cache| cache.truncate(most)).collect(), ..self }
    }
}

/// A decoder: tokens in, logits of the next token out.
#[derive(Module, Debug)]
pub struct Decoder {
    /// Token embedding and, where tied, transposed the read-out.
    pub embedding: Embedding,
    /// Learned positions.
    pub positions: Option<Embedding>,
    /// The blocks, first to last.
    pub blocks: Vec<Block>,
    /// Norm before the read-out.
    pub norm: Norm,
    /// The read-out, where it is not the embedding.
    pub read_out: Option<Linear>,
    dropout: Dropout,
    #[module(skip)]
    config: DecoderConfig,
}

impl DecoderConfig {
    /// Checks the configuration.
    ///
    /// # Errors
    /// [`AttentionError::Config`], which names the field and what it may be.
    pub fn validate(&self) -> Result<(), AttentionError> {
        let fault = |text: String| Err(AttentionError::Config(text));
        for layer in self.swapped.iter().map(|swapped| swapped.layer) {
            if layer >= self.layers || self.swapped.iter().filter(|swapped| swapped.layer == layer).count() > 1 {
                return fault(format!("swapped: layer {layer} is not one of {}, or is there twice", self.layers));
            }
        }
        for attention in self.attentions() {
            if let Some(width) = attention.d_model().filter(|&width| width != self.d_model) {
                return fault(format!("the attention's d_model = {width} must be the decoder's, {}", self.d_model));
            }
            if !attention.is_causal() {
                return fault("a decoder's attention must have causal = true".into());
            }
        }
        if let Some(positions) = self.positions.filter(|positions| !(1..=MOST_POSITIONS).contains(positions)) {
            return fault(format!("positions = {positions} must be 1 to {MOST_POSITIONS}, or none"));
        }
        self.block.validate()?;
        if self.vocabulary == 0 || self.layers == 0 {
            return fault(format!("vocabulary = {} and layers = {} must be above 0", self.vocabulary, self.layers));
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
        self.attentions().try_for_each(AttentionConfig::validate)
    }

    /// The attention of a block.
    pub fn attention_of(&self, layer: usize) -> &AttentionConfig {
        self.swapped.iter().find(|swapped| swapped.layer == layer).map_or(&self.attention, |swapped| &swapped.attention)
    }

    /// Every attention there is.
    fn attentions(&self) -> impl Iterator<Item = &AttentionConfig> {
        std::iter::once(&self.attention).chain(self.swapped.iter().map(|swapped| &swapped.attention))
    }

    /// Makes the model.
    ///
    /// # Panics
    /// If [`validate`](Self::validate) refuses the configuration.
    pub fn init(&self, device: &Device) -> Decoder {
        self.validate().unwrap_or_else(|fault| panic!("{fault}"));
        let (d_model, block) = (self.d_model, &self.block);
        let new_block = |layer| {
            Block::new(d_model, self.d_hidden, self.layers, self.attention_of(layer), block, self.dropout, device)
        };
        let normal = Initializer::Normal { mean: 0.0, std: INITIAL_STD };
        let embedding = |count| EmbeddingConfig::new(count, d_model).with_initializer(normal.clone()).init(device);
        let read_out = || {
            let config = LinearConfig::new(d_model, self.vocabulary).with_bias(false);
            config.with_initializer(normal.clone()).init(device)
        };
        Decoder {
            embedding: embedding(self.vocabulary),
            positions: self.positions.map(embedding),
            blocks: (0..self.layers).map(new_block).collect(),
            norm: block.norm(d_model, device),
            read_out: (!self.tied).then(read_out),
            dropout: DropoutConfig::new(self.dropout).init(),
            config: self.clone(),
        }
    }

    /// Makes the model with weights that depend on the seed alone. (Burn draws a parameter when it
    /// is first used, from random numbers that belong to the process.)
    ///
    /// # Panics
    /// As [`init`](Self::init).
    pub fn init_seeded(&self, seed: u64, device: &Device) -> Decoder {
        device.seed(seed);
        let model = self.init(device);
        draw_parameters(&model);
        model
    }

    /// Operations of a forward pass for each of `steps` tokens; counted as
    /// [`cost::flops_per_token`] counts.
    pub fn flops_per_token(&self, steps: usize) -> f64 {
        let (d, hidden, vocabulary) = (self.d_model as f64, self.d_hidden as f64, self.vocabulary as f64);
        let attention: f64 = (0..self.layers).map(|layer| cost::flops_per_token(self.attention_of(layer), steps)).sum();
        let products = if self.block.feed_forward == FeedForwardConfig::GatedSilu { 6.0 } else { 4.0 };
        attention + self.layers as f64 * products * d * hidden + 2.0 * d * vocabulary
    }

    /// Bytes of state of one sequence after `steps` tokens, f32.
    pub fn state_bytes(&self, steps: usize) -> u64 {
        (0..self.layers).map(|layer| cost::state_bytes(self.attention_of(layer), steps)).sum()
    }
}

/// Draws the parameters that are not drawn yet, from the random numbers as they stand. (Burn draws
/// a parameter when it is first used.)
pub fn draw_parameters<M: Module>(module: &M) {
    struct Draw;
    impl ModuleVisitor for Draw {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            param.val();
        }
    }
    module.visit(&mut Draw);
}

impl Decoder {
    /// The configuration it was made with.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// Swaps the attention of a block and keeps its projections.
    ///
    /// # Errors
    /// As [`Attention::swap`](astrocytic_attention::Attention::swap), and for an attention that is
    /// not causal.
    ///
    /// # Panics
    /// For a layer that the model does not have.
    pub fn swap(&mut self, layer: usize, attention: &AttentionConfig) -> Result<(), AttentionError> {
        let mut config = self.config.clone();
        config.swapped.retain(|swapped| swapped.layer != layer);
        let mut new = self.blocks[layer].attention.clone();
        new.swap(attention)?;
        config.swapped.push(SwappedLayer { layer, attention: new.config() });
        config.swapped.sort_by_key(|swapped| swapped.layer);
        config.validate()?;
        self.blocks[layer].attention = new;
        self.config = config;
        Ok(())
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

    /// Logits of the next token at these places only, which saves the read-out of the others.
    ///
    /// # Shapes
    /// - tokens, places, cache, panics: as [`features_at`](Self::features_at)
    /// - returns `[places, vocabulary]`
    pub fn forward_at(&self, tokens: Tensor<2, Int>, places: &[i32], cache: Option<&mut DecoderCache>) -> Tensor<2> {
        self.read_out(self.features_at(tokens, places, cache))
    }

    /// What the read-out reads after the tokens at those places: what leaves the last block,
    /// normalised. With a cache as [`forward_cache`](Self::forward_cache).
    ///
    /// # Shapes
    /// - tokens: `[batch, steps]`; places: any number of them, each below batch · steps, counted
    ///   row by row
    /// - returns `[places, d_model]`
    ///
    /// # Panics
    /// For a token that is not in the vocabulary, a place that is not there, and a cache of another
    /// model or batch size.
    pub fn features_at(&self, tokens: Tensor<2, Int>, places: &[i32], cache: Option<&mut DecoderCache>) -> Tensor<2> {
        let x = match cache {
            Some(cache) => self.hidden_cache(tokens, None, cache),
            None => self.hidden(tokens, AttentionInput::self_attn),
        };
        self.features_of(x, places)
    }

    /// As [`features_at`](Self::features_at) without a cache, by a given form of the astrocytic
    /// recurrence.
    pub fn features_form(&self, tokens: Tensor<2, Int>, places: &[i32], form: Form) -> Tensor<2> {
        self.features_of(self.hidden(tokens, |x| AttentionInput::self_attn(x).form(form)), places)
    }

    /// From what leaves the last block, `[batch, steps, d_model]`, to the features at those places.
    fn features_of(&self, x: Tensor<3>, places: &[i32]) -> Tensor<2> {
        let ([batch, steps, d_model], count) = (x.dims(), places.len());
        let places = Tensor::from_data(TensorData::new(places.to_vec(), [count]), &x.device());
        let chosen = x.reshape([batch * steps, d_model]).select(0, places).unsqueeze();
        self.norm.forward(chosen).reshape([count, d_model])
    }

    /// Logits of features, `[rows, d_model]` to `[rows, vocabulary]`.
    pub fn read_out(&self, features: Tensor<2>) -> Tensor<2> {
        let weight = match &self.read_out {
            Some(read_out) => read_out.weight.val(),
            None => self.embedding.weight.val().transpose(),
        };
        features.matmul(weight)
    }

    fn forward_with(&self, tokens: Tensor<2, Int>, input: impl Fn(Tensor<3>) -> AttentionInput) -> Tensor<3> {
        self.logits(self.hidden(tokens, input))
    }

    /// The same without dropout, in training too.
    pub fn without_dropout(mut self) -> Self {
        self.dropout.prob = 0.0;
        self.blocks.iter_mut().for_each(Block::stop_dropout);
        self
    }

    /// What leaves the last block.
    fn hidden(&self, tokens: Tensor<2, Int>, input: impl Fn(Tensor<3>) -> AttentionInput) -> Tensor<3> {
        let x = dropout(self.embed(tokens, 0), &self.dropout);
        self.blocks.iter().fold(x, |x, block| block.forward(x, &input))
    }

    /// What goes into the first block, for tokens after `past` others.
    ///
    /// # Panics
    /// For more steps than the model has positions.
    pub fn embed(&self, tokens: Tensor<2, Int>, past: usize) -> Tensor<3> {
        let [_, steps] = tokens.dims();
        let x = self.embedding.forward(tokens);
        match (&self.positions, self.config.positions) {
            (Some(positions), Some(most)) => {
                assert!(past + steps <= most, "{} steps are more than the model's {most} positions", past + steps);
                let places = Tensor::arange(past as i64..(past + steps) as i64, &x.device());
                x + positions.forward(places.unsqueeze::<2>())
            }
            _ => x,
        }
    }

    /// An empty cache.
    pub fn empty_cache(&self, batch: usize) -> DecoderCache {
        let blocks = self.blocks.iter().map(|block| block.attention.empty_cache(batch)).collect();
        DecoderCache { blocks, steps: 0, unpadded: None }
    }

    /// Logits for new tokens after those in the cache, which remembers them.
    ///
    /// # Shapes
    /// - tokens: `[batch, new steps]`
    /// - returns `[batch, new steps, vocabulary]`
    ///
    /// # Panics
    /// For a cache of another model or batch size, and for more steps than the model has positions.
    pub fn forward_cache(&self, tokens: Tensor<2, Int>, cache: &mut DecoderCache) -> Tensor<3> {
        self.logits(self.hidden_cache(tokens, None, cache))
    }

    /// The same for rows of different lengths: padded tokens, left, right or inside, are as if they
    /// were not there.
    ///
    /// # Shapes
    /// - tokens: `[batch, new steps]`; padded: the same, true where padded
    /// - returns `[batch, new steps, vocabulary]`; what stands at padded tokens means nothing
    ///
    /// # Panics
    /// As [`forward_cache`](Self::forward_cache).
    pub fn forward_cache_padded(
        &self,
        tokens: Tensor<2, Int>,
        padded: Tensor<2, Bool>,
        cache: &mut DecoderCache,
    ) -> Tensor<3> {
        self.logits(self.hidden_cache(tokens, Some(padded), cache))
    }

    fn hidden_cache(
        &self,
        tokens: Tensor<2, Int>,
        padded: Option<Tensor<2, Bool>>,
        cache: &mut DecoderCache,
    ) -> Tensor<3> {
        assert_eq!(cache.blocks.len(), self.blocks.len(), "cache: one for each block");
        let steps = tokens.dims()[1];
        let x = dropout(self.embed_after(tokens, padded.as_ref(), cache), &self.dropout);
        cache.steps += steps;
        let input = |x: Tensor<3>| {
            let input = AttentionInput::self_attn(x);
            padded.iter().fold(input, |input, padded| input.mask_pad(padded.clone()))
        };
        let blocks = self.blocks.iter().zip(&mut cache.blocks);
        blocks.fold(x, |x, (block, cache)| block.forward_cache(x, &input, cache))
    }

    /// As [`embed`](Self::embed) after the tokens of the cache, where padded tokens take no
    /// position.
    fn embed_after(
        &self,
        tokens: Tensor<2, Int>,
        padded: Option<&Tensor<2, Bool>>,
        cache: &mut DecoderCache,
    ) -> Tensor<3> {
        let Some(positions) = self.positions.as_ref().filter(|_| padded.is_some() || cache.unpadded.is_some()) else {
            return self.embed(tokens, cache.steps);
        };
        let [batch, steps] = tokens.dims();
        let device = tokens.device();
        let before = cache.unpadded.clone();
        let before = before.unwrap_or_else(|| Tensor::full([batch], cache.steps as i64, &device)).unsqueeze_dim::<2>(1);
        let counts = match padded {
            Some(padded) => padded.clone().bool_not().int(),
            None => Tensor::ones([batch, steps], &device),
        };
        let after = counts.cumsum(1) + before.expand([batch, steps]);
        let most = self.config.positions.unwrap_or(usize::MAX);
        let last = after.clone().max().into_scalar::<i64>() as usize;
        assert!(last <= most, "{last} steps are more than the model's {most} positions");
        cache.unpadded = Some(after.clone().narrow(1, steps - 1, 1).squeeze_dim(1));
        self.embedding.forward(tokens) + positions.forward(after.sub_scalar(1).clamp_min(0))
    }

    /// From what leaves the last block to the logits of the next token.
    pub fn logits(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, steps, d_model] = x.dims();
        let features = self.norm.forward(x).reshape([batch * steps, d_model]);
        self.read_out(features).reshape([batch, steps, self.config.vocabulary])
    }
}
