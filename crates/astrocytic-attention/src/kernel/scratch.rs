//! Memory for results, not cleared first, and for work, used again and again.

use std::cell::RefCell;
use std::mem::MaybeUninit;

use super::real::Real;
use crate::debug::poisons;

/// Room for numbers of which each is written once, by whichever thread. To clear it first would be a pass over memory, on
/// one thread, for nothing: a tenth of the attention op's time at 4,096 steps.
pub struct Fresh<T>(Vec<T>);

impl<T: Real> Fresh<T> {
    /// Room for `count` numbers.
    pub fn new(count: usize) -> Self {
        let mut room = Self(Vec::with_capacity(count));
        if poisons() {
            // What nobody writes shows itself.
            room.places().fill(MaybeUninit::new(T::POISON));
        }
        room
    }

    /// The places to write to.
    pub fn places(&mut self) -> &mut [MaybeUninit<T>] {
        self.0.spare_capacity_mut()
    }

    /// The numbers.
    ///
    /// # Safety
    /// The first `count` places have been written.
    #[expect(unsafe_code, reason = "a vector's length is set by hand once its places are written")]
    pub unsafe fn written(mut self, count: usize) -> Vec<T> {
        assert!(count <= self.0.capacity(), "no more numbers than there are places");
        // SAFETY: the caller says that they are written, and there is room for them.
        unsafe { self.0.set_len(count) };
        self.0
    }
}

/// `to = from`.
#[inline(always)]
pub fn write<T: Real>(to: &mut [MaybeUninit<T>], from: &[T]) {
    let ((to, to_rest), (from, from_rest)) = (to.as_chunks_mut::<16>(), from.as_chunks::<16>());
    for (to, from) in to.iter_mut().zip(from) {
        *to = from.map(MaybeUninit::new);
    }
    for (to, &from) in to_rest.iter_mut().zip(from_rest) {
        to.write(from);
    }
}

thread_local! {
    static SCRATCH: RefCell<Vec<f64>> = const { RefCell::new(Vec::new()) };
}

/// Calls `work` with this thread's scratch memory: `count` numbers that can be anything.
///
/// # Panics
/// Where `work` asks for scratch itself.
pub fn with_scratch<T: Real>(count: usize, work: impl FnOnce(&mut [T])) {
    SCRATCH.with_borrow_mut(|scratch| {
        let room = (count * size_of::<T>()).div_ceil(size_of::<f64>());
        if scratch.len() < room {
            scratch.resize(room, 0.0);
        }
        let scratch = &mut pulp::bytemuck::cast_slice_mut(scratch)[..count];
        if poisons() {
            scratch.fill(T::POISON);
        }
        work(scratch);
    });
}

/// Scratch memory, handed out piece by piece.
pub struct Scratch<'a, T>(pub &'a mut [T]);

impl<'a, T> Scratch<'a, T> {
    pub fn take(&mut self, count: usize) -> &'a mut [T] {
        let (piece, rest) = std::mem::take(&mut self.0).split_at_mut(count);
        self.0 = rest;
        piece
    }
}
