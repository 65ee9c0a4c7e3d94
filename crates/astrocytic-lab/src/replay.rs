//! Gradients of a model that reads segments, with the graph of one segment in memory at a time: astrocytic memory replay
//! backpropagation (RMAAT, arXiv 2601.00426, section 3). Forward, only the memory between segments is kept; backward, each
//! segment is read again from the memory before it. The gradients are those of backpropagation through time, for one more
//! forward pass.

use astrocytic_attention::ops::cross_entropy;
use astrocytic_models::{Encoder, Segment};
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Bool, Int, Tensor};

use crate::train::derive_seed;

/// Mean −ln p of the targets and its gradients. A model that reads the whole has but one segment.
pub(crate) fn gradients(
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
    let read = |memory: Tensor<3>, segment: &Segment| {
        device.seed(derive_seed(seed, "segment", segment.index as u64));
        model.read(memory, segment)
    };
    let mut before = vec![initial];
    for segment in &segments[..segments.len() - 1] {
        let memory = read(before[segment.index].clone(), segment).detach();
        before.push(memory.require_grad());
    }

    let mut sum = GradientsAccumulator::new();
    let (mut value, mut wanted) = (0.0, None);
    for (segment, memory) in segments.iter().zip(before).rev() {
        let after = read(memory.clone(), segment);
        let scalar = match wanted.take() {
            None => {
                let loss = cross_entropy(model.classify(after), targets);
                value = f64::from(loss.clone().into_scalar::<f32>());
                loss
            }
            // The memory after the segment is to change that way.
            Some(slope) => (after * Tensor::<3>::from_inner(slope)).sum(),
        };
        let gradients = scalar.backward();
        wanted = memory.grad(&gradients);
        sum.accumulate(model, GradientsParams::from_grads(gradients, model));
    }
    (value, sum.grads())
}

/// The same by backpropagation through time: the graph of all segments is in memory at once.
pub(crate) fn through_time(
    model: &Encoder,
    tokens: Tensor<2, Int>,
    padded: Tensor<2, Bool>,
    targets: &[i32],
) -> (f64, GradientsParams) {
    let loss = cross_entropy(model.forward(tokens, padded), targets);
    let value = f64::from(loss.clone().into_scalar::<f32>());
    (value, GradientsParams::from_grads(loss.backward(), model))
}

#[cfg(test)]
mod tests {
    use super::*;
    use astrocytic_attention::{AttentionConfig, SoftmaxAttentionConfig};
    use astrocytic_models::{EncoderConfig, SegmentsConfig};
    use burn::module::{Module, ModuleVisitor, Param};
    use burn::tensor::{Device, TensorData};

    /// Numbers of all gradients, parameter by parameter.
    fn numbers(model: &Encoder, gradients: &GradientsParams) -> Vec<Vec<f64>> {
        struct Collect<'a>(&'a GradientsParams, Vec<Vec<f64>>);
        impl ModuleVisitor for Collect<'_> {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                let gradient = self.0.get::<D>(param.id).map(|g| g.into_data().iter::<f64>().collect());
                self.1.push(gradient.unwrap_or_default());
            }
        }
        let mut found = Collect(gradients, vec![]);
        model.visit(&mut found);
        found.1
    }

    #[test]
    fn replay_gives_the_gradients_of_backpropagation_through_time() {
        let device = Device::flex().autodiff();
        let tokens: Vec<i32> = (0..3 * 22).map(|i| i * i * 7 % 11).collect();
        let ends = [21, 13, 6];
        let padded: Vec<bool> = (0..3 * 22).map(|at| at % 22 > ends[at / 22]).collect();
        let tokens = Tensor::<2, Int>::from_data(TensorData::new(tokens, [3, 22]), &device);
        let padded = Tensor::<2, Bool>::from_data(TensorData::new(padded, [3, 22]), &device);
        let segments = SegmentsConfig::new(6, 3, vec![0.4, 0.3, 0.2, 0.1]);
        let rmaat = EncoderConfig::rmaat(11, 4, 16, 2, 24, 2, segments.clone());
        let softmax = AttentionConfig::Softmax(SoftmaxAttentionConfig::new(16, 2));
        let softmax = EncoderConfig::new(11, 4, 16, 2, 24, softmax);
        for config in [rmaat, softmax.clone().with_segments(Some(segments)), softmax] {
            let model = config.init_seeded(5, &device).unwrap();
            let (value, found) = gradients(&model, tokens.clone(), padded.clone(), &[0, 3, 2], 1);
            let (loss, expected) = through_time(&model, tokens.clone(), padded.clone(), &[0, 3, 2]);
            assert!((value - loss).abs() < 1e-6);
            let expected = numbers(&model, &expected);
            let found = numbers(&model, &found);
            assert!(expected.iter().all(|gradient| !gradient.is_empty()));
            for (found, expected) in found.iter().zip(&expected) {
                let largest = expected.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
                assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= 1e-5 * largest + 1e-9));
            }
        }
    }

    #[test]
    fn what_was_dropped_is_dropped_again() {
        let device = Device::flex().autodiff();
        let config = EncoderConfig::rmaat(11, 4, 16, 1, 24, 2, SegmentsConfig::new(4, 2, vec![0.5; 3]));
        let model = config.with_dropout(0.3).init_seeded(5, &device).unwrap();
        let tokens = Tensor::<2, Int>::from_data(TensorData::new((0..24).collect::<Vec<i32>>(), [2, 12]), &device) % 11;
        let padded = Tensor::<2, Bool>::zeros([2, 12], &device);
        let at = |seed| gradients(&model, tokens.clone(), padded.clone(), &[0, 3], seed);
        let (one, other) = (at(1), at(2));
        assert!(one.0 == at(1).0 && one.0 != other.0);
        assert_eq!(numbers(&model, &one.1), numbers(&model, &at(1).1));
        // A small step down the slope, dropping the same, lowers the loss by as much as the slope says: were others dropped
        // in the replay, the slope would be another's.
        let mut optimizer = burn::optim::SgdConfig::new().init();
        let square: f64 = numbers(&model, &one.1).iter().flatten().map(|x| x * x).sum();
        let rate = 1e-3 / square;
        let stepped = optimizer.step(rate, model.clone(), one.1);
        let fall = one.0 - gradients(&stepped, tokens, padded, &[0, 3], 1).0;
        assert!((fall / 1e-3 - 1.0).abs() < 0.05, "{fall}");
    }
}
