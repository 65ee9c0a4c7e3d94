//! Numbers that kernels compute with, as vectors of the machine at hand.
//!
//! Vectors come from `pulp`: AVX-512, AVX2, NEON or scalars, chosen at run time, in safe Rust.
//! Everything between its `dispatch` and a loop must be inlined to be compiled for the machine
//! chosen: hence `inline(always)` throughout, and loops instead of closures, which cannot be.

use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign};

use burn::tensor::Element;
use pulp::Simd;
use pulp::bytemuck::Pod;

/// `f32` or `f64`.
pub trait Real:
    Element
    + Pod
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
{
    /// One register of the machine.
    type Vector<S: Simd>: Copy;

    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// Not a number, to poison what is not written yet.
    const POISON: Self;

    /// Numbers in a register.
    fn lanes<S: Simd>() -> usize;
    /// As registers; the rest, less than one, is left out.
    fn vectors<S: Simd>(numbers: &[Self]) -> &[Self::Vector<S>];
    /// As registers to write to.
    fn vectors_mut<S: Simd>(numbers: &mut [Self]) -> &mut [Self::Vector<S>];
    /// The same number in every lane.
    fn splat<S: Simd>(simd: S, number: Self) -> Self::Vector<S>;
    /// `a · b + c`, rounded once where the machine can.
    fn mul_add<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>, c: Self::Vector<S>) -> Self::Vector<S>;
    /// `a + b`.
    fn plus<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    /// Sum over the lanes.
    fn sum<S: Simd>(simd: S, a: Self::Vector<S>) -> Self;
    /// The larger of two in each lane.
    fn larger<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    /// Largest of the lanes.
    fn largest<S: Simd>(simd: S, a: Self::Vector<S>) -> Self;

    /// Nearest number.
    fn from_f64(number: f64) -> Self;
    /// The number.
    fn to_f64(self) -> f64;
    /// e^x for x ≤ 88, without a branch, so that loops over it become vectors; 0 far below.
    fn exp<S: Simd>(self) -> Self;
    /// `a · b + c`, rounded once where the machine can.
    fn fma<S: Simd>(a: Self, b: Self, c: Self) -> Self;
    /// √x.
    fn sqrt(self) -> Self;
    /// The larger.
    fn max(self, other: Self) -> Self;
}

/// 1 / n!
const INVERSE_FACTORIALS: [f64; 14] = {
    let mut values = [1.0; 14];
    let mut n = 1;
    while n < 14 {
        values[n] = values[n - 1] / n as f64;
        n += 1;
    }
    values
};

macro_rules! real {
    ($real:ident, $vector:ident, $lanes:ident, $as:ident, $as_mut:ident, $splat:ident, $fma:ident, $add:ident,
     $sum:ident, $max:ident, $largest:ident, $bits:ty, $magic:expr, $exponent:expr, $mantissa:expr, $lowest:expr, $ln2_high:expr,
     $ln2_low:expr, $terms:expr) => {
        impl Real for $real {
            type Vector<S: Simd> = S::$vector;
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const POISON: Self = Self::NAN;

            #[inline(always)]
            fn lanes<S: Simd>() -> usize {
                S::$lanes
            }
            #[inline(always)]
            fn vectors<S: Simd>(numbers: &[Self]) -> &[S::$vector] {
                S::$as(numbers).0
            }
            #[inline(always)]
            fn vectors_mut<S: Simd>(numbers: &mut [Self]) -> &mut [S::$vector] {
                S::$as_mut(numbers).0
            }
            #[inline(always)]
            fn splat<S: Simd>(simd: S, number: Self) -> S::$vector {
                simd.$splat(number)
            }
            #[inline(always)]
            fn mul_add<S: Simd>(simd: S, a: S::$vector, b: S::$vector, c: S::$vector) -> S::$vector {
                simd.$fma(a, b, c)
            }
            #[inline(always)]
            fn plus<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
                simd.$add(a, b)
            }
            #[inline(always)]
            fn sum<S: Simd>(simd: S, a: S::$vector) -> Self {
                simd.$sum(a)
            }
            #[inline(always)]
            fn larger<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
                simd.$max(a, b)
            }
            #[inline(always)]
            fn largest<S: Simd>(simd: S, a: S::$vector) -> Self {
                simd.$largest(a)
            }

            #[inline(always)]
            fn from_f64(number: f64) -> Self {
                number as Self
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                self as f64
            }
            // e^x = 2^n e^r with n the nearest whole number to x / ln 2: adding a number so large
            // that its last bit is 1 rounds to n and leaves n in the low bits. |r| ≤ ln 2 / 2,
            // where Taylor's series is good to the last digit.
            #[inline(always)]
            fn exp<S: Simd>(self) -> Self {
                let x = if self < 88.0 { self } else { 88.0 };
                let x = if x > $lowest { x } else { $lowest };
                let shifted = Self::fma::<S>(x, std::$real::consts::LOG2_E, $magic);
                let n = shifted - $magic;
                let r = Self::fma::<S>(-n, $ln2_low, Self::fma::<S>(-n, $ln2_high, x));
                let mut series = INVERSE_FACTORIALS[$terms] as Self;
                let mut term = $terms;
                while term > 0 {
                    term -= 1;
                    series = Self::fma::<S>(series, r, INVERSE_FACTORIALS[term] as Self);
                }
                let whole = shifted.to_bits().wrapping_add($exponent) << $mantissa;
                // What is not a number stays so.
                let small = if self <= $lowest { 0.0 } else { self };
                if self > $lowest { series * Self::from_bits(whole) } else { small }
            }
            // The scalar one would be a call where the machine has none.
            #[inline(always)]
            fn fma<S: Simd>(a: Self, b: Self, c: Self) -> Self {
                if S::IS_SCALAR { a * b + c } else { a.mul_add(b, c) }
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                Self::sqrt(self)
            }
            #[inline(always)]
            fn max(self, other: Self) -> Self {
                if self > other { self } else { other }
            }
        }
    };
}

// ln 2 in two parts, the first with so few bits that n times it is exact (Cody and Waite).
real!(
    f32,
    f32s,
    F32_LANES,
    as_simd_f32s,
    as_mut_simd_f32s,
    splat_f32s,
    mul_add_e_f32s,
    add_f32s,
    reduce_sum_f32s,
    max_f32s,
    reduce_max_f32s,
    u32,
    12_582_912.0,
    127,
    23,
    -87.0,
    0.693_359_4,
    -2.121_944_4e-4,
    7
);
real!(
    f64,
    f64s,
    F64_LANES,
    as_simd_f64s,
    as_mut_simd_f64s,
    splat_f64s,
    mul_add_e_f64s,
    add_f64s,
    reduce_sum_f64s,
    max_f64s,
    reduce_max_f64s,
    u64,
    6_755_399_441_055_744.0,
    1023,
    52,
    -708.0,
    0.693_145_751_953_125,
    1.428_606_820_309_417_3e-6,
    13
);

/// `1 / (1 + e^{−x})`.
#[inline(always)]
pub fn sigmoid<T: Real, S: Simd>(x: T) -> T {
    T::ONE / (T::ONE + (-x).exp::<S>())
}

/// `(e^{2x} − 1) / (e^{2x} + 1)`, to the last digits near 0 too.
#[inline(always)]
pub fn tanh<T: Real, S: Simd>(x: T) -> T {
    let twice = x + x;
    // Near 0 the difference would be rounding alone: there it is the series of e^u − 1.
    let mut series = T::ZERO;
    let mut term = INVERSE_FACTORIALS.len();
    while term > 1 {
        term -= 1;
        series = T::fma::<S>(series, twice, T::from_f64(INVERSE_FACTORIALS[term]));
    }
    let is_small = twice < T::from_f64(0.35) && twice > T::from_f64(-0.35);
    let above_one = if is_small { series * twice } else { twice.exp::<S>() - T::ONE };
    above_one / (above_one + T::from_f64(2.0))
}

/// Σ a b over slices of whole registers.
#[inline(always)]
pub fn dot<T: Real, S: Simd>(simd: S, a: &[T], b: &[T]) -> T {
    let mut sum = T::splat(simd, T::ZERO);
    for (&a, &b) in T::vectors::<S>(a).iter().zip(T::vectors::<S>(b)) {
        sum = T::mul_add(simd, a, b, sum);
    }
    T::sum(simd, sum)
}

/// `y += by · x` over slices of whole registers.
#[inline(always)]
pub fn add_scaled<T: Real, S: Simd>(simd: S, y: &mut [T], by: T, x: &[T]) {
    let by = T::splat(simd, by);
    for (y, &x) in T::vectors_mut::<S>(y).iter_mut().zip(T::vectors::<S>(x)) {
        *y = T::mul_add(simd, by, x, *y);
    }
}

/// `y += x`.
#[inline(always)]
pub fn plus<T: Real, S: Simd>(simd: S, y: &mut [T], x: &[T]) {
    for (y, &x) in T::vectors_mut::<S>(y).iter_mut().zip(T::vectors::<S>(x)) {
        *y = T::plus(simd, x, *y);
    }
}

/// `to = from`; a call to copy so few numbers would cost more than the copy.
#[inline(always)]
pub fn copy<T: Real, S: Simd>(to: &mut [T], from: &[T]) {
    let whole = from.len() / T::lanes::<S>() * T::lanes::<S>();
    for (to, &from) in T::vectors_mut::<S>(to).iter_mut().zip(T::vectors::<S>(from)) {
        *to = from;
    }
    for (to, &from) in to[whole..].iter_mut().zip(&from[whole..]) {
        *to = from;
    }
}

/// `x *= by`.
#[inline(always)]
pub fn scale<T: Real>(x: &mut [T], by: T) {
    for x in x {
        *x *= by;
    }
}

/// `x *= y`, number by number.
#[inline(always)]
pub fn times<T: Real>(x: &mut [T], y: &[T]) {
    for (x, &y) in x.iter_mut().zip(y) {
        *x *= y;
    }
}

/// Whether no number is infinite or none at all: 0 times it is 0.
#[inline(always)]
pub fn all_finite<T: Real>(numbers: &[T]) -> bool {
    let mut sums = [T::ZERO; 16];
    let (blocks, rest) = numbers.as_chunks::<16>();
    for block in blocks {
        for (sum, &x) in sums.iter_mut().zip(block) {
            *sum += x * T::ZERO;
        }
    }
    rest.iter().all(|&x| x * T::ZERO == T::ZERO) && sums.iter().all(|&sum| sum == T::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    type S = pulp::Scalar;

    #[test]
    fn exp_is_exp() {
        for i in -88_000..88_000 {
            let x = i as f64 * 1e-3;
            assert!((Real::exp::<S>(x) / x.exp() - 1.0).abs() < 1e-15, "{x}");
            let narrow = x as f32;
            assert!((Real::exp::<S>(narrow) as f64 / (narrow as f64).exp() - 1.0).abs() < 3e-7 || x <= -87.0, "{x}");
        }
        assert_eq!(Real::exp::<S>(-1e30f32), 0.0);
        assert_eq!(Real::exp::<S>(f64::NEG_INFINITY), 0.0);
        assert!(Real::exp::<S>(1e30f32).is_finite());
        assert!(Real::exp::<S>(f32::NAN).is_nan() && Real::exp::<S>(f64::NAN).is_nan());
    }

    #[test]
    fn tanh_is_tanh() {
        for i in -30_000..30_000 {
            let x = if i % 2 == 0 { i as f64 * 1e-3 } else { i as f64 * 1e-9 };
            let off = |found: f64| (found / x.tanh() - 1.0).abs();
            assert!(x == 0.0 || off(tanh::<f64, S>(x)) < 2e-15, "{x}");
            assert!(x == 0.0 || off(f64::from(tanh::<f32, S>(x as f32))) < 5e-7, "{x}");
        }
        for large in [1e4, f32::INFINITY] {
            assert_eq!([tanh::<f32, S>(large), tanh::<f32, S>(-large)], [1.0, -1.0]);
        }
        assert!(tanh::<f32, S>(f32::NAN).is_nan() && tanh::<f64, S>(f64::NAN).is_nan());
        assert_eq!(tanh::<f32, S>(0.0), 0.0);
    }
}
