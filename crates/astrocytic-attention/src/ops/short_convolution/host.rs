//! A short causal filter for each channel.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::kernel::host::{Output, View};
use crate::kernel::real::Real;
use crate::kernel::{INPUTS, Kernel, Pass, Views};

/// Inputs: 0. x `[batch, steps, 1, channels]`, 1. taps, the present last, `[channels, 1, 1, width]`,
/// 2. the steps before `[batch, width − 1, 1, channels]`, or nothing for zeros.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Convolution;

/// Steps in a block.
const BLOCK: usize = 64;

impl Kernel for Convolution {
    fn forward<T: Real>(&self, inputs: &Views<T>, _keep: bool) -> (Output<T>, Vec<T>) {
        let [x, taps] = [0, 1].map(|i| inputs[i].expect("x and taps"));
        let [batch, steps, _, channels] = x.shape();
        let taps = &taps_by_channel(taps);
        let mut data = vec![T::ZERO; batch * steps * channels];
        let arch = pulp::Arch::new();
        blocks(&mut data, steps, channels).into_par_iter().for_each(|(b, start, to)| {
            arch.dispatch(Forward { x, taps, before: inputs[2], b, start, to });
        });
        (Output { data, shape: vec![batch, steps, 1, channels] }, Vec::new())
    }

    fn backward<T: Real>(&self, pass: &Pass<T>, wanted: [bool; INPUTS]) -> [Option<Output<T>>; INPUTS] {
        let [x, taps] = [0, 1].map(|i| pass.inputs[i].expect("x and taps"));
        let [batch, steps, _, channels] = x.shape();
        let width = taps.shape()[3];
        let taps = &taps_by_channel(taps);
        let mut dx = vec![T::ZERO; batch * steps * channels];
        let arch = pulp::Arch::new();
        let (grad, before) = (pass.grad, pass.inputs[2]);
        // Each block sums its own part of the taps' gradient, and the parts are added in order.
        let parts: Vec<Vec<T>> = blocks(&mut dx, steps, channels)
            .into_par_iter()
            .map(|(b, start, to)| {
                let mut d_taps = vec![T::ZERO; width * channels];
                arch.dispatch(Backward { x, taps, before, grad, b, start, to, d_taps: &mut d_taps });
                d_taps
            })
            .collect();
        let mut d_taps = vec![T::ZERO; width * channels];
        for part in parts {
            d_taps.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        }
        let mut found = [const { None }; INPUTS];
        if wanted[2] {
            let mut d_before = vec![T::ZERO; batch * (width - 1) * channels];
            for (i, to) in d_before.chunks_exact_mut(channels).enumerate() {
                // Step i − (width − 1) of the row meets step t by the tap whose distance lies between them.
                let (b, i) = (i / (width - 1), i % (width - 1));
                for t in 0..steps.min(i + 1) {
                    let tap = &taps[(i - t) * channels..][..channels];
                    to.iter_mut().zip(grad.row(b, t, 0)).zip(tap).for_each(|((to, &dy), &tap)| *to += dy * tap);
                }
            }
            found[2] = Some(Output { data: d_before, shape: vec![batch, width - 1, 1, channels] });
        }
        found[0] = Some(Output { data: dx, shape: vec![batch, steps, 1, channels] });
        let d_taps = (0..channels).flat_map(|c| d_taps.iter().skip(c).step_by(channels).copied());
        found[1] = Some(Output { data: d_taps.collect(), shape: vec![channels, 1, 1, width] });
        found
    }
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
fn step<'a, T: Real>(x: &View<'a, T>, before: &Option<View<'a, T>>, b: usize, t: isize) -> Option<&'a [T]> {
    if t >= 0 {
        return Some(x.row(b, t as usize, 0));
    }
    match before {
        Some(before) => Some(before.row(b, (before.shape()[1] as isize + t) as usize, 0)),
        None => None,
    }
}

struct Forward<'a, T> {
    x: View<'a, T>,
    taps: &'a [T],
    before: Option<View<'a, T>>,
    b: usize,
    start: usize,
    to: &'a mut [T],
}

impl<T: Real> WithSimd for Forward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self { x, taps, before, b, start, to } = self;
        let channels = x.shape()[3];
        let width = taps.len() / channels;
        for (i, to) in to.chunks_exact_mut(channels).enumerate() {
            for j in 0..width {
                let t = (start + i + j + 1) as isize - width as isize;
                if let Some(x) = step(&x, &before, b, t) {
                    for ((to, &x), &tap) in to.iter_mut().zip(x).zip(&taps[j * channels..][..channels]) {
                        *to += x * tap;
                    }
                }
            }
        }
    }
}

struct Backward<'a, T> {
    x: View<'a, T>,
    taps: &'a [T],
    before: Option<View<'a, T>>,
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
        let Self { x, taps, before, grad, b, start, to, d_taps } = self;
        let channels = x.shape()[3];
        let width = taps.len() / channels;
        let steps = x.shape()[1];
        for (i, to) in to.chunks_exact_mut(channels).enumerate() {
            let own = start + i;
            let dy = grad.row(b, own, 0);
            for j in 0..width {
                let later = own + width - 1 - j;
                if later < steps {
                    for ((to, &dy), &tap) in
                        to.iter_mut().zip(grad.row(b, later, 0)).zip(&taps[j * channels..][..channels])
                    {
                        *to += dy * tap;
                    }
                }
                let t = (own + j + 1) as isize - width as isize;
                if let Some(x) = step(&x, &before, b, t) {
                    let d_tap = &mut d_taps[j * channels..][..channels];
                    for ((sum, &x), &dy) in d_tap.iter_mut().zip(x).zip(dy) {
                        *sum += x * dy;
                    }
                }
            }
        }
    }
}
