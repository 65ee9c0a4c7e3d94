//! The forward pass of one query head.

use std::mem::MaybeUninit;

use pulp::{Simd, WithSimd};

use super::sizes::{SIDE, Sizes, SoftmaxInputs, UNSEEN};
use crate::kernel::heads::load;
use crate::kernel::host::View;
use crate::kernel::product::{BLOCK, Into, Left, product, transpose};
use crate::kernel::real::{Real, all_finite, copy, dot, scale};
use crate::kernel::scratch::{Scratch, write};

/// Numbers of scratch that a task takes.
pub fn scratch(sizes: &Sizes) -> usize {
    let Sizes { keys, d, d_pad, .. } = *sizes;
    if few(sizes) {
        keys.next_multiple_of(BLOCK) + 3 * d_pad
    } else {
        d * keys.next_multiple_of(SIDE) + SIDE * (3 * d_pad + SIDE + 2)
    }
}

/// Whether queries are too few for products in blocks.
fn few(sizes: &Sizes) -> bool {
    sizes.queries < BLOCK
}

/// One query head of a row.
pub struct Task<'a, 'b, T: Real> {
    pub sizes: Sizes,
    pub inputs: &'a SoftmaxInputs<View<'a, T>>,
    pub head: usize,
    pub reads: Vec<&'b mut [MaybeUninit<T>]>,
    /// ln Σ e^score of each query.
    pub log_sums: &'b mut [T],
    pub scratch: &'a mut [T],
}

impl<T: Real> WithSimd for Task<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if few(&self.sizes) { self.one_by_one(simd) } else { self.by_blocks(simd) }
    }
}

impl<T: Real> Task<'_, '_, T> {
    /// The row and the head of the query, then of its keys.
    #[inline(always)]
    fn places(&self) -> [[usize; 2]; 2] {
        let Sizes { heads, group, .. } = self.sizes;
        let [row, head] = [self.head / heads, self.head % heads];
        [[row, head], [row, head / group]]
    }

    /// One query after another.
    #[inline(always)]
    fn one_by_one<S: Simd>(self, simd: S) {
        let Sizes { queries, keys, d, d_pad, .. } = self.sizes;
        let [query_place, [b, key_head]] = self.places();
        let Self { sizes, inputs: SoftmaxInputs { query, key, value }, mut reads, log_sums, scratch, .. } = self;
        let mut scratch = Scratch(scratch);
        let scores = scratch.take(keys.next_multiple_of(BLOCK));
        let [q, row, y] = [(); 3].map(|()| scratch.take(d_pad));
        for i in 0..queries {
            load(simd, query, query_place, [i, 1], q, d_pad);
            scale(q, sizes.factor());
            let seen = sizes.seen(i);
            row.fill(T::ZERO);
            for (j, score) in scores[..seen].iter_mut().enumerate() {
                let key = key.row(b, j, key_head);
                *score = if d == d_pad {
                    dot(simd, q, key)
                } else {
                    copy::<T, S>(&mut row[..d], key);
                    dot(simd, q, row)
                };
            }
            let weights = &mut scores[..seen.next_multiple_of(BLOCK)];
            weights[seen..].fill(T::from_f64(UNSEEN));
            let largest = highest(simd, weights);
            for x in &mut *weights {
                *x = (*x - largest).exp::<S>();
            }
            let sum = total(simd, weights);
            y.fill(T::ZERO);
            for (j, &weight) in weights[..seen].iter().enumerate() {
                for (y, &v) in y.iter_mut().zip(value.row(b, j, key_head)) {
                    *y += weight * v;
                }
            }
            scale(y, T::ONE / sum);
            write(reads[i], &y[..d]);
            log_sums[i] = largest + T::from_f64(sum.to_f64().ln());
        }
    }

    /// Blocks of queries, each against blocks of keys.
    #[inline(always)]
    fn by_blocks<S: Simd>(self, simd: S) {
        let Sizes { queries, keys, d, d_pad, .. } = self.sizes;
        let [query_place, place] = self.places();
        let Self { sizes, inputs: SoftmaxInputs { query, key, value }, mut reads, log_sums, scratch, .. } = self;
        let mut scratch = Scratch(scratch);
        let width = keys.next_multiple_of(SIDE);
        let k_transposed = scratch.take(d * width);
        let [q, block, y] = [(); 3].map(|()| scratch.take(SIDE * d_pad));
        let scores = scratch.take(SIDE * SIDE);
        let [largest, sums] = [(); 2].map(|()| scratch.take(SIDE));
        for start in (0..keys).step_by(SIDE) {
            load(simd, key, place, [start, SIDE.min(keys - start)], block, d_pad);
            transpose(SIDE, d, (block, d_pad), (&mut k_transposed[start..], width));
        }
        let mut online = Online { simd, sizes, value, place, k_transposed, q, block, y, scores, largest, sums };
        for start in (0..queries).step_by(SIDE) {
            let count = SIDE.min(queries - start);
            load(simd, query, query_place, [start, count], online.q, d_pad);
            scale(online.q, sizes.factor());
            online.read_finite(start, count);
            for i in 0..count {
                let (row, sum) = (&mut online.y[i * d_pad..][..d], online.sums[i]);
                scale(row, T::ONE / sum);
                write(reads[start + i], row);
                log_sums[start + i] = online.largest[i] + T::from_f64(sum.to_f64().ln());
            }
        }
    }
}

/// A block of queries, read block by block of the keys: sums so far with the largest score so far.
struct Online<'a, T: Real, S> {
    simd: S,
    sizes: Sizes,
    value: &'a View<'a, T>,
    /// Row and key head.
    place: [usize; 2],
    k_transposed: &'a mut [T],
    q: &'a mut [T],
    block: &'a mut [T],
    y: &'a mut [T],
    scores: &'a mut [T],
    largest: &'a mut [T],
    sums: &'a mut [T],
}

impl<T: Real, S: Simd> Online<'_, T, S> {
    /// Values that are not finite reach by blocks what does not see them, 0 times each. Then it is done again with none, for
    /// the queries that see none.
    #[inline(always)]
    fn read_finite(&mut self, start: usize, count: usize) {
        let Sizes { keys, d_pad, .. } = self.sizes;
        self.read(start, count, keys);
        if all_finite(&self.y[..count * d_pad]) {
            return;
        }
        let [b, h] = self.place;
        let Some(sound) = (0..keys).find(|&j| !all_finite(self.value.row(b, j, h))) else { return };
        let whole = (self.y.to_vec(), self.largest.to_vec(), self.sums.to_vec());
        self.read(start, count, sound);
        for i in (0..count).filter(|i| self.sizes.seen(start + i) > sound) {
            self.y[i * d_pad..][..d_pad].copy_from_slice(&whole.0[i * d_pad..][..d_pad]);
            (self.largest[i], self.sums[i]) = (whole.1[i], whole.2[i]);
        }
    }

    /// The queries' sums over all keys that they see, with values of 0 from `sound` on.
    #[inline(always)]
    fn read(&mut self, start: usize, count: usize, sound: usize) {
        let Sizes { keys, d, d_pad, .. } = self.sizes;
        let (simd, width) = (self.simd, keys.next_multiple_of(SIDE));
        self.y.fill(T::ZERO);
        self.largest.fill(T::from_f64(UNSEEN));
        self.sums.fill(T::ZERO);
        for first in (0..self.sizes.seen(start + count - 1)).step_by(SIDE) {
            let right = (&self.k_transposed[first..], width);
            product(simd, [count, SIDE, d], Left::plain(self.q, d_pad), right, (self.scores, SIDE), Into::Set);
            for i in 0..count {
                let row = &mut self.scores[i * SIDE..][..SIDE];
                row[self.sizes.seen_of_block(start + i, first)..].fill(T::from_f64(UNSEEN));
                let top = highest(simd, row).max(self.largest[i]);
                let shrunk = (self.largest[i] - top).exp::<S>();
                self.largest[i] = top;
                for x in &mut *row {
                    *x = (*x - top).exp::<S>();
                }
                self.sums[i] = self.sums[i] * shrunk + total(simd, row);
                scale(&mut self.y[i * d_pad..][..d_pad], shrunk);
            }
            load(simd, self.value, self.place, [first, SIDE.min(keys - first)], self.block, d_pad);
            self.block[SIDE.min(sound.saturating_sub(first)) * d_pad..].fill(T::ZERO);
            let left = Left::plain(self.scores, SIDE);
            product(simd, [count, d_pad, SIDE], left, (self.block, d_pad), (self.y, d_pad), Into::Add);
        }
    }
}

#[inline(always)]
fn highest<T: Real, S: Simd>(simd: S, row: &[T]) -> T {
    let row = T::vectors::<S>(row);
    let mut top = row[0];
    for &x in row {
        top = T::larger(simd, top, x);
    }
    T::largest(simd, top)
}

#[inline(always)]
fn total<T: Real, S: Simd>(simd: S, row: &[T]) -> T {
    let mut sum = T::splat(simd, T::ZERO);
    for &x in T::vectors::<S>(row) {
        sum = T::plus(simd, sum, x);
    }
    T::sum(simd, sum)
}
