//! Chunks: quadratic inside, a state between (attention.md section 3). Linear in T.
//!
//! Every product that needs no state is done for all chunks at once; the loop over chunks carries the state alone.

use burn::tensor::Tensor;

use super::between::{between, log_between};
use super::spec::Plasticity;
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

    let mut state = state;
    let mut before = Vec::with_capacity(chunks.count);
    let novel = match plasticity {
        Plasticity::Hebbian => {
            let novel = chunks.times_strength(chunks.value.clone());
            let written = key_to_end.matmul(novel.clone());
            for c in 0..chunks.count {
                before.push(state.clone());
                state = chunks.decay_chunk(state, c) + written.clone().narrow(1, c, 1);
            }
            novel
        }
        Plasticity::Delta => {
            let overlap = chunks.times_strength(chunks.key.clone()).matmul(chunks.key.clone().transpose());
            let solve = unit_lower_inverse((overlap * between).tril(-1));
            let from_start = chunks.times_since_start(chunks.key.clone(), 1);
            let both = Tensor::cat(vec![from_start, chunks.value.clone()], 3);
            let both = solve.matmul(chunks.times_strength(both));
            let recall = both.clone().narrow(3, 0, m);
            let fresh = both.narrow(3, m, d_v);
            let mut novel = Vec::with_capacity(chunks.count);
            for c in 0..chunks.count {
                let chunk_novel = fresh.clone().narrow(1, c, 1) - recall.clone().narrow(1, c, 1).matmul(state.clone());
                before.push(state.clone());
                state = chunks.decay_chunk(state, c) + key_to_end.clone().narrow(1, c, 1).matmul(chunk_novel.clone());
                novel.push(chunk_novel);
            }
            Tensor::cat(novel, 1)
        }
    };
    let reads = scores.matmul(novel) + query.matmul(Tensor::cat(before, 1));
    let reads = chunks.join_groups(reads, steps);
    (reads, state.reshape([batch, heads, m, d_v]))
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
    let mut state = calcium.reshape([batch * heads, 1, 1, m]);
    let mut trace = Vec::with_capacity(n);
    for c in 0..n {
        let chunk = within.clone().narrow(1, c, 1) + ones.clone().narrow(1, c, 1) * state;
        state = chunk.clone().narrow(2, size - 1, 1);
        trace.push(chunk);
    }
    (chunks.join(Tensor::cat(trace, 1), steps), state.reshape([batch, heads, m]))
}

/// A sequence cut into chunks, `[batch · heads, chunks, size, ·]`; the last is filled up with steps that write nothing.
struct Chunks {
    batch: usize,
    heads: usize,
    count: usize,
    size: usize,
    key: Tensor<4>,
    value: Tensor<4>,
    /// b, log decay from the chunk's start to each step, that step's own included: `[bh, chunks, size]`.
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

    /// The same for queries of `group` heads to each key head: `[batch · key heads, chunks, group · size, ·]`.
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

    /// Each row of a chunk, `group` times its steps, with what is left at it of what was before the chunk.
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

    /// The state `[bh, 1, m, d]` after the decay of the whole of chunk c.
    fn decay_chunk(&self, state: Tensor<4>, c: usize) -> Tensor<4> {
        match &self.log_since_start {
            Some(b) => {
                let whole = b.clone().narrow(1, c, 1).narrow(2, self.size - 1, 1).exp();
                state * whole.unsqueeze_dim(3)
            }
            None => state,
        }
    }
}
