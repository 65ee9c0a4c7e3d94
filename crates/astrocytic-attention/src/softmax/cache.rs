//! What softmax attention remembers between calls: keys and values of all steps.

use burn::tensor::{Bool, Device, Int, Tensor};

use crate::compaction::Compaction;
use crate::error::AttentionError;
use crate::input::AttentionInput;
use crate::tensor::contiguous;
use crate::tensor_map::{HISTORY, Load, TensorMap};

/// Steps that a cache first has room for.
const LEAST_ROOM: usize = 64;

/// Keys and values of the steps seen so far: grows with them.
#[derive(Debug, Clone)]
pub struct KeyValueCache {
    /// Keys and values, `[batch, key heads, room, d]` each, a column more where they fade; `None` before the first step. The
    /// room doubles when it is full, so that a step need not copy those before it.
    room: Option<[Tensor<4>; 2]>,
    /// Steps in it.
    length: usize,
    /// Which of them are padded, `[batch, steps]`; `None` is none.
    pub padded: Option<Tensor<2, Bool>>,
    /// Steps seen by each row, padded ones left out, `[batch]`.
    pub position: Tensor<1, Int>,
    /// Last steps of q, k and v before the convolution.
    pub history: Option<[Tensor<3>; 3]>,
}

impl KeyValueCache {
    /// One that has seen nothing.
    pub(crate) fn new(batch: usize, history: Option<[Tensor<3>; 3]>, device: &Device) -> Self {
        Self { room: None, length: 0, padded: None, position: Tensor::zeros([batch], device), history }
    }

    /// Keys and values seen, `[batch, key heads, steps, d]` each, a column more where they fade.
    pub fn steps(&self) -> Option<[Tensor<4>; 2]> {
        self.room.clone().map(|room| room.map(|x| x.narrow(2, 0, self.length)))
    }

    /// How many steps it has seen, padded ones included.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The last `most` steps, without the graph of their gradients.
    pub fn truncate(self, most: usize) -> Self {
        let length = self.length.min(most);
        let last = |x: Tensor<4>| contiguous(x.narrow(2, self.length - length, length)).detach();
        Self {
            room: self.room.filter(|_| length > 0).map(|room| room.map(last)),
            length,
            padded: self.padded.filter(|_| length > 0).map(|padded| padded.narrow(1, self.length - length, length)),
            position: self.position,
            history: self.history.map(|history| history.map(Tensor::detach)),
        }
    }

    /// Refuses an input of other rows than the cache's, a mask that does not reach over what it holds, and the cache of a layer
    /// with other key heads, columns of keys and values, or history.
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
        if self.length > 0 && input.mask_attn.is_some() {
            return Err(AttentionError::Shape("mask_attn needs an empty cache".into()));
        }
        let of_this = |[steps, channels]: [usize; 2]| [batch, steps, channels];
        let fits = self.steps().iter().flatten().all(|x| x.dims() == [batch, heads, self.length, columns])
            && self.padded.as_ref().is_none_or(|padded| padded.dims() == [batch, self.length])
            && self.history.as_ref().map(|history| history.each_ref().map(Tensor::dims))
                == history.map(|history| history.map(of_this));
        if !fits {
            return Err(AttentionError::Shape("the cache was made by a layer of another configuration".into()));
        }
        Ok(())
    }

    /// Adds keys and values and returns all.
    pub(crate) fn append(&mut self, new: [Tensor<4>; 2]) -> [Tensor<4>; 2] {
        let [batch, heads, steps, d] = new[0].dims();
        let needed = self.length + steps;
        let mut room = self.room.take();
        if room.as_ref().is_none_or(|room| room[0].dims()[2] < needed) {
            let size = needed.next_power_of_two().max(LEAST_ROOM);
            let options = (&new[0].device(), new[0].dtype());
            let larger = || Tensor::zeros([batch, heads, size, d], options);
            let seen = [0..batch, 0..heads, 0..self.length, 0..d];
            room = Some(match room {
                Some(full) => full.map(|x| larger().slice_assign(seen.clone(), x.narrow(2, 0, self.length))),
                None => [larger(), larger()],
            });
        }
        let [keys, values] = room.expect("made where there was none");
        let place = [0..batch, 0..heads, self.length..needed, 0..d];
        let [new_keys, new_values] = new;
        // Nobody else holds them, so they are written in place.
        self.room = Some([keys.slice_assign(place.clone(), new_keys), values.slice_assign(place, new_values)]);
        self.length = needed;
        self.steps().expect("just written")
    }

    /// Counts the steps that were given, padded ones left out.
    pub(crate) fn advance(&mut self, steps: usize, compaction: Option<&Compaction>) {
        self.position = match compaction {
            Some(compaction) => self.position.clone() + compaction.unpadded_len.clone(),
            None => self.position.clone().add_scalar(steps as i64),
        };
    }

    /// Notes which of `steps` new steps after `past` others are padded.
    pub(crate) fn hide(&mut self, mask_pad: Option<Tensor<2, Bool>>, past: usize, steps: usize) {
        if self.padded.is_none() && mask_pad.is_none() {
            return;
        }
        let batch = self.position.dims()[0];
        let device = mask_pad.as_ref().or(self.padded.as_ref()).expect("one of them").device();
        let none = |steps| Tensor::<2, Int>::zeros([batch, steps], &device).bool();
        let now = mask_pad.unwrap_or_else(|| none(steps));
        let before = self.padded.take().unwrap_or_else(|| none(past));
        self.padded = Some(if past == 0 { now } else { Tensor::cat(vec![before, now], 1) });
    }

    /// Without the room for what is to come.
    pub(crate) fn trimmed(self) -> Self {
        Self { room: self.steps().map(|steps| steps.map(contiguous)), ..self }
    }

    pub(crate) fn map(self, with: &mut impl TensorMap) -> Self {
        Self {
            room: self.room.map(|room| with.each(["keys", "values"], room)),
            length: self.length,
            padded: self.padded.map(|x| with.map_bool("padded", x)),
            position: with.map("position", self.position),
            history: self.history.map(|history| with.each(HISTORY, history)),
        }
    }

    pub(crate) fn load(load: &mut Load) -> Result<Self, AttentionError> {
        let room = load.each(["keys", "values"])?;
        let length = room.as_ref().map_or(0, |[keys, _]: &[Tensor<4>; 2]| keys.dims()[2]);
        Ok(Self {
            room,
            length,
            padded: load.optional("padded")?,
            position: load.required("position")?,
            history: load.each(HISTORY)?,
        })
    }
}
