//! Swapping the attention of a trained model: convert, transfer, recover, measure.

mod config;
mod conversion;
mod decoder;
mod encoder;
mod measure;
mod page;
mod probe;
mod recover;
mod report;
mod rows;
pub(crate) mod stage;
mod texts;
pub(crate) mod transfer;

use std::path::Path;

use anyhow::{Result, bail};
use astrocytic_train::observer::Observer;
use burn::tensor::Device;

pub use config::SwapConfig;
pub use measure::{LayerError, Speed};
pub use report::{EncoderReport, Probe, Report, SwapReport};
pub use rows::{RowBatch, Rows};
pub use stage::StageConfig;
pub use transfer::Match;

use self::conversion::{Conversion, digest};
use crate::provenance::identity::Place;
use crate::source::{self, Source};

/// Converts, trains, measures and reports. The folder gets the converted model (a decoder's `model.safetensors` and
/// `config.json`), `tokenizer.json`, `swap.json` and `report.html`; an interrupted run goes on where it was.
///
/// # Errors
/// One line for a model, a layer, a preset or a text that will not do, and for a folder that cannot be written.
pub fn run(config: &SwapConfig, folder: &Path, device: &Device, observer: &dyn Observer) -> Result<Report> {
    for path in [&config.model, folder] {
        if path.to_str().is_none() {
            bail!("{}: the path is not UTF-8; rename it", path.display());
        }
    }
    [&config.transfer, &config.recovery].into_iter().try_for_each(StageConfig::validate)?;
    let place = Place::new(folder, "conversion.json", "conversion", config.options(device)?)?;
    match source::open(&config.model, device)? {
        Source::Decoder(source) => {
            let of = digest(&source.model, &(source.model.config(), &source.boundaries), source.tokenizer.as_ref())?;
            let place = Conversion { place, of, observer };
            Ok(Report::Decoder(Box::new(decoder::run(config, *source, &place, device)?)))
        }
        Source::Encoder(source) => {
            let of = digest(&source.model, source.model.config(), source.tokenizer.as_ref())?;
            let place = Conversion { place, of, observer };
            Ok(Report::Encoder(Box::new(encoder::run(config, *source, &place, device)?)))
        }
    }
}
