//! Models on disk: `model.safetensors` and `config.json` in a folder, written beside and renamed.

use std::io::Write;
use std::path::{Path, PathBuf};

use burn::store::{ModuleSnapshot, SafetensorsStore};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::decoder::{Decoder, DecoderConfig};
use crate::text_encoder::{TextEncoder, TextEncoderConfig};

/// Version of the folder's format.
const VERSION: u32 = 3;

/// Why a model could not be saved or loaded.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file that cannot be read or written.
    #[error("{path}: {cause}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// A configuration that is not one.
    #[error("{path}: {reason}")]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Weights that do not fit the configuration.
    #[error("{path}: {reason}")]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct StoredConfig {
    version: u32,
    #[serde(flatten)]
    model: StoredModel,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StoredModel {
    Decoder(DecoderConfig),
    Encoder(TextEncoderConfig),
}

/// Saves a decoder into `folder`, which is made where it is missing. The old files stay whole until the new ones are.
///
/// # Errors
/// Where a file cannot be written.
pub fn save(model: &Decoder, folder: &Path) -> Result<(), ModelError> {
    save_as(model, StoredModel::Decoder(model.config().clone()), folder)
}

fn save_as(model: &impl ModuleSnapshot, config: StoredModel, folder: &Path) -> Result<(), ModelError> {
    std::fs::create_dir_all(folder).map_err(|cause| ModelError::File { path: folder.into(), cause })?;
    let path = folder.join("model.safetensors");
    // Burn's three entries of metadata come in any order; one has but one order, and the same model the same bytes.
    let store = SafetensorsStore::from_file(&path).overwrite(true).skip_enum_variants(true);
    let mut store = store.clear_metadata().metadata("producer", "burn");
    model.save_into(&mut store).map_err(|e| ModelError::Weights { path, reason: e.to_string() })?;
    let stored = StoredConfig { version: VERSION, model: config };
    let text = serde_json::to_string_pretty(&stored).expect("a config is plain data");
    write_atomically(&folder.join("config.json"), text.as_bytes())
}

impl TextEncoder {
    /// Saves it as [`save`] does a decoder.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), ModelError> {
        save_as(self, StoredModel::Encoder(self.config().clone()), folder)
    }

    /// Loads one that [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// As [`load`].
    pub fn load(folder: &Path, device: &Device) -> Result<Self, ModelError> {
        let path = folder.join("config.json");
        let reject = |reason: String| ModelError::Config { path: path.clone(), reason };
        match stored_config(&path)? {
            StoredModel::Encoder(config) => {
                config.validate().map_err(|e| reject(e.to_string()))?;
                load_weights(config.init(device), folder)
            }
            StoredModel::Decoder(_) => Err(reject("this is a decoder, where an encoder is needed".into())),
        }
    }
}

/// What a folder was saved as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saved {
    /// By [`save`].
    Decoder,
    /// By [`TextEncoder::save`].
    Encoder,
}

/// Whether a folder is one that this crate wrote, of whatever version, and what is in it.
pub fn saved(folder: &Path) -> Option<Saved> {
    #[derive(Deserialize)]
    struct Kind {
        #[serde(rename = "version")]
        _version: u32,
        encoder: Option<serde::de::IgnoredAny>,
    }
    let text = std::fs::read_to_string(folder.join("config.json")).ok()?;
    let kind: Kind = serde_json::from_str(&text).ok()?;
    Some(if kind.encoder.is_some() { Saved::Encoder } else { Saved::Decoder })
}

/// Loads a decoder from the folder that [`save`] wrote.
///
/// # Errors
/// For a missing or malformed file, another version, or weights that do not fit; never a half-loaded model.
pub fn load(folder: &Path, device: &Device) -> Result<Decoder, ModelError> {
    let path = folder.join("config.json");
    let reject = |reason: String| ModelError::Config { path: path.clone(), reason };
    match stored_config(&path)? {
        StoredModel::Decoder(config) => {
            config.validate().map_err(|e| reject(e.to_string()))?;
            load_weights(config.init(device), folder)
        }
        StoredModel::Encoder(_) => Err(reject("this is an encoder, where a decoder is needed".into())),
    }
}

fn stored_config(path: &Path) -> Result<StoredModel, ModelError> {
    let text = std::fs::read_to_string(path).map_err(|cause| ModelError::File { path: path.into(), cause })?;
    let reject = |reason: String| ModelError::Config { path: path.into(), reason };
    let Version { version } = serde_json::from_str(&text).map_err(|e| reject(e.to_string()))?;
    if version != VERSION {
        return Err(reject(format!("format version {version} is not {VERSION}; save the model again")));
    }
    let stored: StoredConfig = serde_json::from_str(&text).map_err(|e| reject(e.to_string()))?;
    Ok(stored.model)
}

fn load_weights<M: ModuleSnapshot>(mut model: M, folder: &Path) -> Result<M, ModelError> {
    let path = folder.join("model.safetensors");
    std::fs::metadata(&path).map_err(|cause| ModelError::File { path: path.clone(), cause })?;
    let mut store = SafetensorsStore::from_file(&path).skip_enum_variants(true);
    let reject = |reason: String| ModelError::Weights { path: path.clone(), reason };
    // Burn's message goes on with a table of every tensor.
    let first_lines =
        |e: String| e.lines().map(str::trim).filter(|l| !l.is_empty()).take(3).collect::<Vec<_>>().join(" ");
    let result = model.load_from(&mut store).map_err(|e| reject(first_lines(e.to_string())))?;
    if !result.unused.is_empty() {
        return Err(reject(format!("tensors that the model does not have: {}", result.unused.join(", "))));
    }
    Ok(model)
}

/// Writes beside, synchronises, renames.
fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), ModelError> {
    let fail = |cause| ModelError::File { path: path.into(), cause };
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(fail)?;
    file.write_all(bytes).map_err(fail)?;
    file.as_file().sync_all().map_err(fail)?;
    file.persist(path).map_err(|e| fail(e.error))?;
    // The folder too, so that both names survive a power cut.
    #[cfg(unix)]
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(fail)?;
    Ok(())
}
