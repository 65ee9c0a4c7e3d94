//! The backward pass of one key head and the query heads that share it.

use std::mem::MaybeUninit;

use pulp::{Simd, WithSimd};

use super::sizes::{SIDE, Sizes, SoftmaxInputs, UNSEEN};
use crate::kernel::heads::load;
use crate::kernel::host::View;
use crate::kernel::product::{Into, Left, product, transpose};
use crate::kernel::real::{Real, dot, scale};
use crate::kernel::scratch::{Scratch, write};

/// Numbers of scratch that a task takes.
pub fn scratch(sizes: &Sizes) -> usize {
    let Sizes { group, queries, d, d_pad, .. } = *sizes;
    group * queries * (d_pad + 1) + SIDE * (6 * d_pad + 2 * d + 2 * SIDE)
}

/// One key head of a row.
pub struct Task<'a, 'b, T: Real> {
    pub sizes: Sizes,
    pub inputs: &'a SoftmaxInputs<View<'a, T>>,
    pub output: View<'a, T>,
    pub grad: View<'a, T>,
    pub key_head: usize,
    /// Rows of a group's heads.
    pub dq: Vec<&'b mut [MaybeUninit<T>]>,
    pub dk: Vec<&'b mut [MaybeUninit<T>]>,
    pub dv: Vec<&'b mut [MaybeUninit<T>]>,
    /// ln Σ e^score of each query of each head of the group.
    pub log_sums: &'a [T],
    pub scratch: &'a mut [T],
}

impl<T: Real> WithSimd for Task<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Sizes { group, queries, keys, d, d_pad, .. } = self.sizes;
        let mut pass = Pass::new(simd, self);
        pass.dq.fill(T::ZERO);
        // All blocks of queries, of one member of the group after another.
        let blocks = || (0..group).flat_map(|member| (0..queries).step_by(SIDE).map(move |start| [member, start]));
        for block in blocks() {
            pass.along(block);
        }
        for first in (0..keys).step_by(SIDE) {
            let count = SIDE.min(keys - first);
            pass.load_keys(first, count);
            for block in blocks() {
                pass.block(block, first);
            }
            for j in 0..count {
                write(pass.key_rows[first + j], &pass.dk[j * d_pad..][..d]);
                write(pass.value_rows[first + j], &pass.dv[j * d_pad..][..d]);
            }
        }
        pass.store_queries();
    }
}

/// A task at work.
struct Pass<'a, 'b, T: Real, S> {
    simd: S,
    sizes: Sizes,
    inputs: &'a SoftmaxInputs<View<'a, T>>,
    output: View<'a, T>,
    grad: View<'a, T>,
    /// Row and key head.
    place: [usize; 2],
    query_rows: Vec<&'b mut [MaybeUninit<T>]>,
    key_rows: Vec<&'b mut [MaybeUninit<T>]>,
    value_rows: Vec<&'b mut [MaybeUninit<T>]>,
    log_sums: &'a [T],

    /// Of all queries of the group.
    dq: &'a mut [T],
    /// `dy · y` of all queries of the group.
    along: &'a mut [T],
    q: &'a mut [T],
    k: &'a mut [T],
    dy: &'a mut [T],
    dk: &'a mut [T],
    dv: &'a mut [T],
    /// Values, or reads.
    rows: &'a mut [T],
    k_transposed: &'a mut [T],
    v_transposed: &'a mut [T],
    weights: &'a mut [T],
    d_scores: &'a mut [T],
}

impl<'a, 'b, T: Real, S: Simd> Pass<'a, 'b, T, S> {
    #[inline(always)]
    fn new(simd: S, task: Task<'a, 'b, T>) -> Self {
        let Task { sizes, inputs, output, grad, key_head, dq, dk, dv, log_sums, scratch } = task;
        let (query_rows, key_rows, value_rows) = (dq, dk, dv);
        let Sizes { heads, group, queries, d, d_pad, .. } = sizes;
        let key_heads = heads / group;
        let place = [key_head / key_heads, key_head % key_heads];
        let mut scratch = Scratch(scratch);
        let dq = scratch.take(group * queries * d_pad);
        let along = scratch.take(group * queries);
        let [q, k, dy, dk, dv, rows] = [(); 6].map(|()| scratch.take(SIDE * d_pad));
        let [k_transposed, v_transposed] = [(); 2].map(|()| scratch.take(d * SIDE));
        let [weights, d_scores] = [(); 2].map(|()| scratch.take(SIDE * SIDE));
        Self {
            simd,
            sizes,
            inputs,
            output,
            grad,
            place,
            query_rows,
            key_rows,
            value_rows,
            log_sums,
            dq,
            along,
            q,
            k,
            dy,
            dk,
            dv,
            rows,
            k_transposed,
            v_transposed,
            weights,
            d_scores,
        }
    }

    /// Row and query head of a member of the group.
    #[inline(always)]
    fn query_place(&self, member: usize) -> [usize; 2] {
        [self.place[0], self.place[1] * self.sizes.group + member]
    }

    /// `dy · y` of a block of queries.
    #[inline(always)]
    fn along(&mut self, [member, start]: [usize; 2]) {
        let Sizes { queries, d_pad, .. } = self.sizes;
        let (span, place) = ([start, SIDE.min(queries - start)], self.query_place(member));
        load(self.simd, &self.grad, place, span, self.dy, d_pad);
        load(self.simd, &self.output, place, span, self.rows, d_pad);
        for i in 0..span[1] {
            let row = i * d_pad..(i + 1) * d_pad;
            self.along[member * queries + start + i] = dot(self.simd, &self.dy[row.clone()], &self.rows[row]);
        }
    }

    #[inline(always)]
    fn load_keys(&mut self, first: usize, count: usize) {
        let Sizes { d, d_pad, .. } = self.sizes;
        load(self.simd, &self.inputs.key, self.place, [first, count], self.k, d_pad);
        transpose(SIDE, d, (self.k, d_pad), (self.k_transposed, SIDE));
        load(self.simd, &self.inputs.value, self.place, [first, count], self.rows, d_pad);
        transpose(SIDE, d, (self.rows, d_pad), (self.v_transposed, SIDE));
        self.dk.fill(T::ZERO);
        self.dv.fill(T::ZERO);
    }

    /// A block of queries against the block of keys from `first` on.
    #[inline(always)]
    fn block(&mut self, [member, start]: [usize; 2], first: usize) {
        let Sizes { queries, d, d_pad, .. } = self.sizes;
        let (simd, count) = (self.simd, SIDE.min(queries - start));
        if self.sizes.seen(start + count - 1) <= first {
            return;
        }
        let place = self.query_place(member);
        load(simd, &self.inputs.query, place, [start, count], self.q, d_pad);
        scale(self.q, self.sizes.factor());
        load(simd, &self.grad, place, [start, count], self.dy, d_pad);
        let (right, shape) = ((&*self.k_transposed, SIDE), [count, SIDE, d]);
        product(simd, shape, Left::plain(self.q, d_pad), right, (self.weights, SIDE), Into::Set);
        let right = (&*self.v_transposed, SIDE);
        product(simd, shape, Left::plain(self.dy, d_pad), right, (self.d_scores, SIDE), Into::Set);
        let row = member * queries + start;
        for i in 0..count {
            let (log_sum, along) = (self.log_sums[row + i], self.along[row + i]);
            let weights = &mut self.weights[i * SIDE..][..SIDE];
            let d_scores = &mut self.d_scores[i * SIDE..][..SIDE];
            weights[self.sizes.seen_of_block(start + i, first)..].fill(T::from_f64(UNSEEN));
            for (weight, d_score) in weights.iter_mut().zip(d_scores) {
                *weight = (*weight - log_sum).exp::<S>();
                *d_score = *weight * (*d_score - along);
            }
        }
        let (left, shape) = (Left::transposed(self.weights, SIDE), [SIDE, d_pad, count]);
        product(simd, shape, left, (self.dy, d_pad), (self.dv, d_pad), Into::Add);
        let left = Left::transposed(self.d_scores, SIDE);
        product(simd, shape, left, (self.q, d_pad), (self.dk, d_pad), Into::Add);
        let (left, to) = (Left::plain(self.d_scores, SIDE), (&mut self.dq[row * d_pad..], d_pad));
        product(simd, [count, d_pad, SIDE], left, (self.k, d_pad), to, Into::Add);
    }

    /// The scores' factor went into q, and from there into dk; dq takes it here.
    #[inline(always)]
    fn store_queries(&mut self) {
        let Sizes { queries, d, d_pad, .. } = self.sizes;
        for (i, to) in self.query_rows.iter_mut().enumerate() {
            for (member, to) in to.chunks_mut(d).enumerate() {
                let row = &mut self.dq[(member * queries + i) * d_pad..][..d];
                scale(row, self.sizes.factor());
                write(to, row);
            }
        }
    }
}
