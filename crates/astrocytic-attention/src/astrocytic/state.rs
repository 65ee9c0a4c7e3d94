//! What an attention layer remembers between calls: constant in size, whatever the number of steps,
//! but for heads that attend by softmax.

use burn::tensor::{Device, Int, Tensor};

use crate::error::AttentionError;
use crate::softmax::KeyValues;
use crate::tensor_map::{Bytes, HISTORY, Load, Select, TensorMap, ToDevice};

/// Names of the tensors of a window.
const RECENT: [&str; 2] = ["recent_keys", "recent_values"];

/// State of an [`AstrocyticAttention`](crate::AstrocyticAttention) layer. Made by its
/// `empty_state`.
#[derive(Debug, Clone)]
pub struct AttentionState {
    /// Synapses H, `[batch, key heads, m, d_v]`.
    pub memory: Tensor<4>,
    /// Calcium g, `[batch, key heads, m]`, where the normaliser is calcium.
    pub calcium: Option<Tensor<3>>,
    /// Last steps of q, k and v before the convolution, each `[batch, width − 1, channels]`; of k
    /// and v those of all writes.
    pub history: Option<[Tensor<3>; 3]>,
    /// Keys `[batch, key heads, window, d]` and values `[batch, key heads, window, d + 2]` of the
    /// steps in the window, each value with a 1 and its write strength behind it; 0 where there was
    /// no step yet.
    pub recent: Option<[Tensor<4>; 2]>,
    /// Keys and values of all steps, of the heads that attend by softmax; empty where there are none.
    pub softmax: KeyValues,
    /// Steps seen by each row, `[batch]`.
    pub position: Tensor<1, Int>,
}

impl AttentionState {
    /// The same without the graph of its gradients: truncated backpropagation through time.
    pub fn detach(self) -> Self {
        self.truncate(usize::MAX)
    }

    /// The same, and of softmax heads the last `most` steps alone.
    pub fn truncate(self, most: usize) -> Self {
        Self {
            memory: self.memory.detach(),
            calcium: self.calcium.map(Tensor::detach),
            history: self.history.map(|history| history.map(Tensor::detach)),
            recent: self.recent.map(|recent| recent.map(Tensor::detach)),
            softmax: self.softmax.truncate(most),
            position: self.position,
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

    /// Bytes that the state takes, without the room for steps to come.
    pub fn bytes(&self) -> usize {
        let mut bytes = Bytes::default();
        self.clone().trimmed().map(&mut bytes);
        bytes.0
    }

    /// Without the room for steps to come.
    pub(crate) fn trimmed(self) -> Self {
        Self { softmax: self.softmax.trimmed(), ..self }
    }

    pub(crate) fn map(self, with: &mut impl TensorMap) -> Self {
        Self {
            memory: with.map("memory", self.memory),
            calcium: self.calcium.map(|x| with.map("calcium", x)),
            history: self.history.map(|history| with.each(HISTORY, history)),
            recent: self.recent.map(|recent| with.each(RECENT, recent)),
            softmax: self.softmax.map(with),
            position: with.map("position", self.position),
        }
    }

    pub(crate) fn load(load: &mut Load) -> Result<Self, AttentionError> {
        Ok(Self {
            memory: load.required("memory")?,
            calcium: load.optional("calcium")?,
            history: load.each(HISTORY)?,
            recent: load.each(RECENT)?,
            softmax: KeyValues::load(load)?,
            position: load.required("position")?,
        })
    }
}
