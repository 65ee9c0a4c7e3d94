//! One arm: a model, and what it knows beyond its window.

use anyhow::{Result, bail};
use astrocytic_models::DecoderConfig;

use super::design::Design;
use super::endings::Beyond;
use super::matching::{Target, hidden_of_vanilla, matched};
use super::model_config::{ModelConfig, parameters};
use super::sizes::Sizes;
use super::table::{Draw, Kind};
use crate::file::Fault;
use crate::results::Role;

/// Added to the seeds of the arm that has others: beyond those of any experiment.
pub(super) const OTHER_SEEDS: u64 = 1_000_000;

/// One arm: a model, and what it knows beyond its window.
#[derive(Debug, Clone, PartialEq)]
pub struct Arm {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// One line on what it does.
    pub description: String,
    /// What it knows beyond its window.
    pub beyond: Beyond,
    pub(super) design: Design,
    pub(super) matching: Matching,
    /// Its share of a cell's tokens, 1 for all.
    pub(super) data: f64,
    pub(super) seeds: Draw,
    pub(super) weights: Draw,
}

/// What the width of the feed-forward layers is chosen for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Matching {
    /// As many parameters as this arm, vanilla.
    Parameters(Option<Box<Arm>>),
    /// As many operations per token as this arm.
    Flops(Box<Arm>),
    /// It is given; `None` is vanilla's.
    Width(Option<usize>),
}

impl Arm {
    /// Whether what its attention remembers goes on from window to window.
    pub fn is_carried(&self) -> bool {
        self.beyond == Beyond::Carried
    }

    /// Whether it gives one answer for a whole example.
    pub fn is_encoder(&self) -> bool {
        self.design.kind == Kind::Encoder
    }

    /// Unique tokens that the arm is given at a data size, and the seed of its run: those of the
    /// cell but for arms whose data or seeds are others.
    pub fn given(&self, size: u64, seed: u64) -> (u64, u64) {
        let other = if self.seeds == Draw::Other { OTHER_SEEDS } else { 0 };
        ((size as f64 * self.data).floor() as u64, seed + other)
    }

    /// Whether it is given anything to learn from. If not, D = 0 and nothing is to be tuned.
    pub fn is_trained(&self) -> bool {
        self.data > 0.0
    }

    /// Seed of the initial weights and of dropout in a cell with this seed; that of the subset and
    /// its order is [`given`](Self::given).
    pub fn weights_seed(&self, seed: u64) -> u64 {
        let other = if self.weights == Draw::Other { OTHER_SEEDS } else { 0 };
        self.given(0, seed).1 + other
    }

    /// The arm's model, its feed-forward width chosen so that its parameters are those of the
    /// vanilla arm, or so that what it says is matched; without feed-forward layers it is what it
    /// is.
    ///
    /// # Errors
    /// For sizes that no model can have, or what cannot be matched.
    pub fn model(&self, sizes: Sizes) -> Result<ModelConfig> {
        if !sizes.feed_forward {
            return Ok(self.with_hidden(sizes, 0)?);
        }
        let default = hidden_of_vanilla(sizes.d_model);
        match &self.matching {
            Matching::Width(width) => Ok(self.with_hidden(sizes, width.unwrap_or(default))?),
            Matching::Parameters(vanilla) => {
                let vanilla = vanilla.as_deref().unwrap_or(self).with_hidden(sizes, default)?;
                let value = parameters(&vanilla)? as f64;
                let target = Target { what: "parameters", of: "vanilla".into(), value, tolerance: 0.01 };
                matched(&self.name, &self.design, sizes, &target, |model| Ok(parameters(model)? as f64))
            }
            Matching::Flops(arm) => {
                let value = arm.model(sizes)?.flops_per_token(sizes.context);
                let what = "operations per token";
                let target = Target { what, of: arm.name.clone(), value, tolerance: 0.02 };
                matched(&self.name, &self.design, sizes, &target, |model| Ok(model.flops_per_token(sizes.context)))
            }
        }
    }

    /// The arm's model, which must be a decoder.
    ///
    /// # Errors
    /// For an encoder, and as [`model`](Self::model).
    pub fn decoder(&self, sizes: Sizes) -> Result<DecoderConfig> {
        match self.model(sizes)? {
            ModelConfig::Decoder(model) => Ok(model),
            ModelConfig::Encoder(_) => bail!("arm {}: an encoder, where a language model is needed", self.name),
        }
    }

    /// Checks that there is a model of these sizes, whatever its feed-forward width.
    ///
    /// # Errors
    /// With the field that cannot be.
    pub(crate) fn validate(&self, sizes: Sizes) -> Result<(), Fault> {
        let model = self.with_hidden(sizes, hidden_of_vanilla(sizes.d_model))?;
        match model {
            ModelConfig::Decoder(model) if self.is_carried() && model.positions.is_some() => {
                Err(Fault::at("positions", "an arm that is carried reads on without end, learned positions do not"))
            }
            _ => Ok(()),
        }
    }

    fn with_hidden(&self, sizes: Sizes, hidden: usize) -> Result<ModelConfig, Fault> {
        self.design.with_hidden(sizes, hidden)
    }
}
