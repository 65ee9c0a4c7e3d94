//! Whether the intervals of a study hold the truth as often as they claim: experiments simulated
//! from its stored runs.

use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::contrasts::test_losses;
use super::order::in_order;
use super::save::save_json;
use super::stored::load;
use super::summarize::summarize;
use super::summary::Contrast;
use crate::statistics::{Coverage, Population};

/// Ratios that are planted: no effect, and one.
const PLANTED: [f64; 2] = [1.0, 1.5];
/// Seed of the simulations.
const SEED: u64 = 20_261_128;
/// The file of a study's folder.
pub(super) const FILE: &str = "coverage.json";

/// Experiments simulated from two arms of a study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// The arm whose seeds and documents the simulated one has.
    pub arm: String,
    /// What it is compared with.
    pub baseline: String,
    /// Whether both learn while they are tested.
    pub learn: bool,
    /// How the experiments came out.
    #[serde(flatten)]
    pub coverage: Coverage,
}

/// Simulates experiments from the stored runs of a study, with no effect and with a planted one:
/// from its first contrast, and from its first one of arms that both learn while they are tested.
/// Stores `coverage.json`, which the report shows.
///
/// # Errors
/// For a folder without a study, and one that cannot be written.
pub fn calibrate(folder: &Path, experiments: usize) -> Result<Vec<Calibration>> {
    let (experiment, lines) = load(folder)?;
    let lines = in_order(&experiment, &lines)?;
    let summary = summarize(&experiment, &lines);
    let tests = test_losses(&experiment, &lines);
    let learns = |name: &str| summary.arms.iter().any(|arm| arm.name == name && arm.learned_tokens > 0);
    let both = |contrast: &&Contrast| learns(&contrast.arm) && learns(&contrast.baseline);
    let neither = |contrast: &&Contrast| !learns(&contrast.arm) && !learns(&contrast.baseline);
    let chosen = [summary.contrasts.iter().find(neither), summary.contrasts.iter().find(both)];
    let mut found = Vec::new();
    for (learn, contrast) in [false, true].into_iter().zip(chosen) {
        let Some(Contrast { arm, baseline, .. }) = contrast else { continue };
        let place = |name: &str| experiment.arms.iter().position(|facts| facts.name == name);
        let (Some(of_arm), Some(of_baseline)) = (place(arm), place(baseline)) else { continue };
        let Some(population) = Population::new(&experiment.sizes, &tests[of_baseline], &tests[of_arm]) else {
            continue;
        };
        let simulated = PLANTED.map(|planted| population.coverage(planted, experiments, SEED));
        found.extend(simulated.into_iter().flatten().map(|coverage| Calibration {
            arm: arm.clone(),
            baseline: baseline.clone(),
            learn,
            coverage,
        }));
    }
    save_json(folder, FILE, &found)?;
    Ok(found)
}

/// What [`calibrate`] stored in a folder, if it did.
///
/// # Errors
/// For a file that is broken.
pub(super) fn stored(folder: &Path) -> Result<Vec<Calibration>> {
    let path = folder.join(FILE);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{}: broken; remove it", path.display()))
}
