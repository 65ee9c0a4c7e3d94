//! Plain f64 arithmetic on slices: what feature maps and decays write their reference functions in.
//!
//! Tests hold the tensors and the kernels to these functions. They share no code with either. Beside a function `f`
//! stands its gradient `f_vjp`: it takes the inputs of `f` and the gradient of some loss by its output, and returns the
//! gradient of that loss by its inputs. Matrices are row-major.

/// `Σ a b`.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// `sum += scale · x`.
pub fn add(sum: &mut [f64], scale: f64, x: &[f64]) {
    sum.iter_mut().zip(x).for_each(|(sum, x)| *sum += scale * x);
}

/// `by · x`.
pub fn scale(x: &[f64], by: f64) -> Vec<f64> {
    x.iter().map(|x| x * by).collect()
}

/// `x ⊙ y`.
pub fn times(x: &[f64], y: &[f64]) -> Vec<f64> {
    x.iter().zip(y).map(|(x, y)| x * y).collect()
}

/// `A x` for A `[rows, x.len()]`.
pub fn product(a: &[f64], x: &[f64]) -> Vec<f64> {
    a.chunks_exact(x.len()).map(|row| dot(row, x)).collect()
}

/// `Aᵀ x` for A `[x.len(), columns]`.
pub fn product_transposed(a: &[f64], x: &[f64]) -> Vec<f64> {
    let mut result = vec![0.0; a.len() / x.len()];
    a.chunks_exact(result.len()).zip(x).for_each(|(row, &x)| add(&mut result, x, row));
    result
}

/// `x yᵀ`.
pub fn outer(x: &[f64], y: &[f64]) -> Vec<f64> {
    x.iter().flat_map(|&x| y.iter().map(move |&y| x * y)).collect()
}

/// `[x, −x]`.
pub fn mirror(x: &[f64]) -> Vec<f64> {
    x.iter().copied().chain(x.iter().map(|x| -x)).collect()
}

/// Gradient of [`mirror`].
pub fn mirror_vjp(d_y: &[f64]) -> Vec<f64> {
    let (left, right) = d_y.split_at(d_y.len() / 2);
    left.iter().zip(right).map(|(l, r)| l - r).collect()
}

/// `x / √(Σ x² + 1e-6)`.
pub fn normalize(x: &[f64]) -> Vec<f64> {
    scale(x, inverse_length(x))
}

/// Gradient of [`normalize`].
pub fn normalize_vjp(x: &[f64], d_y: &[f64]) -> Vec<f64> {
    let r = inverse_length(x);
    let mut d_x = scale(d_y, r);
    add(&mut d_x, -r.powi(3) * dot(x, d_y), x);
    d_x
}

fn inverse_length(x: &[f64]) -> f64 {
    (dot(x, x) + 1e-6).powf(-0.5)
}

/// `1 / (1 + e^{−x})`.
pub fn sigmoid(x: f64) -> f64 {
    if x < 0.0 { x.exp() / (1.0 + x.exp()) } else { 1.0 / (1.0 + (-x).exp()) }
}

/// Gradient of [`sigmoid`].
pub fn sigmoid_vjp(x: f64, d_y: f64) -> f64 {
    d_y * sigmoid(x) * sigmoid(-x)
}

/// `x · sigmoid(x)`.
pub fn silu(x: f64) -> f64 {
    x * sigmoid(x)
}

/// Gradient of [`silu`].
pub fn silu_vjp(x: f64, d_y: f64) -> f64 {
    d_y * sigmoid(x) * (1.0 + x * sigmoid(-x))
}

/// `ln(1 + e^x)`.
pub fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// Gradient of [`softplus`].
pub fn softplus_vjp(x: f64, d_y: f64) -> f64 {
    d_y * sigmoid(x)
}
