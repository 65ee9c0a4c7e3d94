//! Astrocytic attention as a Burn module, used where `burn::nn::attention::MultiHeadAttention` is.

use burn::module::{Module, ModuleMapper, Param};
use burn::nn::attention::MultiHeadAttention;
use burn::nn::{Dropout, DropoutConfig, Initializer, Linear, LinearConfig, RmsNorm, RmsNormConfig};
use burn::tensor::{DType, Device, Int, Tensor, activation::sigmoid};

use crate::config::{AstrocyticAttentionConfig, Normalizer};
use crate::convolution::ShortConvolution;
use crate::decay::{Decay, DecayConfig, inverse_softplus};
use crate::error::AttentionError;
use crate::feature_map::{FeatureMap, FeatureMapConfig, Side, l2_normalize};
use crate::input::{AttentionInput, AttentionOutput, Compaction};
use crate::ops::{
    self, Feature, Form, MemoryInputs, MemorySpec, MemoryState, Plasticity, Writes, gated_silu, memory_attention,
    rms_norm,
};
use crate::position::{DistanceKeys, PositionConfig, rotate};
use crate::softmax::{SoftmaxAttention, share_heads};
use crate::state::{AttentionState, full_dtype, full_precision, own};
use crate::window::{self, Window};

pub use crate::ops::CALCIUM_FLOOR;

/// −log a of an open decay gate: half is left after 7,000 steps.
const OPEN_DECAY: f64 = 1e-4;
/// Input of an open write gate: its sigmoid is 0.98.
const OPEN_WRITE: f64 = 4.0;
/// Input at which SiLU is 1.
const OPEN_READ: f64 = 1.278_464_5;

/// Multi-head attention over a memory of constant size, as a network of neurons and astrocytes computes it
/// (Kozachkov, Kastanenka, Krotov, PNAS 2023).
///
/// # Params
///
/// - `query`, `output`: [`Linear`] of `d_model` to `d_model`; `key`, `value`: of `d_model` to `kv_heads · head size`:
///   the names and layouts of Burn's `MultiHeadAttention`.
/// - the parts that the configuration switches on.
///
/// Should be created with [`AstrocyticAttentionConfig`].
#[derive(Module, Debug)]
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
    /// Random failure of writes.
    pub write_dropout: Dropout,
    /// Short convolutions on q, k and v.
    pub convolution: Option<[ShortConvolution; 3]>,
    /// Keys of the distance memory.
    pub distance: Option<DistanceKeys>,
    /// Norm of each head's read.
    pub norm: Option<RmsNorm>,
    /// Gate on the reads.
    pub gate: Option<Linear>,
    /// ln γ, how much each head makes of its window, `[heads]`.
    pub window_scale: Option<Param<Tensor<1>>>,
    #[module(skip)]
    config: AstrocyticAttentionConfig,
}

impl AstrocyticAttentionConfig {
    /// Makes the layer.
    ///
    /// # Panics
    /// Where [`validate`](Self::validate) refuses the configuration.
    pub fn init(&self, device: &Device) -> AstrocyticAttention {
        self.validate().unwrap_or_else(|fault| panic!("{fault}"));
        let (d_model, d, heads, key_heads) = (self.d_model, self.head_size(), self.n_heads, self.key_heads());
        let linear = |d_output: usize| {
            let config = LinearConfig::new(d_model, d_output).with_initializer(self.initializer.clone());
            config.with_bias(self.bias).init(device)
        };
        let convolution = |channels| ShortConvolution::new(channels, self.convolution, device);
        let bends = matches!(self.normalizer, Normalizer::Calcium { alpha } if alpha != 1.0);
        let norm = bends || self.normalizer == Normalizer::Rms;
        AstrocyticAttention {
            query: linear(d_model),
            key: linear(key_heads * d),
            value: linear(key_heads * d),
            output: linear(d_model),
            query_map: self.feature_map.init(heads, key_heads, d, device),
            key_map: self.feature_map.init(key_heads, key_heads, d, device),
            decay: self.decay.init(d_model, key_heads, device),
            write_gate: self.write_gate.then(|| LinearConfig::new(d_model, key_heads).init(device)),
            write_dropout: DropoutConfig::new(self.write_dropout).init(),
            convolution: (self.convolution > 0)
                .then(|| [heads, key_heads, key_heads].map(|count| convolution(count * d))),
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

/// One call's tensors on their way through the layer, before feature maps.
struct Projected {
    /// q, `[batch, heads, steps_q, d]`.
    query: Tensor<4>,
    /// k, `[batch, key heads, steps_k, d]`.
    key: Tensor<4>,
    /// v, `[batch, key heads, steps_k, d]`.
    value: Tensor<4>,
    /// log a, `[batch, key heads, steps_k]`.
    log_decay: Option<Tensor<3>>,
    /// β, `[batch, key heads, steps_k]`.
    strength: Option<Tensor<3>>,
    /// r of the distance memory, `[batch, key heads, steps_k, d]`.
    distance: Option<Tensor<4>>,
}

/// The same after feature maps.
struct Mapped {
    query: Tensor<4>,
    /// Keys without the distance memory.
    writes: Writes,
    distance: Option<Tensor<4>>,
}

impl AstrocyticAttention {
    /// A layer with the four projections of a trained Burn layer and everything else new from `config`, gates open: they
    /// let everything through until they are trained. The layer's dropout of weights has no counterpart and is dropped.
    ///
    /// # Errors
    /// Where the config's sizes are not the layer's, its heads are grouped, the layer has a quiet softmax, or biases in some
    /// projections only.
    pub fn from_mha(mha: &MultiHeadAttention, config: &AstrocyticAttentionConfig) -> Result<Self, AttentionError> {
        if mha.quiet_softmax {
            return Err(AttentionError::NotKept("quiet_softmax = true", "an astrocytic layer has no softmax"));
        }
        let projections = [&mha.query, &mha.key, &mha.value, &mha.output];
        Self::from_projections(projections, [mha.d_model, mha.n_heads, mha.n_heads], config)
    }

    /// The same from a softmax layer of this crate. Its convolution, its gate and the decay of a layer that forgets are kept.
    /// Dropout of its weights is dropped.
    ///
    /// # Errors
    /// Where the config's sizes are not the layer's, and where it lacks what the layer has: causality, rotary positions of
    /// the same base, a convolution of the same width, an output gate, a gated decay for a layer that forgets.
    pub fn from_softmax(layer: &SoftmaxAttention, config: &AstrocyticAttentionConfig) -> Result<Self, AttentionError> {
        let has = layer.plain_config();
        let new = Self::with_all_of(&has, [&layer.query, &layer.key, &layer.value, &layer.output], config)?;
        Ok(Self {
            gate: layer.gate.clone().or(new.gate),
            convolution: layer.convolution.clone().or(new.convolution),
            decay: layer.decay.clone().unwrap_or(new.decay),
            ..new
        })
    }

    /// This layer with another configuration. What [`from_softmax`](Self::from_softmax) keeps is kept, the write gate, the
    /// window's scale and the keys of a distance memory too; feature maps and the norm are, where they are configured alike.
    ///
    /// # Errors
    /// As [`from_softmax`](Self::from_softmax).
    pub fn with_config(&self, config: &AstrocyticAttentionConfig) -> Result<Self, AttentionError> {
        let new = Self::with_all_of(&self.config, [&self.query, &self.key, &self.value, &self.output], config)?;
        let same_map = self.config.feature_map == config.feature_map;
        Ok(Self {
            gate: self.gate.clone().or(new.gate),
            convolution: self.convolution.clone().or(new.convolution),
            decay: if self.config.decay == DecayConfig::None { new.decay } else { self.decay.clone() },
            distance: self.distance.clone().or(new.distance),
            write_gate: self.write_gate.clone().or(new.write_gate),
            window_scale: self.window_scale.clone().or(new.window_scale),
            norm: new.norm.map(|norm| self.norm.clone().unwrap_or(norm)),
            query_map: if same_map { self.query_map.clone() } else { new.query_map },
            key_map: if same_map { self.key_map.clone() } else { new.key_map },
            ..new
        })
    }

    /// [`from_projections`](Self::from_projections), with a place for all that a layer of the configuration `has` has.
    fn with_all_of(
        has: &AstrocyticAttentionConfig,
        projections: [&Linear; 4],
        config: &AstrocyticAttentionConfig,
    ) -> Result<Self, AttentionError> {
        let lacks = |what, needed| Err(AttentionError::NotKept(what, needed));
        if has.causal && !config.causal {
            return lacks("causality", "set causal = true");
        }
        if !has.causal && config.causal {
            return lacks("sight of later steps", "set causal = false");
        }
        if has.window > 0 && config.window == 0 {
            return lacks("window", "set a window");
        }
        if has.write_gate && (!config.write_gate || has.largest_write != config.largest_write) {
            return lacks("write gate", "set write_gate = true and largest_write to the layer's");
        }
        if has.position != config.position && has.position != PositionConfig::None {
            return match has.position {
                PositionConfig::Rotary { .. } => {
                    lacks("rotary positions", "set position to Rotary with the layer's theta")
                }
                _ => lacks("distance memory", "set position to the layer's"),
            };
        }
        if has.convolution > 0 && has.convolution != config.convolution {
            return lacks("short convolution", "set convolution to the layer's width");
        }
        if has.output_gate && !config.output_gate {
            return lacks("output gate", "set output_gate = true");
        }
        match has.decay {
            DecayConfig::None => {}
            old if old == config.decay => {}
            DecayConfig::Gated => return lacks("gated decay", "set decay = Gated"),
            _ => return lacks("decay", "set decay to the layer's"),
        }
        Self::from_projections(projections, [has.d_model, has.n_heads, has.key_heads()], config)
    }

    fn from_projections(
        [query, key, value, output]: [&Linear; 4],
        [d_model, n_heads, kv_heads]: [usize; 3],
        config: &AstrocyticAttentionConfig,
    ) -> Result<Self, AttentionError> {
        let bias = query.bias.is_some();
        if [key, value, output].iter().any(|projection| projection.bias.is_some() != bias) {
            let needed = "an astrocytic layer has biases in all four projections or in none";
            return Err(AttentionError::NotKept("biases in some projections", needed));
        }
        let config = &config.clone().with_bias(bias);
        config.validate()?;
        config.has_sizes([d_model, n_heads, kv_heads])?;
        let weight = query.weight.val();
        let mut layer = config.init(&weight.device());
        layer.open_gates();
        let layer = layer.map(&mut ToDtype(weight.dtype()));
        Ok(Self { query: query.clone(), key: key.clone(), value: value.clone(), output: output.clone(), ..layer })
    }

    /// Sets gates so that they let everything through: little is forgotten, with Hebbian plasticity everything is written,
    /// reads pass as they are.
    fn open_gates(&mut self) {
        let constant = |gate: &mut Linear, value: f64| {
            gate.weight = Param::from_tensor(gate.weight.val().zeros_like());
            let weight = gate.weight.val();
            let bias = Tensor::full([weight.dims()[1]], value, (&weight.device(), weight.dtype()));
            gate.bias = Some(Param::from_tensor(bias));
        };
        if let (Some(gate), Some(rate)) = (&mut self.decay.gate, &mut self.decay.rate) {
            *rate = Param::from_tensor(rate.val().zeros_like());
            constant(gate, inverse_softplus(OPEN_DECAY));
        }
        if let (Some(gate), Plasticity::Hebbian) = (&mut self.write_gate, self.config.plasticity) {
            constant(gate, OPEN_WRITE);
        }
        // Without biases it cannot be opened.
        if let Some(gate) = self.gate.as_mut().filter(|gate| gate.bias.is_some()) {
            constant(gate, OPEN_READ);
        }
    }

    /// Switches the memory off and leaves the window: the control of a hybrid.
    ///
    /// # Panics
    /// For a layer without a window, of which nothing would be left.
    pub fn forget_memory(&mut self) {
        assert!(self.config.window > 0, "a layer without a window is nothing without its memory");
        self.config.memory = false;
    }

    /// The configuration it was made with.
    pub fn config(&self) -> &AstrocyticAttentionConfig {
        &self.config
    }

    /// A state that has seen nothing.
    pub fn empty_state(&self, batch: usize) -> AttentionState {
        let c = &self.config;
        let weight = self.query.weight.val();
        let options = (&weight.device(), full_dtype(weight.dtype()));
        let (heads, m, d) = (c.key_heads(), c.features(), c.head_size());
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
            position: Tensor::zeros([batch], options.0),
        }
    }

    /// Attends.
    ///
    /// # Shapes
    /// - query: `[batch, steps_q, d_model]`; key, value: `[batch, steps_k, d_model]`
    /// - context: `[batch, steps_q, d_model]`
    ///
    /// A padded step writes nothing; in self-attention it also reads 0 (its context is the output bias).
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
    /// Weights, where asked for, are those of the given steps: `reads = weights · v + what is read of the state`, both over one
    /// normaliser, so that a row's sum is short of 1 by the state's share.
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
    /// For shapes that do not fit, a mask that cannot be honoured, another batch size than the state's, and the state of a
    /// layer of another configuration. The state then is as it was.
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
        let (batch, heads, m, d) = (state.memory.dims()[0], c.key_heads(), c.features(), c.head_size());
        let calcium = matches!(c.normalizer, Normalizer::Calcium { .. }).then_some([batch, heads, m]);
        let recent = (c.window > 0).then_some([d, d + 2].map(|size| [batch, heads, c.window, size]));
        let channels = [c.n_heads, heads, heads].map(|count| [batch, c.convolution.saturating_sub(1), count * d]);
        state.memory.dims() == [batch, heads, m, d]
            && state.calcium.as_ref().map(Tensor::dims) == calcium
            && state.history.as_ref().map(|history| history.each_ref().map(Tensor::dims))
                == (c.convolution > 0).then_some(channels)
            && state.recent.as_ref().map(|recent| recent.each_ref().map(Tensor::dims)) == recent
            && state.position.dims() == [batch]
    }

    /// With `remember`, goes on from `state` and leaves there what is remembered; else `state` is empty and is used up.
    fn run(&self, input: AttentionInput, causal: bool, state: &mut AttentionState, remember: bool) -> AttentionOutput {
        let input = input.without_padded_numbers(causal);
        let [batch, steps, d_model] = input.query.dims();
        let dtype = input.query.dtype();
        let compaction = input.mask_pad.as_ref().map(Compaction::new);
        let query_compaction = compaction.as_ref().filter(|_| causal || input.shared);
        let form = input.form.unwrap_or(Form::Chunkwise(self.config.chunk));

        let compact = |x: &Tensor<3>, by: Option<&Compaction>| match by {
            Some(by) => by.compact(x.clone()),
            None => x.clone(),
        };
        let x_query = compact(&input.query, query_compaction);
        let x_key = compact(&input.key, compaction.as_ref());
        let x_value = if input.shared { x_key.clone() } else { compact(&input.value, compaction.as_ref()) };

        let sides = [query_compaction, compaction.as_ref()];
        let projected = self.project([&x_query, &x_key, &x_value], sides, state, remember);
        let (reads, weights) = if self.config.window > 0 {
            self.attend_with_window(projected, form, state, remember, input.weights, compaction.as_ref())
        } else if input.weights || !self.attends() {
            let mapped = self.map(projected);
            let weights = input.weights.then(|| self.weights(&mapped, causal));
            let (reads, n) = self.read(mapped, causal, form, state);
            let (reads, weights) = match n {
                Some(n) => (reads / n.clone(), weights.map(|weights| weights / n)),
                None => (reads, weights),
            };
            (reads.swap_dims(1, 2), weights)
        } else {
            (self.attend(projected, causal, form, state, remember), None)
        };

        let weights = weights.map(|weights| {
            let by_key = |w: Tensor<4>, c: &Compaction| c.restore_axis(w, 3);
            let weights = weights.cast(dtype);
            let weights = compaction.iter().fold(weights, by_key);
            query_compaction.iter().fold(weights, |w, c| c.restore_axis(w, 2))
        });
        let reads = match &self.norm {
            Some(norm) => rms_norm(reads, norm),
            None => reads,
        };
        let reads = reads.cast(dtype).reshape([batch, steps, d_model]);
        let reads = match &self.gate {
            Some(gate) => gated_silu(reads, gate.forward(x_query)),
            None => reads,
        };
        let reads = match query_compaction {
            Some(compaction) => compaction.restore(reads),
            None => reads,
        };
        AttentionOutput { context: self.output.forward(reads), weights }
    }

    /// From inputs to queries, keys and values: projections, convolution, positions, decay and write strength.
    fn project(
        &self,
        [x_query, x_key, x_value]: [&Tensor<3>; 3],
        [query_compaction, compaction]: [Option<&Compaction>; 2],
        state: &mut AttentionState,
        remember: bool,
    ) -> Projected {
        let config = &self.config;
        let [batch, steps, _] = x_key.dims();
        let mut channels =
            [self.query.forward(x_query.clone()), self.key.forward(x_key.clone()), self.value.forward(x_value.clone())];
        if let (Some(filters), Some(history)) = (&self.convolution, &mut state.history) {
            let kept = [query_compaction, compaction, compaction].map(|c| c.map(|c| &c.kept));
            for i in 0..3 {
                let (filtered, last) = filters[i].forward(channels[i].clone(), history[i].clone(), kept[i]);
                channels[i] = filtered;
                history[i] = last;
            }
        }
        let d = config.head_size();
        let [mut query, mut key, value] = channels.map(|x| {
            let [batch, steps, width] = x.dims();
            full_precision(x.reshape([batch, steps, width / d, d]).swap_dims(1, 2))
        });

        let arange = |steps: usize| Tensor::<1, Int>::arange(0..steps as i64, &x_key.device()).unsqueeze::<2>();
        // Without a past all rows are at the same places, once for all.
        let positions = if remember {
            let start = state.position.clone().unsqueeze_dim::<2>(1);
            start.expand([batch, steps]) + arange(steps).expand([batch, steps])
        } else {
            arange(steps)
        };
        if let PositionConfig::Rotary { theta } = config.position {
            let query_steps = query.dims()[2];
            let query_positions = if query_steps == steps { positions.clone() } else { arange(query_steps) };
            query = rotate(query, query_positions, theta);
            key = rotate(key, positions.clone(), theta);
        }
        state.position = match compaction {
            Some(compaction) => state.position.clone() + compaction.kept.clone(),
            None => state.position.clone().add_scalar(steps as i64),
        };

        let distance = self.distance.as_ref().map(|distance| {
            let keys = distance.forward(positions);
            keys.expand([batch, config.key_heads(), steps, d])
        });
        let log_decay = self.decay.forward(x_key).map(|log_decay| match compaction {
            Some(compaction) => compaction.silence(log_decay),
            None => log_decay,
        });
        let strength = self.strength(x_key, &key, compaction);
        Projected { query, key, value, log_decay, strength, distance }
    }

    /// Feature maps.
    fn map(&self, projected: Projected) -> Mapped {
        let Projected { query, key, value, log_decay, strength, distance } = projected;
        let map = |map: &FeatureMap, x: Tensor<4>, side: Side| {
            let features = map.forward(x, side);
            match self.config.plasticity {
                Plasticity::Delta => l2_normalize(features),
                Plasticity::Hebbian => features,
            }
        };
        Mapped {
            query: map(&self.query_map, query, Side::Query),
            writes: Writes { key: map(&self.key_map, key, Side::Key), value, log_decay, strength },
            distance: distance.map(|keys| map(&self.key_map, keys, Side::Key)),
        }
    }

    /// Whether the layer is what [`memory_attention`] computes: no exponent on the calcium, no distance memory.
    fn attends(&self) -> bool {
        let straight = !matches!(self.config.normalizer, Normalizer::Calcium { alpha } if alpha != 1.0);
        straight && self.distance.is_none()
    }

    /// Runs the memory as one operation: reads, normalised, `[batch, steps_q, heads, d]`.
    fn attend(
        &self,
        projected: Projected,
        causal: bool,
        form: Form,
        state: &mut AttentionState,
        remember: bool,
    ) -> Tensor<4> {
        let feature = self.query_map.element_wise();
        let calcium = matches!(self.config.normalizer, Normalizer::Calcium { .. });
        let unit = self.config.plasticity == Plasticity::Delta;
        let spec = MemorySpec {
            plasticity: self.config.plasticity,
            feature: feature.unwrap_or(Feature::identity()),
            unit: unit && feature.is_some(),
            calcium,
            causal,
            form,
        };
        let (query, writes) = match feature {
            Some(_) => {
                let Projected { query, key, value, log_decay, strength, .. } = projected;
                (query, Writes { key, value, log_decay, strength })
            }
            None => {
                let Mapped { query, writes, .. } = self.map(projected);
                (query, writes)
            }
        };
        let x = MemoryInputs::heads_last(query, writes);
        let before = remember.then(|| MemoryState { memory: state.memory.clone(), calcium: state.calcium.clone() });
        let (reads, after) = memory_attention(&spec, x, before, remember);
        if let Some(MemoryState { memory, calcium }) = after {
            (state.memory, state.calcium) = (memory, calcium);
        }
        reads
    }

    /// Reads from the window and from the memory behind it, `[batch, steps, heads, d]`, and the weights where asked for.
    fn attend_with_window(
        &self,
        projected: Projected,
        form: Form,
        state: &mut AttentionState,
        remember: bool,
        with_weights: bool,
        compaction: Option<&Compaction>,
    ) -> (Tensor<4>, Option<Tensor<4>>) {
        let width = self.config.window;
        let Projected { query, key, value, log_decay, strength, .. } = projected;
        let [batch, key_heads, steps, d] = key.dims();
        // Beside each value a one, which counts, and β, which the memory scales it with when the window has passed; all 0
        // at a padded step.
        let ones = Tensor::<3>::ones([batch, key_heads, steps], (&key.device(), key.dtype()));
        let ones = compaction.map_or(ones.clone(), |compaction| compaction.silence(ones));
        let strength = strength.unwrap_or_else(|| ones.clone()).unsqueeze_dim::<4>(3);
        let ones = ones.unsqueeze_dim::<4>(3);
        let value = Tensor::cat(vec![value * ones.clone(), ones.clone(), strength], 3);
        let [recent_key, recent_value] = state.recent.take().expect("empty_state has a window's steps");
        let keys = Tensor::cat(vec![recent_key, key], 2);
        let values = Tensor::cat(vec![recent_value, value], 2);
        if remember {
            // The last steps of each row that are not padded.
            let last = |x: &Tensor<4>| match compaction {
                None => own(x.clone().narrow(2, steps, width)),
                Some(compaction) => compaction.window(x.clone(), width),
            };
            state.recent = Some([last(&keys), last(&values)]);
        }
        let counted = values.clone().narrow(3, 0, d + 1);
        let shared = |x: Tensor<4>| share_heads(x, self.config.n_heads);
        let Window { sums, largest } =
            window::attend(query.clone(), shared(keys.clone()), shared(counted.clone()), width);
        let scale = self.window_scale.as_ref().expect("init gives a window its scale").val().exp();
        let scale = full_precision(scale).reshape([1, self.config.n_heads, 1, 1]);
        let (exact, shrunk) = match self.config.feature_map {
            // The map's kernel imitates e^s: one scale for both.
            FeatureMapConfig::Taylor => {
                let common = largest.clone().clamp_min(0.0);
                ((largest.clone() - common.clone()).exp(), (-common).exp())
            }
            _ => (largest.ones_like(), largest.ones_like()),
        };
        let mut sums = sums * exact.clone() * scale.clone();
        let mut weights = with_weights.then(|| {
            let dense = window::dense(query.clone(), shared(keys.clone()), shared(counted.clone()), &largest, width);
            dense * exact.clone() * scale.clone()
        });
        if self.config.memory {
            // A step leaves the window as another comes: at a padded one nothing does.
            let strength = values.narrow(3, d + 1, 1).narrow(2, 0, steps) * ones;
            let written = counted.narrow(2, 0, steps) * strength;
            let mapped = self.map(Projected {
                query,
                key: keys.narrow(2, 0, steps),
                value: written,
                log_decay,
                strength: None,
                distance: None,
            });
            let calcium = state.calcium.clone().expect("a window goes with calcium").unsqueeze_dim::<4>(3);
            let before = Tensor::cat(vec![state.memory.clone(), calcium], 3);
            let spec = MemorySpec {
                plasticity: Plasticity::Hebbian,
                feature: Feature::identity(),
                unit: false,
                calcium: false,
                causal: true,
                form,
            };
            weights = weights.map(|weights| {
                // What is written at a step is what left the window then: `width` steps older.
                let older =
                    ops::weights(mapped.query.clone(), &mapped.writes, Plasticity::Hebbian, true) * shrunk.clone();
                let older = older * shared(mapped.writes.value.clone().narrow(3, d, 1)).transpose();
                if steps <= width {
                    return weights;
                }
                let newest =
                    Tensor::zeros([batch, self.config.n_heads, steps, width], (&older.device(), older.dtype()));
                weights + Tensor::cat(vec![older.narrow(3, width, steps - width), newest], 3)
            });
            let x = MemoryInputs::heads_last(mapped.query, mapped.writes);
            let before = remember.then_some(MemoryState { memory: before, calcium: None });
            let (older, after) = memory_attention(&spec, x, before, remember);
            if let Some(after) = after {
                state.memory = after.memory.clone().narrow(3, 0, d);
                state.calcium = Some(after.memory.narrow(3, d, 1).squeeze_dim(3));
            }
            sums = sums + older.swap_dims(1, 2) * shrunk;
        }
        let n = sums.clone().narrow(3, d, 1).clamp_min(CALCIUM_FLOOR);
        let weights = weights.map(|weights| weights / n.clone());
        ((sums.narrow(3, 0, d) / n).swap_dims(1, 2), weights)
    }

    /// β `[batch, key heads, steps]` from the input, or `None` where it is 1 throughout. Of the keys only device and size count:
    /// those of a layer in training are on an autodiff device, whatever the input is on.
    fn strength(&self, x: &Tensor<3>, key: &Tensor<4>, compaction: Option<&Compaction>) -> Option<Tensor<3>> {
        let [batch, heads, steps, _] = key.dims();
        let ones = || Tensor::ones([batch, heads, steps], (&key.device(), key.dtype()));
        let graded = |gate: &Linear| {
            let strength = sigmoid(full_precision(gate.forward(x.clone()))).swap_dims(1, 2);
            let most = self.config.largest_write;
            if most == 1.0 { strength } else { strength.mul_scalar(most) }
        };
        let mut strength = self.write_gate.as_ref().map(graded);
        if self.write_dropout.prob > 0.0 {
            // Dropout rescales what it keeps; a synapse that releases does not release more.
            let released = self.write_dropout.forward(ones()).clamp(0.0, 1.0);
            strength = Some(match strength {
                Some(strength) => strength * released,
                None => released,
            });
        }
        match compaction {
            Some(compaction) => Some(compaction.silence(strength.unwrap_or_else(ones))),
            None => strength,
        }
    }

    /// Runs the memory from parts, where weights are asked for or the calcium is bent: reads and, with calcium, the
    /// normaliser `[batch, heads, steps_q, 1]`.
    fn read(
        &self,
        mapped: Mapped,
        causal: bool,
        form: Form,
        state: &mut AttentionState,
    ) -> (Tensor<4>, Option<Tensor<4>>) {
        let Mapped { query, mut writes, distance } = mapped;
        let plasticity = self.config.plasticity;
        let run = |query: Tensor<4>, writes: Writes, memory: Tensor<4>| {
            if causal {
                ops::causal(query, writes, memory, plasticity, form)
            } else {
                let memory = ops::write(writes, memory, plasticity, form);
                (ops::read(query, memory.clone()), memory)
            }
        };
        let Normalizer::Calcium { alpha } = self.config.normalizer else {
            writes.key = add(writes.key, distance);
            let (reads, memory) = run(query, writes, state.memory.clone());
            state.memory = memory;
            return (reads, None);
        };
        let calcium = state.calcium.take().expect("empty_state has calcium for a calcium normaliser");
        let (reads, n) = if alpha == 1.0 && distance.is_none() {
            let (reads, n, memory, calcium) = ops::with_calcium(query, writes, state.memory.clone(), calcium, run);
            (state.memory, state.calcium) = (memory, Some(calcium));
            (reads, n)
        } else {
            let (trace, calcium) = ops::calcium_trace(&writes, calcium, form);
            let trace = if causal { trace } else { calcium.clone().unsqueeze_dim(2) };
            state.calcium = Some(calcium);
            let bent = trace.clamp_min(CALCIUM_FLOOR).powf_scalar(alpha);
            let n = (query.clone() * share_heads(bent, self.config.n_heads)).sum_dim(3);
            writes.key = add(writes.key, distance);
            let (reads, memory) = run(query, writes, state.memory.clone());
            state.memory = memory;
            (reads, n)
        };
        (reads, Some(n.clamp_min(CALCIUM_FLOOR)))
    }

    /// Weights before the normaliser, `[batch, heads, steps_q, steps_k]`.
    fn weights(&self, mapped: &Mapped, causal: bool) -> Tensor<4> {
        let mut writes = mapped.writes.clone();
        writes.key = add(writes.key, mapped.distance.clone());
        ops::weights(mapped.query.clone(), &writes, self.config.plasticity, causal)
    }
}

/// New parts in the precision of old ones.
struct ToDtype(DType);

impl ModuleMapper for ToDtype {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if param.val().dtype() == self.0 { param } else { param.map(|tensor| tensor.cast(self.0)) }
    }
}

fn add(key: Tensor<4>, distance: Option<Tensor<4>>) -> Tensor<4> {
    match distance {
        Some(distance) => key + distance,
        None => key,
    }
}
