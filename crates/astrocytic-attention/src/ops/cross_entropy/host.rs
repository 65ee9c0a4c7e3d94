//! The processor's kernel of the cross-entropy.

use std::mem::MaybeUninit;
use std::sync::Arc;

use burn::tensor::Tensor;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::kernel::host::{Output, View};
use crate::kernel::operation::{Kernel, Pass, inputs, run as run_kernel};
use crate::kernel::real::Real;
use crate::kernel::scratch::Fresh;

/// The loss by the kernel, where there is one for the tensor.
pub(super) fn run(logits: &Tensor<2>, targets: &[i32]) -> Option<Tensor<1>> {
    let [rows, classes] = logits.dims();
    if rows == 0 {
        return None;
    }
    let flat = logits.clone().reshape([1, 1, rows, classes]);
    run_kernel(CrossEntropy { targets: targets.into() }, CrossEntropyInputs { logits: flat.into() })
}

/// Rows at a time.
const BLOCK: usize = 16;

#[derive(Debug, Clone)]
struct CrossEntropy {
    targets: Arc<[i32]>,
}

inputs! {
    /// The input of the loss.
    CrossEntropyInputs {
        /// `[1, 1, rows, classes]`.
        logits,
    }
}

impl Kernel for CrossEntropy {
    type Inputs<X> = CrossEntropyInputs<X>;

    fn forward<T: Real>(
        &self,
        CrossEntropyInputs { logits }: CrossEntropyInputs<View<T>>,
        _: bool,
    ) -> (Output<T>, Vec<T>) {
        let rows = logits.shape()[2];
        let mut log_sums = vec![T::ZERO; rows];
        let arch = pulp::Arch::new();
        let blocks = log_sums.par_chunks_mut(BLOCK).enumerate();
        blocks.for_each(|(block, to)| arch.dispatch(Forward { first: block * BLOCK, logits, to }));
        let loss = |(i, (log_sum, &target)): (usize, (&T, &i32))| {
            log_sum.to_f64() - logits.row(0, 0, i)[target as usize].to_f64()
        };
        let sum: f64 = log_sums.iter().zip(&*self.targets).enumerate().map(loss).sum();
        (Output { data: vec![T::from_f64(sum / rows as f64)], shape: vec![1] }, log_sums)
    }

    #[expect(unsafe_code, reason = "results are written into memory that was not cleared")]
    fn backward<T: Real>(&self, pass: &Pass<Self, T>) -> CrossEntropyInputs<Option<Output<T>>> {
        let logits = pass.inputs.logits;
        let [_, _, rows, classes] = logits.shape();
        let mut data = Fresh::new(rows * classes);
        let by = pass.grad.numbers()[0] / T::from_f64(rows as f64);
        let (arch, targets, log_sums) = (pulp::Arch::new(), &*self.targets, pass.saved);
        data.places()[..rows * classes].par_chunks_mut(BLOCK * classes).enumerate().for_each(|(block, to)| {
            arch.dispatch(Backward { first: block * BLOCK, logits, log_sums, targets, by, to });
        });
        // SAFETY: the blocks are all of it, and each is written whole.
        let data = unsafe { data.written(rows * classes) };
        CrossEntropyInputs { logits: Some(Output { data, shape: vec![1, 1, rows, classes] }) }
    }
}

struct Forward<'a, T> {
    first: usize,
    logits: View<'a, T>,
    to: &'a mut [T],
}

/// Sums kept side by side, so that they are a vector's.
const LANES: usize = 16;

impl<T: Real> WithSimd for Forward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        for (i, to) in self.to.iter_mut().enumerate() {
            let row = self.logits.row(0, 0, self.first + i);
            let mut highest = [row[0]; LANES];
            let (whole, rest) = row.as_chunks::<LANES>();
            for part in whole {
                for lane in 0..LANES {
                    highest[lane] = highest[lane].max(part[lane]);
                }
            }
            let mut top = highest[0];
            for x in highest {
                top = top.max(x);
            }
            for &x in rest {
                top = top.max(x);
            }
            let mut sums = [T::ZERO; LANES];
            for part in whole {
                for lane in 0..LANES {
                    sums[lane] += (part[lane] - top).exp::<S>();
                }
            }
            let mut sum = T::ZERO;
            for x in sums {
                sum += x;
            }
            for &x in rest {
                sum += (x - top).exp::<S>();
            }
            *to = top + T::from_f64(sum.to_f64().ln());
        }
    }
}

struct Backward<'a, T> {
    first: usize,
    logits: View<'a, T>,
    log_sums: &'a [T],
    targets: &'a [i32],
    by: T,
    to: &'a mut [MaybeUninit<T>],
}

impl<T: Real> WithSimd for Backward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let classes = self.logits.shape()[3];
        for (i, to) in self.to.chunks_exact_mut(classes).enumerate() {
            let row = self.first + i;
            let log_sum = self.log_sums[row];
            let logits = self.logits.row(0, 0, row);
            for (to, &x) in to.iter_mut().zip(logits) {
                to.write((x - log_sum).exp::<S>() * self.by);
            }
            let target = self.targets[row] as usize;
            to[target].write(((logits[target] - log_sum).exp::<S>() - T::ONE) * self.by);
        }
    }
}
