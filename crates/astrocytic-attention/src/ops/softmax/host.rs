//! Softmax attention in blocks of queries and keys: memory linear in the steps, the T×T matrix never whole
//! (the online softmax of arXiv 1805.02867, as in FlashAttention, arXiv 2205.14135).

use std::mem::MaybeUninit;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::kernel::heads::{load, rows_of_heads};
use crate::kernel::host::{Output, View};
use crate::kernel::product::{BLOCK, Into, Left, product, transpose};
use crate::kernel::real::{Real, all_finite, copy, dot, scale};
use crate::kernel::scratch::{Fresh, Scratch, put, with_scratch};
use crate::kernel::{INPUTS, Kernel, LITTLE, Pass, Views};

/// Queries and keys in a block.
const SIDE: usize = 64;

/// `softmax(q kᵀ / √d) v`. Inputs: 0. query `[batch, steps_q, heads, d]`, 1. key and 2. value `[batch, steps, key heads, d]`,
/// each key head for a group of query heads. The result is `[batch, steps_q, heads, d]`. With `causal` the last query sees
/// all keys, the one before it one less, and so on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Softmax {
    pub causal: bool,
}

#[derive(Debug, Clone, Copy)]
struct Sizes {
    batch: usize,
    heads: usize,
    /// Query heads that share a key head.
    group: usize,
    queries: usize,
    keys: usize,
    d: usize,
    d_pad: usize,
    causal: bool,
}

impl Sizes {
    fn new<T>(softmax: &Softmax, inputs: &Views<T>) -> Self {
        let [query, key] = [0, 1].map(|i| inputs[i].as_ref().expect("query and key").shape());
        let [batch, queries, heads, d] = query;
        let group = heads / key[2];
        Self { batch, heads, group, queries, keys: key[1], d, d_pad: d.next_multiple_of(BLOCK), causal: softmax.causal }
    }

    /// How many keys query i sees.
    #[inline(always)]
    fn seen(&self, i: usize) -> usize {
        if self.causal { self.keys + i + 1 - self.queries } else { self.keys }
    }

    fn factor<T: Real>(&self) -> T {
        T::from_f64((self.d as f64).sqrt().recip())
    }
}

impl Kernel for Softmax {
    #[expect(unsafe_code, reason = "results are written into memory that was not cleared")]
    fn forward<T: Real>(&self, inputs: &Views<T>, _keep: bool) -> (Output<T>, Vec<T>) {
        let sizes = Sizes::new(self, inputs);
        let Sizes { batch, heads, queries, keys, d, d_pad, .. } = sizes;
        let shape = [batch, queries, heads, d];
        let count = batch * queries * heads * d;
        let mut data = Fresh::new(count);
        // Of each head and query ln Σ e^score, from which the backward pass has the weights again.
        let mut log_sums = vec![T::ZERO; batch * heads * queries];
        let rows = rows_of_heads(&mut data.places()[..count], shape);
        let tasks: Vec<_> = rows.into_iter().zip(log_sums.chunks_mut(queries)).enumerate().collect();
        let few = queries < BLOCK;
        let room = if few {
            keys.next_multiple_of(BLOCK) + 3 * d_pad
        } else {
            d * keys.next_multiple_of(SIDE) + SIDE * (3 * d_pad + SIDE + 2)
        };
        let arch = pulp::Arch::new();
        let little = batch * heads * queries * keys * d < LITTLE;
        let together = if little { tasks.len() } else { 1 };
        tasks.into_par_iter().with_min_len(together).for_each(|(head, (reads, log_sums))| {
            with_scratch(room, |scratch| {
                arch.dispatch(Forward { sizes, inputs, head, reads, log_sums, few, scratch });
            });
        });
        // SAFETY: every row belongs to one head's task, which puts each of them.
        let data = unsafe { data.written(count) };
        (Output { data, shape: shape.to_vec() }, log_sums)
    }

    #[expect(unsafe_code, reason = "results are written into memory that was not cleared")]
    fn backward<T: Real>(&self, pass: &Pass<T>, _wanted: [bool; INPUTS]) -> [Option<Output<T>>; INPUTS] {
        let sizes = Sizes::new(self, &pass.inputs);
        let Sizes { batch, heads, group, queries, keys, d, d_pad, .. } = sizes;
        let key_heads = heads / group;
        let shapes = [[batch, queries, heads, d], [batch, keys, key_heads, d], [batch, keys, key_heads, d]];
        let mut found = shapes.map(|shape| Fresh::new(shape.iter().product()));
        let [dq, dk, dv] = found.each_mut().map(Fresh::places);
        let grouped = [batch, queries, key_heads, group * d];
        let rows = rows_of_heads(dq, grouped).into_iter().zip(rows_of_heads(dk, shapes[1]));
        let tasks: Vec<_> = rows.zip(rows_of_heads(dv, shapes[2])).enumerate().collect();
        let room = group * queries * (d_pad + 1) + SIDE * (6 * d_pad + 2 * d + 2 * SIDE);
        let arch = pulp::Arch::new();
        tasks.into_par_iter().for_each(|(key_head, ((dq, dk), dv))| {
            let log_sums = &pass.kept[key_head * group * queries..][..group * queries];
            with_scratch(room, |scratch| {
                arch.dispatch(Backward { sizes, pass, key_head, dq, dk, dv, log_sums, scratch });
            });
        });
        let mut found = found.into_iter().zip(shapes);
        std::array::from_fn(|_| {
            let (data, shape) = found.next()?;
            // SAFETY: every row belongs to one head's task, which puts each of them.
            let data = unsafe { data.written(shape.iter().product()) };
            Some(Output { data, shape: shape.to_vec() })
        })
    }
}

struct Forward<'a, 'b, T: Real> {
    sizes: Sizes,
    inputs: &'a Views<'a, T>,
    head: usize,
    reads: Vec<&'b mut [MaybeUninit<T>]>,
    log_sums: &'b mut [T],
    few: bool,
    scratch: &'a mut [T],
}

impl<T: Real> WithSimd for Forward<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { sizes, inputs, head, mut reads, log_sums, few, scratch } = self;
        let Sizes { heads, group, queries, keys, d, d_pad, .. } = sizes;
        let own = [head / heads, head % heads];
        let place = [own[0], own[1] / group];
        let [query, key, value] = [0, 1, 2].map(|i| inputs[i].as_ref().expect("query, key and value"));
        let mut scratch = Scratch(scratch);
        if few {
            let scores = scratch.take(keys.next_multiple_of(BLOCK));
            let [q, row, y] = [(); 3].map(|()| scratch.take(d_pad));
            for i in 0..queries {
                load(simd, query, own, [i, 1], q, d_pad);
                scale(q, sizes.factor());
                let seen = sizes.seen(i);
                row.fill(T::ZERO);
                for (j, score) in scores[..seen].iter_mut().enumerate() {
                    let own = key.row(place[0], j, place[1]);
                    *score = if d == d_pad {
                        dot(simd, q, own)
                    } else {
                        copy::<T, S>(&mut row[..d], own);
                        dot(simd, q, row)
                    };
                }
                let weights = &mut scores[..seen.next_multiple_of(BLOCK)];
                weights[seen..].fill(T::from_f64(-1e30));
                let largest = highest(simd, weights);
                for x in &mut *weights {
                    *x = (*x - largest).exp::<S>();
                }
                let sum = total(simd, weights);
                y.fill(T::ZERO);
                for (j, &weight) in weights[..seen].iter().enumerate() {
                    for (y, &v) in y.iter_mut().zip(value.row(place[0], j, place[1])) {
                        *y += weight * v;
                    }
                }
                scale(y, T::ONE / sum);
                put(reads[i], &y[..d]);
                log_sums[i] = largest + T::from_f64(sum.to_f64().ln());
            }
            return;
        }

        let width = keys.next_multiple_of(SIDE);
        let k_transposed = scratch.take(d * width);
        let [q, block, y] = [(); 3].map(|()| scratch.take(SIDE * d_pad));
        let scores = scratch.take(SIDE * SIDE);
        let [largest, sums] = [(); 2].map(|()| scratch.take(SIDE));
        for start in (0..keys).step_by(SIDE) {
            load(simd, key, place, [start, SIDE.min(keys - start)], block, d_pad);
            transpose(SIDE, d, (block, d_pad), (&mut k_transposed[start..], width));
        }
        for start in (0..queries).step_by(SIDE) {
            let count = SIDE.min(queries - start);
            load(simd, query, own, [start, count], q, d_pad);
            scale(q, sizes.factor());
            // Values that are not finite reach by blocks what does not see them, 0 times each. Then it is done again with none.
            let mut sound = keys;
            let mut whole = None;
            loop {
                y.fill(T::ZERO);
                largest.fill(T::from_f64(-1e30));
                sums.fill(T::ZERO);
                for first in (0..sizes.seen(start + count - 1)).step_by(SIDE) {
                    let right = (&k_transposed[first..], width);
                    product(simd, [count, SIDE, d], Left::plain(q, d_pad), right, (scores, SIDE), Into::Set);
                    for i in 0..count {
                        let row = &mut scores[i * SIDE..][..SIDE];
                        let seen = sizes.seen(start + i).saturating_sub(first).min(SIDE);
                        row[seen..].fill(T::from_f64(-1e30));
                        let top = highest(simd, row).max(largest[i]);
                        let shrunk = (largest[i] - top).exp::<S>();
                        largest[i] = top;
                        for x in &mut *row {
                            *x = (*x - top).exp::<S>();
                        }
                        sums[i] = sums[i] * shrunk + total(simd, row);
                        scale(&mut y[i * d_pad..][..d_pad], shrunk);
                    }
                    load(simd, value, place, [first, SIDE.min(keys - first)], block, d_pad);
                    block[SIDE.min(sound.saturating_sub(first)) * d_pad..].fill(T::ZERO);
                    let left = Left::plain(scores, SIDE);
                    product(simd, [count, d_pad, SIDE], left, (block, d_pad), (y, d_pad), Into::Add);
                }
                if sound < keys || all_finite(&y[..count * d_pad]) {
                    break;
                }
                sound = (0..keys).find(|&j| !all_finite(value.row(place[0], j, place[1]))).unwrap_or(keys);
                if sound == keys {
                    break;
                }
                whole = Some((y.to_vec(), largest.to_vec(), sums.to_vec()));
            }
            for (i, (whole, largest_whole, sums_whole)) in (0..count).flat_map(|i| whole.iter().map(move |x| (i, x))) {
                if sizes.seen(start + i) > sound {
                    y[i * d_pad..][..d_pad].copy_from_slice(&whole[i * d_pad..][..d_pad]);
                    (largest[i], sums[i]) = (largest_whole[i], sums_whole[i]);
                }
            }
            for i in 0..count {
                let row = &mut y[i * d_pad..][..d];
                scale(row, T::ONE / sums[i]);
                put(reads[start + i], row);
                log_sums[start + i] = largest[i] + T::from_f64(sums[i].to_f64().ln());
            }
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

struct Backward<'a, 'b, T: Real> {
    sizes: Sizes,
    pass: &'a Pass<'a, T>,
    key_head: usize,
    /// Rows of a group's heads.
    dq: Vec<&'b mut [MaybeUninit<T>]>,
    dk: Vec<&'b mut [MaybeUninit<T>]>,
    dv: Vec<&'b mut [MaybeUninit<T>]>,
    log_sums: &'a [T],
    scratch: &'a mut [T],
}

impl<T: Real> WithSimd for Backward<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { sizes, pass, key_head, mut dq, mut dk, mut dv, log_sums, scratch } = self;
        let Sizes { heads, group, queries, keys, d, d_pad, .. } = sizes;
        let key_heads = heads / group;
        let place = [key_head / key_heads, key_head % key_heads];
        let of = |member: usize| [place[0], place[1] * group + member];
        let [query, key, value]: [&View<T>; 3] =
            [0, 1, 2].map(|i| pass.inputs[i].as_ref().expect("query, key and value"));
        let mut scratch = Scratch(scratch);
        let dq_all = scratch.take(group * queries * d_pad);
        let along = scratch.take(group * queries);
        let [q, k, dy, dk_block, dv_block, block] = [(); 6].map(|()| scratch.take(SIDE * d_pad));
        let [k_transposed, v_transposed] = [(); 2].map(|()| scratch.take(d * SIDE));
        let [weights, d_scores] = [(); 2].map(|()| scratch.take(SIDE * SIDE));

        dq_all.fill(T::ZERO);
        // All blocks of queries, of one member of the group after another.
        let blocks = || (0..group).flat_map(|member| (0..queries).step_by(SIDE).map(move |start| (member, start)));
        for (member, start) in blocks() {
            let span = [start, SIDE.min(queries - start)];
            load(simd, &pass.grad, of(member), span, dy, d_pad);
            load(simd, &pass.output, of(member), span, block, d_pad);
            for i in 0..span[1] {
                along[member * queries + start + i] =
                    dot(simd, &dy[i * d_pad..][..d_pad], &block[i * d_pad..][..d_pad]);
            }
        }
        for first in (0..keys).step_by(SIDE) {
            let key_count = SIDE.min(keys - first);
            load(simd, key, place, [first, key_count], k, d_pad);
            transpose(SIDE, d, (k, d_pad), (k_transposed, SIDE));
            load(simd, value, place, [first, key_count], block, d_pad);
            transpose(SIDE, d, (block, d_pad), (v_transposed, SIDE));
            dk_block.fill(T::ZERO);
            dv_block.fill(T::ZERO);
            for (member, start) in blocks() {
                let count = SIDE.min(queries - start);
                if sizes.seen(start + count - 1) <= first {
                    continue;
                }
                load(simd, query, of(member), [start, count], q, d_pad);
                scale(q, sizes.factor());
                load(simd, &pass.grad, of(member), [start, count], dy, d_pad);
                product(
                    simd,
                    [count, SIDE, d],
                    Left::plain(q, d_pad),
                    (k_transposed, SIDE),
                    (weights, SIDE),
                    Into::Set,
                );
                product(
                    simd,
                    [count, SIDE, d],
                    Left::plain(dy, d_pad),
                    (v_transposed, SIDE),
                    (d_scores, SIDE),
                    Into::Set,
                );
                let row = member * queries + start;
                for i in 0..count {
                    let (log_sum, along) = (log_sums[row + i], along[row + i]);
                    let seen = sizes.seen(start + i).saturating_sub(first).min(SIDE);
                    let weights = &mut weights[i * SIDE..][..SIDE];
                    let d_scores = &mut d_scores[i * SIDE..][..SIDE];
                    weights[seen..].fill(T::from_f64(-1e30));
                    for (weight, d_score) in weights.iter_mut().zip(d_scores) {
                        *weight = (*weight - log_sum).exp::<S>();
                        *d_score = *weight * (*d_score - along);
                    }
                }
                let right = (&*dy, d_pad);
                product(
                    simd,
                    [SIDE, d_pad, count],
                    Left::transposed(weights, SIDE),
                    right,
                    (dv_block, d_pad),
                    Into::Add,
                );
                let left = Left::transposed(d_scores, SIDE);
                product(simd, [SIDE, d_pad, count], left, (q, d_pad), (dk_block, d_pad), Into::Add);
                let to = (&mut dq_all[row * d_pad..], d_pad);
                product(simd, [count, d_pad, SIDE], Left::plain(d_scores, SIDE), (k, d_pad), to, Into::Add);
            }
            for j in 0..key_count {
                put(dk[first + j], &dk_block[j * d_pad..][..d]);
                put(dv[first + j], &dv_block[j * d_pad..][..d]);
            }
        }
        for (i, dq) in dq.iter_mut().enumerate() {
            for (member, dq) in dq.chunks_mut(d).enumerate() {
                // The scores' factor went into q, and from there into dk; dq takes it here.
                let row = &mut dq_all[(member * queries + i) * d_pad..][..d];
                scale(row, sizes.factor());
                put(dq, row);
            }
        }
    }
}
