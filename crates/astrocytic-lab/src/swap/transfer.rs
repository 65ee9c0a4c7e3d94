//! Stage 1, attention transfer: feature maps and gates are trained so that each swapped layer does what the original's layer
//! does with the same input (Hedgehog, arXiv 2402.04347, section 4.2; LoLCATs, arXiv 2410.10254, section 3.1).

use std::path::Path;

use anyhow::Result;
use astrocytic_attention::{Attention, AttentionInput};
use astrocytic_models::Decoder;
use burn::module::{Module, ParamGroup, ParamId};
use burn::tensor::{Device, Int, Tensor};
use serde::{Deserialize, Serialize};

use super::rows::Rows;
use super::stage::{self, StageConfig};

/// What a layer is to match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Match {
    /// The output of the layer: squared error, relative to its variance.
    Output,
    /// The attention weights: cross-entropy, as Hedgehog has it.
    Weights,
}

/// What goes into and comes out of the attention of each block of the original.
pub(super) fn attention_of_original(original: &Decoder, tokens: Tensor<2, Int>) -> Vec<[Tensor<3>; 2]> {
    let mut seen = Vec::new();
    original.blocks.iter().fold(original.embed(tokens, 0), |x, block| {
        block.forward_with(x, |x| {
            let context = block.attention.forward(AttentionInput::self_attn(x.clone())).context;
            seen.push([x, context.clone()]);
            context
        })
    });
    seen
}

/// All of a swapped layer that is not one of the four projections.
fn new_parts(attention: &Attention) -> Vec<ParamId> {
    let Attention::Astrocytic(layer) = attention else { return Vec::new() };
    let projections = [&layer.query, &layer.key, &layer.value, &layer.output];
    let kept: Vec<ParamId> = projections.iter().flat_map(|linear| stage::parameters(*linear)).collect();
    let all = stage::parameters(attention).into_iter();
    // Random feature maps are never trained: they are no parameters with a gradient, and stay frozen.
    all.filter(|id| !kept.contains(id)).collect()
}

/// The new parts of all swapped layers.
pub(super) fn new_parts_of(model: &Decoder, layers: &[usize]) -> Vec<ParamId> {
    layers.iter().flat_map(|&layer| new_parts(&model.blocks[layer].attention)).collect()
}

/// Trains the swapped layers' feature maps and gates.
#[expect(clippy::too_many_arguments, reason = "one caller, and a struct would only rename them")]
pub(super) fn run(
    original: &Decoder,
    model: Decoder,
    layers: &[usize],
    rows: &Rows,
    matched: Match,
    batch: usize,
    config: &StageConfig,
    seed: u64,
    device: &Device,
    folder: &Path,
) -> Result<Decoder> {
    let new = new_parts_of(&model, layers);
    if config.steps == 0 || new.is_empty() {
        return Ok(model);
    }
    let model = model.train().freeze().unfreeze_group(ParamGroup::from_ids(new));
    let loss = |model: &Decoder, step: u64| {
        let inputs = rows.batch(&rows.of_step(step, batch, seed), device).inputs;
        let seen = attention_of_original(original, inputs);
        let losses = layers.iter().map(|&layer| {
            let [x, context] = seen[layer].clone();
            let input = AttentionInput::self_attn(Tensor::from_inner(x.clone()));
            let attention = &model.blocks[layer].attention;
            match matched {
                Match::Output => {
                    let found = attention.forward(input).context;
                    let size = context.clone().square().mean().clamp_min(1e-12);
                    let error = (found - Tensor::from_inner(context)).square().mean();
                    error / Tensor::from_inner(size)
                }
                Match::Weights => {
                    let asked = AttentionInput::self_attn(x).with_weights();
                    let expected = original.blocks[layer].attention.forward(asked).weights.expect("asked for");
                    let found = attention.forward(input.with_weights()).weights.expect("asked for");
                    let [batch, heads, steps, _] = expected.dims();
                    let sum = (Tensor::from_inner(expected) * found.clamp_min(1e-9).log()).sum();
                    sum.neg().div_scalar((batch * heads * steps) as f64)
                }
            }
        });
        losses.reduce(|a, b| a + b).expect("at least one layer").div_scalar(layers.len() as f64)
    };
    let model = stage::run(model, "transfer", config, folder, loss)?;
    Ok(model.valid())
}
