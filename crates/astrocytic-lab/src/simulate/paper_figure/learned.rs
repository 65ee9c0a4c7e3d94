//! Feature maps that learn to do what each layer's softmax does.

use anyhow::Result;
use astrocytic_attention::{
    AstrocyticAttentionConfig, Attention, AttentionConfig, FeatureMapConfig, PositionConfig, SoftmaxAttention,
};
use astrocytic_models::conversion::{Inputs, Swappable};
use burn::tensor::Tensor;

use super::report::MapError;
use super::study::{Layers, Study};
use crate::simulate::feature_maps::of_modules;
use crate::swap::stage::Stage;
use crate::swap::{Match, StageConfig, transfer};

/// Hedgehog's maps, trained for so many steps on `training`'s inputs.
///
/// # Errors
/// Where a layer cannot be swapped or the training fails.
pub(super) fn learned<M: Swappable>(
    study: &Study<M>,
    steps: u64,
    training: &dyn Fn(u64) -> Inputs,
    layers: &Layers,
) -> Result<MapError> {
    let all: Vec<usize> = (0..layers.layers.len()).collect();
    let own = layers.layers[0].config();
    let attention = AttentionConfig::Astrocytic(swapped(layers.layers[0], study.causal));
    let mut model = study.model.clone();
    for &layer in &all {
        model.swap_layer(layer, &attention)?;
    }
    // Its checkpoints are of no use afterwards.
    let folder = tempfile::tempdir()?;
    let how = StageConfig { steps, learning_rate: 1e-2 };
    let stage = Stage { config: &how, folder: folder.path(), observer: study.observer };
    let model = transfer::run(study.model, model, &all, training, Match::Weights, stage)?;
    let trained: Vec<_> = model.blocks().iter().map(|block| &block.attention).collect();
    let kernel = |layer: usize, q: &Tensor<4>, k: &Tensor<4>| match trained[layer] {
        Attention::Astrocytic(layer) => {
            of_modules([&layer.query_map, &layer.key_map], own.kv_heads.unwrap_or(own.n_heads), q, k)
        }
        _ => unreachable!("all layers were swapped"),
    };
    let m = FeatureMapConfig::Hedgehog.features(own.d_model / own.n_heads);
    Ok(study.measure("Hedgehog, learned", m, layers, &kernel))
}

/// The layer with Hedgehog's maps.
fn swapped(layer: &SoftmaxAttention, causal: bool) -> AstrocyticAttentionConfig {
    let own = layer.config();
    let config = AstrocyticAttentionConfig::new(own.d_model, own.n_heads)
        .with_kv_heads(own.kv_heads)
        .with_causal(causal)
        .with_feature_map(FeatureMapConfig::Hedgehog);
    match own.rotary_theta {
        Some(theta) => config.with_position(PositionConfig::Rotary { theta }),
        None => config,
    }
}
