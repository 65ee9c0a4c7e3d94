//! Steps whose numbers are infinite or not numbers, apart from the others.
//!
//! In a product over steps a later one has the factor 0, and 0 times what is not finite is not a number: it would reach
//! back. So faults are taken out of products and added to what comes after them.

use burn::tensor::Tensor;

use super::spec::FORGOTTEN;
use super::writes::Writes;

/// The writes with 0 in place of faulty steps, and NaN for each such step, else 0: `[batch, key heads, steps, 1]`.
pub(super) fn separate(writes: Writes) -> (Writes, Tensor<4>) {
    let [batch, heads, steps, _] = writes.key.dims();
    // All is forgotten there, which is no fault.
    let forgotten = |x: Tensor<3>| {
        let all = x.clone().equal_elem(f32::NEG_INFINITY);
        x.mask_fill(all, FORGOTTEN)
    };
    let writes = Writes { log_decay: writes.log_decay.map(forgotten), ..writes };
    let nothing = |x: &Tensor<4>| x.clone().detach().mul_scalar(0.0).sum_dim(3);
    let of_numbers = |x: &Option<Tensor<3>>| x.clone().map(|x| nothing(&x.unsqueeze_dim(3)));
    let numbers = [of_numbers(&writes.log_decay), of_numbers(&writes.strength)];
    let faults = numbers.into_iter().flatten().fold(nothing(&writes.key) + nothing(&writes.value), |sum, x| sum + x);
    let faulty = faults.clone().is_nan();
    let sound = |x: Tensor<4>| {
        let dims = x.dims();
        x.mask_fill(faulty.clone().expand(dims), 0.0)
    };
    let sound3 = |x: Tensor<3>| x.mask_fill(faulty.clone().reshape([batch, heads, steps]), 0.0);
    let writes = Writes {
        key: sound(writes.key),
        value: sound(writes.value),
        log_decay: writes.log_decay.map(sound3),
        strength: writes.strength.map(sound3),
    };
    (writes, faults)
}
