//! The backward pass of a group of rows: from the last step to the first, in blocks of steps.

use pulp::{Simd, WithSimd};

use super::forward::load_padded;
use super::sizes::{GATES, Sizes};
use crate::kernel::host::View;
use crate::kernel::product::{Into, Left, product};
use crate::kernel::real::{Real, copy, tanh};
use crate::kernel::scratch::Scratch;

/// Steps whose part of R's gradient is one product.
const BLOCK: usize = 32;

/// Numbers of scratch that a task takes.
pub fn scratch(sizes: &Sizes) -> usize {
    let Sizes { group, pad, .. } = *sizes;
    BLOCK * group * (GATES + 1) * pad + 2 * group * pad + 2 * pad
}

/// A group of rows.
pub struct Task<'a, T> {
    pub sizes: Sizes,
    pub before: View<'a, T>,
    pub output: View<'a, T>,
    pub grad: View<'a, T>,
    /// The transpose of R, `[4, hidden, pad]`.
    pub transposed: &'a [T],
    /// The first row of the group.
    pub first: usize,
    /// Gates as they were open, `[rows, steps, 4, pad]`.
    pub gates: &'a [T],
    /// `[rows, steps, 4, hidden]`.
    pub d_gates: &'a mut [T],
    /// `[hidden, 4, pad]`, 0 before.
    pub d_recurrent: &'a mut [T],
    /// Of the state before, `[rows, hidden]`.
    pub d_hidden: &'a mut [T],
    /// Of the cell before, `[rows, hidden]`.
    pub d_cell: &'a mut [T],
    pub scratch: &'a mut [T],
}

impl<T: Real> WithSimd for Task<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let Sizes { steps, hidden, pad, group, .. } = self.sizes;
        let (rows, width) = (self.sizes.rows(self.first), GATES * pad);
        let mut scratch = Scratch(std::mem::take(&mut self.scratch));
        let (d_sums, past) = (scratch.take(BLOCK * group * width), scratch.take(BLOCK * group * pad));
        let (d_state, d_cell) = (scratch.take(group * pad), scratch.take(group * pad));
        let (cell, cell_before) = (scratch.take(pad), scratch.take(pad));
        d_state.fill(T::ZERO);
        d_cell.fill(T::ZERO);
        for start in (0..steps).step_by(BLOCK).rev() {
            let count = BLOCK.min(steps - start);
            for i in (0..count).rev() {
                let d_sums = &mut d_sums[i * rows * width..][..rows * width];
                for r in 0..rows {
                    load_padded::<T, S>(&mut past[(i * rows + r) * pad..][..pad], self.state_before(0, r, start + i));
                    let d_sums = &mut d_sums[r * width..][..width];
                    let (d_state, d_cell) = (&mut d_state[r * pad..][..pad], &mut d_cell[r * pad..][..pad]);
                    self.step::<S>([r, start + i], d_sums, d_state, d_cell, [&mut *cell, &mut *cell_before]);
                }
                for gate in 0..GATES {
                    let left = Left::plain(&d_sums[gate * pad..], width);
                    let right = (&self.transposed[gate * hidden * pad..], pad);
                    let into = if gate == 0 { Into::Set } else { Into::Add };
                    product(simd, [rows, pad, hidden], left, right, (&mut *d_state, pad), into);
                }
            }
            let to = (&mut *self.d_recurrent, width);
            let shape = [hidden, width, count * rows];
            product(simd, shape, Left::transposed(past, pad), (d_sums, width), to, Into::Add);
        }
        for r in 0..rows {
            copy::<T, S>(&mut self.d_hidden[r * hidden..][..hidden], &d_state[r * pad..][..hidden]);
            copy::<T, S>(&mut self.d_cell[r * hidden..][..hidden], &d_cell[r * pad..][..hidden]);
        }
    }
}

impl<T: Real> Task<'_, T> {
    /// Hidden state (0) or cell (1) of a row before step t.
    #[inline(always)]
    fn state_before(&self, which: usize, row: usize, t: usize) -> &[T] {
        let row = self.first + row;
        if t == 0 { self.before.row(which, row, 0) } else { self.output.row(which, row, t - 1) }
    }

    /// One step of a row: the gradient of the gates' sums, and that of the cell from after the step
    /// to before it. Adds to the gradients what the outputs of the step have.
    #[inline(always)]
    fn step<S: Simd>(
        &mut self,
        [r, t]: [usize; 2],
        d_sums: &mut [T],
        d_state: &mut [T],
        d_cell: &mut [T],
        [cell, cell_before]: [&mut [T]; 2],
    ) {
        let Sizes { steps, hidden, pad, .. } = self.sizes;
        let row = self.first + r;
        load_padded::<T, S>(cell, self.output.row(1, row, t));
        load_padded::<T, S>(cell_before, self.state_before(1, r, t));
        for (to, &grad) in d_state.iter_mut().zip(self.grad.row(0, row, t)) {
            *to += grad;
        }
        for (to, &grad) in d_cell.iter_mut().zip(self.grad.row(1, row, t)) {
            *to += grad;
        }
        let gates = &self.gates[(r * steps + t) * GATES * pad..][..GATES * pad];
        gradients::<T, S>(gates, [cell, cell_before], d_sums, d_state, d_cell);
        for gate in 0..GATES {
            let to = &mut self.d_gates[((r * steps + t) * GATES + gate) * hidden..][..hidden];
            copy::<T, S>(to, &d_sums[gate * pad..][..hidden]);
        }
    }
}

// σ' = σ (1 − σ) and tanh' = 1 − tanh².
#[inline(always)]
fn gradients<T: Real, S: Simd>(
    gates: &[T],
    [cell, cell_before]: [&[T]; 2],
    d_sums: &mut [T],
    d_state: &[T],
    d_cell: &mut [T],
) {
    let pad = d_state.len();
    let (input, forget) = (&gates[..pad], &gates[pad..2 * pad]);
    let (new, output) = (&gates[2 * pad..3 * pad], &gates[3 * pad..4 * pad]);
    let (d_input, rest) = d_sums.split_at_mut(pad);
    let (d_forget, rest) = rest.split_at_mut(pad);
    let (d_new, d_output) = rest.split_at_mut(pad);
    let (cell, cell_before, d_cell, d_output) =
        (&cell[..pad], &cell_before[..pad], &mut d_cell[..pad], &mut d_output[..pad]);
    for j in 0..pad {
        let squashed = tanh::<T, S>(cell[j]);
        d_output[j] = d_state[j] * squashed * output[j] * (T::ONE - output[j]);
        let d = T::fma::<S>(d_state[j] * output[j], T::ONE - squashed * squashed, d_cell[j]);
        d_input[j] = d * new[j] * input[j] * (T::ONE - input[j]);
        d_forget[j] = d * cell_before[j] * forget[j] * (T::ONE - forget[j]);
        d_new[j] = d * input[j] * (T::ONE - new[j] * new[j]);
        d_cell[j] = d * forget[j];
    }
}
