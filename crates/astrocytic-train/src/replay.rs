//! Gradients of a model that reads segments, with the graph of one segment in memory at a time:
//! astrocytic memory replay backpropagation (RMAAT, arXiv 2601.00426, section 3).
//!
//! The forward pass saves only the memory between segments. The backward pass reads each segment
//! again from the memory before it. The gradients equal those of backpropagation through time and
//! cost one more forward pass.

use astrocytic_attention::ops::cross_entropy;
use astrocytic_models::{Encoder, Segment};
use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Bool, Int, Tensor};

use crate::seed::derive_seed;

/// Mean −ln p of the targets and its gradients; dropout is drawn from the seed. For a model that
/// reads the whole text at once this is plain backpropagation.
///
/// # Shapes
/// - tokens, padded: as [`Encoder::forward`]; targets: one for each row
///
/// # Panics
/// For more segments than there are retention factors, and for rows without a token.
pub fn gradients(
    model: &Encoder,
    tokens: Tensor<2, Int>,
    padded: Tensor<2, Bool>,
    targets: &[i32],
    seed: u64,
) -> (f64, GradientsParams) {
    let device = model.device();
    let Some(initial) = model.initial_memory(tokens.dims()[0]) else {
        device.seed(seed);
        return through_time(model, tokens, padded, targets);
    };
    let segments = model.cut(tokens, padded);
    // What is dropped from a segment is dropped again when it is replayed.
    let read = |model: &Encoder, memory: Tensor<3>, segment: &Segment| {
        device.seed(derive_seed(seed, "segment", segment.index as u64));
        model.read(memory, segment)
    };
    let last = segments.len() - 1;
    // Autodiff keeps the graph between parameters and tensors that nobody holds any more as long as
    // the parameters live: hence an untracked copy. What is untracked leaves entries too, which the
    // next backward pass of any tensor frees: hence a small one after each segment.
    let untracked = model.clone().no_grad();
    let mut memories = vec![initial.clone().detach()];
    for segment in &segments[..last] {
        memories.push(read(&untracked, memories[segment.index].clone(), segment));
        Tensor::<1>::zeros([1], &device).require_grad().backward();
    }

    let mut sum = GradientsAccumulator::new();
    let (mut value, mut slope) = (0.0, None);
    for (segment, memory) in segments.iter().zip(memories).rev() {
        let memory = if segment.index == 0 { initial.clone() } else { memory.require_grad() };
        let after = read(model, memory.clone(), segment);
        let scalar = if segment.index == last {
            let loss = cross_entropy(model.classify(after), targets);
            value = f64::from(loss.clone().into_scalar::<f32>());
            loss
        } else {
            // The memory after the segment is to change that way.
            (after * Tensor::<3>::from_inner(slope.take().expect("the next segment read it"))).sum()
        };
        let gradients = scalar.backward();
        slope = memory.grad(&gradients);
        sum.accumulate(model, GradientsParams::from_grads(gradients, model));
    }
    (value, sum.grads())
}

/// The same by backpropagation through time: the graph of all segments is in memory at once. Shapes
/// and panics as those of [`gradients`].
pub fn through_time(
    model: &Encoder,
    tokens: Tensor<2, Int>,
    padded: Tensor<2, Bool>,
    targets: &[i32],
) -> (f64, GradientsParams) {
    let loss = cross_entropy(model.forward(tokens, padded), targets);
    let value = f64::from(loss.clone().into_scalar::<f32>());
    (value, GradientsParams::from_grads(loss.backward(), model))
}
