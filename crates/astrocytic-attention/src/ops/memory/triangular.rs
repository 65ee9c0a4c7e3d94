//! The inverse of I + A for strictly lower-triangular A, in tensor operations.

use burn::tensor::Tensor;

use crate::constant::constant;

/// `(I + A)⁻¹`, A `[batch, chunks, size, size]` strictly lower triangular.
///
/// Diagonal blocks are merged pairwise, doubling their size each time: `[[P, 0], [B, Q]]⁻¹ = [[P⁻¹,
/// 0], [−Q⁻¹ B P⁻¹, Q⁻¹]]`. Every intermediate is a true inverse of a block, so repeated keys do
/// not blow up as they do in powers of A.
pub(super) fn unit_lower_inverse(a: Tensor<4>) -> Tensor<4> {
    let [_, _, size, _] = a.dims();
    let options = (&a.device(), a.dtype());
    let mut inverse: Tensor<4> = Tensor::<2>::eye(size, options.0).cast(a.dtype()).unsqueeze();
    let mut block = 1;
    while block < size {
        let mask = constant(sibling_blocks(size, block), [1, 1, size, size], options.0, options.1);
        let below = a.clone() * mask;
        inverse =
            if block == 1 { inverse - below } else { inverse.clone() - inverse.clone().matmul(below).matmul(inverse) };
        block *= 2;
    }
    inverse
}

/// 1 where row and column lie in the lower and the upper half of the same block of `2 * block`.
fn sibling_blocks(size: usize, block: usize) -> Vec<f64> {
    let pair = 2 * block;
    (0..size * size)
        .map(|index| (index / size, index % size))
        .map(|(i, j)| {
            let siblings = i / pair == j / pair && i % pair >= block && j % pair < block;
            f64::from(u8::from(siblings))
        })
        .collect()
}
