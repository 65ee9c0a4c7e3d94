//! Feature maps φ that work element by element, so that a kernel applies them on the way.
//!
//! A map implements [`ElementWise`] in its own file, and [`Feature::of`] makes a value of it.
//! Kernels take the value: none of them lists the maps.

use std::fmt;

use burn::tensor::Tensor;

#[cfg(feature = "host-kernels")]
use super::real::Real;

/// A feature map of one number, `m = d`.
pub(crate) trait ElementWise: 'static {
    /// Whether φ(x) is x, so that there is nothing to compute.
    #[cfg(feature = "host-kernels")]
    const IDENTITY: bool = false;

    /// φ(x), composed of Burn's operations.
    ///
    /// # Shapes
    /// - x: `[batch, heads, steps, d]`, as the result
    fn map(x: Tensor<4>) -> Tensor<4>;

    /// φ(x) and φ′(x) for the processor's kernels.
    ///
    /// Mark it `#[inline(always)]` and write it without branches, so that the compiler vectorises
    /// loops over it. NaN must stay NaN.
    #[cfg(feature = "host-kernels")]
    fn value_and_slope<T: Real, S: pulp::Simd>(x: T) -> (T, T);
}

/// An element-wise feature map as a value.
#[derive(Clone, Copy)]
pub struct Feature {
    name: &'static str,
    #[cfg(feature = "host-kernels")]
    identity: bool,
    map: fn(Tensor<4>) -> Tensor<4>,
    #[cfg(feature = "host-kernels")]
    rows: rows::MapRows,
}

impl Feature {
    /// The map that `F` implements.
    pub(crate) fn of<F: ElementWise>() -> Self {
        Self {
            name: std::any::type_name::<F>(),
            #[cfg(feature = "host-kernels")]
            identity: F::IDENTITY,
            map: F::map,
            #[cfg(feature = "host-kernels")]
            rows: rows::MapRows::of::<F>(),
        }
    }

    /// φ(x) = x.
    pub fn identity() -> Self {
        Self::of::<Identity>()
    }

    /// Whether φ(x) is x.
    #[cfg(feature = "host-kernels")]
    pub(crate) fn is_identity(self) -> bool {
        self.identity
    }

    /// φ(x), composed of Burn's operations.
    ///
    /// # Shapes
    /// - x: `[batch, heads, steps, d]`, as the result
    pub fn map(self, x: Tensor<4>) -> Tensor<4> {
        (self.map)(x)
    }

    /// Replaces rows by their φ, and writes φ′ where there is room for it. The identity changes
    /// nothing.
    #[cfg(feature = "host-kernels")]
    #[inline]
    pub(crate) fn map_rows<T: Real>(self, rows: Rows<T>) {
        if !self.identity {
            self.rows.run(rows);
        }
    }
}

impl fmt::Debug for Feature {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name.rsplit("::").next().unwrap_or(self.name))
    }
}

impl PartialEq for Feature {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// `x`.
#[derive(Debug)]
pub(crate) struct Identity;

impl ElementWise for Identity {
    #[cfg(feature = "host-kernels")]
    const IDENTITY: bool = true;

    fn map(x: Tensor<4>) -> Tensor<4> {
        x
    }

    #[cfg(feature = "host-kernels")]
    #[inline(always)]
    fn value_and_slope<T: Real, S: pulp::Simd>(x: T) -> (T, T) {
        (x, T::ONE)
    }
}

#[cfg(feature = "host-kernels")]
pub(crate) use rows::Rows;

/// Maps of whole rows on the processor.
#[cfg(feature = "host-kernels")]
mod rows {
    use std::marker::PhantomData;

    use burn::tensor::DType;
    use pulp::bytemuck::cast_slice_mut;
    use pulp::{Simd, WithSimd};

    use super::ElementWise;
    use crate::kernel::real::Real;

    /// `count` rows of `width` numbers, `pad` numbers apart.
    pub(crate) struct Rows<'a, T> {
        pub values: &'a mut [T],
        /// Room for φ′, laid out as the values, or none.
        pub slopes: &'a mut [T],
        pub pad: usize,
        pub width: usize,
        pub count: usize,
    }

    impl<'a, T: Real> Rows<'a, T> {
        /// The same rows as `U`, which is the same type as `T`.
        fn cast<U: Real>(self) -> Rows<'a, U> {
            let Self { values, slopes, pad, width, count } = self;
            Rows { values: cast_slice_mut(values), slopes: cast_slice_mut(slopes), pad, width, count }
        }
    }

    /// A map of rows in either precision.
    #[derive(Clone, Copy)]
    pub struct MapRows {
        f32: fn(Rows<f32>),
        f64: fn(Rows<f64>),
    }

    impl MapRows {
        pub fn of<F: ElementWise>() -> Self {
            Self { f32: map_rows::<F, f32>, f64: map_rows::<F, f64> }
        }

        pub fn run<T: Real>(self, rows: Rows<T>) {
            match T::dtype() {
                DType::F64 => (self.f64)(rows.cast()),
                _ => (self.f32)(rows.cast()),
            }
        }
    }

    fn map_rows<F: ElementWise, T: Real>(rows: Rows<T>) {
        pulp::Arch::new().dispatch(Task { rows, map: PhantomData::<F> });
    }

    struct Task<'a, F, T> {
        rows: Rows<'a, T>,
        map: PhantomData<F>,
    }

    impl<F: ElementWise, T: Real> WithSimd for Task<'_, F, T> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, _simd: S) {
            let Rows { values, slopes, pad, width, count } = self.rows;
            let rows = values.chunks_exact_mut(pad).take(count);
            if slopes.is_empty() {
                for row in rows {
                    for x in &mut row[..width] {
                        *x = F::value_and_slope::<T, S>(*x).0;
                    }
                }
            } else {
                for (row, slopes) in rows.zip(slopes.chunks_exact_mut(pad)) {
                    for (x, slope) in row[..width].iter_mut().zip(slopes) {
                        (*x, *slope) = F::value_and_slope::<T, S>(*x);
                    }
                }
            }
        }
    }
}
