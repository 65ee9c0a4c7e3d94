//! The second-order Taylor expansion of exp (Based, arXiv 2402.18668, section 4), each pair of components once.

use burn::tensor::{Tensor, TensorData};

/// Pairs of d components, each once and with itself.
pub(super) fn pairs(d: usize) -> usize {
    d * (d + 1) / 2
}

/// `[1, x', x'_i x'_j for i < j, x'_i² / √2]` with `x' = x / d^¼`, so that `φ(q)·φ(k) = 1 + s + s²/2` for `s = q·k/√d`; the
/// pairs row by row of their triangle.
pub(super) fn map(x: Tensor<4>) -> Tensor<4> {
    let [batch, heads, steps, d] = x.dims();
    let count = pairs(d);
    // Products with matrices of zeros and ones pick the components: exact, and with a backward pass that is one too.
    let (mut first, mut second) = (vec![0f64; d * count], vec![0f64; d * count]);
    for (pair, (i, j)) in (0..d).flat_map(|i| (i..d).map(move |j| (i, j))).enumerate() {
        first[i * count + pair] = if i == j { 0.5f64.sqrt() } else { 1.0 };
        second[j * count + pair] = 1.0;
    }
    let options = (&x.device(), x.dtype());
    let x = x.mul_scalar((d as f64).powf(-0.25)).reshape([batch * heads * steps, d]);
    let pick = |matrix: Vec<f64>| x.clone().matmul(Tensor::from_data(TensorData::new(matrix, [d, count]), options));
    let products = pick(first) * pick(second);
    let one = Tensor::ones([batch * heads * steps, 1], options);
    Tensor::cat(vec![one, x, products], 1).reshape([batch, heads, steps, 1 + d + count])
}
