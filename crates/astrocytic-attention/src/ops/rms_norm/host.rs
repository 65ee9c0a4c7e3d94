//! The processor's kernel of the root-mean-square norm.

use std::mem::MaybeUninit;

use burn::tensor::Tensor;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::kernel::host::{Output, View};
use crate::kernel::operation::{Kernel, Pass, inputs, run as run_kernel};
use crate::kernel::real::{Real, dot};
use crate::kernel::scratch::Fresh;

/// The norm by the kernel, where there is one for the tensors.
pub(super) fn run<const D: usize>(x: &Tensor<D>, gamma: &Tensor<1>, epsilon: f64) -> Option<Tensor<D>> {
    let (shape, width) = (x.dims(), gamma.dims()[0]);
    let rows = shape.iter().product::<usize>() / width.max(1);
    if rows == 0 {
        return None;
    }
    let flat = x.clone().reshape([1, 1, rows, width]);
    let inputs = RmsNormInputs { x: flat.into(), gamma: gamma.clone().into() };
    let normed: Tensor<4> = run_kernel(RootMeanSquare { epsilon }, inputs)?;
    Some(normed.reshape(shape))
}

/// Rows at a time.
const BLOCK: usize = 64;

#[derive(Debug, Clone, Copy)]
struct RootMeanSquare {
    epsilon: f64,
}

inputs! {
    /// The inputs of the norm.
    RmsNormInputs {
        /// `[1, 1, rows, width]`.
        x,
        /// `[width]`.
        gamma,
    }
}

impl Kernel for RootMeanSquare {
    type Inputs<X> = RmsNormInputs<X>;

    #[expect(unsafe_code, reason = "results are written into memory that was not cleared")]
    fn forward<T: Real>(&self, RmsNormInputs { x, gamma }: RmsNormInputs<View<T>>, _save: bool) -> (Output<T>, Vec<T>) {
        let gamma = gamma.numbers();
        let [_, _, rows, width] = x.shape();
        let mut data = Fresh::new(rows * width);
        let (arch, epsilon) = (pulp::Arch::new(), T::from_f64(self.epsilon));
        data.places()[..rows * width].par_chunks_mut(BLOCK * width).enumerate().for_each(|(block, y)| {
            arch.dispatch(Forward { first: block * BLOCK, x, gamma, epsilon, y });
        });
        // SAFETY: the blocks are all of it, and each is written whole.
        let data = unsafe { data.written(rows * width) };
        (Output { data, shape: vec![1, 1, rows, width] }, Vec::new())
    }

    #[expect(unsafe_code, reason = "results are written into memory that was not cleared")]
    fn backward<T: Real>(&self, pass: &Pass<Self, T>) -> RmsNormInputs<Option<Output<T>>> {
        let (x, gamma) = (pass.inputs.x, pass.inputs.gamma.numbers());
        let [_, _, rows, width] = x.shape();
        let mut dx = Fresh::new(rows * width);
        let (arch, epsilon, grad) = (pulp::Arch::new(), T::from_f64(self.epsilon), pass.grad);
        // Each block sums its own part of dγ, and the parts are added in order.
        let blocks = dx.places()[..rows * width].par_chunks_mut(BLOCK * width).enumerate();
        let parts: Vec<Vec<T>> = blocks
            .map(|(block, dx)| {
                let mut dgamma = vec![T::ZERO; width];
                arch.dispatch(Backward { first: block * BLOCK, x, gamma, grad, epsilon, dx, dgamma: &mut dgamma });
                dgamma
            })
            .collect();
        // SAFETY: the blocks are all of it, and each is written whole.
        let dx = unsafe { dx.written(rows * width) };
        let mut dgamma = vec![T::ZERO; width];
        for part in parts {
            dgamma.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        }
        RmsNormInputs {
            x: Some(Output { data: dx, shape: vec![1, 1, rows, width] }),
            gamma: Some(Output { data: dgamma, shape: vec![width] }),
        }
    }
}

/// Sum of the products of two rows, whole registers first.
#[inline(always)]
fn row_dot<T: Real, S: Simd>(simd: S, a: &[T], b: &[T]) -> T {
    let whole = a.len() / T::lanes::<S>() * T::lanes::<S>();
    let mut sum = dot(simd, a, b);
    for (&a, &b) in a[whole..].iter().zip(&b[whole..]) {
        sum += a * b;
    }
    sum
}

struct Forward<'a, T> {
    first: usize,
    x: View<'a, T>,
    gamma: &'a [T],
    epsilon: T,
    y: &'a mut [MaybeUninit<T>],
}

impl<T: Real> WithSimd for Forward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { first, x, gamma, epsilon, y } = self;
        for (i, y) in y.chunks_exact_mut(gamma.len()).enumerate() {
            let x = x.row(0, 0, first + i);
            let mean = row_dot(simd, x, x) / T::from_f64(gamma.len() as f64);
            let inverse = T::ONE / (mean + epsilon).sqrt();
            for ((y, &x), &gamma) in y.iter_mut().zip(x).zip(gamma) {
                y.write(x * inverse * gamma);
            }
        }
    }
}

struct Backward<'a, T> {
    first: usize,
    x: View<'a, T>,
    gamma: &'a [T],
    grad: View<'a, T>,
    epsilon: T,
    dx: &'a mut [MaybeUninit<T>],
    dgamma: &'a mut [T],
}

impl<T: Real> WithSimd for Backward<'_, T> {
    type Output = ();

    // y = x r γ with r = 1 / √(mean x² + ε): dx = r (γ dy − x r² mean(x γ dy)).
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { first, x, gamma, grad, epsilon, dx, dgamma } = self;
        let count = T::from_f64(gamma.len() as f64);
        let mut scaled = vec![T::ZERO; gamma.len()];
        for (i, dx) in dx.chunks_exact_mut(gamma.len()).enumerate() {
            let (x, dy) = (x.row(0, 0, first + i), grad.row(0, 0, first + i));
            let inverse = T::ONE / (row_dot(simd, x, x) / count + epsilon).sqrt();
            let of_gamma = gamma.iter().zip(&mut *dgamma);
            for (((scaled, &dy), &x), (&gamma, dgamma)) in scaled.iter_mut().zip(dy).zip(x).zip(of_gamma) {
                *dgamma += dy * x * inverse;
                *scaled = dy * gamma;
            }
            let along = row_dot(simd, &scaled, x) / count * inverse * inverse;
            for ((dx, &scaled), &x) in dx.iter_mut().zip(&scaled).zip(x) {
                dx.write((scaled - x * along) * inverse);
            }
        }
    }
}
