//! What an arm trains: a decoder or an encoder, and what it costs.

use anyhow::Result;
use astrocytic_models::{DecoderConfig, EncoderConfig};
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use serde::Serialize;

/// What an arm trains.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
#[allow(clippy::large_enum_variant)]
pub enum ModelConfig {
    /// A decoder.
    Decoder(DecoderConfig),
    /// An encoder.
    Encoder(EncoderConfig),
}

impl ModelConfig {
    /// The text that names of runs are hashes of. `boundaries` came after the first stored runs; no
    /// arm has any, and so the names stay what they were.
    ///
    /// # Errors
    /// For a configuration that is no JSON.
    pub(crate) fn named(&self) -> serde_json::Result<String> {
        Ok(serde_json::to_string(self)?.replace("\"boundaries\":null,", ""))
    }

    /// Operations of a forward pass for each of `steps` tokens.
    pub(crate) fn flops_per_token(&self, steps: usize) -> f64 {
        match self {
            Self::Decoder(model) => model.flops_per_token(steps),
            Self::Encoder(model) => model.flops_per_token(steps),
        }
    }

    /// Bytes that reading `steps` tokens keeps.
    pub(crate) fn state_bytes(&self, steps: usize) -> u64 {
        match self {
            Self::Decoder(model) => model.state_bytes(steps),
            Self::Encoder(model) => model.state_bytes(steps),
        }
    }
}

/// Trained parameters, counted on the model itself.
///
/// # Errors
/// For a configuration that does not hold.
pub fn parameters(model: &ModelConfig) -> Result<u64> {
    let device = Device::flex().autodiff();
    let mut trained = Trained(0);
    match model {
        ModelConfig::Decoder(model) => {
            model.validate()?;
            model.init(&device).visit(&mut trained);
        }
        ModelConfig::Encoder(model) => model.init(&device)?.visit(&mut trained),
    }
    Ok(trained.0)
}

/// Counts what is trained: random directions of feature maps are not.
struct Trained(u64);

impl ModuleVisitor for Trained {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        // What is not drawn yet is trained, and counting it draws nothing; buffers are drawn.
        let is_trained = !param.is_initialized() || param.val().is_require_grad();
        self.0 += if is_trained { param.lazy_shape().num_elements() as u64 } else { 0 };
    }
}
