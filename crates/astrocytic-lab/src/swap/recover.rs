//! Stage 2, recovery: the whole model is trained towards the original's predictions, by low-rank adapters on the projections
//! of the swapped layers (LoRA, arXiv 2106.09685; LoLCATs, arXiv 2410.10254, section 3.2) or in all its weights.

use std::path::Path;

use anyhow::Result;
use astrocytic_attention::Attention;
use astrocytic_attention::ops::cross_entropy;
use astrocytic_models::{Decoder, TextEncoder, mean};
use burn::module::{Lora, ParamGroup, ParamId};
use burn::tensor::Tensor;
use burn::tensor::activation::{log_softmax, softmax};

use super::model::{Inputs, Swappable};
use super::rows::RowBatch;
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

/// Trains `model` by `loss`, which is given the model and the step; with a rank by adapters, which are merged in the end,
/// else in all weights.
pub(super) fn run<M: Swappable>(
    model: M,
    layers: &[usize],
    rank: usize,
    config: &StageConfig,
    folder: &Path,
    loss: impl FnMut(&M, u64) -> Tensor<1>,
) -> Result<M> {
    if config.steps == 0 {
        return Ok(model);
    }
    let model = if rank > 0 {
        let adapted =
            layers.iter().flat_map(|&layer| projections(&model.blocks()[layer].attention)).collect::<Vec<_>>();
        let new = new_parts_of(&model, layers);
        let lora = Lora::new(rank, 2.0 * rank as f64).set_param_group(ParamGroup::from_ids(adapted));
        model.train().apply_lora(lora).unfreeze_group(ParamGroup::from_ids(new))
    } else {
        model.train().unfreeze()
    };
    let model = stage::run(model, "recovery", config, folder, loss)?;
    Ok(model.valid().materialize())
}

/// What a decoder is to match: the original's prediction of each token, and a little the token itself.
pub(super) fn of_logits(original: &Decoder, model: &Decoder, rows: RowBatch) -> Tensor<1> {
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
}

/// What an encoder is to match: the original's embedding of each text, by direction, and what each of its steps became.
pub(super) fn of_embeddings(original: &TextEncoder, model: &TextEncoder, inputs: &Inputs) -> Tensor<1> {
    let padded = inputs.padded.clone().expect("encoders are given their padding");
    let expected = original.forward(inputs.tokens.clone(), &padded);
    let found = model.forward(Tensor::from_inner(inputs.tokens.clone()), &Tensor::from_inner(padded.clone()));
    let cosine = (mean(found.clone(), &Tensor::from_inner(padded.clone()))
        * Tensor::from_inner(mean(expected.clone(), &padded)))
    .sum_dim(1);
    let kept = padded.bool_not().float().unsqueeze_dim::<3>(2);
    let size = (expected.clone().square() * kept.clone()).sum();
    let error = ((found - Tensor::from_inner(expected)).square() * Tensor::from_inner(kept)).sum();
    cosine.mean().neg().add_scalar(1.0) + error / Tensor::from_inner(size)
}
