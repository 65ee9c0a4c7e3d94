//! The forward pass of a group of rows.

use pulp::{Simd, WithSimd};

use super::sizes::{GATES, LstmInputs, Sizes};
use crate::kernel::host::View;
use crate::kernel::product::{Into, Left, product};
use crate::kernel::real::{Real, copy, sigmoid, tanh};
use crate::kernel::scratch::Scratch;

/// Numbers of scratch that a task takes.
pub fn scratch(sizes: &Sizes) -> usize {
    2 * sizes.group * sizes.pad
}

/// A group of rows.
pub struct Task<'a, T> {
    pub sizes: Sizes,
    pub inputs: &'a LstmInputs<View<'a, T>>,
    /// R, `[hidden, 4, pad]`.
    pub recurrent: &'a [T],
    /// The first row of the group.
    pub first: usize,
    /// Steps that there is room for in `gates`: all, or one.
    pub room: usize,
    /// `[rows, steps, hidden]`.
    pub hiddens: &'a mut [T],
    /// `[rows, steps, hidden]`.
    pub cells: &'a mut [T],
    /// `[rows, room, 4, pad]`.
    pub gates: &'a mut [T],
    pub scratch: &'a mut [T],
}

impl<T: Real> WithSimd for Task<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { sizes, inputs, recurrent, first, room, hiddens, cells, gates, scratch } = self;
        let Sizes { steps, hidden, pad, group, .. } = sizes;
        let (rows, width) = (sizes.rows(first), GATES * pad);
        let mut scratch = Scratch(scratch);
        let (state, cell) = (scratch.take(group * pad), scratch.take(group * pad));
        for r in 0..rows {
            load_padded::<T, S>(&mut state[r * pad..][..pad], inputs.before.row(0, first + r, 0));
            load_padded::<T, S>(&mut cell[r * pad..][..pad], inputs.before.row(1, first + r, 0));
        }
        for t in 0..steps {
            let place = if room == 1 { 0 } else { t };
            for r in 0..rows {
                let row = &mut gates[(r * room + place) * width..][..width];
                for gate in 0..GATES {
                    load_padded::<T, S>(&mut row[gate * pad..][..pad], inputs.gates.row(first + r, t, gate));
                }
            }
            let sums = (&mut gates[place * width..], room * width);
            product(simd, [rows, width, hidden], Left::plain(state, pad), (recurrent, width), sums, Into::Add);
            for r in 0..rows {
                let row = &mut gates[(r * room + place) * width..][..width];
                let (state, cell) = (&mut state[r * pad..][..pad], &mut cell[r * pad..][..pad]);
                step::<T, S>(row, state, cell);
                copy::<T, S>(&mut hiddens[(r * steps + t) * hidden..][..hidden], &state[..hidden]);
                copy::<T, S>(&mut cells[(r * steps + t) * hidden..][..hidden], &cell[..hidden]);
            }
        }
    }
}

/// Copies a row; what is left of its room is 0.
#[inline(always)]
pub fn load_padded<T: Real, S: Simd>(to: &mut [T], from: &[T]) {
    copy::<T, S>(&mut to[..from.len()], from);
    to[from.len()..].fill(T::ZERO);
}

/// Opens the gates of a row, whose sums are in `gates`, and moves its state on.
#[inline(always)]
fn step<T: Real, S: Simd>(gates: &mut [T], hidden: &mut [T], cell: &mut [T]) {
    let pad = hidden.len();
    for gate in &mut gates[..2 * pad] {
        *gate = sigmoid::<T, S>(*gate);
    }
    for gate in &mut gates[2 * pad..3 * pad] {
        *gate = tanh::<T, S>(*gate);
    }
    for gate in &mut gates[3 * pad..] {
        *gate = sigmoid::<T, S>(*gate);
    }
    let (input, rest) = gates.split_at(pad);
    let (forget, rest) = rest.split_at(pad);
    let (new, output) = rest.split_at(pad);
    for ((cell, &forget), (&input, &new)) in cell.iter_mut().zip(forget).zip(input.iter().zip(new)) {
        *cell = T::fma::<S>(forget, *cell, input * new);
    }
    for ((hidden, &output), &cell) in hidden.iter_mut().zip(output).zip(&*cell) {
        *hidden = output * tanh::<T, S>(cell);
    }
}
