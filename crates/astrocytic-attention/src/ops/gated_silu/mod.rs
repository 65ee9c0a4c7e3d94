//! `x · silu(gate)` as one operation: the middle of a SwiGLU layer (arXiv 2002.05202) and an output gate.

use std::mem::MaybeUninit;

use burn::tensor::Tensor;
use burn::tensor::activation::silu;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::kernel::host::{Output, View};
use crate::kernel::real::{Real, sigmoid};
use crate::kernel::scratch::Fresh;
use crate::kernel::{self, INPUTS, Kernel, Pass, Views};

/// `x · silu(gate)`, element by element, for tensors of one shape.
pub fn gated_silu<const D: usize>(x: Tensor<D>, gate: Tensor<D>) -> Tensor<D> {
    let shape = x.dims();
    let width = shape[D - 1];
    let rows = shape.iter().product::<usize>() / width.max(1);
    if rows > 0 && shape == gate.dims() {
        let [flat, flat_gate] = [x.clone(), gate.clone()].map(|x| Some(x.reshape([1, 1, rows, width]).into()));
        if let Some(gated) = kernel::run::<_, 4>(GatedSilu, [flat, flat_gate, None, None, None, None, None]) {
            return gated.reshape(shape);
        }
    }
    x * silu(gate)
}

/// Rows at a time.
const BLOCK: usize = 32;

#[derive(Debug, Clone, Copy)]
struct GatedSilu;

impl Kernel for GatedSilu {
    #[expect(unsafe_code, reason = "results are written into memory that was not cleared")]
    fn forward<T: Real>(&self, inputs: &Views<T>, _keep: bool) -> (Output<T>, Vec<T>) {
        let [x, gate] = [0, 1].map(|i| inputs[i].expect("x and gate"));
        let [_, _, rows, width] = x.shape();
        let mut data = Fresh::new(rows * width);
        let arch = pulp::Arch::new();
        data.places()[..rows * width].par_chunks_mut(BLOCK * width).enumerate().for_each(|(block, y)| {
            arch.dispatch(Forward { first: block * BLOCK, x, gate, y });
        });
        // SAFETY: the blocks are all of it, and each writes all of its own.
        let data = unsafe { data.written(rows * width) };
        (Output { data, shape: vec![1, 1, rows, width] }, Vec::new())
    }

    #[expect(unsafe_code, reason = "results are written into memory that was not cleared")]
    fn backward<T: Real>(&self, pass: &Pass<T>, _wanted: [bool; INPUTS]) -> [Option<Output<T>>; INPUTS] {
        let [x, gate] = [0, 1].map(|i| pass.inputs[i].expect("x and gate"));
        let [_, _, rows, width] = x.shape();
        let [mut dx, mut dgate] = [(); 2].map(|()| Fresh::new(rows * width));
        let (arch, grad) = (pulp::Arch::new(), pass.grad);
        let [blocks, gate_blocks] =
            [&mut dx, &mut dgate].map(|x| x.places()[..rows * width].par_chunks_mut(BLOCK * width));
        blocks.zip(gate_blocks).enumerate().for_each(|(block, (dx, dgate))| {
            arch.dispatch(Backward { first: block * BLOCK, x, gate, grad, dx, dgate });
        });
        // SAFETY: the blocks are all of it, and each writes all of its own.
        let [dx, dgate] = [dx, dgate].map(|x| unsafe { x.written(rows * width) });
        let mut found = [const { None }; INPUTS];
        found[0] = Some(Output { data: dx, shape: vec![1, 1, rows, width] });
        found[1] = Some(Output { data: dgate, shape: vec![1, 1, rows, width] });
        found
    }
}

struct Forward<'a, T> {
    first: usize,
    x: View<'a, T>,
    gate: View<'a, T>,
    y: &'a mut [MaybeUninit<T>],
}

impl<T: Real> WithSimd for Forward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let width = self.x.shape()[3];
        for (i, y) in self.y.chunks_exact_mut(width).enumerate() {
            let (x, gate) = (self.x.row(0, 0, self.first + i), self.gate.row(0, 0, self.first + i));
            for ((y, &x), &gate) in y.iter_mut().zip(x).zip(gate) {
                y.write(x * gate * sigmoid::<T, S>(gate));
            }
        }
    }
}

struct Backward<'a, T> {
    first: usize,
    x: View<'a, T>,
    gate: View<'a, T>,
    grad: View<'a, T>,
    dx: &'a mut [MaybeUninit<T>],
    dgate: &'a mut [MaybeUninit<T>],
}

impl<T: Real> WithSimd for Backward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let width = self.x.shape()[3];
        let rows = self.dx.chunks_exact_mut(width).zip(self.dgate.chunks_exact_mut(width));
        for (i, (dx, dgate)) in rows.enumerate() {
            let row = self.first + i;
            let (x, gate, dy) = (self.x.row(0, 0, row), self.gate.row(0, 0, row), self.grad.row(0, 0, row));
            for ((((dx, dgate), &x), &gate), &dy) in dx.iter_mut().zip(dgate).zip(x).zip(gate).zip(dy) {
                let open = sigmoid::<T, S>(gate);
                dx.write(dy * gate * open);
                dgate.write(dy * x * open * (T::ONE + gate * (T::ONE - open)));
            }
        }
    }
}
