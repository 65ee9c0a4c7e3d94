//! Models on disk: `model.safetensors` and `config.json` in a folder. Both are written under other
//! names, then renamed. `config.json` holds the SHA-256 of the weights, of the tokenizer beside
//! them and of itself, so that nothing damaged is loaded.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use burn::store::{ModuleSnapshot, SafetensorsStore};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::decoder::{Decoder, DecoderConfig};
use crate::text_encoder::{TextEncoder, TextEncoderConfig};

/// Version of the folder's format.
const VERSION: u32 = 3;
/// The files of a model. Whoever saves a tokenizer does so before.
const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.safetensors";
const TOKENIZER: &str = "tokenizer.json";
/// Where files are made before they are renamed; the next save removes what a kill left there.
const UNFINISHED: &str = ".writing-model";

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
    /// Of each file; that of config.json is of its text without the checksum. Models of older
    /// programs have none.
    #[serde(default)]
    sha256: BTreeMap<String, String>,
    #[serde(flatten)]
    model: StoredModel,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StoredModel {
    Decoder(DecoderConfig),
    Encoder(TextEncoderConfig),
}

/// Saves a decoder into `folder`, which is made where it is missing. A kill in the middle leaves
/// the old files, or a model that is refused. A `tokenizer.json` that lies there belongs to the
/// model from then on.
///
/// # Errors
/// If a file cannot be written.
pub fn save(model: &Decoder, folder: &Path) -> Result<(), ModelError> {
    save_as(model, StoredModel::Decoder(model.config().clone()), folder)
}

fn save_as(model: &impl ModuleSnapshot, config: StoredModel, folder: &Path) -> Result<(), ModelError> {
    let fail = |path: &Path| {
        let path = path.to_path_buf();
        move |cause| ModelError::File { path, cause }
    };
    let scratch = folder.join(UNFINISHED);
    if scratch.exists() {
        fs::remove_dir_all(&scratch).map_err(fail(&scratch))?;
    }
    fs::create_dir_all(&scratch).map_err(fail(&scratch))?;
    let [weights, text] = [scratch.join(WEIGHTS), scratch.join(CONFIG)];
    // Burn writes three entries of metadata in any order; with one entry the same model has the
    // same bytes.
    let store = SafetensorsStore::from_file(&weights).skip_enum_variants(true);
    let mut store = store.clear_metadata().metadata("producer", "burn");
    let saved = model.save_into(&mut store);
    saved.map_err(|e| ModelError::Weights { path: folder.join(WEIGHTS), reason: e.to_string() })?;

    let mut sha256 = BTreeMap::from([(CONFIG.into(), String::new()), (WEIGHTS.into(), sha256_of(&weights)?)]);
    let tokenizer = folder.join(TOKENIZER);
    if tokenizer.exists() {
        sha256.insert(TOKENIZER.into(), sha256_of(&tokenizer)?);
    }
    let mut stored = StoredConfig { version: VERSION, sha256, model: config };
    let pretty = |stored: &StoredConfig| serde_json::to_string_pretty(stored).expect("a config is plain data");
    let own = hex(Sha256::new_with_prefix(pretty(&stored)));
    stored.sha256.insert(CONFIG.into(), own);
    fs::write(&text, pretty(&stored)).map_err(fail(&text))?;
    // Burn lets only the owner read the weights.
    fs::metadata(&text).and_then(|file| fs::set_permissions(&weights, file.permissions())).map_err(fail(&weights))?;
    for (from, name) in [(&weights, WEIGHTS), (&text, CONFIG)] {
        File::open(from).and_then(|file| file.sync_all()).map_err(fail(from))?;
        let to = folder.join(name);
        fs::rename(from, &to).map_err(fail(&to))?;
    }
    fs::remove_dir(&scratch).map_err(fail(&scratch))?;
    // The folder too, so that both names survive a power cut.
    #[cfg(unix)]
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(fail(folder))?;
    Ok(())
}

impl TextEncoder {
    /// Saves it into a folder, as [`save`] saves a decoder.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), ModelError> {
        save_as(self, StoredModel::Encoder(self.config().clone()), folder)
    }

    /// Loads one that [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// As [`load`].
    pub fn load(folder: &Path, device: &Device) -> Result<Self, ModelError> {
        let path = folder.join(CONFIG);
        let reject = |reason: String| ModelError::Config { path: path.clone(), reason };
        match stored_config(folder)? {
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

/// What this crate saved in a folder, in whatever version; `None` if nothing.
pub fn saved(folder: &Path) -> Option<Saved> {
    #[derive(Deserialize)]
    struct Kind {
        #[serde(rename = "version")]
        _version: u32,
        encoder: Option<serde::de::IgnoredAny>,
    }
    let text = fs::read_to_string(folder.join(CONFIG)).ok()?;
    let kind: Kind = serde_json::from_str(&text).ok()?;
    Some(if kind.encoder.is_some() { Saved::Encoder } else { Saved::Decoder })
}

/// Loads a decoder from the folder that [`save`] wrote.
///
/// # Errors
/// For a missing or malformed file, another version, or weights that do not fit; never a
/// half-loaded model.
pub fn load(folder: &Path, device: &Device) -> Result<Decoder, ModelError> {
    let path = folder.join(CONFIG);
    let reject = |reason: String| ModelError::Config { path: path.clone(), reason };
    match stored_config(folder)? {
        StoredModel::Decoder(config) => {
            config.validate().map_err(|e| reject(e.to_string()))?;
            load_weights(config.init(device), folder)
        }
        StoredModel::Encoder(_) => Err(reject("this is an encoder, where a decoder is needed".into())),
    }
}

/// Reads the configuration after checking that every file is as it was saved.
fn stored_config(folder: &Path) -> Result<StoredModel, ModelError> {
    let path = folder.join(CONFIG);
    let text = fs::read_to_string(&path).map_err(|cause| ModelError::File { path: path.clone(), cause })?;
    let reject = |reason: String| ModelError::Config { path: path.clone(), reason };
    let broken = |e: serde_json::Error| reject(e.to_string());
    let Version { version } = serde_json::from_str(&text).map_err(broken)?;
    if version != VERSION {
        return Err(reject(format!("format version {version} is not {VERSION}; save the model again")));
    }
    let members: BTreeMap<String, serde::de::IgnoredAny> = serde_json::from_str(&text).map_err(broken)?;
    let known = ["version", "sha256", "decoder", "encoder"];
    if let Some(unknown) = members.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(reject(format!("unknown member \"{unknown}\"; the file is damaged, or of a newer program")));
    }
    let stored: StoredConfig = serde_json::from_str(&text).map_err(broken)?;
    for (name, expected) in &stored.sha256 {
        let path = folder.join(name);
        let found = match name.as_str() {
            CONFIG => hex(Sha256::new_with_prefix(text.replacen(expected, "", 1))),
            WEIGHTS | TOKENIZER => sha256_of(&path)?,
            _ => return Err(reject(format!("has the checksum of \"{name}\", which is no file of a model"))),
        };
        if found != *expected {
            let reason = "was damaged or changed since it was saved (its sha256 is not that in config.json); save or copy \
                          the model again";
            return Err(ModelError::Weights { path, reason: reason.into() });
        }
    }
    Ok(stored.model)
}

fn load_weights<M: ModuleSnapshot>(mut model: M, folder: &Path) -> Result<M, ModelError> {
    let path = folder.join(WEIGHTS);
    fs::metadata(&path).map_err(|cause| ModelError::File { path: path.clone(), cause })?;
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

fn sha256_of(path: &Path) -> Result<String, ModelError> {
    let mut digest = Sha256::new();
    let read =
        File::open(path).and_then(|file| std::io::copy(&mut BufReader::with_capacity(1 << 20, file), &mut digest));
    read.map_err(|cause| ModelError::File { path: path.into(), cause })?;
    Ok(hex(digest))
}

fn hex(digest: Sha256) -> String {
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
