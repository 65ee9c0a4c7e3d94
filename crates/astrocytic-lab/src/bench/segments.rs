//! Gradients of a model that reads segments: time and memory by their number, by replay and by
//! backpropagation through time.

use anyhow::Result;
use astrocytic_dynamics::retention::LongTermPlasticity;
use astrocytic_models::{EncoderConfig, SegmentsConfig};
use astrocytic_train::replay;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use super::clock::{median, time};
use super::row::SegmentsRow;
use crate::process_memory;

/// Tokens of a segment, and memory tokens.
const LENGTH: usize = 128;
const MEMORY_TOKENS: usize = 16;
const BATCH: usize = 8;
const VOCABULARY: usize = 256;

/// Median milliseconds and peak memory of one call for a small RMAAT.
///
/// # Errors
/// For no segment.
pub(super) fn measure(segments: usize, replayed: bool, seconds: f64, device: &Device) -> Result<SegmentsRow> {
    let retention = LongTermPlasticity::default().retention_factors(segments)?;
    let config = SegmentsConfig::new(LENGTH, MEMORY_TOKENS, retention);
    let config = EncoderConfig::rmaat(VOCABULARY, 2, 64, 2, 176, 2, config);
    let device = device.clone().autodiff();
    let model = config.init_seeded(0, &device)?;
    let steps = segments * LENGTH;
    let tokens: Vec<i32> = (0..BATCH * steps).map(|i| (i * 7919 % VOCABULARY) as i32).collect();
    let tokens = Tensor::<2, Int>::from_data(TensorData::new(tokens, [BATCH, steps]), &device);
    let padded = Tensor::<2, Bool>::zeros([BATCH, steps], &device);
    let targets = [0, 1].repeat(BATCH / 2);
    let call = || match replayed {
        true => replay::gradients(&model, tokens.clone(), padded.clone(), &targets, 0),
        false => replay::through_time(&model, tokens.clone(), padded.clone(), &targets),
    };
    let mark = process_memory::mark();
    drop(call());
    let peak_mb = process_memory::rise(mark);
    Ok(SegmentsRow {
        op: "segments".into(),
        by: if replayed { "replay" } else { "through_time" }.into(),
        segments,
        tokens: BATCH * steps,
        ms_median: median(time(seconds, || drop(call()))),
        peak_mb,
    })
}
