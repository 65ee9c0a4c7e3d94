//! What any attention layer remembers between calls.

use burn::serde::{Deserialize, Serialize};
use burn::tensor::{Device, Int, Tensor};

use crate::astrocytic::AttentionState;
use crate::error::AttentionError;
use crate::lstm::LstmState;
use crate::softmax::KeyValueCache;
use crate::tensor_map::{Load, NamedTensors, Record, Select, TensorMap, ToDevice};

/// Queries, keys and values in the cache of Burn's layer.
const PROJECTED: [&str; 3] = ["queries", "keys", "values"];

/// What an attention layer remembers between calls. Made by `empty_cache` of a layer; its calls
/// then are given new steps.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant)]
pub enum AttentionCache {
    /// Constant in size, but for heads that attend by softmax.
    Memory(AttentionState),
    /// Grows with every step.
    KeyValue(KeyValueCache),
    /// Constant in size: of a long short-term memory.
    Lstm(LstmState),
    /// Of a sequence that every call is given whole, as Burn's `MhaCache` is used. Made by
    /// [`autoregressive`](Self::autoregressive).
    Growing(GrowingCache),
    /// Nothing: of a layer that returns 0.
    Empty,
}

/// What a layer remembers of a sequence that every call is given whole, and what it has returned.
#[derive(Debug, Clone, Default)]
pub struct GrowingCache {
    pub(super) seen: Seen,
    /// What has been returned, `[batch, steps, d_model]`.
    pub(super) contexts: Option<Tensor<3>>,
    /// Keys and values stay those of the first call: cross-attention.
    pub(super) keys_stay: bool,
}

#[derive(Debug, Clone, Default)]
#[expect(clippy::large_enum_variant, reason = "one for each layer")]
pub(super) enum Seen {
    #[default]
    Nothing,
    /// Queries, keys and values of Burn's layer, `[batch, heads, steps, d]` each.
    Projected([Tensor<4>; 3]),
    /// The cache of another layer, for new steps.
    Layer(Box<AttentionCache>),
}

/// An [`AttentionCache`] as plain data, for any format of serde. Numbers keep their precision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(crate = "burn::serde")]
#[non_exhaustive]
pub enum AttentionCacheRecord {
    /// Of [`AttentionCache::Memory`].
    Memory(NamedTensors),
    /// Of [`AttentionCache::KeyValue`].
    KeyValue(NamedTensors),
    /// Of [`AttentionCache::Lstm`].
    Lstm(NamedTensors),
    /// Of [`AttentionCache::Growing`].
    Growing {
        /// The cache of the layer, if it is not Burn's.
        layer: Option<Box<AttentionCacheRecord>>,
        /// Everything else.
        tensors: NamedTensors,
        /// Whether keys and values stay those of the first call.
        keys_stay: bool,
    },
    /// Of [`AttentionCache::Empty`].
    Empty,
}

impl AttentionCache {
    /// An empty cache of self-attention for calls that are given all steps so far and return all
    /// contexts, as Burn's `MhaCache::autoregressive`.
    pub fn autoregressive() -> Self {
        Self::Growing(GrowingCache::default())
    }

    /// The same for queries over keys and values that stay, as Burn's
    /// `MhaCache::autoregressive_cross_attention`. Only Burn's own layer takes it.
    pub fn autoregressive_cross_attention() -> Self {
        Self::Growing(GrowingCache { keys_stay: true, ..GrowingCache::default() })
    }

    /// What goes on to the next window in training, without the graph of gradients (truncated
    /// backpropagation through time): a memory or a state whole, of keys and values those of the
    /// last `most` steps.
    ///
    /// # Panics
    /// For a cache made by [`autoregressive`](Self::autoregressive), whose steps are counted.
    pub fn truncate(self, most: usize) -> Self {
        match self {
            Self::Memory(state) => Self::Memory(state.truncate(most)),
            Self::KeyValue(cache) => Self::KeyValue(cache.truncate(most)),
            Self::Lstm(state) => Self::Lstm(state.detach()),
            Self::Growing(_) => panic!("attention cache: the next call is given all its steps, so none can go"),
            Self::Empty => Self::Empty,
        }
    }

    /// The same on another device.
    pub fn to_device(self, device: &Device) -> Self {
        self.map(&mut ToDevice(device))
    }

    /// These rows of the batch, in this order and as often as they are named: beam search.
    ///
    /// # Panics
    /// For a row that there is not, as Burn's `Tensor::select`.
    pub fn select(self, rows: Tensor<1, Int>) -> Self {
        self.map(&mut Select(rows))
    }

    fn map(self, with: &mut impl TensorMap) -> Self {
        match self {
            Self::Memory(state) => Self::Memory(state.map(with)),
            Self::KeyValue(cache) => Self::KeyValue(cache.map(with)),
            Self::Lstm(state) => Self::Lstm(state.map(with)),
            Self::Growing(cache) => Self::Growing(cache.map(with)),
            Self::Empty => Self::Empty,
        }
    }

    /// As plain data, to be saved.
    pub fn into_record(self) -> AttentionCacheRecord {
        let mut record = Record::default();
        match self {
            Self::Memory(state) => {
                state.trimmed().map(&mut record);
                AttentionCacheRecord::Memory(record.0)
            }
            Self::KeyValue(cache) => {
                cache.trimmed().map(&mut record);
                AttentionCacheRecord::KeyValue(record.0)
            }
            Self::Lstm(state) => {
                state.map(&mut record);
                AttentionCacheRecord::Lstm(record.0)
            }
            Self::Growing(GrowingCache { seen, contexts, keys_stay }) => {
                let (seen, layer) = match seen {
                    Seen::Layer(layer) => (Seen::Nothing, Some(Box::new(layer.into_record()))),
                    seen => (seen, None),
                };
                GrowingCache { seen, contexts, keys_stay }.map(&mut record);
                AttentionCacheRecord::Growing { layer, tensors: record.0, keys_stay }
            }
            Self::Empty => AttentionCacheRecord::Empty,
        }
    }

    /// Back from plain data.
    ///
    /// # Errors
    /// For tensors that are missing, too many, or of another rank or kind. Whether their sizes are
    /// a layer's shows at its next call.
    pub fn from_record(record: AttentionCacheRecord, device: &Device) -> Result<Self, AttentionError> {
        match record {
            AttentionCacheRecord::Memory(tensors) => {
                let mut load = Load(tensors, device);
                let state = AttentionState::load(&mut load)?;
                load.finish()?;
                Ok(Self::Memory(state))
            }
            AttentionCacheRecord::KeyValue(tensors) => {
                let mut load = Load(tensors, device);
                let cache = KeyValueCache::load(&mut load)?;
                load.finish()?;
                Ok(Self::KeyValue(cache))
            }
            AttentionCacheRecord::Lstm(tensors) => {
                let mut load = Load(tensors, device);
                let state = LstmState::load(&mut load)?;
                load.finish()?;
                Ok(Self::Lstm(state))
            }
            AttentionCacheRecord::Growing { layer, tensors, keys_stay } => {
                let mut load = Load(tensors, device);
                let projected = load.each(PROJECTED)?;
                let contexts = load.optional("contexts")?;
                load.finish()?;
                let seen = match (projected, layer) {
                    (Some(projected), None) => Seen::Projected(projected),
                    (None, Some(layer)) => Seen::Layer(Box::new(Self::from_record(*layer, device)?)),
                    (None, None) => Seen::Nothing,
                    (Some(_), Some(_)) => {
                        return Err(AttentionError::Shape("record: a cache of two layers".into()));
                    }
                };
                if contexts.is_some() == matches!(seen, Seen::Nothing) {
                    return Err(AttentionError::Shape("record: contexts without a layer, or none with one".into()));
                }
                Ok(Self::Growing(GrowingCache { seen, contexts, keys_stay }))
            }
            AttentionCacheRecord::Empty => Ok(Self::Empty),
        }
    }
}

impl GrowingCache {
    fn map(self, with: &mut impl TensorMap) -> Self {
        Self {
            seen: match self.seen {
                Seen::Nothing => Seen::Nothing,
                Seen::Projected(projected) => Seen::Projected(with.each(PROJECTED, projected)),
                Seen::Layer(layer) => Seen::Layer(Box::new(layer.map(with))),
            },
            contexts: self.contexts.map(|x| with.map("contexts", x)),
            keys_stay: self.keys_stay,
        }
    }
}
