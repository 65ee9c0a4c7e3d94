//! What forward and backward pass do alike to a chunk: load it, decay it, correct it.

use pulp::Simd;

use super::super::feature::Feature;
use super::super::spec::FORGOTTEN;
use super::{Memory, Sizes};
use crate::kernel::host::View;
use crate::kernel::product::{Into, Left, lower_of_product, product};
use crate::kernel::real::{Real, add_scaled, dot, scale, sigmoid, times};
use crate::kernel::scratch::Scratch;

/// φ of `count` rows, in place. Pads stay 0.
#[inline(always)]
pub fn map<T: Real, S: Simd>(simd: S, memory: &Memory, rows: &mut [T], pad: usize, width: usize, count: usize) {
    for row in rows.chunks_exact_mut(pad).take(count) {
        match memory.feature {
            Feature::Identity => {}
            Feature::Elu => {
                for x in &mut row[..width] {
                    *x = elu::<T, S>(*x).0;
                }
            }
            Feature::Relu => {
                for x in &mut row[..width] {
                    *x = relu(*x).0;
                }
            }
            Feature::Silu => {
                for x in &mut row[..width] {
                    *x = silu::<T, S>(*x).0;
                }
            }
        }
        if let Some(floor) = memory.unit {
            scale(row, T::ONE / length(simd, row, floor));
        }
    }
}

/// As [`map`], with what [`map_backward`] needs: φ′, and of each row the inverse of its length where it is brought to 1.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
pub fn map_with_slopes<T: Real, S: Simd>(
    simd: S,
    memory: &Memory,
    rows: &mut [T],
    slopes: &mut [T],
    inverses: &mut [T],
    pad: usize,
    width: usize,
    count: usize,
) {
    let both = rows.chunks_exact_mut(pad).zip(slopes.chunks_exact_mut(pad)).take(count);
    for ((row, slopes), inverse) in both.zip(inverses) {
        match memory.feature {
            Feature::Identity => {}
            Feature::Elu => {
                for (x, slope) in row[..width].iter_mut().zip(&mut *slopes) {
                    (*x, *slope) = elu::<T, S>(*x);
                }
            }
            Feature::Relu => {
                for (x, slope) in row[..width].iter_mut().zip(&mut *slopes) {
                    (*x, *slope) = relu(*x);
                }
            }
            Feature::Silu => {
                for (x, slope) in row[..width].iter_mut().zip(&mut *slopes) {
                    (*x, *slope) = silu::<T, S>(*x);
                }
            }
        }
        if let Some(floor) = memory.unit {
            *inverse = T::ONE / length(simd, row, floor);
            scale(row, *inverse);
        }
    }
}

#[inline(always)]
fn length<T: Real, S: Simd>(simd: S, row: &[T], floor: f64) -> T {
    (dot(simd, row, row) + T::from_f64(floor)).sqrt()
}

/// Turns the gradient of a row φ, in `grad`, into that of x.
#[inline(always)]
pub fn map_backward<T: Real, S: Simd>(
    simd: S,
    memory: &Memory,
    phi: &[T],
    slopes: &[T],
    inverse: T,
    grad: &mut [T],
    width: usize,
) {
    if memory.unit.is_some() {
        // φ = f / |f|: df = (dφ − φ (φ · dφ)) / |f|.
        let along = dot(simd, phi, grad);
        for (grad, &phi) in grad.iter_mut().zip(phi) {
            *grad = (*grad - phi * along) * inverse;
        }
    }
    if memory.feature != Feature::Identity {
        times(&mut grad[..width], slopes);
    }
}

/// `a · state`. Near 1 as `state + (a − 1) · state`: a itself, rounded, would be off the same way at every step.
#[inline(always)]
pub fn leak<T: Real>(state: &mut [T], kept: T, lost: T) {
    if kept < T::from_f64(0.5) {
        scale(state, kept);
    } else {
        for x in state {
            *x += *x * lost;
        }
    }
}

/// φ and φ′ at x.
#[inline(always)]
fn elu<T: Real, S: Simd>(x: T) -> (T, T) {
    // Written so that what is not a number stays so.
    let low = if x > T::ZERO { T::ZERO } else { x }.exp::<S>();
    (low + x.max(T::ZERO), if x > T::ZERO { T::ONE } else { low })
}

#[inline(always)]
fn relu<T: Real>(x: T) -> (T, T) {
    (if x <= T::ZERO { T::ZERO } else { x }, if x > T::ZERO { T::ONE } else { T::ZERO })
}

#[inline(always)]
fn silu<T: Real, S: Simd>(x: T) -> (T, T) {
    let s = sigmoid::<T, S>(x);
    (x * s, s * (T::ONE + x * (T::ONE - s)))
}

/// Decay inside a chunk.
pub struct Decay<'a, T> {
    /// b: log decay from the chunk's start to each step, its own included.
    log: &'a mut [f64],
    /// `e^{b_i − b_j}` for j ≤ i, else 0: `[c_pad × c_pad]`.
    pub between: &'a mut [T],
    /// `e^{b_i}`
    pub from_start: &'a mut [T],
    /// `e^{b_C − b_j}`
    pub to_end: &'a mut [T],
    /// `e^{b_C}`
    pub whole: T,
    /// `e^{b_C} − 1`
    pub lost: T,
    width: usize,
}

impl<'a, T: Real> Decay<'a, T> {
    /// Numbers of scratch that it takes.
    pub fn scratch(sizes: &Sizes) -> usize {
        sizes.c_pad * (sizes.c_pad + 2)
    }

    /// No decay.
    #[inline(always)]
    pub fn new(sizes: &Sizes, scratch: &mut Scratch<'a, T>, log: &'a mut [f64]) -> Self {
        let width = sizes.c_pad;
        let between = scratch.take(width * width);
        for (i, row) in between.chunks_exact_mut(width).enumerate() {
            row[..=i].fill(T::ONE);
            row[i + 1..].fill(T::ZERO);
        }
        let [from_start, to_end] = [(); 2].map(|()| scratch.take(width));
        from_start.fill(T::ONE);
        to_end.fill(T::ONE);
        Self { log, between, from_start, to_end, whole: T::ONE, lost: T::ZERO, width }
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
            let own = self.log[i];
            let row = &mut self.between[i * self.width..][..=i];
            for (kept, &log) in row.iter_mut().zip(&*self.log) {
                *kept = T::from_f64(own - log).exp::<S>();
            }
            self.from_start[i] = T::from_f64(own).exp::<S>();
            self.to_end[i] = T::from_f64(sum - own).exp::<S>();
        }
        (self.whole, self.lost) = kept_and_lost::<T, S>(sum);
    }
}

/// A log decay in f64; −∞ is what differences may have.
#[inline(always)]
pub fn log_of<T: Real>(log: T) -> f64 {
    let log = log.to_f64();
    if log == f64::NEG_INFINITY { FORGOTTEN } else { log }
}

/// `e^b` and `e^b − 1` of the decay of a whole chunk.
#[inline(always)]
pub fn kept_and_lost<T: Real, S: Simd>(log: f64) -> (T, T) {
    (T::from_f64(log).exp::<S>(), T::from_f64(log.exp_m1()))
}

/// The correction of the delta rule in a chunk: from what is offered, `X = V − from_start ⊙ K H`, to what is written,
/// `(I + A) U = β X` with `A_ij = β_i (k_i · k_j) e^{b_i − b_j}` for j < i.
pub struct Correction<'a, T> {
    /// `(k_i · k_j) e^{b_i − b_j}` for j < i, else 0.
    pub overlap: &'a mut [T],
    /// −A.
    pub against: &'a mut [T],
}

impl<'a, T: Real> Correction<'a, T> {
    pub fn scratch(sizes: &Sizes) -> usize {
        2 * sizes.c_pad * sizes.c_pad
    }

    #[inline(always)]
    pub fn new(sizes: &Sizes, scratch: &mut Scratch<'a, T>) -> Self {
        let [overlap, against] = [(); 2].map(|()| scratch.take(sizes.c_pad * sizes.c_pad));
        Self { overlap, against }
    }

    #[inline(always)]
    pub fn load<S: Simd>(
        &mut self,
        simd: S,
        sizes: &Sizes,
        key: &[T],
        key_transposed: &[T],
        between: &[T],
        strength: &[T],
    ) {
        let width = sizes.c_pad;
        let left = Left::plain(key, sizes.m_pad);
        lower_of_product(simd, [sizes.chunk, sizes.m], left, (key_transposed, width), (self.overlap, width));
        for i in 0..sizes.chunk {
            let overlap = &mut self.overlap[i * width..][..width];
            let against = &mut self.against[i * width..][..width];
            let strength = -strength[i];
            for j in 0..i {
                overlap[j] *= between[i * width + j];
                against[j] = overlap[j] * strength;
            }
            overlap[i..].fill(T::ZERO);
            against[i..].fill(T::ZERO);
        }
    }

    /// Solves `(I + A) U = rows` in place.
    #[inline(always)]
    pub fn solve<S: Simd>(&self, simd: S, sizes: &Sizes, rows: &mut [T]) {
        let (width, pad) = (sizes.c_pad, sizes.d_pad);
        for start in (0..sizes.chunk).step_by(STRIP) {
            let height = STRIP.min(sizes.chunk - start);
            let (done, strip) = rows.split_at_mut(start * pad);
            if start > 0 {
                let left = Left::plain(&self.against[start * width..], width);
                product(simd, [height, pad, start], left, (done, pad), (strip, pad), Into::Add);
            }
            for i in 1..height {
                let (before, own) = strip.split_at_mut(i * pad);
                for (j, row) in before.chunks_exact(pad).enumerate() {
                    let by = self.against[(start + i) * width + start + j];
                    add_scaled(simd, &mut own[..pad], by, row);
                }
            }
        }
    }

    /// Solves `(I + A)ᵀ X = rows` in place.
    #[inline(always)]
    pub fn solve_transposed<S: Simd>(&self, simd: S, sizes: &Sizes, rows: &mut [T]) {
        let (width, pad) = (sizes.c_pad, sizes.d_pad);
        for start in (0..sizes.chunk).step_by(STRIP).rev() {
            let end = (start + STRIP).min(sizes.chunk);
            let (strip, done) = rows.split_at_mut(end * pad);
            let strip = &mut strip[start * pad..];
            if end < sizes.chunk {
                let left = Left::transposed(&self.against[end * width + start..], width);
                let shape = [end - start, pad, sizes.chunk - end];
                product(simd, shape, left, (done, pad), (strip, pad), Into::Add);
            }
            for i in (0..end - start).rev() {
                let (own, after) = strip.split_at_mut((i + 1) * pad);
                for (j, row) in after.chunks_exact(pad).enumerate() {
                    let by = self.against[(start + i + 1 + j) * width + start + i];
                    add_scaled(simd, &mut own[i * pad..], by, row);
                }
            }
        }
    }
}

/// Rows that are solved one after another, before products take over.
const STRIP: usize = 8;
