//! The processor's kernel of rotary positions: halves rotated against each other.

use burn::tensor::{Int, Tensor};
use rayon::prelude::*;

use crate::kernel::host::{Output, View};
use crate::kernel::operation::{Kernel, Pass, inputs, run as run_kernel};
use crate::kernel::real::Real;
use crate::kernel::scratch::Fresh;
use crate::tensor::real;

/// The turned tensor by the kernel, where there is one for it.
pub(super) fn run(x: &Tensor<4>, positions: &Tensor<2, Int>, theta: f64) -> Option<Tensor<4>> {
    if x.shape().num_elements() == 0 {
        return None;
    }
    let positions = real(positions.clone(), x).into();
    let turned: Tensor<4> =
        run_kernel(Rotary { theta }, RotaryInputs { x: x.clone().swap_dims(1, 2).into(), positions })?;
    Some(turned.swap_dims(1, 2))
}

#[derive(Debug, Clone, Copy)]
struct Rotary {
    theta: f64,
}

inputs! {
    /// What is turned, and by how much.
    RotaryInputs {
        /// `[batch, steps, heads, d]`.
        x,
        /// `[batch or 1, steps]`.
        positions,
    }
}

impl Rotary {
    /// cos and sin of every angle, `[batch or 1, steps, d / 2]` each.
    fn tables<T: Real>(&self, positions: View<T>, d: usize) -> (Vec<T>, Vec<T>) {
        let [rows, steps, ..] = positions.shape();
        let half = d / 2;
        let waves: Vec<f64> = (0..half).map(|i| self.theta.powf(-2.0 * i as f64 / d as f64)).collect();
        let places = (0..rows).flat_map(|b| (0..steps).map(move |t| positions.row(b, t, 0)[0].to_f64()));
        let angles = places.flat_map(|position| waves.iter().map(move |wave| (position * wave).sin_cos()));
        angles.map(|(sin, cos)| (T::from_f64(cos), T::from_f64(sin))).unzip()
    }

    /// x turned by the angles, or back.
    #[expect(unsafe_code, reason = "results are written into memory that was not cleared")]
    fn turn<T: Real>(&self, x: View<T>, positions: View<T>, back: bool) -> Output<T> {
        let [batch, steps, heads, d] = x.shape();
        let (cos, sin) = self.tables(positions, d);
        let half = d / 2;
        let count = batch * steps * heads * d;
        let mut data = Fresh::new(count);
        data.places()[..count].par_chunks_mut(heads * d).with_min_len(64).enumerate().for_each(|(place, to)| {
            let (b, t) = (place / steps, place % steps);
            let row = if positions.shape()[0] == 1 { t } else { place };
            let (cos, sin) = (&cos[row * half..][..half], &sin[row * half..][..half]);
            for (h, to) in to.chunks_exact_mut(d).enumerate() {
                let (left, right) = x.row(b, t, h).split_at(half);
                let (to_left, to_right) = to.split_at_mut(half);
                for i in 0..half {
                    let sin = if back { -sin[i] } else { sin[i] };
                    to_left[i].write(left[i] * cos[i] - right[i] * sin);
                    to_right[i].write(right[i] * cos[i] + left[i] * sin);
                }
            }
        });
        // SAFETY: the rows are all of it, and each half of each head is written (d is even).
        let data = unsafe { data.written(count) };
        Output { data, shape: vec![batch, steps, heads, d] }
    }
}

impl Kernel for Rotary {
    type Inputs<X> = RotaryInputs<X>;

    fn forward<T: Real>(&self, inputs: RotaryInputs<View<T>>, _save: bool) -> (Output<T>, Vec<T>) {
        (self.turn(inputs.x, inputs.positions, false), Vec::new())
    }

    fn backward<T: Real>(&self, pass: &Pass<Self, T>) -> RotaryInputs<Option<Output<T>>> {
        RotaryInputs { x: Some(self.turn(pass.grad, pass.inputs.positions, true)), positions: None }
    }
}
