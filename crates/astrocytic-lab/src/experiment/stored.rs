//! The experiment that a results folder holds, against the one that is asked for.

use std::path::Path;

use anyhow::{Context, Result};

use crate::arms::as_options;
use crate::experiment::config::ExperimentConfig;
use crate::experiment::data::Data;
use crate::provenance::identity::{self, Input};
use crate::report;
use crate::results::Experiment;

/// How a configuration was given, and so what its fields are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// On the command line.
    ByOptions,
    /// As a study of a file.
    ByFile,
}

impl Asked {
    fn name(self, field: &str) -> String {
        match (self, field) {
            (Self::ByOptions, "arms" | "seeds" | "sizes") => format!("--{field}"),
            (Self::ByOptions, _) => format!("{field} (of --budget or --config)"),
            (Self::ByFile, _) => field.into(),
        }
    }
}

/// What a folder holds, in errors.
const KIND: &str = "experiment";

/// The experiment that the folder holds, if it is this one; its text, which counts by what is in
/// it, is not looked at.
pub(crate) fn stored_experiment(
    config: &ExperimentConfig,
    folder: &Path,
    device: &str,
    asked: Asked,
) -> Result<Option<Experiment>> {
    identity::refuse_others(folder, "experiment.json")?;
    if !folder.join("experiment.json").exists() {
        return Ok(None);
    }
    let (experiment, _) = report::load(folder)?;
    let stored: ExperimentConfig = serde_json::from_value(experiment.config.clone())
        .with_context(|| format!("{}/experiment.json is not of this version", folder.display()))?;
    let options = |config: &ExperimentConfig, device: &str| {
        let is_named = |field: &str| !["corpus", "definitions"].contains(&field);
        let mut options = identity::options(config, |field| is_named(field).then(|| asked.name(field)))?;
        options.extend(as_options(&config.definitions));
        options.insert("--device".into(), device.into());
        Ok::<_, anyhow::Error>(options)
    };
    // Results from before it was stored are of any device.
    let held = if experiment.device.is_empty() { device } else { &experiment.device };
    let different = identity::differences(&options(&stored, held)?, &options(config, device)?);
    identity::refuse(folder, KIND, different)?;
    Ok(Some(experiment))
}

/// Refuses a stored experiment on another text than the one that was read now, called `corpus`.
pub(super) fn refuse_another_text(
    stored: &Experiment,
    folder: &Path,
    corpus: &str,
    data: &Data,
    asked: Asked,
) -> Result<()> {
    let input = |name: &str, sha256: String| [Input { name: name.into(), sha256 }];
    let [held, now] = match stored.corpus.sha256.as_str() {
        // From before contents were stored.
        "" => [stored.corpus.name.clone(), corpus.to_string()],
        sum => [sum.into(), data.sha256()],
    };
    let option = if asked == Asked::ByOptions { "--corpus" } else { "corpus" };
    let another = identity::another_input(option, &input(&stored.corpus.name, held), &input(corpus, now));
    identity::refuse(folder, KIND, another.into_iter().collect())
}
