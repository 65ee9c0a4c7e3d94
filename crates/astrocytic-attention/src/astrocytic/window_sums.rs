//! Exponentials of scores, summed over the last steps before each query. It runs in blocks, so that
//! memory is linear in the steps.

use burn::tensor::{Bool, Tensor};

/// What hides a score: as good as −∞, and finite.
const HIDDEN: f64 = -1e30;

/// The window's share, before the normaliser.
pub(super) struct Window {
    /// `Σ e^{s − c} v` and, as the last column, `Σ e^{s − c}`: `[batch, heads, steps, d + 1]`.
    pub sums: Tensor<4>,
    /// c, `[batch, heads, steps, 1]`.
    pub largest: Tensor<4>,
}

/// Sums over the last `width` steps before each query, its own included.
///
/// # Shapes
/// - query: `[batch, heads, steps, d]`
/// - key: `[batch, heads, width + steps, d]`, the steps before the first included
/// - value: `[batch, heads, width + steps, d + 1]`, with a last column of ones; 0 where there is no
///   step
pub(super) fn window_sums(query: Tensor<4>, key: Tensor<4>, value: Tensor<4>, width: usize) -> Window {
    let [batch, heads, steps, d] = query.dims();
    // Steps that are not finite stay out of the products, where 0 times them would reach earlier
    // steps.
    let zero_or_nan = |x: &Tensor<4>| x.clone().detach().mul_scalar(0.0).sum_dim(3);
    let faults = zero_or_nan(&key) + zero_or_nan(&value);
    let faulty = faults.clone().is_nan();
    let [key, value] = [key, value].map(|x| {
        let dims = x.dims();
        x.mask_fill(faulty.clone().expand(dims), 0.0)
    });
    let faults = faults.cumsum(2).narrow(2, width, steps);
    let block = width.min(steps);
    let blocks = steps.div_ceil(block);
    let missing = blocks * block - steps;
    let fill = |x: Tensor<4>, rows: usize| match rows {
        0 => x,
        _ => {
            let [batch, heads, _, size] = x.dims();
            let zeros = Tensor::zeros([batch, heads, rows, size], (&x.device(), x.dtype()));
            Tensor::cat(vec![x, zeros], 2)
        }
    };
    // Each block of queries with its own steps and the `width` before it.
    let query = fill(query, missing).reshape([batch, heads, blocks, block, d]);
    let around = |x: Tensor<4>| {
        let size = x.dims()[3];
        if blocks == 1 {
            return x.unsqueeze_dim::<5>(2);
        }
        let x = fill(x, missing);
        let part =
            |start: usize| x.clone().narrow(2, start, blocks * block).reshape([batch, heads, blocks, block, size]);
        Tensor::cat(vec![part(0), part(width)], 3)
    };
    let (key, value) = (around(key), around(value));
    let [.., seen, columns] = value.dims();

    let scores = query.mul_scalar((d as f64).powf(-0.5)).matmul(key.transpose());
    // Query r of a block sees the keys r + 1 to r + width, if they are steps.
    let device = scores.device();
    let too_new = Tensor::<2, Bool>::tril_mask([block, seen], width as i64, &device);
    let in_time = Tensor::<2, Bool>::tril_mask([block, seen], 0, &device);
    let band = too_new.bool_or(in_time.bool_not()).unsqueeze::<5>();
    let no_step = value.clone().narrow(4, columns - 1, 1).equal_elem(0.0).transpose();
    let shape = scores.dims();
    let hidden = band.expand(shape).bool_or(no_step.expand(shape));
    let scores = scores.mask_fill(hidden.clone(), HIDDEN);
    // A constant of the row, without a gradient.
    let largest = scores.clone().detach().max_dim(4).clamp_min(HIDDEN / 2.0);
    let exponentials = (scores - largest.clone()).exp().mask_fill(hidden, 0.0);
    let whole = |x: Tensor<5>, size: usize| {
        let x = x.reshape([batch, heads, blocks * block, size]);
        if missing == 0 { x } else { x.narrow(2, 0, steps) }
    };
    Window { sums: whole(exponentials.matmul(value), columns) + faults, largest: whole(largest, 1) }
}

/// The exponentials behind [`window_sums`] as a matrix `[batch, heads, steps, steps]`, of the given
/// steps alone.
pub(super) fn dense(
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    largest: &Tensor<4>,
    width: usize,
) -> Tensor<4> {
    let [batch, heads, steps, d] = query.dims();
    let columns = value.dims()[3];
    let key = key.narrow(2, width, steps);
    let is_step = value.narrow(2, width, steps).narrow(3, columns - 1, 1).transpose();
    let scores = query.mul_scalar((d as f64).powf(-0.5)).matmul(key.transpose());
    let device = scores.device();
    let too_new = Tensor::<2, Bool>::tril_mask([steps, steps], 0, &device);
    let in_time = Tensor::<2, Bool>::tril_mask([steps, steps], -(width as i64), &device);
    let hidden = too_new.bool_or(in_time.bool_not()).unsqueeze::<4>().expand([batch, heads, steps, steps]);
    let exponentials = (scores - largest.clone()).mask_fill(hidden.clone(), 0.0).exp();
    exponentials.mask_fill(hidden, 0.0) * is_step
}
