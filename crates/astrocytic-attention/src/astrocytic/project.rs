//! From inputs to queries, keys and values: projections, convolution, positions, decay, write
//! strength, feature maps.

use burn::nn::Linear;
use burn::tensor::{Int, Tensor, activation::sigmoid};

use super::AstrocyticAttention;
use super::call::Call;
use super::several_writes::{before_first, both, heads_in_turn, numbers_in_turn, places_of_writes};
use super::softmax_heads::SoftmaxHeads;
use super::state::AttentionState;
use crate::compaction::Compaction;
use crate::feature_map::{FeatureMap, Side, l2_normalize};
use crate::ops::{Plasticity, Writes};
use crate::position::{PositionConfig, rotate};
use crate::tensor::full_precision;

/// One call's tensors of the memories on their way through the layer, before feature maps.
pub(super) struct Projected {
    /// q, `[batch, heads, steps_q, d]`.
    pub query: Tensor<4>,
    /// k, `[batch, key heads, writes, d]`: the writes of a step stand one after another.
    pub key: Tensor<4>,
    /// v, `[batch, key heads, writes, d]`.
    pub value: Tensor<4>,
    /// log a, `[batch, key heads, writes]`.
    pub log_decay: Option<Tensor<3>>,
    /// β, `[batch, key heads, writes]`.
    pub strength: Option<Tensor<3>>,
    /// r of the distance memory, `[batch, key heads, steps_k, d]`.
    pub distance: Option<Tensor<4>>,
}

/// The same after feature maps.
pub(super) struct Mapped {
    pub query: Tensor<4>,
    /// Keys without the distance memory.
    pub writes: Writes,
    pub distance: Option<Tensor<4>>,
}

impl AstrocyticAttention {
    /// From inputs to queries, keys and values: projections, convolution, positions, decay and
    /// write strength. Heads that attend by softmax are apart.
    pub(super) fn project(
        &self,
        [x_query, x_key, x_value]: [&Tensor<3>; 3],
        call: &Call,
        state: &mut AttentionState,
    ) -> (Projected, Option<SoftmaxHeads>) {
        let (config, compaction) = (&self.config, call.compaction);
        let ([batch, steps, _], further) = (x_key.dims(), self.further.as_ref());
        let mut channels = [
            self.query.forward(x_query.clone()),
            both(&self.key, further.map(|further| &further.key), x_key),
            both(&self.value, further.map(|further| &further.value), x_value),
        ];
        if let (Some(filters), Some(history)) = (&self.convolution, &mut state.history) {
            let unpadded = [call.query_compaction, compaction, compaction].map(|c| c.map(|c| &c.unpadded_len));
            for i in 0..3 {
                let (filtered, last) = filters[i].forward(channels[i].clone(), history[i].clone(), unpadded[i]);
                channels[i] = filtered;
                history[i] = last;
            }
        }

        let arange = |steps: usize| Tensor::<1, Int>::arange(0..steps as i64, &x_key.device()).unsqueeze::<2>();
        // Without a past all rows are at the same places, once for all.
        let positions = if call.remember {
            let start = state.position.clone().unsqueeze_dim::<2>(1);
            start.expand([batch, steps]) + arange(steps).expand([batch, steps])
        } else {
            arange(steps)
        };
        let softmax = self.take_softmax_heads(&mut channels, &positions);
        let (d, writes) = (config.head_size(), config.writes_per_step);
        let [query, key, value] = channels;
        let mut query = full_precision(heads_in_turn(query, 1, d));
        let [mut key, value] = [key, value].map(|x| full_precision(heads_in_turn(x, writes, d)));
        if let PositionConfig::Rotary { theta } = config.position {
            let query_steps = query.dims()[2];
            let query_positions = if query_steps == steps { positions.clone() } else { arange(query_steps) };
            query = rotate(query, query_positions, theta);
            key = rotate(key, places_of_writes(positions.clone(), writes), theta);
        }
        state.position = match compaction {
            Some(compaction) => state.position.clone() + compaction.unpadded_len.clone(),
            None => state.position.clone().add_scalar(steps as i64),
        };

        let distance = self.distance.as_ref().map(|distance| {
            let keys = distance.forward(positions);
            keys.expand([batch, config.memory_key_heads(), steps, d])
        });
        let log_decay = self.log_decay(x_key, compaction).map(|log_decay| before_first(log_decay, writes));
        let strength = self.strength(x_key, &key, compaction);
        (Projected { query, key, value, log_decay, strength, distance }, softmax)
    }

    /// Feature maps.
    pub(super) fn map(&self, projected: Projected) -> Mapped {
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

    /// log a `[batch, key heads, steps]`, or `None` where nothing decays.
    fn log_decay(&self, x: &Tensor<3>, compaction: Option<&Compaction>) -> Option<Tensor<3>> {
        let decaying = self.decay.forward(x)?;
        let decaying = match compaction {
            Some(compaction) => compaction.silence(decaying),
            None => decaying,
        };
        let [batch, _, steps] = decaying.dims();
        Some(match self.config.undecayed_heads {
            0 => decaying,
            heads => {
                let none = Tensor::zeros([batch, heads, steps], (&decaying.device(), decaying.dtype()));
                Tensor::cat(vec![none, decaying], 1)
            }
        })
    }

    /// β `[batch, key heads, writes]` from the input, or `None` where it is 1 throughout. Of the
    /// keys only device and size count: those of a layer in training are on an autodiff device,
    /// whatever the input is on.
    fn strength(&self, x: &Tensor<3>, key: &Tensor<4>, compaction: Option<&Compaction>) -> Option<Tensor<3>> {
        let ([batch, heads, all, _], writes) = (key.dims(), self.config.writes_per_step);
        let ones = || Tensor::ones([batch, writes * heads, all / writes], (&key.device(), key.dtype()));
        let further = self.further.as_ref().and_then(|further| further.gate.as_ref());
        let graded = |gate: &Linear| {
            let strength = sigmoid(full_precision(both(gate, further, x))).swap_dims(1, 2);
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
        let strength = match compaction {
            Some(compaction) => Some(compaction.silence(strength.unwrap_or_else(ones))),
            None => strength,
        };
        strength.map(|strength| numbers_in_turn(strength, writes))
    }
}
