//! The processor's kernel of the recurrence.
//!
//! Rows of the batch go in groups, so that a step of a group is one small matrix product. The
//! groups depend on the size of the batch alone, and with them the order of sums.

mod backward;
mod forward;
mod sizes;

use burn::tensor::Tensor;
use rayon::prelude::*;

use self::sizes::{GATES, LstmInputs, Sizes};
use crate::kernel::LITTLE;
use crate::kernel::host::{Output, View};
use crate::kernel::operation::{Kernel, Pass, run as run_kernel};
use crate::kernel::real::Real;
use crate::kernel::scratch::with_scratch;

/// The states by the kernel, where there is one for the tensors.
pub(super) fn run(gates: &Tensor<3>, recurrent: &Tensor<2>, before: &Tensor<4>) -> Option<Tensor<4>> {
    let ([batch, steps, _], [hidden, _]) = (gates.dims(), recurrent.dims());
    if batch * steps * hidden == 0 {
        return None;
    }
    let inputs = LstmInputs {
        gates: gates.clone().reshape([batch, steps, GATES, hidden]).into(),
        recurrent: recurrent.clone().reshape([hidden, GATES, 1, hidden]).into(),
        before: before.clone().into(),
    };
    run_kernel(Lstm, inputs)
}

#[derive(Debug, Clone, Copy)]
struct Lstm;

impl Kernel for Lstm {
    type Inputs<X> = LstmInputs<X>;

    fn forward<T: Real>(&self, inputs: LstmInputs<View<T>>, save: bool) -> (Output<T>, Vec<T>) {
        let sizes = Sizes::new(&inputs);
        let Sizes { batch, steps, hidden, pad, group } = sizes;
        let recurrent = &padded(inputs.recurrent, pad);
        let mut data = vec![T::ZERO; 2 * batch * steps * hidden];
        // Gates as they were open at each step, or room for one step.
        let room = if save { steps } else { 1 };
        let mut gates = vec![T::ZERO; batch * room * GATES * pad];
        let (hiddens, cells) = data.split_at_mut(batch * steps * hidden);
        let states = hiddens.chunks_mut(group * steps * hidden).zip(cells.chunks_mut(group * steps * hidden));
        let tasks: Vec<_> = states.zip(gates.chunks_mut(group * room * GATES * pad)).enumerate().collect();
        let (arch, together) = (pulp::Arch::new(), together(&sizes));
        tasks.into_par_iter().with_min_len(together).for_each(|(place, ((hiddens, cells), gates))| {
            with_scratch(forward::scratch(&sizes), |scratch| {
                let first = place * group;
                arch.dispatch(forward::Task {
                    sizes,
                    inputs: &inputs,
                    recurrent,
                    first,
                    room,
                    hiddens,
                    cells,
                    gates,
                    scratch,
                });
            });
        });
        let saved = if save { gates } else { Vec::new() };
        (Output { data, shape: vec![2, batch, steps, hidden] }, saved)
    }

    fn backward<T: Real>(&self, pass: &Pass<Self, T>) -> LstmInputs<Option<Output<T>>> {
        let sizes = Sizes::new(&pass.inputs);
        let Sizes { batch, steps, hidden, pad, group } = sizes;
        let transposed = &transposed(pass.inputs.recurrent, pad);
        let mut d_gates = vec![T::ZERO; batch * steps * GATES * hidden];
        let mut d_before = vec![T::ZERO; 2 * batch * hidden];
        let (d_hidden, d_cell) = d_before.split_at_mut(batch * hidden);
        let d_states = d_hidden.chunks_mut(group * hidden).zip(d_cell.chunks_mut(group * hidden));
        let saved = pass.saved.chunks(group * steps * GATES * pad);
        let rows = d_gates.chunks_mut(group * steps * GATES * hidden).zip(saved);
        let tasks: Vec<_> = rows.zip(d_states).enumerate().collect();
        let (arch, together) = (pulp::Arch::new(), together(&sizes));
        // Each group sums its own part of R's gradient, and the parts are added in order.
        let parts: Vec<Vec<T>> = tasks
            .into_par_iter()
            .with_min_len(together)
            .map(|(place, ((d_gates, gates), (d_hidden, d_cell)))| {
                let mut d_recurrent = vec![T::ZERO; hidden * GATES * pad];
                with_scratch(backward::scratch(&sizes), |scratch| {
                    let (first, output, grad, before) = (place * group, pass.output, pass.grad, pass.inputs.before);
                    let d_recurrent = &mut d_recurrent;
                    arch.dispatch(backward::Task {
                        sizes,
                        before,
                        output,
                        grad,
                        transposed,
                        first,
                        gates,
                        d_gates,
                        d_recurrent,
                        d_hidden,
                        d_cell,
                        scratch,
                    });
                });
                d_recurrent
            })
            .collect();
        LstmInputs {
            gates: Some(Output { data: d_gates, shape: vec![batch, steps, GATES, hidden] }),
            recurrent: Some(Output { data: summed(&parts, &sizes), shape: vec![hidden, GATES, 1, hidden] }),
            before: Some(Output { data: d_before, shape: vec![2, batch, 1, hidden] }),
        }
    }
}

/// How many groups one thread does at least.
fn together(sizes: &Sizes) -> usize {
    let Sizes { batch, steps, hidden, group, .. } = *sizes;
    if batch * steps * GATES * hidden * hidden < LITTLE { batch.div_ceil(group) } else { 1 }
}

/// R with the columns of each gate up to a whole block, `[hidden, 4, pad]`.
fn padded<T: Real>(recurrent: View<T>, pad: usize) -> Vec<T> {
    let [hidden, ..] = recurrent.shape();
    let mut to = vec![T::ZERO; hidden * GATES * pad];
    for (i, to) in to.chunks_exact_mut(pad).enumerate() {
        to[..hidden].copy_from_slice(recurrent.row(i / GATES, i % GATES, 0));
    }
    to
}

/// The transpose of R, rows up to a whole block, `[4, hidden, pad]`.
fn transposed<T: Real>(recurrent: View<T>, pad: usize) -> Vec<T> {
    let [hidden, ..] = recurrent.shape();
    let mut to = vec![T::ZERO; GATES * hidden * pad];
    for j in 0..hidden {
        for gate in 0..GATES {
            for (k, &weight) in recurrent.row(j, gate, 0).iter().enumerate() {
                to[(gate * hidden + k) * pad + j] = weight;
            }
        }
    }
    to
}

/// The sum of parts `[hidden, 4, pad]` without what was padded.
fn summed<T: Real>(parts: &[Vec<T>], sizes: &Sizes) -> Vec<T> {
    let Sizes { hidden, pad, .. } = *sizes;
    let mut to = vec![T::ZERO; hidden * GATES * hidden];
    for part in parts {
        for (to, part) in to.chunks_exact_mut(hidden).zip(part.chunks_exact(pad)) {
            to.iter_mut().zip(part).for_each(|(sum, &part)| *sum += part);
        }
    }
    to
}
