//! The states before every chunk, from what each chunk does to a state: in a number of operations that
//! grows with the logarithm of the number of chunks.
//!
//! A loop over chunks would cost a launch or more for each on a GPU, and under autodiff each `narrow` in
//! it a gradient as large as the whole.

use burn::tensor::Tensor;

use super::between::{between, log_between};

/// Chunks whose states one product gives.
const GROUP: usize = 16;

/// The states before each chunk where a chunk adds to a decayed state: `S ← e^l S + W`.
///
/// Groups of chunks are summed first, the states before the groups are found in the same way, and one
/// product goes on from these to each chunk.
///
/// # Shapes
/// - written W: `[batch, chunks, m, d]`
/// - log_decay l of each chunk: `[batch, chunks]`; `None` is no decay
/// - first, the state before all: `[batch, 1, m, d]`
/// - returns `[batch, chunks, m, d]`
pub(super) fn of_sums(written: Tensor<4>, log_decay: Option<Tensor<2>>, first: Tensor<4>) -> Tensor<4> {
    let [batch, count, m, d] = written.dims();
    if count == 1 {
        return first;
    }
    // A sum that is infinite is one in all chunks after it, and in none before: a product has the factor
    // 0 for these, and 0 times infinity is not a number.
    let faults = written.clone().detach().mul_scalar(0.0).sum_dim(3).sum_dim(2);
    let faulty = faults.clone().is_nan().expand([batch, count, m, d]);
    let states = of_finite_sums(written.mask_fill(faulty, 0.0), log_decay, first);
    let none = Tensor::zeros([batch, 1, 1, 1], (&faults.device(), faults.dtype()));
    states + Tensor::cat(vec![none, faults.cumsum(1).narrow(1, 0, count - 1)], 1)
}

fn of_finite_sums(written: Tensor<4>, log_decay: Option<Tensor<2>>, first: Tensor<4>) -> Tensor<4> {
    let [batch, count, m, d] = written.dims();
    if count <= GROUP {
        return of_group(written, log_decay, first);
    }
    let groups = count.div_ceil(GROUP);
    let options = (&written.device(), written.dtype());
    // Chunks that change nothing fill the last group up.
    let missing = groups * GROUP - count;
    let (written, log_decay) = match missing {
        0 => (written, log_decay),
        _ => (
            Tensor::cat(vec![written, Tensor::zeros([batch, missing, m, d], options)], 1),
            log_decay.map(|l| Tensor::cat(vec![l, Tensor::zeros([batch, missing], options)], 1)),
        ),
    };
    let written = written.reshape([batch * groups, GROUP, m, d]);
    let log_decay = log_decay.map(|l| l.reshape([batch * groups, GROUP]));
    let to_end = match &log_decay {
        Some(l) => log_between(&l.clone().unsqueeze_dim(1)).narrow(2, GROUP - 1, 1).exp(),
        None => Tensor::ones([1, 1, 1, GROUP], options),
    };
    let sums = to_end.matmul(written.clone().reshape([batch * groups, 1, GROUP, m * d]));
    let decay_of_groups = log_decay.clone().map(|l| l.sum_dim(1).reshape([batch, groups]));
    // A group's sum may be infinite where its parts are not.
    let before_groups = of_sums(sums.reshape([batch, groups, m, d]), decay_of_groups, first);
    let states = of_group(written, log_decay, before_groups.reshape([batch * groups, 1, m, d]));
    states.reshape([batch, groups * GROUP, m, d]).narrow(1, 0, count)
}

/// By one product of `[chunks × chunks]`: the first state and what the others leave to those after them.
fn of_group(written: Tensor<4>, log_decay: Option<Tensor<2>>, first: Tensor<4>) -> Tensor<4> {
    let [batch, count, m, d] = written.dims();
    let options = (&written.device(), written.dtype());
    let added = Tensor::cat(vec![first, written.narrow(1, 0, count - 1)], 1).reshape([batch, 1, count, m * d]);
    let weights = match log_decay {
        // From the place of one state to that of another.
        Some(l) => {
            let l = Tensor::cat(vec![Tensor::zeros([batch, 1], options), l.narrow(1, 0, count - 1)], 1);
            between(log_between(&l.unsqueeze_dim(1)))
        }
        None => Tensor::<2>::ones([count, count], options).tril(0).unsqueeze(),
    };
    weights.matmul(added).reshape([batch, count, m, d])
}

/// The states before each chunk where a chunk transforms a state and adds to it: `S ← M S + B`.
///
/// Two chunks one after the other are one with `M₂ M₁` and `M₂ B₁ + B₂` (a scan, as in Blelloch 1990): the
/// states before the pairs are found in the same way, and from them those before the second of each.
///
/// # Shapes
/// - moves, M and B side by side: `[batch, chunks, m, m + d]`
/// - first, the state before all: `[batch, 1, m, d]`
/// - returns `[batch, chunks, m, d]`
pub(super) fn of_moves(moves: Tensor<4>, first: Tensor<4>) -> Tensor<4> {
    let [batch, count, m, both] = moves.dims();
    let d = both - m;
    if count == 1 {
        return first;
    }
    let pairs = count.div_ceil(2);
    let moves = match count % 2 {
        0 => moves,
        _ => {
            let none = Tensor::zeros([batch, 1, m, both], (&moves.device(), moves.dtype()));
            Tensor::cat(vec![moves, none], 1)
        }
    };
    let moves = moves.reshape([batch, pairs, 2 * m, both]);
    let one = moves.clone().narrow(2, 0, m);
    let other = moves.narrow(2, m, m);
    let matrix = |moves: &Tensor<4>| moves.clone().narrow(3, 0, m);
    let added = |moves: &Tensor<4>| moves.clone().narrow(3, m, d);
    let joint = matrix(&other).matmul(one.clone());
    let joint = Tensor::cat(vec![matrix(&joint), added(&joint) + added(&other)], 3);
    let before = of_moves(joint, first);
    let between = matrix(&one).matmul(before.clone()) + added(&one);
    let states = Tensor::cat(vec![before, between], 2).reshape([batch, 2 * pairs, m, d]);
    states.narrow(1, 0, count)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device, Distribution};

    use super::*;

    const SIZES: [usize; 9] = [1, 2, 3, 15, 16, 17, 33, 256, 300];

    fn draw<const D: usize>(shape: [usize; D], low: f64, high: f64) -> Tensor<D> {
        Tensor::random(shape, Distribution::Uniform(low, high), (&Device::flex(), DType::F64))
    }

    /// The states before each chunk, one after the other.
    fn in_turn(first: Tensor<4>, count: usize, next: impl Fn(Tensor<4>, usize) -> Tensor<4>) -> Tensor<4> {
        let mut states = vec![first];
        for chunk in 1..count {
            states.push(next(states[chunk - 1].clone(), chunk - 1));
        }
        Tensor::cat(states, 1)
    }

    fn furthest(a: Tensor<4>, b: Tensor<4>) -> f64 {
        (a - b).abs().max().into_scalar::<f64>()
    }

    #[test]
    fn sums_are_those_of_a_loop() {
        for count in SIZES {
            let (written, first) = (draw([3, count, 2, 4], -1.0, 1.0), draw([3, 1, 2, 4], -1.0, 1.0));
            for log_decay in [None, Some(draw([3, count], -0.3, 0.0)), Some(draw([3, count], -1e4, 0.0))] {
                let at = |c: usize| log_decay.clone().map(|l: Tensor<2>| l.narrow(1, c, 1).exp().reshape([3, 1, 1, 1]));
                let next = |state: Tensor<4>, c: usize| {
                    let kept = at(c).map_or(state.clone(), |decay| state * decay);
                    kept + written.clone().narrow(1, c, 1)
                };
                let expected = in_turn(first.clone(), count, next);
                let found = of_sums(written.clone(), log_decay.clone(), first.clone());
                assert!(furthest(found, expected) < 1e-12, "{count} chunks, decay {}", log_decay.is_some());
            }
        }
    }

    #[test]
    fn moves_are_those_of_a_loop() {
        for count in SIZES {
            let (moves, first) = (draw([3, count, 4, 7], -0.4, 0.4), draw([3, 1, 4, 3], -1.0, 1.0));
            let next = |state: Tensor<4>, c: usize| {
                let own = moves.clone().narrow(1, c, 1);
                own.clone().narrow(3, 0, 4).matmul(state) + own.narrow(3, 4, 3)
            };
            let expected = in_turn(first.clone(), count, next);
            assert!(furthest(of_moves(moves.clone(), first), expected) < 1e-12, "{count} chunks");
        }
    }

    #[test]
    fn an_infinite_sum_reaches_no_chunk_before_it() {
        for (count, at) in [(10, 4), (40, 0), (40, 17), (40, 39)] {
            let written = Tensor::<4>::ones([1, count, 2, 3], &Device::flex());
            let broken = written.clone().slice_fill([0..1, at..at + 1, 0..1, 0..1], f32::INFINITY);
            let first = || Tensor::zeros([1, 1, 2, 3], &Device::flex());
            // Each finite, and infinite together.
            let large = written.clone().slice_fill([0..1, at..count, 0..1, 0..1], f32::MAX);
            let [sound, broken, large] = [written, broken, large].map(|written| of_sums(written, None, first()));
            for chunk in 0..count {
                let of = |states: &Tensor<4>| states.clone().narrow(1, chunk, 1);
                let is_same = of(&broken).equal(of(&sound)).all().into_scalar::<bool>();
                let is_broken = of(&broken).is_nan().any().into_scalar::<bool>();
                assert!(if chunk <= at { is_same } else { is_broken }, "{count} chunks, {at} broken, chunk {chunk}");
                let is_same = of(&large).equal(of(&sound)).all().into_scalar::<bool>();
                assert!(chunk > at || is_same, "{count} chunks, large from {at}, chunk {chunk}");
            }
        }
    }
}
