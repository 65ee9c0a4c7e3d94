//! Sizes of a call, and how its work is cut into tasks.

use super::super::spec::{Form, LARGEST_CHUNK, MemorySpec};
use super::views::Views;
use crate::kernel::LITTLE;
use crate::kernel::product::BLOCK;
use crate::kernel::real::Real;

/// Sizes of a call.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    pub batch: usize,
    /// Key heads.
    pub heads: usize,
    /// Query heads that share a key head.
    pub shared: usize,
    pub steps: usize,
    pub reads: usize,
    pub m: usize,
    pub d: usize,
    /// Steps in a chunk.
    pub chunk: usize,
    pub chunks: usize,
    /// Key heads in a task.
    pub group: usize,
    /// Chunk, m and d in whole registers, whatever the machine's are.
    pub c_pad: usize,
    pub m_pad: usize,
    pub d_pad: usize,
}

impl Sizes {
    pub fn new<T: Real>(spec: &MemorySpec, inputs: &Views<T>) -> Self {
        let [batch, steps, heads, m] = inputs.key.shape();
        let [_, reads, query_heads, _] = inputs.query.shape();
        let d = inputs.value.shape()[3];
        let chunk = match spec.form {
            Form::Chunkwise(chunk) => chunk.min(LARGEST_CHUNK),
            Form::Recurrent | Form::Parallel => LARGEST_CHUNK,
        };
        let chunk = chunk.min(steps);
        let pad = |n: usize| n.next_multiple_of(BLOCK);
        Self {
            batch,
            heads,
            shared: query_heads / heads,
            steps,
            reads,
            m,
            d,
            chunk,
            chunks: steps.div_ceil(chunk),
            group: group(batch, heads, steps.max(reads) * query_heads * m * d),
            c_pad: pad(chunk),
            m_pad: pad(m),
            d_pad: pad(d),
        }
    }

    /// The row of a task, and the first of its key heads.
    pub fn place(&self, task: usize) -> [usize; 2] {
        let head = task * self.group;
        [head / self.heads, head % self.heads]
    }

    /// Numbers in a state as kernels keep it: memory in rows of whole registers, then calcium.
    pub fn state(&self) -> usize {
        self.m * self.d_pad + self.m_pad
    }

    /// Numbers in all states of a head: before each chunk and after the last.
    pub fn states(&self) -> usize {
        (self.chunks + 1) * self.state()
    }

    /// Numbers in a chunk of keys or of queries of one head.
    pub fn wide(&self) -> usize {
        self.c_pad * self.m_pad
    }

    /// Numbers in a chunk of values or of reads of one head.
    pub fn tall(&self) -> usize {
        self.c_pad * self.d_pad
    }

    /// A state's memory and its calcium.
    #[inline(always)]
    pub fn parts<'a, T>(&self, state: &'a [T]) -> (&'a [T], &'a [T]) {
        state[..self.state()].split_at(self.m * self.d_pad)
    }

    /// A state's memory and its calcium, to write to.
    #[inline(always)]
    pub fn parts_mut<'a, T>(&self, state: &'a mut [T]) -> (&'a mut [T], &'a mut [T]) {
        state[..self.state()].split_at_mut(self.m * self.d_pad)
    }

    /// The steps of chunk `c` of `all` steps: the first, and how many.
    #[inline(always)]
    pub fn span(&self, c: usize, all: usize) -> [usize; 2] {
        let start = c * self.chunk;
        [start, self.chunk.min(all - start)]
    }
}

/// The most heads, a divisor of all, that still leave two tasks for each thread; all where rows divide evenly among
/// threads or are little work. No result depends on it.
fn group(batch: usize, heads: usize, work: usize) -> usize {
    let threads = rayon::current_num_threads();
    let whole_rows = work < LITTLE || batch.is_multiple_of(threads);
    let wanted = if whole_rows { 1 } else { (2 * threads).div_ceil(batch) };
    let groups = (1..=heads).find(|&groups| groups >= wanted && heads.is_multiple_of(groups)).unwrap_or(heads);
    heads / groups
}
