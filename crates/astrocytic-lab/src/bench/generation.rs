//! Time for each token after a text of some length.

use std::time::Instant;

use anyhow::Result;
use astrocytic_models::{Generator, Sampling};
use burn::tensor::Device;

use super::clock::median;
use super::row::GenerateRow;
use super::sizes::ModelSizes;
use crate::arms::{Sizes, arm};

/// Milliseconds for a token of an arm's model, batch 1, the likeliest token each time.
///
/// # Errors
/// For an arm or sizes that cannot be.
pub(super) fn measure(
    name: &str,
    model: ModelSizes,
    position: usize,
    tokens: usize,
    device: &Device,
) -> Result<GenerateRow> {
    let ModelSizes { layers, d_model, heads, vocabulary, .. } = model;
    let sizes = Sizes { vocabulary, d_model, layers, heads, dropout: 0.0, context: position, feed_forward: true };
    let config = arm(name)?.decoder(sizes)?;
    let model = config.init_seeded(0, device);
    let prompt: Vec<u32> = (0..position).map(|i| (i * 7919 % vocabulary) as u32).collect();
    let sampling = Sampling { temperature: 0.0, top_k: 0, top_p: 1.0, seed: 0 };
    let mut generator = Generator::recurrent(&model, &prompt, sampling);
    // The first token reads the prompt.
    generator.next();
    generator.next();
    let times = (0..tokens).map(|_| {
        let started = Instant::now();
        generator.next();
        started.elapsed().as_secs_f64() * 1e3
    });
    Ok(GenerateRow {
        op: "generate".into(),
        arm: name.into(),
        position,
        ms_per_token: median(times.collect()),
        state_bytes: Some(config.state_bytes(position)),
    })
}
