//! The memory that was chosen for a model, stored beside it.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::kind::MemoryKind;
use crate::store::ModelError;

/// The file beside a model.
const FILE: &str = "memory.json";

/// A memory, with the rate that was chosen for a model on held-out text.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryConfig {
    /// What learns.
    pub kind: MemoryKind,
    /// How fast.
    pub rate: f32,
}

impl MemoryConfig {
    /// Writes `memory.json` into the model's folder, beside and renamed.
    ///
    /// # Errors
    /// [`ModelError::File`] where it cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), ModelError> {
        let (path, unfinished) = (folder.join(FILE), folder.join(".memory.json"));
        let json = serde_json::to_string_pretty(self).expect("a config is plain data") + "\n";
        let written = fs::write(&unfinished, json).and_then(|()| fs::rename(&unfinished, &path));
        written.map_err(|cause| ModelError::File { path, cause })
    }

    /// Reads the `memory.json` of a model's folder; `None` where there is none.
    ///
    /// # Errors
    /// [`ModelError`] for a file that cannot be read or that makes no sense.
    pub fn load(folder: &Path) -> Result<Option<Self>, ModelError> {
        let path = folder.join(FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(cause) if matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
            Err(cause) => return Err(ModelError::File { path, cause }),
        };
        let reject = |reason: String| ModelError::Config { path: path.clone(), reason };
        let config: Self = serde_json::from_str(&text).map_err(|e| reject(e.to_string()))?;
        if !(config.rate.is_finite() && config.rate > 0.0) {
            return Err(reject(format!("rate = {} must be above 0", config.rate)));
        }
        Ok(Some(config))
    }
}
