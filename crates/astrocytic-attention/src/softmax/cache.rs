//! What softmax attention remembers between calls: keys and values of all steps.

use burn::tensor::{Bool, Device, Int, Tensor};

use super::key_values::KeyValues;
use crate::compaction::Compaction;
use crate::error::AttentionError;
use crate::input::AttentionInput;
use crate::tensor_map::{HISTORY, Load, TensorMap};

/// Keys and values of the steps seen so far: grows with them.
#[derive(Debug, Clone)]
pub struct KeyValueCache {
    /// Keys and values, a column more where they fade.
    seen: KeyValues,
    /// Steps seen by each row, padded ones left out, `[batch]`.
    pub position: Tensor<1, Int>,
    /// Last steps of q, k and v before the convolution.
    pub history: Option<[Tensor<3>; 3]>,
}

impl KeyValueCache {
    /// The cache before the first step.
    pub(crate) fn new(batch: usize, history: Option<[Tensor<3>; 3]>, device: &Device) -> Self {
        Self { seen: KeyValues::default(), position: Tensor::zeros([batch], device), history }
    }

    /// Keys and values seen, `[batch, key heads, steps, d]` each, a column more where they fade.
    pub fn steps(&self) -> Option<[Tensor<4>; 2]> {
        self.seen.steps()
    }

    /// How many steps it has seen, padded ones included.
    pub fn length(&self) -> usize {
        self.seen.length()
    }

    /// Which of them are padded, `[batch, steps]`; `None` is none.
    pub fn padded(&self) -> Option<Tensor<2, Bool>> {
        self.seen.padded.clone()
    }

    /// The last `most` steps, without the graph of their gradients.
    pub fn truncate(self, most: usize) -> Self {
        Self {
            seen: self.seen.truncate(most),
            position: self.position,
            history: self.history.map(|history| history.map(Tensor::detach)),
        }
    }

    /// Checks that an input and a layer fit the cache: the rows of the batch, a mask that reaches
    /// over all steps, and the layer's key heads, columns of keys and values, and
    /// `[steps, channels]` of its history.
    pub(crate) fn check(
        &self,
        input: &AttentionInput,
        [heads, columns]: [usize; 2],
        history: Option<[[usize; 2]; 3]>,
    ) -> Result<(), AttentionError> {
        let (batch, rows) = (input.query.dims()[0], self.position.dims()[0]);
        if batch != rows {
            return Err(AttentionError::Shape(format!("batch {batch} is not that of the cache, {rows}")));
        }
        if self.length() > 0 && input.mask_attn.is_some() {
            return Err(AttentionError::Shape("mask_attn needs an empty cache".into()));
        }
        let of_this = |[steps, channels]: [usize; 2]| [batch, steps, channels];
        let fits = self.seen.fits([batch, heads, columns])
            && self.history.as_ref().map(|history| history.each_ref().map(Tensor::dims))
                == history.map(|history| history.map(of_this));
        if !fits {
            return Err(AttentionError::Shape("the cache was made by a layer of another configuration".into()));
        }
        Ok(())
    }

    /// Adds keys and values and returns all.
    pub(crate) fn append(&mut self, new: [Tensor<4>; 2]) -> [Tensor<4>; 2] {
        self.seen.append(new)
    }

    /// Notes which of `steps` new steps after `past` others are padded.
    pub(crate) fn hide(&mut self, mask_pad: Option<Tensor<2, Bool>>, past: usize, steps: usize) {
        self.seen.hide(mask_pad, past, steps);
    }

    /// Counts the steps that were given, padded ones left out.
    pub(crate) fn advance(&mut self, steps: usize, compaction: Option<&Compaction>) {
        self.position = match compaction {
            Some(compaction) => self.position.clone() + compaction.unpadded_len.clone(),
            None => self.position.clone().add_scalar(steps as i64),
        };
    }

    /// Without the room for what is to come.
    pub(crate) fn trimmed(self) -> Self {
        Self { seen: self.seen.trimmed(), ..self }
    }

    pub(crate) fn map(self, with: &mut impl TensorMap) -> Self {
        Self {
            seen: self.seen.map(with),
            position: with.map("position", self.position),
            history: self.history.map(|history| with.each(HISTORY, history)),
        }
    }

    pub(crate) fn load(load: &mut Load) -> Result<Self, AttentionError> {
        Ok(Self { seen: KeyValues::load(load)?, position: load.required("position")?, history: load.each(HISTORY)? })
    }
}
