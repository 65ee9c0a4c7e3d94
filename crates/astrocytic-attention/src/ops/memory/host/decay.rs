//! Decay inside a chunk, and of a state over a chunk.

use pulp::Simd;

use super::super::spec::FORGOTTEN;
use super::sizes::Sizes;
use crate::kernel::host::View;
use crate::kernel::real::{Real, scale};
use crate::kernel::scratch::Scratch;

/// What some steps leave of a state.
#[derive(Debug, Clone, Copy)]
pub struct Leak<T> {
    /// `e^b`
    left: T,
    /// `e^b − 1`
    lost: T,
}

impl<T: Real> Leak<T> {
    /// All of it.
    pub const NONE: Self = Self { left: T::ONE, lost: T::ZERO };

    /// Of a log decay.
    #[inline(always)]
    pub fn new<S: Simd>(log: f64) -> Self {
        Self { left: T::from_f64(log).exp::<S>(), lost: T::from_f64(log.exp_m1()) }
    }

    /// `a · state`. Near 1 as `state + (a − 1) · state`: a itself, rounded, would be off the same way at every step.
    #[inline(always)]
    pub fn apply(self, state: &mut [T]) {
        if self.left < T::from_f64(0.5) {
            scale(state, self.left);
        } else {
            for x in state {
                *x += *x * self.lost;
            }
        }
    }
}

/// Decay inside a chunk.
pub struct Decay<'a, T> {
    /// b: log decay from the chunk's start to each step, its own included.
    log: Vec<f64>,
    /// `e^{b_i − b_j}` for j ≤ i, else 0: `[c_pad × c_pad]`.
    pub between: &'a mut [T],
    /// `e^{b_i}`
    pub from_start: &'a mut [T],
    /// `e^{b_C − b_j}`
    pub to_end: &'a mut [T],
    /// `b_C`, of the whole chunk.
    pub whole: Leak<T>,
    width: usize,
}

impl<'a, T: Real> Decay<'a, T> {
    /// Numbers of scratch that it takes.
    pub fn scratch(sizes: &Sizes) -> usize {
        sizes.c_pad * (sizes.c_pad + 2)
    }

    /// No decay.
    #[inline(always)]
    pub fn new(sizes: &Sizes, scratch: &mut Scratch<'a, T>) -> Self {
        let width = sizes.c_pad;
        let between = scratch.take(width * width);
        for (i, row) in between.chunks_exact_mut(width).enumerate() {
            row[..=i].fill(T::ONE);
            row[i + 1..].fill(T::ZERO);
        }
        let [from_start, to_end] = [(); 2].map(|()| scratch.take(width));
        from_start.fill(T::ONE);
        to_end.fill(T::ONE);
        let log = vec![0.0; width];
        Self { log, between, from_start, to_end, whole: Leak::NONE, width }
    }

    /// The decay of a chunk's steps; steps beyond `count` decay nothing. In f64, so that differences of long sums keep
    /// their digits.
    #[inline(always)]
    pub fn load<S: Simd>(&mut self, _simd: S, view: &View<T>, [b, h]: [usize; 2], [start, count]: [usize; 2]) {
        let mut sum = 0.0;
        for (i, log) in self.log.iter_mut().enumerate() {
            if i < count {
                sum += log_of(view.row(b, start + i, h)[0]);
            }
            *log = sum;
        }
        for i in 0..self.width {
            let until = self.log[i];
            let row = &mut self.between[i * self.width..][..=i];
            for (left, &log) in row.iter_mut().zip(&*self.log) {
                *left = T::from_f64(until - log).exp::<S>();
            }
            self.from_start[i] = T::from_f64(until).exp::<S>();
            self.to_end[i] = T::from_f64(sum - until).exp::<S>();
        }
        self.whole = Leak::new::<S>(sum);
    }
}

/// A log decay in f64; −∞ is what differences may have.
#[inline(always)]
pub fn log_of<T: Real>(log: T) -> f64 {
    let log = log.to_f64();
    if log == f64::NEG_INFINITY { FORGOTTEN } else { log }
}
