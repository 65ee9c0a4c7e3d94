//! Padded steps moved behind the others, so that nothing that runs over steps sees them.

use burn::tensor::{Bool, IndexingUpdateOp, Int, Tensor};

/// Padded steps moved behind the others, row by row, so that convolution, positions and memory
/// never see them.
pub(crate) struct Compaction {
    order: Tensor<2, Int>,
    back: Tensor<2, Int>,
    padded: Tensor<2, Bool>,
    /// How many steps of each row are not padded, `[batch]`.
    pub(crate) unpadded_len: Tensor<1, Int>,
}

impl Compaction {
    pub(crate) fn new(mask_pad: &Tensor<2, Bool>) -> Self {
        let [batch, steps] = mask_pad.dims();
        let padded = mask_pad.clone().int();
        let places = Tensor::<1, Int>::arange(0..steps as i64, &mask_pad.device());
        let places = places.unsqueeze::<2>().expand([batch, steps]);
        let unpadded_len = (-padded.clone().sum_dim(1)).add_scalar(steps as i64).expand([batch, steps]);
        // Steps that are not padded come first in their order, then the padded ones in theirs.
        let padded_so_far = padded.clone().cumsum(1);
        let back_unpadded = places.clone() - padded_so_far.clone();
        let back_padded = unpadded_len.clone() + padded_so_far - 1;
        let back = back_unpadded.mask_where(mask_pad.clone(), back_padded);
        // The inverse of `back`, without a sort, which would wait for the device.
        let order = places.zeros_like().scatter(1, back.clone(), places.clone(), IndexingUpdateOp::Add);
        let padded = places.greater_equal(unpadded_len.clone());
        let unpadded_len = unpadded_len.narrow(1, 0, 1);
        Self { order, back, padded, unpadded_len: unpadded_len.squeeze_dim(1) }
    }

    /// Place of each step among those that are not padded (of a padded one, behind them),
    /// `[batch, steps]`.
    pub(crate) fn place(&self) -> Tensor<2, Int> {
        self.back.clone()
    }

    /// Which steps are padded once these are last, `[batch, steps]`.
    pub(crate) fn padded(&self) -> Tensor<2, Bool> {
        self.padded.clone()
    }

    /// `[batch, steps, width]` with the padded steps last.
    pub(crate) fn compact(&self, x: Tensor<3>) -> Tensor<3> {
        gather_steps(x, &self.order)
    }

    /// Every step back where it was; padded ones 0.
    pub(crate) fn restore(&self, x: Tensor<3>) -> Tensor<3> {
        let dims = x.dims();
        let hidden = self.padded.clone().unsqueeze_dim::<3>(2).expand(dims);
        gather_steps(x.mask_fill(hidden, 0.0), &self.back)
    }

    /// Weights with the padded steps of `axis` (2 queries, 3 keys) back where they were, 0 there.
    pub(crate) fn restore_axis(&self, weights: Tensor<4>, axis: usize) -> Tensor<4> {
        let dims = weights.dims();
        let shape = if axis == 2 { [dims[0], 1, dims[2], 1] } else { [dims[0], 1, 1, dims[3]] };
        let weights = weights.mask_fill(self.padded.clone().reshape(shape).expand(dims), 0.0);
        weights.gather(axis, self.back.clone().reshape(shape).expand(dims))
    }

    /// Of `[batch, heads, width + steps, size]`, steps compacted, the last `width` of each row up
    /// to its last step that is not padded.
    pub(crate) fn window(&self, x: Tensor<4>, width: usize) -> Tensor<4> {
        let [batch, heads, _, size] = x.dims();
        let places = Tensor::<1, Int>::arange(0..width as i64, &x.device()).reshape([1, 1, width, 1]);
        let first = self.unpadded_len.clone().reshape([batch, 1, 1, 1]);
        let shape = [batch, heads, width, size];
        x.gather(2, first.expand(shape) + places.expand(shape))
    }

    /// 0 in place of values at padded steps, `[batch, heads, steps]`.
    pub(crate) fn silence(&self, x: Tensor<3>) -> Tensor<3> {
        let hidden = self.padded.clone().unsqueeze_dim::<3>(1).expand(x.dims());
        x.mask_fill(hidden, 0.0)
    }
}

fn gather_steps(x: Tensor<3>, index: &Tensor<2, Int>) -> Tensor<3> {
    let dims = x.dims();
    x.gather(1, index.clone().unsqueeze_dim::<3>(2).expand(dims))
}
