//! One layer from another: the projections stay, and what the new layer has no place for is refused
//! by name.

use burn::module::{Module, ModuleMapper, Param};
use burn::nn::Linear;
use burn::nn::attention::MultiHeadAttention;
use burn::tensor::{DType, Tensor};

use crate::astrocytic::{AstrocyticAttention, AstrocyticAttentionConfig};
use crate::convolution::ShortConvolution;
use crate::decay::DecayConfig;
use crate::error::AttentionError;
use crate::ops::Plasticity;
use crate::position::PositionConfig;
use crate::softmax::SoftmaxAttention;

/// −log a of an open decay gate: half is left after 7,000 steps.
const OPEN_DECAY: f64 = 1e-4;
/// Input of an open write gate whose largest write is 1: its sigmoid is 0.98.
const OPEN_WRITE: f64 = 4.0;
/// Input at which SiLU is 1.
const OPEN_READ: f64 = 1.278_464_5;

impl AstrocyticAttention {
    /// A layer with the four projections of a trained Burn layer and everything else new from
    /// `config`, gates open: they let everything through until they are trained. The layer's
    /// dropout of weights has no counterpart and is dropped.
    ///
    /// # Errors
    /// Where the config's sizes are not the layer's, its heads are grouped, the layer has a quiet
    /// softmax, or biases in some projections only.
    pub fn from_mha(mha: &MultiHeadAttention, config: &AstrocyticAttentionConfig) -> Result<Self, AttentionError> {
        if mha.quiet_softmax {
            return Err(AttentionError::NotKept("quiet_softmax = true", "an astrocytic layer has no softmax"));
        }
        check_further(config)?;
        let projections = [&mha.query, &mha.key, &mha.value, &mha.output];
        Self::from_projections(projections, [mha.d_model, mha.n_heads, mha.n_heads], config)
    }

    /// The same from a softmax layer of this crate. Its convolution, its gate and the decay of a
    /// layer that forgets are kept. Dropout of its weights is dropped.
    ///
    /// # Errors
    /// Where the config's sizes are not the layer's, and where it lacks what the layer has:
    /// causality, rotary positions of the same base, a convolution of the same width, an output
    /// gate, a gated decay for a layer that forgets.
    pub fn from_softmax(layer: &SoftmaxAttention, config: &AstrocyticAttentionConfig) -> Result<Self, AttentionError> {
        check_further(config)?;
        let has = layer.plain_config();
        let new = Self::with_all_of(&has, [&layer.query, &layer.key, &layer.value, &layer.output], config)?;
        Ok(Self {
            gate: layer.gate.clone().or(new.gate),
            convolution: kept(layer.convolution.as_ref(), new.convolution),
            decay: layer.decay.clone().unwrap_or(new.decay),
            ..new
        })
    }

    /// This layer with another configuration. What [`from_softmax`](Self::from_softmax) keeps is
    /// kept, the write gate, the window's scale and the keys of a distance memory too; feature maps
    /// and the norm are, where they are configured alike.
    ///
    /// # Errors
    /// As [`from_softmax`](Self::from_softmax).
    pub fn with_config(&self, config: &AstrocyticAttentionConfig) -> Result<Self, AttentionError> {
        if self.further.is_none() {
            check_further(config)?;
        }
        let new = Self::with_all_of(&self.config, [&self.query, &self.key, &self.value, &self.output], config)?;
        let same_map =
            self.config.feature_map == config.feature_map && self.config.memory_heads() == config.memory_heads();
        Ok(Self {
            gate: self.gate.clone().or(new.gate),
            convolution: kept(self.convolution.as_ref(), new.convolution),
            decay: if self.config.decay == DecayConfig::None { new.decay } else { self.decay.clone() },
            distance: self.distance.clone().or(new.distance),
            write_gate: self.write_gate.clone().or(new.write_gate),
            further: self.further.clone().or(new.further),
            window_scale: self.window_scale.clone().or(new.window_scale),
            norm: new.norm.map(|norm| self.norm.clone().unwrap_or(norm)),
            query_map: if same_map { self.query_map.clone() } else { new.query_map },
            key_map: if same_map { self.key_map.clone() } else { new.key_map },
            ..new
        })
    }

    /// [`from_projections`](Self::from_projections), with a place for all that a layer of the
    /// configuration `has` has.
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
        if has.softmax_heads != config.softmax_heads && has.softmax_heads > 0 {
            return lacks("softmax heads", "set softmax_heads to the layer's");
        }
        if config.softmax_heads > 0 {
            Self::check_softmax_heads(has, config)?;
        }
        if has.writes_per_step > 1 && has.writes_per_step != config.writes_per_step {
            return lacks("further writes of a step", "set writes_per_step to the layer's");
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
        if has.decay != DecayConfig::None && has.decay != config.decay {
            let what = if has.decay.is_gated() { "gated decay" } else { "decay" };
            return lacks(what, "set decay to the layer's");
        }
        if has.decay != DecayConfig::None && has.undecayed_heads != config.undecayed_heads {
            return lacks("decay of each head", "set undecayed_heads to the layer's, 0 if it has none");
        }
        Self::from_projections(projections, [has.d_model, has.n_heads, has.key_heads()], config)
    }

    /// Refuses softmax heads in the place of heads whose decay, gates or positions would be lost.
    fn check_softmax_heads(
        has: &AstrocyticAttentionConfig,
        config: &AstrocyticAttentionConfig,
    ) -> Result<(), AttentionError> {
        let lacks = |what, needed| Err(AttentionError::NotKept(what, needed));
        if has.softmax_heads == config.softmax_heads {
            return match has.softmax_rotary_theta == config.softmax_rotary_theta {
                true => Ok(()),
                false => lacks("rotary positions of softmax heads", "set softmax_rotary_theta to the layer's"),
            };
        }
        if has.decay != DecayConfig::None || has.write_gate || has.writes_per_step > 1 {
            return lacks("decay or write strength of each head", "set softmax_heads to the layer's, 0 if it has none");
        }
        match has.position {
            PositionConfig::Rotary { theta } if config.softmax_rotary_theta != Some(theta) => {
                lacks("rotary positions", "set softmax_rotary_theta to the layer's theta")
            }
            _ => Ok(()),
        }
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

    /// Sets gates so that they let everything through: little is forgotten, with Hebbian plasticity
    /// everything is written, reads pass as they are. Of the writes of a step only the first counts
    /// then: what the layer never had is closed.
    fn open_gates(&mut self) {
        let constant = |gate: &mut Linear, value: f64| {
            gate.weight = Param::from_tensor(gate.weight.val().zeros_like());
            let weight = gate.weight.val();
            let bias = Tensor::full([weight.dims()[1]], value, (&weight.device(), weight.dtype()));
            gate.bias = Some(Param::from_tensor(bias));
        };
        let open = self.config.decay.open(OPEN_DECAY);
        if let (Some([open_rate, bias]), Some(gate)) = (open, &mut self.decay.gate) {
            if let Some(rate) = &mut self.decay.rate {
                *rate = Param::from_tensor(rate.val().full_like(open_rate));
            }
            constant(gate, bias);
        }
        let plasticity = self.config.plasticity;
        if let (Some(gate), Plasticity::Hebbian) = (&mut self.write_gate, plasticity) {
            constant(gate, open_write(self.config.largest_write));
        }
        if let Some(gate) = self.further.as_mut().and_then(|further| further.gate.as_mut()) {
            constant(gate, -OPEN_WRITE);
        }
        // Without biases it cannot be opened.
        if let Some(gate) = self.gate.as_mut().filter(|gate| gate.bias.is_some()) {
            constant(gate, OPEN_READ);
        }
    }
}

impl AstrocyticAttention {
    /// The plain configuration that has a place for all that the layer has.
    pub fn plain_config(&self) -> AstrocyticAttentionConfig {
        let old = self.config();
        AstrocyticAttentionConfig::new(old.d_model, old.n_heads)
            .with_kv_heads(old.kv_heads)
            .with_causal(old.causal)
            .with_bias(old.bias)
            .with_position(old.position)
            .with_convolution(old.convolution)
            .with_output_gate(old.output_gate)
            .with_decay(old.decay)
            .with_undecayed_heads(old.undecayed_heads)
            .with_write_gate(old.write_gate)
            .with_largest_write(old.largest_write)
            .with_writes_per_step(old.writes_per_step)
            .with_softmax_heads(old.softmax_heads)
            .with_softmax_rotary_theta(old.softmax_rotary_theta)
            .with_window(old.window)
    }
}

impl SoftmaxAttention {
    /// The plain astrocytic configuration that has a place for all that the layer has.
    pub fn plain_config(&self) -> AstrocyticAttentionConfig {
        let old = self.config();
        AstrocyticAttentionConfig::new(old.d_model, old.n_heads)
            .with_kv_heads(old.kv_heads)
            .with_causal(old.causal)
            .with_bias(old.bias)
            .with_position(old.rotary_theta.map_or(PositionConfig::None, |theta| PositionConfig::Rotary { theta }))
            .with_convolution(old.convolution)
            .with_output_gate(old.output_gate)
            .with_decay(old.decay)
    }
}

/// Refuses further writes that nothing closes: at full strength they would write noise.
fn check_further(config: &AstrocyticAttentionConfig) -> Result<(), AttentionError> {
    match config.writes_per_step {
        writes if writes > 1 && !config.write_gate => Err(AttentionError::Config(format!(
            "writes_per_step = {writes}: a conversion begins with the further writes closed; set write_gate = true"
        ))),
        _ => Ok(()),
    }
}

/// The filters of the old layer where it has them, with those of writes that it does not have
/// behind.
fn kept(old: Option<&[ShortConvolution; 3]>, new: Option<[ShortConvolution; 3]>) -> Option<[ShortConvolution; 3]> {
    let (Some(old), Some(new)) = (old, new.clone()) else { return old.cloned().or(new) };
    let mut old = old.iter();
    Some(new.map(|new| {
        let old = old.next().expect("three each");
        let (count, all) = (old.kernel.dims()[0], new.kernel.dims()[0]);
        if count == all {
            return old.clone();
        }
        let behind = new.kernel.val().narrow(0, count, all - count);
        ShortConvolution { kernel: Param::from_tensor(Tensor::cat(vec![old.kernel.val(), behind], 0)) }
    }))
}

/// Input at which a write gate writes 0.98, or 0.98 of its largest write where that is below 1.
fn open_write(largest: f64) -> f64 {
    if largest <= 1.0 {
        return OPEN_WRITE;
    }
    let strength = 1.0 / (1.0 + (-OPEN_WRITE).exp());
    (strength / (largest - strength)).ln()
}

/// New parts in the precision of old ones.
struct ToDtype(DType);

impl ModuleMapper for ToDtype {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if param.val().dtype() == self.0 { param } else { param.map(|tensor| tensor.cast(self.0)) }
    }
}
