//! Heads of a tensor `[batch, steps, heads, width]`: their rows, and copies of chunks of them.

use std::mem::MaybeUninit;

use pulp::Simd;

use super::host::View;
use super::real::{Real, copy};
use super::scratch::write;

/// The rows of each head in a tensor `[batch, steps, heads, width]`, batch by batch.
pub fn rows_of_heads<T>(data: &mut [T], [batch, steps, heads, width]: [usize; 4]) -> Vec<Vec<&mut [T]>> {
    let mut rows: Vec<Vec<&mut [T]>> = (0..batch * heads).map(|_| Vec::with_capacity(steps)).collect();
    for (i, row) in data.chunks_mut(width).take(batch * steps * heads).enumerate() {
        let (b, h) = (i / heads / steps, i % heads);
        rows[b * heads + h].push(row);
    }
    rows
}

/// Copies `count` steps from `start` into rows of `pad` numbers; what is left of a chunk and of each row is 0.
#[inline(always)]
pub fn load<T: Real, S: Simd>(simd: S, view: &View<T>, place: [usize; 2], span: [usize; 2], to: &mut [T], pad: usize) {
    let rows = to.len() / pad;
    load_heads(simd, view, place, span, to, [1, rows, pad]);
}

/// The same for `group` heads from h on, step by step, each to a chunk of `rows` rows of its own.
#[inline(always)]
pub fn load_heads<T: Real, S: Simd>(
    _simd: S,
    view: &View<T>,
    [b, h]: [usize; 2],
    [start, count]: [usize; 2],
    to: &mut [T],
    [group, rows, pad]: [usize; 3],
) {
    let width = view.shape()[3];
    for i in 0..rows {
        for head in 0..group {
            let to = &mut to[(head * rows + i) * pad..][..pad];
            if i < count {
                copy::<T, S>(&mut to[..width], view.row(b, start + i, h + head));
                to[width..].fill(T::ZERO);
            } else {
                to.fill(T::ZERO);
            }
        }
    }
}

/// Rows of chunks, as [`load_heads`] leaves them, to rows of all heads of the group side by side.
#[inline(always)]
pub fn store_heads<T: Real>(
    from: &[T],
    [group, rows, pad]: [usize; 3],
    to: &mut [&mut [MaybeUninit<T>]],
    width: usize,
) {
    for (i, to) in to.iter_mut().enumerate() {
        for head in 0..group {
            write(&mut to[head * width..][..width], &from[(head * rows + i) * pad..][..width]);
        }
    }
}

/// The same for one number a step.
#[inline(always)]
pub fn load_numbers<T: Real>(view: &View<T>, [b, h]: [usize; 2], [start, count]: [usize; 2], to: &mut [T]) {
    to[count..].fill(T::ZERO);
    for (i, to) in to[..count].iter_mut().enumerate() {
        *to = view.row(b, start + i, h)[0];
    }
}
