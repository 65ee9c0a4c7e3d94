//! Replay gives the gradients of backpropagation through time, and its memory does not grow with
//! them.

use std::sync::{Mutex, MutexGuard};

use astrocytic_attention::{AttentionConfig, SoftmaxAttentionConfig};
use astrocytic_models::{Encoder, EncoderConfig, SegmentsConfig};
use astrocytic_train::replay::{gradients, through_time};
use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Random numbers and memory belong to the process: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(|broken| broken.into_inner())
}

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
    let _alone = alone();
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
        assert!(expected.iter().all(|gradient| !gradient.is_empty()) && found.len() == expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found.len(), expected.len());
            let largest = expected.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= 1e-5 * largest + 1e-9));
        }
    }
}

#[test]
fn what_was_dropped_is_dropped_again() {
    let _alone = alone();
    let device = Device::flex().autodiff();
    let config = EncoderConfig::rmaat(11, 4, 16, 1, 24, 2, SegmentsConfig::new(4, 2, vec![0.5; 3]));
    let model = config.with_dropout(0.3).init_seeded(5, &device).unwrap();
    let tokens = Tensor::<2, Int>::from_data(TensorData::new((0..24).collect::<Vec<i32>>(), [2, 12]), &device) % 11;
    let padded = Tensor::<2, Bool>::zeros([2, 12], &device);
    let at = |seed| gradients(&model, tokens.clone(), padded.clone(), &[0, 3], seed);
    let (one, other) = (at(1), at(2));
    assert!(one.0 == at(1).0 && one.0 != other.0);
    assert_eq!(numbers(&model, &one.1), numbers(&model, &at(1).1));
    // A small step down the slope, dropping the same, lowers the loss by as much as the slope says:
    // were others dropped in the replay, the slope would be another's.
    let mut optimizer = burn::optim::SgdConfig::new().init();
    let square: f64 = numbers(&model, &one.1).iter().flatten().map(|x| x * x).sum();
    let rate = 1e-3 / square;
    let stepped = optimizer.step(rate, model.clone(), one.1);
    let fall = one.0 - gradients(&stepped, tokens, padded, &[0, 3], 1).0;
    assert!((fall / 1e-3 - 1.0).abs() < 0.05, "{fall}");
}

/// How far the peak of memory rises in a call, in kilobytes.
fn rise(call: impl FnOnce()) -> f32 {
    let before = MEMORY.current_usage_as_kb();
    MEMORY.reset_peak_usage();
    call();
    MEMORY.peak_usage_as_kb() - before
}

#[test]
fn memory_does_not_grow_with_the_segments_but_for_their_memories() {
    let _alone = alone();
    let device = Device::flex().autodiff();
    let of = |segments: usize| {
        let config = SegmentsConfig::new(32, 2, vec![0.5; segments]);
        // New, as after a step of training: autodiff treats parameters that were in a backward pass
        // otherwise.
        let model = EncoderConfig::rmaat(11, 2, 32, 2, 64, 2, config).init_seeded(5, &device).unwrap();
        let steps = 32 * segments;
        let tokens: Vec<i32> = (0..4 * steps as i32).map(|i| i % 11).collect();
        let tokens = Tensor::<2, Int>::from_data(TensorData::new(tokens, [4, steps]), &device);
        let padded = Tensor::<2, Bool>::zeros([4, steps], &device);
        let targets = [0, 1, 0, 1];
        let replayed = rise(|| drop(gradients(&model, tokens.clone(), padded.clone(), &targets, 0)));
        (replayed, rise(|| drop(through_time(&model, tokens.clone(), padded.clone(), &targets))))
    };
    // What is made once, at the first call, does not count.
    of(2);
    let (few, many) = (of(2), of(16));
    assert!(many.1 > 4.0 * few.1, "backpropagation through time: {} and {} kB", few.1, many.1);
    assert!(many.0 < 2.0 * few.0 && many.0 < many.1 / 4.0, "replay: {} and {} kB", few.0, many.0);
}
