//! Models on disk: `model.safetensors` and `config.json` in a folder, written beside and renamed.

use std::io::Write;
use std::path::{Path, PathBuf};

use burn::store::{ModuleSnapshot, SafetensorsStore};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::decoder::{Decoder, DecoderConfig};

/// Version of the folder's format.
const VERSION: u32 = 2;

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
    decoder: DecoderConfig,
}

/// Saves a decoder into `folder`, which is made where it is missing. The old files stay whole until the new ones are.
///
/// # Errors
/// Where a file cannot be written.
pub fn save(model: &Decoder, folder: &Path) -> Result<(), ModelError> {
    std::fs::create_dir_all(folder).map_err(|cause| ModelError::File { path: folder.into(), cause })?;
    let path = folder.join("model.safetensors");
    // Burn's three entries of metadata come in any order; one has but one order, and the same model the same bytes.
    let store = SafetensorsStore::from_file(&path).overwrite(true).skip_enum_variants(true);
    let mut store = store.clear_metadata().metadata("producer", "burn");
    model.save_into(&mut store).map_err(|e| ModelError::Weights { path, reason: e.to_string() })?;
    let stored = StoredConfig { version: VERSION, decoder: model.config().clone() };
    let text = serde_json::to_string_pretty(&stored).expect("a config is plain data");
    write_atomically(&folder.join("config.json"), text.as_bytes())
}

/// Whether a folder is one that [`save`] wrote, of whatever version.
pub fn is_saved(folder: &Path) -> bool {
    let text = std::fs::read_to_string(folder.join("config.json"));
    text.is_ok_and(|text| serde_json::from_str::<Version>(&text).is_ok())
}

/// Loads a decoder from the folder that [`save`] wrote.
///
/// # Errors
/// For a missing or malformed file, another version, or weights that do not fit; never a half-loaded model.
pub fn load(folder: &Path, device: &Device) -> Result<Decoder, ModelError> {
    let path = folder.join("config.json");
    let text = std::fs::read_to_string(&path).map_err(|cause| ModelError::File { path: path.clone(), cause })?;
    let reject = |reason: String| ModelError::Config { path: path.clone(), reason };
    let Version { version } = serde_json::from_str(&text).map_err(|e| reject(e.to_string()))?;
    if version != VERSION {
        return Err(reject(format!("format version {version} is not {VERSION}; save the model again")));
    }
    let stored: StoredConfig = serde_json::from_str(&text).map_err(|e| reject(e.to_string()))?;
    stored.decoder.validate().map_err(|e| reject(e.to_string()))?;
    let mut model = stored.decoder.init(device);

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
