//! What softmax attention remembers between calls: keys and values of all steps.

use burn::tensor::{Bool, Int, Tensor};

use crate::tensor::contiguous;

/// Steps that a cache first has room for.
const LEAST_ROOM: usize = 64;

/// Keys and values of the steps seen so far: grows with them.
#[derive(Debug, Clone)]
pub struct KeyValueCache {
    /// Keys and values, `[batch, key heads, room, d]` each, a column more where they fade; `None` before the first step. The
    /// room doubles when it is full, so that a step need not copy those before it.
    pub(super) room: Option<[Tensor<4>; 2]>,
    /// Steps in it.
    pub(super) length: usize,
    /// Which of them are padded, `[batch, steps]`; `None` is none.
    pub padded: Option<Tensor<2, Bool>>,
    /// Steps seen by each row, padded ones left out, `[batch]`.
    pub position: Tensor<1, Int>,
    /// Last steps of q, k and v before the convolution.
    pub history: Option<[Tensor<3>; 3]>,
}

impl KeyValueCache {
    /// Keys and values seen, `[batch, key heads, steps, d]` each, a column more where they fade.
    pub fn steps(&self) -> Option<[Tensor<4>; 2]> {
        self.room.clone().map(|room| room.map(|x| x.narrow(2, 0, self.length)))
    }

    /// The last `most` steps, without the graph of their gradients.
    pub fn truncate(self, most: usize) -> Self {
        let kept = self.length.min(most);
        let last = |x: Tensor<4>| contiguous(x.narrow(2, self.length - kept, kept)).detach();
        Self {
            room: self.room.filter(|_| kept > 0).map(|room| room.map(last)),
            length: kept,
            padded: self.padded.filter(|_| kept > 0).map(|padded| padded.narrow(1, self.length - kept, kept)),
            position: self.position,
            history: self.history.map(|history| history.map(Tensor::detach)),
        }
    }

    /// Adds keys and values and returns all.
    pub(super) fn append(&mut self, new: [Tensor<4>; 2]) -> [Tensor<4>; 2] {
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
        self.steps().expect("just put there")
    }
}
