//! Astrocytic attention as a Burn module. It is used where
//! `burn::nn::attention::MultiHeadAttention` is.

mod call;
mod check;
mod config;
mod forward;
mod initial;
mod presets;
mod project;
mod read;
mod several_writes;
mod softmax_heads;
mod state;
mod window;
mod window_sums;

use burn::module::{Content, DisplaySettings, Module, ModuleDisplay, Param};
use burn::nn::{Dropout, DropoutConfig, Initializer, Linear, LinearConfig, RmsNorm, RmsNormConfig};
use burn::tensor::{Device, Tensor};

pub use config::{AstrocyticAttentionConfig, Normalizer};
pub use several_writes::FurtherWrites;
pub use state::AttentionState;

use crate::convolution::ShortConvolution;
use crate::decay::Decay;
use crate::error::AttentionError;
use crate::feature_map::FeatureMap;
use crate::input::{AttentionInput, AttentionOutput};
use crate::position::{DistanceKeys, PositionConfig};
use crate::softmax::KeyValues;
use crate::tensor::full_dtype;

/// Multi-head attention over a memory of constant size, as a network of neurons and astrocytes
/// computes it (Kozachkov, Kastanenka, Krotov, PNAS 2023).
///
/// # Params
///
/// - `query`, `output`: [`Linear`] of `d_model` to `d_model`; `key`, `value`: of `d_model` to
///   `kv_heads · head size`: the names and layouts of Burn's `MultiHeadAttention`.
/// - the parts that the configuration switches on.
///
/// Should be created with [`AstrocyticAttentionConfig`].
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct AstrocyticAttention {
    /// To the query space.
    pub query: Linear,
    /// To the key space.
    pub key: Linear,
    /// To the value space.
    pub value: Linear,
    /// From the heads back to `d_model`.
    pub output: Linear,
    /// Feature map of queries.
    pub query_map: FeatureMap,
    /// Feature map of keys.
    pub key_map: FeatureMap,
    /// Leak of the memory.
    pub decay: Decay,
    /// Write strength from the input.
    pub write_gate: Option<Linear>,
    /// The writes of a step beyond the first.
    pub further: Option<FurtherWrites>,
    /// Random failure of writes.
    pub write_dropout: Dropout,
    /// Short convolutions on q, k and v, those of all writes.
    pub convolution: Option<[ShortConvolution; 3]>,
    /// Keys of the distance memory.
    pub distance: Option<DistanceKeys>,
    /// Norm of what each head reads of its memory.
    pub norm: Option<RmsNorm>,
    /// Gate on the reads.
    pub gate: Option<Linear>,
    /// ln γ, how much each head makes of its window, `[heads]`.
    pub window_scale: Option<Param<Tensor<1>>>,
    #[module(skip)]
    pub(crate) config: AstrocyticAttentionConfig,
}

impl ModuleDisplay for AstrocyticAttention {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new().with_new_line_after_attribute(false).optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        let config = &self.config;
        content
            .add("d_model", &config.d_model)
            .add("n_heads", &config.n_heads)
            .add("kv_heads", &config.key_heads())
            .add("softmax_heads", &config.softmax_heads)
            .add("causal", &config.causal)
            .add_debug_attribute("feature_map", &config.feature_map)
            .add_debug_attribute("decay", &config.decay)
            .add("undecayed_heads", &config.undecayed_heads)
            .add_debug_attribute("normalizer", &config.normalizer)
            .add_debug_attribute("plasticity", &config.plasticity)
            .add("write_gate", &config.write_gate)
            .add("writes_per_step", &config.writes_per_step)
            .add("convolution", &config.convolution)
            .add("output_gate", &config.output_gate)
            .add_debug_attribute("position", &config.position)
            .add("window", &config.window)
            .optional()
    }
}

impl AstrocyticAttentionConfig {
    /// Makes the layer.
    ///
    /// # Panics
    /// Where [`validate`](Self::validate) refuses the configuration.
    pub fn init(&self, device: &Device) -> AstrocyticAttention {
        self.validate().unwrap_or_else(|fault| panic!("{fault}"));
        let (d_model, d) = (self.d_model, self.head_size());
        let (heads, key_heads) = (self.memory_heads(), self.memory_key_heads());
        let linear = |d_output: usize| {
            let config = LinearConfig::new(d_model, d_output).with_initializer(self.initializer.clone());
            config.with_bias(self.bias).init(device)
        };
        let convolution = |channels| ShortConvolution::new(channels, self.convolution, device);
        let bends = matches!(self.normalizer, Normalizer::Calcium { alpha } if alpha != 1.0);
        let norm = bends || self.normalizer == Normalizer::Rms;
        AstrocyticAttention {
            query: linear(d_model),
            key: linear(self.key_heads() * d),
            value: linear(self.key_heads() * d),
            output: linear(d_model),
            query_map: self.feature_map.init(heads, key_heads, d, device),
            key_map: self.feature_map.init(key_heads, key_heads, d, device),
            decay: self.init_decay(device),
            write_gate: self.write_gate.then(|| self.init_write_gate(1, device)),
            further: self.init_further(device),
            write_dropout: DropoutConfig::new(self.write_dropout).init(),
            convolution: (self.convolution > 0).then(|| self.heads_of_channels().map(|count| convolution(count * d))),
            distance: match self.position {
                PositionConfig::Distance { scale, max_steps } => Some(DistanceKeys::new(scale, max_steps, d, device)),
                _ => None,
            },
            norm: norm.then(|| RmsNormConfig::new(d).with_epsilon(1e-5).init(device)),
            gate: self.output_gate.then(|| linear(d_model)),
            window_scale: (self.window > 0).then(|| Initializer::Zeros.init([heads], device)),
            config: self.clone(),
        }
    }
}

impl AstrocyticAttention {
    /// Switches the memory off and leaves the window, which shows what a hybrid owes to its memory.
    ///
    /// # Panics
    /// For a layer without a window.
    pub fn forget_memory(&mut self) {
        assert!(self.config.window > 0, "without a window and without its memory the layer reads nothing");
        self.config.memory = false;
    }

    /// The configuration it was made with.
    pub fn config(&self) -> &AstrocyticAttentionConfig {
        &self.config
    }

    /// The state before the first step.
    pub fn empty_state(&self, batch: usize) -> AttentionState {
        let c = &self.config;
        let weight = self.query.weight.val();
        let options = (&weight.device(), full_dtype(weight.dtype()));
        let (heads, m, d) = (c.memory_key_heads(), c.features(), c.head_size());
        let like = Tensor::<3>::zeros([1, 1, 1], (&weight.device(), weight.dtype()));
        AttentionState {
            memory: Tensor::zeros([batch, heads, m, d], options),
            calcium: matches!(c.normalizer, Normalizer::Calcium { .. })
                .then(|| Tensor::zeros([batch, heads, m], options)),
            history: self.convolution.as_ref().map(|[q, k, v]| [q, k, v].map(|f| f.empty_history(batch, &like))),
            recent: (c.window > 0).then(|| {
                let zeros = |size| Tensor::zeros([batch, c.key_heads(), c.window, size], options);
                [zeros(d), zeros(d + 2)]
            }),
            softmax: KeyValues::default(),
            position: Tensor::zeros([batch], options.0),
        }
    }

    /// Attends.
    ///
    /// # Shapes
    /// - query: `[batch, steps_q, d_model]`; key, value: `[batch, steps_k, d_model]`
    /// - context: `[batch, steps_q, d_model]`
    ///
    /// A padded step writes nothing; in self-attention it also reads 0 (its context is the output
    /// bias).
    ///
    /// # Panics
    /// Where [`try_forward`](Self::try_forward) has an error.
    pub fn forward(&self, input: AttentionInput) -> AttentionOutput {
        self.try_forward(input).unwrap_or_else(|fault| panic!("{fault}"))
    }

    /// As [`forward`](Self::forward).
    ///
    /// # Errors
    /// [`AttentionError`] for shapes that do not fit and masks that a memory cannot honour.
    pub fn try_forward(&self, input: AttentionInput) -> Result<AttentionOutput, AttentionError> {
        let causal = input.check(self.config.d_model, self.config.causal)?;
        let mut state = self.empty_state(input.query.dims()[0]);
        Ok(self.run(input, causal, &mut state, false))
    }

    /// Attends causally to what `state` remembers and to the given steps, and remembers them.
    ///
    /// Weights, where asked for, are those of the given steps:
    /// `reads = weights · v + what is read of the state`, both over one normaliser, so that a row's
    /// sum is short of 1 by the state's share.
    ///
    /// # Shapes
    /// - query, key, value: `[batch, steps, d_model]`, any number of steps, the new ones only
    ///
    /// # Panics
    /// Where [`try_forward_state`](Self::try_forward_state) has an error.
    pub fn forward_state(&self, input: AttentionInput, state: &mut AttentionState) -> AttentionOutput {
        self.try_forward_state(input, state).unwrap_or_else(|fault| panic!("{fault}"))
    }

    /// As [`forward_state`](Self::forward_state). After an error the state is as it was.
    ///
    /// # Errors
    /// For shapes that do not fit, a mask that cannot be honoured, another batch size than the
    /// state's, and the state of a layer of another configuration. The state then is as it was.
    pub fn try_forward_state(
        &self,
        input: AttentionInput,
        state: &mut AttentionState,
    ) -> Result<AttentionOutput, AttentionError> {
        input.check(self.config.d_model, true)?;
        let (batch, rows) = (input.query.dims()[0], state.memory.dims()[0]);
        if batch != rows {
            return Err(AttentionError::Shape(format!("batch {batch} is not that of the state, {rows}")));
        }
        if !self.fits(state) {
            return Err(AttentionError::Shape("the state was made by a layer of another configuration".into()));
        }
        Ok(self.run(input, true, state, true))
    }

    /// Whether a state has the shapes of this layer's.
    fn fits(&self, state: &AttentionState) -> bool {
        let c = &self.config;
        let (batch, heads, m, d) = (state.memory.dims()[0], c.memory_key_heads(), c.features(), c.head_size());
        let calcium = matches!(c.normalizer, Normalizer::Calcium { .. }).then_some([batch, heads, m]);
        let recent = (c.window > 0).then_some([d, d + 2].map(|size| [batch, heads, c.window, size]));
        let channels = c.heads_of_channels().map(|count| [batch, c.convolution.saturating_sub(1), count * d]);
        state.memory.dims() == [batch, heads, m, d]
            && state.memory.dtype() == full_dtype(self.query.weight.val().dtype())
            && state.calcium.as_ref().map(Tensor::dims) == calcium
            && state.history.as_ref().map(|history| history.each_ref().map(Tensor::dims))
                == (c.convolution > 0).then_some(channels)
            && state.recent.as_ref().map(|recent| recent.each_ref().map(Tensor::dims)) == recent
            && state.softmax.fits([batch, c.softmax_key_heads(), d])
            && (c.softmax_heads > 0 || state.softmax.length() == 0)
            && state.position.dims() == [batch]
    }
}
