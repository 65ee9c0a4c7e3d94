//! The processor's kernel of the short convolution.

use burn::tensor::Tensor;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::kernel::host::{Output, View};
use crate::kernel::operation::{Kernel, Pass, inputs, run as run_kernel};
use crate::kernel::real::Real;

/// The filtered steps by the kernel, where there is one for the tensors.
pub(super) fn run(x: &Tensor<3>, taps: &Tensor<2>, history: &Tensor<3>) -> Option<Tensor<3>> {
    let ([batch, steps, channels], [_, width]) = (x.dims(), taps.dims());
    if batch * steps * channels == 0 {
        return None;
    }
    let inputs = ConvolutionInputs {
        x: x.clone().reshape([batch, steps, 1, channels]).into(),
        taps: taps.clone().reshape([channels, 1, 1, width]).into(),
        history: history.clone().reshape([batch, width - 1, 1, channels]).into(),
    };
    let filtered: Tensor<4> = run_kernel(Convolution, inputs)?;
    Some(filtered.reshape([batch, steps, channels]))
}

#[derive(Debug, Clone, Copy)]
struct Convolution;

inputs! {
    /// What is filtered, and by what.
    ConvolutionInputs {
        /// `[batch, steps, 1, channels]`.
        x,
        /// The present last, `[channels, 1, 1, width]`.
        taps,
        /// The steps before, `[batch, width − 1, 1, channels]`.
        history,
    }
}

/// Steps in a block.
const BLOCK: usize = 64;

impl Kernel for Convolution {
    type Inputs<X> = ConvolutionInputs<X>;

    fn forward<T: Real>(&self, inputs: ConvolutionInputs<View<T>>, _save: bool) -> (Output<T>, Vec<T>) {
        let ConvolutionInputs { x, taps, history } = inputs;
        let [batch, steps, _, channels] = x.shape();
        let taps = &taps_by_channel(taps);
        let mut data = vec![T::ZERO; batch * steps * channels];
        let arch = pulp::Arch::new();
        blocks(&mut data, steps, channels).into_par_iter().for_each(|(b, start, to)| {
            arch.dispatch(Forward { x, taps, history, b, start, to });
        });
        (Output { data, shape: vec![batch, steps, 1, channels] }, Vec::new())
    }

    fn backward<T: Real>(&self, pass: &Pass<Self, T>) -> ConvolutionInputs<Option<Output<T>>> {
        let (grad, ConvolutionInputs { x, taps, history }) = (pass.grad, &pass.inputs);
        let (x, history, width) = (*x, *history, taps.shape()[3]);
        let [batch, steps, _, channels] = x.shape();
        let taps = &taps_by_channel(*taps);
        let mut dx = vec![T::ZERO; batch * steps * channels];
        let arch = pulp::Arch::new();
        // Each block sums its own part of the taps' gradient, and the parts are added in order.
        let parts: Vec<Vec<T>> = blocks(&mut dx, steps, channels)
            .into_par_iter()
            .map(|(b, start, to)| {
                let mut d_taps = vec![T::ZERO; width * channels];
                arch.dispatch(Backward { x, taps, history, grad, b, start, to, d_taps: &mut d_taps });
                d_taps
            })
            .collect();
        let mut d_taps = vec![T::ZERO; width * channels];
        for part in parts {
            d_taps.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        }
        let d_taps = (0..channels).flat_map(|c| d_taps.iter().skip(c).step_by(channels).copied());
        ConvolutionInputs {
            x: Some(Output { data: dx, shape: vec![batch, steps, 1, channels] }),
            taps: Some(Output { data: d_taps.collect(), shape: vec![channels, 1, 1, width] }),
            history: pass.wanted.history.then(|| history_gradient(grad, taps, width)),
        }
    }
}

/// Step i − (width − 1) of a row meets step t by the tap whose distance lies between them.
fn history_gradient<T: Real>(grad: View<T>, taps: &[T], width: usize) -> Output<T> {
    let [batch, steps, _, channels] = grad.shape();
    let mut data = vec![T::ZERO; batch * (width - 1) * channels];
    for (i, to) in data.chunks_exact_mut(channels).enumerate() {
        let (b, i) = (i / (width - 1), i % (width - 1));
        for t in 0..steps.min(i + 1) {
            let tap = &taps[(i - t) * channels..][..channels];
            to.iter_mut().zip(grad.row(b, t, 0)).zip(tap).for_each(|((to, &dy), &tap)| *to += dy * tap);
        }
    }
    Output { data, shape: vec![batch, width - 1, 1, channels] }
}

/// Taps of all channels side by side, `[width, channels]`.
fn taps_by_channel<T: Real>(taps: View<T>) -> Vec<T> {
    let [channels, _, _, width] = taps.shape();
    let mut by_channel = vec![T::ZERO; width * channels];
    for c in 0..channels {
        for (j, &tap) in taps.row(c, 0, 0).iter().enumerate() {
            by_channel[j * channels + c] = tap;
        }
    }
    by_channel
}

/// Row, first step and memory of each block of steps.
fn blocks<T>(data: &mut [T], steps: usize, channels: usize) -> Vec<(usize, usize, &mut [T])> {
    let rows = data.chunks_mut(steps * channels).enumerate();
    let of_row = |(b, row): (usize, _)| {
        <[T]>::chunks_mut(row, BLOCK * channels).enumerate().map(move |(i, block)| (b, i * BLOCK, block))
    };
    rows.flat_map(of_row).collect()
}

/// Step t of a row, where negative ones are those before it.
#[inline(always)]
fn step<'a, T: Real>(x: &View<'a, T>, history: &View<'a, T>, b: usize, t: isize) -> &'a [T] {
    if t >= 0 { x.row(b, t as usize, 0) } else { history.row(b, (history.shape()[1] as isize + t) as usize, 0) }
}

struct Forward<'a, T> {
    x: View<'a, T>,
    taps: &'a [T],
    history: View<'a, T>,
    b: usize,
    start: usize,
    to: &'a mut [T],
}

impl<T: Real> WithSimd for Forward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self { x, taps, history, b, start, to } = self;
        let channels = x.shape()[3];
        let width = taps.len() / channels;
        for (i, to) in to.chunks_exact_mut(channels).enumerate() {
            for j in 0..width {
                let x = step(&x, &history, b, (start + i + j + 1) as isize - width as isize);
                for ((to, &x), &tap) in to.iter_mut().zip(x).zip(&taps[j * channels..][..channels]) {
                    *to += x * tap;
                }
            }
        }
    }
}

struct Backward<'a, T> {
    x: View<'a, T>,
    taps: &'a [T],
    history: View<'a, T>,
    grad: View<'a, T>,
    b: usize,
    start: usize,
    to: &'a mut [T],
    d_taps: &'a mut [T],
}

impl<T: Real> WithSimd for Backward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self { x, taps, history, grad, b, start, to, d_taps } = self;
        let channels = x.shape()[3];
        let width = taps.len() / channels;
        let steps = x.shape()[1];
        for (i, to) in to.chunks_exact_mut(channels).enumerate() {
            let t = start + i;
            let dy = grad.row(b, t, 0);
            for j in 0..width {
                let later = t + width - 1 - j;
                if later < steps {
                    for ((to, &dy), &tap) in
                        to.iter_mut().zip(grad.row(b, later, 0)).zip(&taps[j * channels..][..channels])
                    {
                        *to += dy * tap;
                    }
                }
                let x = step(&x, &history, b, (t + j + 1) as isize - width as isize);
                let d_tap = &mut d_taps[j * channels..][..channels];
                for ((sum, &x), &dy) in d_tap.iter_mut().zip(x).zip(dy) {
                    *sum += x * dy;
                }
            }
        }
    }
}
