//! Stage 2, recovery: the whole model is trained towards the original's predictions, by low-rank adapters on the projections
//! of the swapped layers (LoRA, arXiv 2106.09685; LoLCATs, arXiv 2410.10254, section 3.2) or in all its weights.

use std::path::Path;

use anyhow::Result;
use astrocytic_attention::Attention;
use astrocytic_attention::ops::cross_entropy;
use astrocytic_models::Decoder;
use burn::module::{Lora, Module, ParamGroup, ParamId};
use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::{Device, Tensor};

use super::rows::Rows;
use super::stage::{self, StageConfig};
use super::transfer::new_parts_of;

/// Share of the data's own tokens in the loss; the rest is the original's prediction.
const DATA: f64 = 0.1;

/// The four projections of a layer.
fn projections(attention: &Attention) -> Vec<ParamId> {
    let linears = match attention {
        Attention::Astrocytic(layer) => [&layer.query, &layer.key, &layer.value, &layer.output],
        Attention::Softmax(layer) => [&layer.query, &layer.key, &layer.value, &layer.output],
        _ => return Vec::new(),
    };
    linears.iter().map(|linear| linear.weight.id).collect()
}

/// Trains `model` towards `original`; with a rank by adapters, which are merged in the end, else in all weights.
#[expect(clippy::too_many_arguments, reason = "one caller, and a struct would only rename them")]
pub(super) fn run(
    original: &Decoder,
    model: Decoder,
    layers: &[usize],
    rows: &Rows,
    rank: usize,
    batch: usize,
    config: &StageConfig,
    seed: u64,
    device: &Device,
    name: &str,
    folder: &Path,
) -> Result<Decoder> {
    if config.steps == 0 {
        return Ok(model);
    }
    let model = if rank > 0 {
        let adapted = layers.iter().flat_map(|&layer| projections(&model.blocks[layer].attention)).collect::<Vec<_>>();
        let new = new_parts_of(&model, layers);
        let lora = Lora::new(rank, 2.0 * rank as f64).set_param_group(ParamGroup::from_ids(adapted));
        model.train().apply_lora(lora).unfreeze_group(ParamGroup::from_ids(new))
    } else {
        model.train().unfreeze()
    };
    let loss = |model: &Decoder, step: u64| {
        let rows = rows.batch(&rows.of_step(step, batch, seed), device);
        let expected = original.forward(rows.inputs.clone());
        let found = model.forward(Tensor::from_inner(rows.inputs));
        let [batch, steps, vocabulary] = found.dims();
        let flat = |logits: Tensor<3>| logits.reshape([batch * steps, vocabulary]);
        let (expected, found) = (flat(expected), flat(found));
        let own = cross_entropy(found.clone(), &rows.targets);
        // The cross-entropy with the original's prediction less that prediction's own entropy: 0 at the original.
        let entropy = (softmax(expected.clone(), 1) * log_softmax(expected.clone(), 1)).sum();
        let cross = (Tensor::from_inner(softmax(expected, 1)) * log_softmax(found, 1)).sum();
        let divergence = (Tensor::from_inner(entropy) - cross).div_scalar((batch * steps) as f64);
        divergence.mul_scalar(1.0 - DATA) + own.mul_scalar(DATA)
    };
    let model = stage::run(model, name, config, folder, loss)?;
    Ok(model.valid().materialize())
}
