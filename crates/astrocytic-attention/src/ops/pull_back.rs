//! A gradient put in by hand.

use burn::tensor::Tensor;
use rayon::prelude::*;

use crate::fused::host::Output;
use crate::fused::real::Real;
use crate::fused::{self, INPUTS, Kernel, Pass, Views};

/// Σ x · cotangent for its gradient alone: the value is 0, and `backward` on it gives x the gradient `cotangent`, at the
/// cost of a copy. Measurements of a backward pass want nothing else in it.
pub fn pull_back(x: Tensor<4>, cotangent: Tensor<4>) -> Tensor<1> {
    let inputs = [Some(x.clone().into()), Some(cotangent.clone().into()), None, None, None, None, None];
    fused::run(PullBack, inputs).unwrap_or_else(|| {
        let sum = (x * cotangent).sum();
        sum.clone() - sum.detach()
    })
}

#[derive(Debug, Clone, Copy)]
struct PullBack;

impl Kernel for PullBack {
    fn forward<T: Real>(&self, _inputs: &Views<T>, _keep: bool) -> (Output<T>, Vec<T>) {
        (Output { data: vec![T::ZERO], shape: vec![1] }, Vec::new())
    }

    fn backward<T: Real>(&self, pass: &Pass<T>, _wanted: [bool; INPUTS]) -> [Option<Output<T>>; INPUTS] {
        let cotangent = pass.inputs[1].expect("a cotangent");
        let [_, b, c, d] = cotangent.shape();
        let by = pass.grad.all()[0];
        let mut data = vec![T::ZERO; cotangent.shape().iter().product()];
        data.par_chunks_mut(d).with_min_len(256).enumerate().for_each(|(i, to)| {
            let row = cotangent.row(i / c / b, i / c % b, i % c);
            to.iter_mut().zip(row).for_each(|(to, &row)| *to = row * by);
        });
        let mut found = [const { None }; INPUTS];
        found[0] = Some(Output { data, shape: cotangent.shape().to_vec() });
        found
    }
}
