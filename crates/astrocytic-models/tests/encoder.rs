//! The encoder learns with any attention, and padding changes nothing.

use astrocytic_attention::{AstrocyticAttentionConfig, AttentionConfig, SoftmaxAttentionConfig};
use astrocytic_dynamics::retention::LongTermPlasticity;
use astrocytic_models::{Encoder, EncoderConfig, SegmentsConfig};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Burn's random numbers belong to the process: one test draws at a time, from a seed of its own.
static RANDOM: std::sync::Mutex<()> = std::sync::Mutex::new(());

const BATCH: usize = 32;
const STEPS: usize = 12;

fn attentions() -> Vec<(&'static str, AttentionConfig)> {
    vec![
        ("softmax", AttentionConfig::Softmax(SoftmaxAttentionConfig::new(16, 2))),
        ("kozachkov2023", AttentionConfig::Astrocytic(AstrocyticAttentionConfig::kozachkov2023(16, 2))),
        ("linear", AttentionConfig::Astrocytic(AstrocyticAttentionConfig::linear(16, 2))),
        ("astromorphic", AttentionConfig::Astrocytic(AstrocyticAttentionConfig::astromorphic(16, 2, STEPS))),
    ]
}

/// Each attention over whole sequences; two of them over segments of a third (the recurrent memory
/// transformer, RMAAT).
fn models() -> Vec<(String, EncoderConfig)> {
    let retention = LongTermPlasticity::default().retention_factors(3).unwrap();
    let segments = SegmentsConfig::new(STEPS / 3, 2, retention);
    let of =
        |(name, attention): (&str, AttentionConfig)| (name.to_string(), EncoderConfig::new(6, 2, 16, 2, 32, attention));
    let mut models: Vec<_> = attentions().into_iter().map(of).collect();
    for place in [0, 3] {
        let (name, whole) = models[place].clone();
        models.push((format!("{name}, segments"), whole.with_segments(Some(segments.clone()))));
    }
    models
}

/// Two marks among noise: the class is whether they are the same mark. No step alone shows it.
fn batch(random: &mut ChaCha8Rng, device: &Device) -> (Tensor<2, Int>, Tensor<2, Bool>, Vec<i64>) {
    let (mut tokens, mut padded, mut classes) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..BATCH {
        let length = random.random_range(4..=STEPS);
        let mut row: Vec<i64> = (0..STEPS).map(|_| random.random_range(2..6)).collect();
        let marks = [random.random_range(0..2), random.random_range(0..2)];
        let first = random.random_range(0..length);
        let second = (first + random.random_range(1..length)) % length;
        (row[first], row[second]) = (marks[0], marks[1]);
        classes.push(i64::from(marks[0] == marks[1]));
        tokens.extend(row);
        padded.extend((0..STEPS).map(|t| t >= length));
    }
    let tokens = Tensor::from_data(TensorData::new(tokens, [BATCH, STEPS]), device);
    (tokens, Tensor::from_data(TensorData::new(padded, [BATCH, STEPS]), device), classes)
}

fn accuracy(model: &Encoder, random: &mut ChaCha8Rng, device: &Device) -> f64 {
    let mut right = 0;
    for _ in 0..10 {
        let (tokens, padded, classes) = batch(random, device);
        let found = model.forward(tokens, padded).argmax(1).into_data();
        right += found.iter::<i64>().zip(classes).filter(|(found, class)| found == class).count();
    }
    right as f64 / (10 * BATCH) as f64
}

#[test]
fn it_learns_with_any_attention() {
    let _alone = RANDOM.lock().unwrap_or_else(|broken| broken.into_inner());
    let device = Device::flex().autodiff();
    for (name, config) in models() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut model = config.init_seeded(3, &device).unwrap();
        let mut optimizer = AdamConfig::new().init();
        // What two segments say is told apart later.
        let (steps, rate) = if config.segments.is_some() { (2_000, 2e-3) } else { (250, 5e-3) };
        for _ in 0..steps {
            let (tokens, padded, classes) = batch(&mut random, &device);
            let log_p = log_softmax(model.forward(tokens, padded), 1);
            let classes = Tensor::<2, Int>::from_data(TensorData::new(classes, [BATCH, 1]), &device);
            let loss = log_p.gather(1, classes).mean().neg();
            let gradients = GradientsParams::from_grads(loss.backward(), &model);
            model = optimizer.step(rate, model, gradients);
        }
        let found = accuracy(&model, &mut random, &device);
        assert!(found > 0.9, "{name}: {found}");
    }
}

#[test]
fn padding_changes_nothing() {
    let _alone = RANDOM.lock().unwrap_or_else(|broken| broken.into_inner());
    let device = Device::flex();
    for (name, config) in models() {
        let model = config.init(&device).unwrap();
        let tokens = Tensor::<2, Int>::from_data([[0, 3, 1, 4, 5, 5], [2, 2, 0, 1, 1, 3]], &device);
        let rest = Tensor::<2, Bool>::from_data([[false, false, false, false, true, true]; 2], &device);
        let padded = model.forward(tokens.clone(), rest).into_data();
        let short = tokens.narrow(1, 0, 4);
        let none = Tensor::<2, Bool>::from_data([[false; 4]; 2], &device);
        let short = model.forward(short, none).into_data();
        for (a, b) in padded.iter::<f32>().zip(short.iter::<f32>()) {
            assert!((a - b).abs() < 1e-5, "{name}: {a} for {b}");
        }
    }
}

#[test]
fn sizes_that_do_not_fit_are_refused() {
    let attention = AttentionConfig::Softmax(SoftmaxAttentionConfig::new(16, 2));
    let error = EncoderConfig::new(6, 2, 32, 2, 32, attention).init(&Device::flex()).unwrap_err();
    assert!(error.to_string().contains("d_model"), "{error}");
}

#[test]
fn a_memory_is_multiplied_by_its_factor_and_kept_where_a_row_ended() {
    let _alone = RANDOM.lock().unwrap_or_else(|broken| broken.into_inner());
    let device = Device::flex();
    let config = SegmentsConfig::new(4, 3, vec![0.25, 0.5, 0.125]);
    let model = EncoderConfig::rmaat(6, 2, 16, 2, 32, 2, config).init_seeded(1, &device).unwrap();
    let tokens = Tensor::<2, Int>::from_data([[0, 3, 1, 4, 5, 5, 1, 2, 2, 1], [2, 2, 0, 1, 1, 3, 0, 0, 0, 0]], &device);
    let padded = |rest| [[false; 10], std::array::from_fn(|t| t >= rest)];
    let cut = model.cut(tokens.clone(), Tensor::from_data(padded(6), &device));
    assert_eq!(cut.iter().map(|segment| segment.tokens.dims()).collect::<Vec<_>>(), [[2, 4], [2, 4], [2, 2]]);
    // RMAAT's recurrence: what stands before a segment is the last memory times the factor of the
    // segment before.
    let numbers = |memory: Tensor<3>| memory.into_data().iter::<f32>().collect::<Vec<_>>();
    let mut memories = vec![model.initial_memory(2).unwrap()];
    for segment in &cut {
        let before = memories.last().unwrap().clone();
        let factor = [1.0, 0.25, 0.5][segment.index];
        let first = astrocytic_models::Segment { index: 0, ..segment.clone() };
        let after = model.read(before.clone(), segment);
        let ended = segment.index == 2;
        assert_eq!(
            numbers(after.clone().narrow(0, 0, 1)),
            numbers(model.read(before.clone() * factor, &first).narrow(0, 0, 1))
        );
        assert_eq!(numbers(after.clone().narrow(0, 1, 1)) == numbers(before.narrow(0, 1, 1)), ended);
        memories.push(after);
    }
    let logits = |model: &Encoder, tokens, padded: [[bool; 10]; 2]| {
        model.forward(tokens, Tensor::from_data(padded, &device)).into_data().iter::<f32>().collect::<Vec<_>>()
    };
    let found: Vec<f32> = model.classify(memories.pop().unwrap()).into_data().iter::<f32>().collect();
    assert_eq!(found, logits(&model, tokens.clone(), padded(6)));
    // A memory that is forgotten is none: only the last segment counts.
    let forgetful = SegmentsConfig::new(4, 3, vec![0.0; 3]);
    let forgetful = EncoderConfig::rmaat(6, 2, 16, 2, 32, 2, forgetful).init_seeded(1, &device).unwrap();
    let other = tokens.clone().slice_fill([0..1, 0..8], 4);
    assert_eq!(logits(&forgetful, tokens.clone(), padded(6)), logits(&forgetful, other.clone(), padded(6)));
    assert_ne!(logits(&model, tokens, padded(6)), logits(&model, other, padded(6)));
}

#[test]
fn segments_that_cannot_be_are_refused() {
    let of = |segments: SegmentsConfig, causal| {
        let attention = SoftmaxAttentionConfig::new(16, 2).with_causal(causal);
        let config = EncoderConfig::new(6, 2, 16, 2, 32, AttentionConfig::Softmax(attention));
        config.with_segments(Some(segments)).validate().map_err(|error| error.to_string())
    };
    assert_eq!(of(SegmentsConfig::new(4, 2, vec![0.5]), false), Ok(()));
    for (segments, causal, word) in [
        (SegmentsConfig::new(0, 2, vec![0.5]), false, "length"),
        (SegmentsConfig::new(4, 0, vec![0.5]), false, "memory_tokens"),
        (SegmentsConfig::new(4, 2, vec![]), false, "retention"),
        (SegmentsConfig::new(4, 2, vec![f64::NAN]), false, "retention"),
        (SegmentsConfig::new(4, 2, vec![0.5]), true, "causal = false"),
    ] {
        assert!(of(segments, causal).unwrap_err().contains(word), "{word}");
    }
    let near = AttentionConfig::Astrocytic(AstrocyticAttentionConfig::astromorphic(16, 2, 5));
    let segments = Some(SegmentsConfig::new(4, 2, vec![0.5]));
    let near = EncoderConfig::new(6, 2, 16, 2, 32, near).with_segments(segments).validate().unwrap_err();
    assert!(near.to_string().contains("5 steps"), "{near}");
    let tied = EncoderConfig::new(6, 2, 16, 2, 32, AttentionConfig::Off).with_tied(true).validate().unwrap_err();
    assert!(tied.to_string().contains("the 2 classes must be the 6 tokens"), "{tied}");
}

#[test]
#[should_panic(expected = "retention factors for 2")]
fn the_number_of_segments_must_be_known() {
    let config = SegmentsConfig::new(4, 2, vec![0.5; 2]);
    let model = EncoderConfig::rmaat(6, 2, 16, 1, 32, 2, config).init(&Device::flex()).unwrap();
    let tokens = Tensor::<2, Int>::ones([1, 9], &Device::flex());
    model.forward(tokens, Tensor::<2, Bool>::zeros([1, 9], &Device::flex()));
}
