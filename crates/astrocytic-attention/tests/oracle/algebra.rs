//! What every equation needs.

pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// `sum += scale · x`.
pub(super) fn add(sum: &mut [f64], scale: f64, x: &[f64]) {
    sum.iter_mut().zip(x).for_each(|(sum, x)| *sum += scale * x);
}

pub(super) fn scale(x: &[f64], by: f64) -> Vec<f64> {
    x.iter().map(|x| x * by).collect()
}

/// `x ⊙ y`.
pub(super) fn times(x: &[f64], y: &[f64]) -> Vec<f64> {
    x.iter().zip(y).map(|(x, y)| x * y).collect()
}

/// `A x` for A `[rows, x.len()]`.
pub(super) fn product(a: &[f64], x: &[f64]) -> Vec<f64> {
    a.chunks_exact(x.len()).map(|row| dot(row, x)).collect()
}

/// `Aᵀ x` for A `[x.len(), columns]`.
pub(super) fn product_transposed(a: &[f64], x: &[f64]) -> Vec<f64> {
    let mut result = vec![0.0; a.len() / x.len()];
    a.chunks_exact(result.len()).zip(x).for_each(|(row, &x)| add(&mut result, x, row));
    result
}

/// `x yᵀ`.
pub(super) fn outer(x: &[f64], y: &[f64]) -> Vec<f64> {
    x.iter().flat_map(|&x| y.iter().map(move |&y| x * y)).collect()
}
