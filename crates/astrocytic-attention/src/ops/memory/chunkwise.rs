//! Chunks: quadratic inside, a state between (attention.md section 3). Linear in T.
//!
//! Every product is done for all chunks at once; `states` finds the states between them.

use burn::tensor::Tensor;

use super::between::{between, log_between};
use super::spec::Plasticity;
use super::states;
use super::triangular::unit_lower_inverse;
use super::writes::Writes;

/// See [`super::forms::causal`].
pub(super) fn causal(
    query: Tensor<4>,
    writes: Writes,
    memory: Tensor<4>,
    plasticity: Plasticity,
    size: usize,
) -> (Tensor<4>, Tensor<4>) {
    let [batch, _, steps, m] = query.dims();
    let [_, heads, _, d_v] = writes.value.dims();
    let group = query.dims()[1] / heads;
    let size = size.min(steps);
    let chunks = Chunks::new(&writes, size);

    // Queries of a group stand one after another in each chunk: [bh, n, group · size, m].
    let query = chunks.split_groups(query);
    let between = chunks.between(); // D, [1 or bh, 1 or n, size, size]
    let state = memory.reshape([batch * heads, 1, m, d_v]);
    let scores = query.clone().matmul(chunks.key.clone().transpose()) * between.clone().repeat_dim(2, group);
    // Not a factor of 0 alone: a product with a later step may be infinite.
    let [rows, count, ..] = scores.dims();
    let scores = scores.reshape([rows, count * group, size, size]).tril(0).reshape([rows, count, group * size, size]);
    let query = chunks.times_since_start(query, group);
    // What is written in a chunk, decayed to the chunk's end.
    let key_to_end = chunks.times_to_end(chunks.key.clone()).transpose();

    let (novel, before) = match plasticity {
        Plasticity::Hebbian => {
            let novel = chunks.times_strength(chunks.value.clone());
            let written = key_to_end.clone().matmul(novel.clone());
            (novel, states::of_sums(written, chunks.log_decay(), state))
        }
        Plasticity::Delta => {
            let overlap = chunks.times_strength(chunks.key.clone()).matmul(chunks.key.clone().transpose());
            let solve = unit_lower_inverse((overlap * between).tril(-1));
            let from_start = chunks.times_since_start(chunks.key.clone(), 1);
            let both = Tensor::cat(vec![from_start, chunks.value.clone()], 3);
            let both = solve.matmul(chunks.times_strength(both));
            let recall = both.clone().narrow(3, 0, m);
            let fresh = both.narrow(3, m, d_v);
            // A chunk turns S into a S + K̂ᵀ (fresh − recall S).
            let moves = || {
                let kept = Tensor::<2>::eye(m, &query.device()).cast(query.dtype()).unsqueeze::<4>();
                let kept = chunks.decay().map_or(kept.clone(), |decay| kept * decay);
                let taken = key_to_end.clone().matmul(recall.clone());
                Tensor::cat(vec![kept - taken, key_to_end.clone().matmul(fresh.clone())], 3)
            };
            let before = if chunks.count == 1 { state } else { states::of_moves(moves(), state) };
            (fresh - recall.matmul(before.clone()), before)
        }
    };
    let last = |x: &Tensor<4>| x.clone().narrow(1, chunks.count - 1, 1);
    let kept = chunks.decay().map_or(last(&before), |decay| last(&before) * last(&decay));
    let after = kept + last(&key_to_end).matmul(last(&novel));
    let reads = scores.matmul(novel) + query.matmul(before);
    let reads = chunks.join_groups(reads, steps);
    (reads, after.reshape([batch, heads, m, d_v]))
}

/// See [`super::forms::calcium_trace`].
pub(super) fn calcium_trace(writes: &Writes, calcium: Tensor<3>, size: usize) -> (Tensor<4>, Tensor<3>) {
    let [batch, heads, steps, m] = writes.key.dims();
    let chunks = Chunks::new(writes, size.min(steps));
    let written = chunks.times_strength(chunks.key.clone());
    let [bh, n, size, _] = written.dims();
    let within = chunks.between().expand([bh, n, size, size]).matmul(written);
    let ones = Tensor::ones([bh, n, size, 1], (&within.device(), within.dtype()));
    let ones = chunks.times_since_start(ones, 1);
    let first = calcium.reshape([batch * heads, 1, 1, m]);
    let before = states::of_sums(within.clone().narrow(2, size - 1, 1), chunks.log_decay(), first);
    let trace = within + ones * before;
    let after = trace.clone().narrow(1, n - 1, 1).narrow(2, size - 1, 1);
    (chunks.join(trace, steps), after.reshape([batch, heads, m]))
}

/// A sequence cut into chunks, `[batch · heads, chunks, size, ·]`; the last is filled up with steps
/// that write nothing.
struct Chunks {
    batch: usize,
    heads: usize,
    count: usize,
    size: usize,
    key: Tensor<4>,
    value: Tensor<4>,
    /// b, log decay from the chunk's start to each step, that step's own included: `[bh, chunks,
    /// size]`.
    log_since_start: Option<Tensor<3>>,
    /// Log decay between any two steps of a chunk: `[bh, chunks, size, size]`.
    log_between: Option<Tensor<4>>,
    strength: Option<Tensor<4>>,
}

impl Chunks {
    fn new(writes: &Writes, size: usize) -> Self {
        let [batch, heads, steps, _] = writes.key.dims();
        let count = steps.div_ceil(size);
        let mut chunks = Self {
            batch,
            heads,
            count,
            size,
            key: writes.key.clone(),
            value: writes.value.clone(),
            log_since_start: None,
            log_between: None,
            strength: None,
        };
        let split3 = |t: &Tensor<3>| chunks.split(t.clone().unsqueeze_dim(3));
        let log_decay = writes.log_decay.as_ref().map(|t| split3(t).squeeze_dim(3));
        let strength = writes.strength.as_ref().map(split3);
        chunks.key = chunks.split(writes.key.clone());
        chunks.value = chunks.split(writes.value.clone());
        chunks.log_since_start = log_decay.clone().map(|t: Tensor<3>| t.cumsum(2));
        chunks.log_between = log_decay.map(|t| log_between(&t));
        chunks.strength = strength;
        chunks
    }

    fn split(&self, tensor: Tensor<4>) -> Tensor<4> {
        let [batch, heads, steps, width] = tensor.dims();
        let missing = self.count * self.size - steps;
        let tensor = if missing == 0 {
            tensor
        } else {
            let fill = Tensor::zeros([batch, heads, missing, width], (&tensor.device(), tensor.dtype()));
            Tensor::cat(vec![tensor, fill], 2)
        };
        tensor.reshape([batch * heads, self.count, self.size, width])
    }

    fn join(&self, tensor: Tensor<4>, steps: usize) -> Tensor<4> {
        let width = tensor.dims()[3];
        let tensor = tensor.reshape([self.batch, self.heads, self.count * self.size, width]);
        if steps == self.count * self.size { tensor } else { tensor.narrow(2, 0, steps) }
    }

    /// The same for queries of `group` heads to each key head: `[batch · key heads, chunks, group ·
    /// size, ·]`.
    fn split_groups(&self, query: Tensor<4>) -> Tensor<4> {
        let [batch, heads, _, m] = query.dims();
        let group = heads / self.heads;
        let split = self.split(query);
        if group == 1 {
            return split;
        }
        let split = split.reshape([batch * self.heads, group, self.count, self.size, m]).swap_dims(1, 2);
        split.reshape([batch * self.heads, self.count, group * self.size, m])
    }

    /// Back from there to `[batch, heads, steps, ·]`.
    fn join_groups(&self, tensor: Tensor<4>, steps: usize) -> Tensor<4> {
        let [of_keys, count, rows, width] = tensor.dims();
        let group = rows / self.size;
        if group == 1 {
            return self.join(tensor, steps);
        }
        let tensor = tensor.reshape([of_keys, count, group, self.size, width]).swap_dims(1, 2);
        let tensor = tensor.reshape([self.batch, self.heads * group, count * self.size, width]);
        tensor.narrow(2, 0, steps)
    }

    /// `e^{b_i − b_j}` for j ≤ i, else 0.
    fn between(&self) -> Tensor<4> {
        match &self.log_between {
            Some(log_between) => between(log_between.clone()),
            None => {
                let options = (&self.key.device(), self.key.dtype());
                Tensor::<2>::ones([self.size, self.size], options).tril(0).unsqueeze()
            }
        }
    }

    fn times_strength(&self, tensor: Tensor<4>) -> Tensor<4> {
        match &self.strength {
            Some(strength) => tensor * strength.clone(),
            None => tensor,
        }
    }

    /// Each row of a chunk (`group` times its steps) times the decay since the chunk's start.
    fn times_since_start(&self, tensor: Tensor<4>, group: usize) -> Tensor<4> {
        match &self.log_since_start {
            Some(b) => tensor * b.clone().exp().unsqueeze_dim::<4>(3).repeat_dim(2, group),
            None => tensor,
        }
    }

    fn times_to_end(&self, tensor: Tensor<4>) -> Tensor<4> {
        match &self.log_between {
            Some(log_between) => tensor * log_between.clone().narrow(2, self.size - 1, 1).exp().swap_dims(2, 3),
            None => tensor,
        }
    }

    /// Log decay of each whole chunk, `[bh, chunks]`.
    fn log_decay(&self) -> Option<Tensor<2>> {
        let last = |b: &Tensor<3>| b.clone().narrow(2, self.size - 1, 1).squeeze_dim(2);
        self.log_since_start.as_ref().map(last)
    }

    /// What the decay of each whole chunk leaves, `[bh, chunks, 1, 1]`.
    fn decay(&self) -> Option<Tensor<4>> {
        self.log_decay().map(|l| l.exp().unsqueeze_dim::<3>(2).unsqueeze_dim(3))
    }
}
