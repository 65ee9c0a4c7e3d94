//! Small matrix products on scratch memory: a register tile of rows × two vectors, the rest in loops around it.

use pulp::{NullaryFnOnce, Simd};

use super::real::Real;

/// A matrix whose element (i, j) lies at `i · row + j · column`: as it is or transposed.
#[derive(Clone, Copy)]
pub struct Left<'a, T> {
    pub data: &'a [T],
    pub row: usize,
    pub column: usize,
}

impl<'a, T> Left<'a, T> {
    /// Rows of length `width`.
    #[inline(always)]
    pub fn plain(data: &'a [T], width: usize) -> Self {
        Self { data, row: width, column: 1 }
    }

    /// The transpose of rows of length `width`.
    #[inline(always)]
    pub fn transposed(data: &'a [T], width: usize) -> Self {
        Self { data, row: 1, column: width }
    }

    #[inline(always)]
    fn from(self, row: usize, column: usize) -> Self {
        Self { data: &self.data[row * self.row + column * self.column..], ..self }
    }
}

/// Whether a product replaces what is there.
#[derive(Clone, Copy, PartialEq)]
pub enum Into {
    /// `out = left · right`
    Set,
    /// `out += left · right`
    Add,
}

/// `left [m × k] · right [k × n]`; rows of `right` and `out` are `ld` apart and n is a whole number of registers.
#[inline(always)]
pub fn product<T: Real, S: Simd>(
    simd: S,
    shape: [usize; 3],
    left: Left<T>,
    right: (&[T], usize),
    out: (&mut [T], usize),
    into: Into,
) {
    // A call, where inlining a dozen products into one function would make it outgrow the instruction cache.
    simd.vectorize(Product { simd, shape, left, right, out, into });
}

struct Product<'a, T, S> {
    simd: S,
    shape: [usize; 3],
    left: Left<'a, T>,
    right: (&'a [T], usize),
    out: (&'a mut [T], usize),
    into: Into,
}

impl<T: Real, S: Simd> NullaryFnOnce for Product<'_, T, S> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { simd, shape: [m, n, k], left, right: (right, right_ld), out: (out, out_ld), into } = self;
        // Eight rows of two registers, their sums and the operands, fill 32 registers; four rows fill 16.
        let rows = if S::REGISTER_COUNT >= 32 { 8 } else { 4 };
        let lanes = T::lanes::<S>();
        debug_assert!(n.is_multiple_of(lanes));
        let mut i = 0;
        while i < m {
            let height = if m - i >= rows { rows } else { 1 << (m - i).ilog2() };
            let left = left.from(i, 0);
            let out = &mut out[i * out_ld..];
            let mut j = 0;
            while j < n {
                let (right, out) = (&right[j..], &mut out[j..]);
                let two = n - j >= 2 * lanes;
                match (height, two) {
                    (8, true) => tile::<T, S, 8, 2>(simd, k, left, right, right_ld, out, out_ld, into),
                    (8, false) => tile::<T, S, 8, 1>(simd, k, left, right, right_ld, out, out_ld, into),
                    (4, true) => tile::<T, S, 4, 2>(simd, k, left, right, right_ld, out, out_ld, into),
                    (4, false) => tile::<T, S, 4, 1>(simd, k, left, right, right_ld, out, out_ld, into),
                    (2, true) => tile::<T, S, 2, 2>(simd, k, left, right, right_ld, out, out_ld, into),
                    (2, false) => tile::<T, S, 2, 1>(simd, k, left, right, right_ld, out, out_ld, into),
                    (_, true) => tile::<T, S, 1, 2>(simd, k, left, right, right_ld, out, out_ld, into),
                    (_, false) => tile::<T, S, 1, 1>(simd, k, left, right, right_ld, out, out_ld, into),
                }
                j += if two { 2 * lanes } else { lanes };
            }
            i += height;
        }
    }
}

#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "one caller, and a struct would only rename them")]
#[expect(clippy::needless_range_loop, reason = "loops unrolled over arrays that must stay in registers")]
fn tile<T: Real, S: Simd, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    k: usize,
    left: Left<T>,
    right: &[T],
    right_ld: usize,
    out: &mut [T],
    out_ld: usize,
    into: Into,
) {
    let width = VECTORS * T::lanes::<S>();
    let mut sums = [[T::splat(simd, T::ZERO); VECTORS]; ROWS];
    for p in 0..k {
        let row = T::vectors::<S>(&right[p * right_ld..][..width]);
        let mut vectors = [sums[0][0]; VECTORS];
        vectors.copy_from_slice(&row[..VECTORS]);
        for r in 0..ROWS {
            let factor = T::splat(simd, left.data[r * left.row + p * left.column]);
            for v in 0..VECTORS {
                sums[r][v] = T::mul_add(simd, factor, vectors[v], sums[r][v]);
            }
        }
    }
    for r in 0..ROWS {
        let out = T::vectors_mut::<S>(&mut out[r * out_ld..][..width]);
        for v in 0..VECTORS {
            out[v] = if into == Into::Add { T::plus(simd, out[v], sums[r][v]) } else { sums[r][v] };
        }
    }
}

/// Rows at a time in products of triangles; also the numbers in the widest register.
pub const BLOCK: usize = 16;

/// `left · right` on and below the diagonal, up to whole blocks: `left [m × k]`, `right [k × m]` with rows of whole blocks.
#[inline(always)]
pub fn lower_of_product<T: Real, S: Simd>(
    simd: S,
    [m, k]: [usize; 2],
    left: Left<T>,
    right: (&[T], usize),
    (out, out_ld): (&mut [T], usize),
) {
    for i in (0..m).step_by(BLOCK) {
        let height = BLOCK.min(m - i);
        product(simd, [height, i + BLOCK, k], left.from(i, 0), right, (&mut out[i * out_ld..], out_ld), Into::Set);
    }
}

/// `triangle · right` for a lower triangle `[m × m]`, zero right of its diagonal up to a whole block.
#[inline(always)]
pub fn lower_times<T: Real, S: Simd>(
    simd: S,
    [m, n]: [usize; 2],
    (triangle, ld): (&[T], usize),
    right: (&[T], usize),
    (out, out_ld): (&mut [T], usize),
    into: Into,
) {
    for i in (0..m).step_by(BLOCK) {
        let height = BLOCK.min(m - i);
        let left = Left::plain(&triangle[i * ld..], ld);
        product(simd, [height, n, i + height], left, right, (&mut out[i * out_ld..], out_ld), into);
    }
}

/// `triangleᵀ · right` for the same.
#[inline(always)]
pub fn lower_transposed_times<T: Real, S: Simd>(
    simd: S,
    [m, n]: [usize; 2],
    (triangle, ld): (&[T], usize),
    (right, right_ld): (&[T], usize),
    (out, out_ld): (&mut [T], usize),
    into: Into,
) {
    for j in (0..m).step_by(BLOCK) {
        let height = BLOCK.min(m - j);
        let left = Left::transposed(&triangle[j * ld + j..], ld);
        let (right, out) = ((&right[j * right_ld..], right_ld), (&mut out[j * out_ld..], out_ld));
        product(simd, [height, n, m - j], left, right, out, into);
    }
}

/// `to = fromᵀ` for `from [rows × columns]`.
#[inline(always)]
pub fn transpose<T: Real>(rows: usize, columns: usize, (from, from_ld): (&[T], usize), (to, to_ld): (&mut [T], usize)) {
    // Blocks of four by four become shuffles of registers.
    let (whole_rows, whole_columns) = (rows / 4 * 4, columns / 4 * 4);
    for i in (0..whole_rows).step_by(4) {
        let (first, second) = (&from[i * from_ld..][..columns], &from[(i + 1) * from_ld..][..columns]);
        let (third, fourth) = (&from[(i + 2) * from_ld..][..columns], &from[(i + 3) * from_ld..][..columns]);
        for j in (0..whole_columns).step_by(4) {
            let (a, b, c, d) = (four(first, j), four(second, j), four(third, j), four(fourth, j));
            *four_mut(to, j * to_ld + i) = [a[0], b[0], c[0], d[0]];
            *four_mut(to, (j + 1) * to_ld + i) = [a[1], b[1], c[1], d[1]];
            *four_mut(to, (j + 2) * to_ld + i) = [a[2], b[2], c[2], d[2]];
            *four_mut(to, (j + 3) * to_ld + i) = [a[3], b[3], c[3], d[3]];
        }
    }
    for i in 0..rows {
        for j in if i < whole_rows { whole_columns } else { 0 }..columns {
            to[j * to_ld + i] = from[i * from_ld + j];
        }
    }
}

#[inline(always)]
fn four<T>(from: &[T], place: usize) -> &[T; 4] {
    from[place..][..4].first_chunk().expect("four numbers")
}

#[inline(always)]
fn four_mut<T>(to: &mut [T], place: usize) -> &mut [T; 4] {
    to[place..][..4].first_chunk_mut().expect("four numbers")
}
