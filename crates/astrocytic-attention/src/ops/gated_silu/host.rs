//! The processor's kernel of the gate.

use std::mem::MaybeUninit;

use burn::tensor::Tensor;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::kernel::host::{Output, View};
use crate::kernel::operation::{Kernel, Pass, inputs, run as run_kernel};
use crate::kernel::real::{Real, sigmoid};
use crate::kernel::scratch::Fresh;

/// The gated tensor by the kernel, where there is one for the tensors.
pub(super) fn run<const D: usize>(x: &Tensor<D>, gate: &Tensor<D>) -> Option<Tensor<D>> {
    let shape = x.dims();
    let width = shape[D - 1];
    let rows = shape.iter().product::<usize>() / width.max(1);
    if rows == 0 || shape != gate.dims() {
        return None;
    }
    let [x, gate] = [x, gate].map(|x| x.clone().reshape([1, 1, rows, width]).into());
    let gated: Tensor<4> = run_kernel(GatedSilu, GatedSiluInputs { x, gate })?;
    Some(gated.reshape(shape))
}

/// Rows at a time.
const BLOCK: usize = 32;

#[derive(Debug, Clone, Copy)]
struct GatedSilu;

inputs! {
    /// The inputs of the gate, `[1, 1, rows, width]` both.
    GatedSiluInputs { x, gate }
}

impl Kernel for GatedSilu {
    type Inputs<X> = GatedSiluInputs<X>;

    #[expect(unsafe_code, reason = "results are written into memory that was not cleared")]
    fn forward<T: Real>(&self, GatedSiluInputs { x, gate }: GatedSiluInputs<View<T>>, _: bool) -> (Output<T>, Vec<T>) {
        let [_, _, rows, width] = x.shape();
        let mut data = Fresh::new(rows * width);
        let arch = pulp::Arch::new();
        data.places()[..rows * width].par_chunks_mut(BLOCK * width).enumerate().for_each(|(block, y)| {
            arch.dispatch(Forward { first: block * BLOCK, x, gate, y });
        });
        // SAFETY: the blocks are all of it, and each is written whole.
        let data = unsafe { data.written(rows * width) };
        (Output { data, shape: vec![1, 1, rows, width] }, Vec::new())
    }

    #[expect(unsafe_code, reason = "results are written into memory that was not cleared")]
    fn backward<T: Real>(&self, pass: &Pass<Self, T>) -> GatedSiluInputs<Option<Output<T>>> {
        let GatedSiluInputs { x, gate } = pass.inputs;
        let [_, _, rows, width] = x.shape();
        let [mut dx, mut dgate] = [(); 2].map(|()| Fresh::new(rows * width));
        let (arch, grad) = (pulp::Arch::new(), pass.grad);
        let [blocks, gate_blocks] =
            [&mut dx, &mut dgate].map(|x| x.places()[..rows * width].par_chunks_mut(BLOCK * width));
        blocks.zip(gate_blocks).enumerate().for_each(|(block, (dx, dgate))| {
            arch.dispatch(Backward { first: block * BLOCK, x, gate, grad, dx, dgate });
        });
        // SAFETY: the blocks are all of it, and each is written whole.
        let [dx, dgate] = [dx, dgate].map(|x| unsafe { x.written(rows * width) });
        let [x, gate] = [dx, dgate].map(|data| Some(Output { data, shape: vec![1, 1, rows, width] }));
        GatedSiluInputs { x, gate }
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
