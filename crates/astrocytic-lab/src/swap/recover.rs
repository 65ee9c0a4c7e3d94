//! Stage 2, recovery: the whole model is trained towards the original's predictions, by low-rank adapters on the projections
//! of the swapped layers (LoRA, arXiv 2106.09685; LoLCATs, arXiv 2410.10254, section 3.2) or in all its weights.

use anyhow::Result;
use astrocytic_attention::Attention;
use astrocytic_attention::ops::cross_entropy;
use astrocytic_models::conversion::{Inputs, Swappable};
use astrocytic_models::{Decoder, TextEncoder};
use burn::module::{Lora, ParamGroup, ParamId};
use burn::tensor::activation::log_softmax;
use burn::tensor::{FloatDType, Tensor};

use super::measure::cosines;
use super::rows::RowBatch;
use super::stage::{self, Stage};
use super::transfer::{new_parts_of, random_parts};

/// Share of a text's own tokens in the loss; the rest is the original's prediction.
const TEXT: f64 = 0.1;

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
    stage: Stage,
    loss: impl FnMut(&M, u64) -> Tensor<1>,
) -> Result<M> {
    if stage.config.steps == 0 {
        return Ok(model);
    }
    let model = if rank > 0 {
        let adapted =
            layers.iter().flat_map(|&layer| projections(&model.blocks()[layer].attention)).collect::<Vec<_>>();
        let new = new_parts_of(&model, layers);
        let lora = Lora::new(rank, 2.0 * rank as f64).set_param_group(ParamGroup::from_ids(adapted));
        model.train().apply_lora(lora).unfreeze_group(ParamGroup::from_ids(new))
    } else {
        let random = model.blocks().iter().flat_map(|block| random_parts(&block.attention)).collect::<Vec<_>>();
        model.train().unfreeze_group(ParamGroup::all().exclude(ParamGroup::from_ids(random)))
    };
    let model = stage::run(model, "recovery", stage, loss)?;
    Ok(model.materialize())
}

/// What a decoder is to match: the original's prediction of each token, and of a text a little the token itself. What the
/// original has drawn itself says nothing that its prediction does not say with less noise.
pub(super) fn of_logits(original: &Decoder, model: &Decoder, rows: RowBatch, text: bool) -> Tensor<1> {
    let expected = original.forward(rows.inputs.clone());
    let found = model.forward(Tensor::from_inner(rows.inputs));
    let [batch, steps, vocabulary] = found.dims();
    let flat = |logits: Tensor<3>| logits.reshape([batch * steps, vocabulary]);
    let (expected, found) = (flat(expected), flat(found));
    let own = text.then(|| cross_entropy(found.clone(), &rows.targets));
    // The cross-entropy with the original's prediction less that prediction's own entropy: 0 at the original.
    let log_p = log_softmax(expected, 1);
    let p = log_p.clone().exp();
    let entropy = (p.clone() * log_p).sum();
    let cross = (Tensor::from_inner(p) * log_softmax(found, 1)).sum();
    let divergence = (Tensor::from_inner(entropy) - cross).div_scalar((batch * steps) as f64);
    match own {
        Some(own) => divergence.mul_scalar(1.0 - TEXT) + own.mul_scalar(TEXT),
        None => divergence,
    }
}

/// What an encoder is to match: the original's embedding of each text, by direction, and what each of its steps became.
pub(super) fn of_embeddings(original: &TextEncoder, model: &TextEncoder, inputs: &Inputs) -> Tensor<1> {
    let padded = inputs.padded.clone().expect("encoders are given their padding");
    let expected = original.forward(inputs.tokens.clone(), &padded);
    let found = model.forward(Tensor::from_inner(inputs.tokens.clone()), &Tensor::from_inner(padded.clone()));
    let cosine = cosines(
        model.pool(found.clone(), &Tensor::from_inner(padded.clone())),
        Tensor::from_inner(original.pool(expected.clone(), &padded)),
    );
    let kept = padded.bool_not().cast(FloatDType::from(expected.dtype())).unsqueeze_dim::<3>(2);
    let size = (expected.clone().square() * kept.clone()).sum();
    let error = ((found - Tensor::from_inner(expected)).square() * Tensor::from_inner(kept)).sum();
    cosine.mean().neg().add_scalar(1.0) + error / Tensor::from_inner(size)
}

#[cfg(test)]
mod tests {
    use astrocytic_attention::{AttentionConfig, SoftmaxAttentionConfig};
    use astrocytic_models::DecoderConfig;
    use astrocytic_models::conversion::preset;
    use burn::tensor::Device;

    use super::super::conversion::swap;
    use super::super::{Match, Rows, StageConfig, transfer};
    use super::*;

    #[test]
    fn random_directions_are_never_trained_and_all_else_is() {
        let device = Device::flex();
        let softmax = SoftmaxAttentionConfig::new(16, 2).with_causal(true);
        let config = DecoderConfig::new(20, 16, 1, 16, AttentionConfig::Softmax(softmax.clone()));
        let original = config.init_seeded(1, &device);
        let rows = Rows::of_text(&(0..65).map(|i| i % 20).collect::<Vec<_>>(), [4, 16]).unwrap();
        let config = StageConfig { steps: 3, learning_rate: 1e-2 };
        let parts = |model: &Decoder| {
            let Attention::Astrocytic(layer) = &model.blocks[0].attention else { unreachable!() };
            let projection = layer.query_map.projection.as_ref().expect("both maps have one").val().into_data();
            (projection, layer.value.weight.val().into_data())
        };
        for (name, random) in [("kozachkov2023", true), ("hedgehog", false)] {
            let asked = AttentionConfig::Astrocytic(preset(name, &softmax.init(&device).plain_config(), 0).unwrap());
            let swapped = swap(&original, &[0], &asked, 0, &device).unwrap();
            for rank in [0, 2] {
                let folder = tempfile::tempdir().unwrap();
                let stage = Stage { config: &config, folder: folder.path(), observer: &() };
                let inputs = |_| rows.inputs(&[0, 1], &device);
                let matched = Match::Output;
                let after = transfer::run(&original, swapped.clone(), &[0], inputs, matched, stage).unwrap();
                let loss = |model: &Decoder, _| of_logits(&original, model, rows.batch(&[0, 1], &device), true);
                let after = run(after, &[0], rank, stage, loss).unwrap();
                let ((map, value), (map_after, value_after)) = (parts(&swapped), parts(&after));
                assert_eq!(map == map_after, random, "{name}, rank {rank}: the map");
                assert_ne!(value, value_after, "{name}, rank {rank}: the values");
            }
        }
    }
}
