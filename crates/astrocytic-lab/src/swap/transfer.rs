//! Stage 1, attention transfer: feature maps and gates are trained so that each swapped layer does what the original's layer
//! does with the same input (Hedgehog, arXiv 2402.04347, section 4.2; LoLCATs, arXiv 2410.10254, section 3.1).

use anyhow::Result;
use astrocytic_attention::Attention;
use astrocytic_models::conversion::{Inputs, Swappable, seen_by_attention};
use burn::module::{ParamGroup, ParamId};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::stage::{self, Stage};

/// What a layer is to match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Match {
    /// The output of the layer: squared error, relative to its variance.
    Output,
    /// The attention weights: cross-entropy, as Hedgehog has it.
    Weights,
}

/// The random directions of a layer's feature maps: buffers, which no stage trains.
pub(super) fn random_parts(attention: &Attention) -> Vec<ParamId> {
    let Attention::Astrocytic(layer) = attention else { return Vec::new() };
    let maps = [&layer.query_map, &layer.key_map].into_iter().filter(|map| map.is_random());
    maps.flat_map(stage::parameters).collect()
}

/// All of a swapped layer that is trained and not one of the four projections.
fn new_parts(attention: &Attention) -> Vec<ParamId> {
    let Attention::Astrocytic(layer) = attention else { return Vec::new() };
    let projections = [&layer.query, &layer.key, &layer.value, &layer.output];
    let mut left_out: Vec<ParamId> = projections.iter().flat_map(|linear| stage::parameters(*linear)).collect();
    left_out.extend(random_parts(attention));
    stage::parameters(attention).into_iter().filter(|id| !left_out.contains(id)).collect()
}

/// The new parts of all swapped layers.
pub(super) fn new_parts_of(model: &impl Swappable, layers: &[usize]) -> Vec<ParamId> {
    layers.iter().flat_map(|&layer| new_parts(&model.blocks()[layer].attention)).collect()
}

/// Trains the swapped layers' feature maps and gates; `inputs` are the rows of a step.
pub(crate) fn run<M: Swappable>(
    original: &M,
    model: M,
    layers: &[usize],
    inputs: impl Fn(u64) -> Inputs,
    matched: Match,
    stage: Stage,
) -> Result<M> {
    let new = new_parts_of(&model, layers);
    if stage.config.steps == 0 || new.is_empty() {
        return Ok(model);
    }
    let model = model.train().freeze().unfreeze_group(ParamGroup::from_ids(new));
    let loss = |model: &M, step: u64| {
        let inputs = inputs(step);
        let seen = seen_by_attention(original, &inputs);
        let on_graph = Inputs { tokens: inputs.tokens.clone(), padded: inputs.padded.clone().map(Tensor::from_inner) };
        let losses = layers.iter().map(|&layer| {
            let [x, context] = seen[layer].clone();
            let input = on_graph.attention(Tensor::from_inner(x.clone()));
            let attention = &model.blocks()[layer].attention;
            match matched {
                Match::Output => {
                    let found = attention.forward(input).context;
                    let size = context.clone().square().mean().clamp_min(1e-12);
                    let error = (found - Tensor::from_inner(context)).square().mean();
                    error / Tensor::from_inner(size)
                }
                Match::Weights => {
                    let asked = inputs.attention(x).with_weights();
                    let expected = original.blocks()[layer].attention.forward(asked).weights.expect("asked for");
                    let found = attention.forward(input.with_weights()).weights.expect("asked for");
                    let [batch, heads, steps, _] = expected.dims();
                    let sum = (Tensor::from_inner(expected) * found.clamp_min(1e-9).log()).sum();
                    sum.neg().div_scalar((batch * heads * steps) as f64)
                }
            }
        });
        losses.reduce(|a, b| a + b).expect("at least one layer").div_scalar(layers.len() as f64)
    };
    stage::run(model, "transfer", stage, loss)
}
