//! Several writes between two reads: each query then reads after its share of the writes.

use burn::tensor::Tensor;

/// How many writes there are to each query.
pub(super) fn writes_per_read(queries: usize, writes: usize) -> usize {
    assert!(queries > 0 && writes.is_multiple_of(queries), "memory: {queries} causal queries for {writes} keys");
    writes / queries
}

/// A query for each write, of the queries `[·, ·, queries, m]`: `[·, ·, queries · times, m]`.
pub(super) fn at_each_write(query: Tensor<4>, times: usize) -> Tensor<4> {
    let [a, b, queries, m] = query.dims();
    match times {
        1 => query,
        _ => query.unsqueeze_dim::<5>(3).expand([a, b, queries, times, m]).reshape([a, b, queries * times, m]),
    }
}

/// The rows that were read after the last of each query's writes: `[·, ·, queries · times, d]` to
/// `[·, ·, queries, d]`.
pub(crate) fn after_last_writes(reads: Tensor<4>, times: usize) -> Tensor<4> {
    let [a, b, all, d] = reads.dims();
    match times {
        1 => reads,
        _ => reads.reshape([a, b, all / times, times * d]).narrow(3, (times - 1) * d, d),
    }
}
