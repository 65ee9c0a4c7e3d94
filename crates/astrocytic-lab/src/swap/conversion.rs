//! A conversion: its folder, the model it is of, and the model with its layers swapped.

use std::fs::File;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use astrocytic_attention::{Attention, AttentionConfig};
use astrocytic_data::labelled::LabelledPath;
use astrocytic_data::{Tokenizer, sha256_of};
use astrocytic_models::conversion::{Swappable, default_preset, preset};
use astrocytic_models::draw_parameters;
use astrocytic_train::observer::Observer;
use astrocytic_train::seed::derive_seed;
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::config::SwapConfig;
use crate::provenance::identity::{Input, Place};

/// The folder of a conversion.
pub(super) struct Conversion<'a> {
    pub(super) place: Place,
    /// The model's SHA-256.
    pub(super) of: String,
    /// Told how the conversion goes.
    pub(super) observer: &'a dyn Observer,
}

impl Conversion<'_> {
    /// Claims the folder, once everything was read that can be refused; `text` is of the corpus's
    /// tokens.
    pub(super) fn begin(&self, config: &SwapConfig, text: Sha256) -> Result<File> {
        let mut inputs =
            vec![("--model", vec![Input { name: config.model.display().to_string(), sha256: self.of.clone() }])];
        if let Some(corpus) = &config.corpus {
            inputs.push(("--corpus", vec![Input { name: corpus.clone(), sha256: hex::encode(text.finalize()) }]));
        }
        let probe = |path: &PathBuf| {
            let file = LabelledPath::from(path.to_string_lossy().as_ref()).path;
            let sha256 = sha256_of(&file).with_context(|| format!("cannot read {}", file.display()))?;
            Ok(Input { name: path.display().to_string(), sha256 })
        };
        inputs.push(("--probe", config.probes.iter().map(probe).collect::<Result<_>>()?));
        self.place.begin(inputs)
    }
}

/// SHA-256 of a model as it was read, whatever files it came in: its configuration, parameters and
/// tokenizer.
pub(super) fn digest(model: &impl Module, config: &impl Serialize, tokenizer: Option<&Tokenizer>) -> Result<String> {
    let tokenizer = tokenizer.map(Tokenizer::to_json).transpose()?;
    let mut parameters = Parameters(Sha256::new_with_prefix(serde_json::to_vec(&(config, tokenizer))?));
    model.visit(&mut parameters);
    Ok(hex::encode(parameters.0.finalize()))
}

struct Parameters(Sha256);

impl Parameters {
    fn add(&mut self, data: &TensorData) {
        data.shape().iter().for_each(|size| self.0.update((*size as u64).to_le_bytes()));
        self.0.update(data.as_bytes());
    }
}

impl ModuleVisitor for Parameters {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.add(&param.val().into_data());
    }

    fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
        self.add(&param.val().into_data());
    }

    fn visit_bool<const D: usize>(&mut self, param: &Param<Tensor<D, Bool>>) {
        self.add(&param.val().into_data());
    }
}

/// The original with its layers swapped.
pub(super) fn swap<M: Swappable>(
    original: &M,
    layers: &[usize],
    attention: &AttentionConfig,
    seed: u64,
    device: &Device,
) -> Result<M> {
    device.seed(derive_seed(seed, "swap", 0));
    let mut model = original.clone();
    for &layer in layers {
        model.swap_layer(layer, attention)?;
    }
    draw_parameters(&model);
    Ok(model)
}

/// The attention that takes the place of a layer, and its name.
pub(super) fn attention_for(config: &SwapConfig, layer: &Attention, memory: bool) -> Result<(AttentionConfig, String)> {
    let Some(layer) = layer.plain_config() else {
        bail!("{}: a layer without queries, keys and values has nothing to swap", config.model.display())
    };
    let name = config.preset.clone().unwrap_or_else(|| default_preset(&layer).into());
    let asked = preset(&name, &layer, config.window)?.with_memory(memory);
    asked.validate()?;
    Ok((AttentionConfig::Astrocytic(asked), name))
}

/// Shows notes, and keeps them for the report.
pub(super) fn note(found: &[String], notes: &mut Vec<String>, observer: &dyn Observer) {
    found.iter().for_each(|note| observer.note(note));
    notes.extend_from_slice(found);
}
