//! Keys and values of all steps, in room that grows with them.

use burn::tensor::{Bool, Int, Tensor};

use crate::error::AttentionError;
use crate::tensor::contiguous;
use crate::tensor_map::{Load, TensorMap};

/// Steps that there is first room for.
const LEAST_ROOM: usize = 64;
/// Names of the tensors.
const NAMES: [&str; 2] = ["keys", "values"];

/// Keys and values of the steps seen so far: grows with them.
#[derive(Debug, Clone, Default)]
pub struct KeyValues {
    /// Keys and values, `[batch, key heads, room, d]` each; `None` before the first step. The room
    /// doubles when it is full, so that a step need not copy those before it.
    room: Option<[Tensor<4>; 2]>,
    /// Steps in it.
    length: usize,
    /// Which of them are padded, `[batch, steps]`; `None` is none.
    pub padded: Option<Tensor<2, Bool>>,
}

impl KeyValues {
    /// Those of steps of which none is padded, `[batch, key heads, steps, d]` each.
    pub fn of(steps: [Tensor<4>; 2]) -> Self {
        let length = steps[0].dims()[2];
        Self { room: Some(steps), length, padded: None }
    }

    /// Keys and values seen, `[batch, key heads, steps, d]` each.
    pub fn steps(&self) -> Option<[Tensor<4>; 2]> {
        self.room.clone().map(|room| room.map(|x| x.narrow(2, 0, self.length)))
    }

    /// How many steps there are, padded ones included.
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
        }
    }

    /// Whether they are of this many rows, key heads and columns.
    pub(crate) fn fits(&self, [batch, heads, columns]: [usize; 3]) -> bool {
        self.steps().iter().flatten().all(|x| x.dims() == [batch, heads, self.length, columns])
            && self.padded.as_ref().is_none_or(|padded| padded.dims() == [batch, self.length])
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

    /// Notes which of `steps` new steps after `past` others are padded.
    pub(crate) fn hide(&mut self, mask_pad: Option<Tensor<2, Bool>>, past: usize, steps: usize) {
        let Some(known) = mask_pad.as_ref().or(self.padded.as_ref()) else { return };
        let (batch, device) = (known.dims()[0], known.device());
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
            room: self.room.map(|room| with.each(NAMES, room)),
            length: self.length,
            padded: self.padded.map(|x| with.map_bool("padded", x)),
        }
    }

    pub(crate) fn load(load: &mut Load) -> Result<Self, AttentionError> {
        let room = load.each(NAMES)?;
        let length = room.as_ref().map_or(0, |[keys, _]: &[Tensor<4>; 2]| keys.dims()[2]);
        Ok(Self { room, length, padded: load.optional("padded")? })
    }
}
