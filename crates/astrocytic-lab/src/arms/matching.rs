//! The width of an arm's feed-forward layers: chosen so that what is compared costs the same.

use anyhow::{Result, bail};

use super::design::Design;
use super::model_config::ModelConfig;
use super::sizes::Sizes;

/// What a measure of the model must come near.
pub(super) struct Target {
    /// In words, such as "parameters".
    pub(super) what: &'static str,
    /// Whose it is.
    pub(super) of: String,
    pub(super) value: f64,
    /// Largest share by which it may be missed.
    pub(super) tolerance: f64,
}

/// The model whose measure comes nearest to the target. The measure grows by the same for every
/// step in the width of the feed-forward layers.
///
/// # Errors
/// For sizes that no model can have, or a target that is missed.
pub(super) fn matched(
    name: &str,
    design: &Design,
    sizes: Sizes,
    target: &Target,
    measure: impl Fn(&ModelConfig) -> Result<f64>,
) -> Result<ModelConfig> {
    let with = |hidden: usize| design.with_hidden(sizes, hidden);
    let (one, two) = (measure(&with(1)?)?, measure(&with(2)?)?);
    let hidden = 1 + ((target.value - one).max(0.0) / (two - one)).round() as usize;
    let model = with(hidden)?;
    let found = measure(&model)?;
    if (found / target.value - 1.0).abs() > target.tolerance {
        let Target { what, of, value, .. } = target;
        bail!("arm {name}: {found} {what} cannot be matched to {of}'s {value}; use a wider model");
    }
    Ok(model)
}

/// 8/3 of the width, as with gated feed-forward layers usual (arXiv 2002.05202), in steps of 8.
pub(super) fn hidden_of_vanilla(d_model: usize) -> usize {
    (d_model * 8 / 3).div_ceil(8) * 8
}
