//! Parts of row-major arrays.

use std::ops::Range;

use astrocytic_attention::reference::add;

/// Part i of n equal ones.
pub fn part(x: &[f64], i: usize, n: usize) -> &[f64] {
    let size = x.len() / n;
    &x[i * size..(i + 1) * size]
}

/// [`part`] to write to.
pub fn part_mut(x: &mut [f64], i: usize, n: usize) -> &mut [f64] {
    let size = x.len() / n;
    &mut x[i * size..(i + 1) * size]
}

/// Some rows of a given width.
pub fn rows(x: &[f64], width: usize, which: Range<usize>) -> &[f64] {
    &x[which.start * width..which.end * width]
}

/// [`rows`] to write to.
pub fn rows_mut(x: &mut [f64], width: usize, which: Range<usize>) -> &mut [f64] {
    &mut x[which.start * width..which.end * width]
}

/// Columns of head h out of rows of heads of size d side by side.
pub fn head(x: &[f64], width: usize, h: usize, d: usize) -> Vec<f64> {
    x.chunks_exact(width).flat_map(|row| &row[h * d..(h + 1) * d]).copied().collect()
}

/// Adds x to those columns.
pub fn add_head(sum: &mut [f64], width: usize, h: usize, d: usize, x: &[f64]) {
    for (row, x) in sum.chunks_exact_mut(width).zip(x.chunks_exact(d)) {
        add(&mut row[h * d..(h + 1) * d], 1.0, x);
    }
}

/// Where the numbers of head h stand in a row of `width` numbers, in which all heads, each of size
/// d, stand side by side once for each of `writes`.
fn places(width: usize, h: usize, d: usize, writes: usize) -> impl Iterator<Item = Range<usize>> {
    (0..writes).map(move |w| w * width / writes + h * d..w * width / writes + (h + 1) * d)
}

/// The columns of head h, the writes of a row one after another: `[T · writes, d]`.
pub fn in_turn(x: &[f64], width: usize, h: usize, d: usize, writes: usize) -> Vec<f64> {
    x.chunks_exact(width).flat_map(|row| places(width, h, d, writes).flat_map(|place| &row[place])).copied().collect()
}

/// Adds x to those columns.
pub fn add_in_turn(sum: &mut [f64], width: usize, h: usize, d: usize, writes: usize, x: &[f64]) {
    for (row, x) in sum.chunks_exact_mut(width).zip(x.chunks_exact(d * writes)) {
        for (place, x) in places(width, h, d, writes).zip(x.chunks_exact(d)) {
            add(&mut row[place], 1.0, x);
        }
    }
}

/// Rows of two arrays side by side; the second may have no columns.
pub fn beside(a: &[f64], b: &[f64], rows: usize) -> Vec<f64> {
    (0..rows).flat_map(|t| [part(a, t, rows), part(b, t, rows)].concat()).collect()
}

/// Columns up to `width`, and those behind.
pub fn apart(x: &[f64], width: usize, rows: usize) -> [Vec<f64>; 2] {
    let both = || (0..rows).map(|t| part(x, t, rows).split_at(width));
    [both().flat_map(|(a, _)| a).copied().collect(), both().flat_map(|(_, b)| b).copied().collect()]
}

/// The rows of the steps `which`.
pub fn pick(x: &[f64], width: usize, which: &[usize]) -> Vec<f64> {
    which.iter().flat_map(|t| &x[t * width..(t + 1) * width]).copied().collect()
}

/// Picked rows back where they were, 0 between them.
pub fn restore(x: &[f64], width: usize, which: &[usize], size: usize) -> Vec<f64> {
    let mut all = vec![0.0; size];
    for (row, t) in x.chunks_exact(width).zip(which) {
        all[t * width..(t + 1) * width].copy_from_slice(row);
    }
    all
}
