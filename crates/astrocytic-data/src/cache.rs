//! The folder in which fetched corpora and models are kept.

use std::path::{Path, PathBuf};

use crate::error::DataError;

/// Where fetched corpora are kept.
#[derive(Debug, Clone)]
pub struct Cache(PathBuf);

impl Cache {
    /// A cache in that folder.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// `$ASTROCYTIC_CACHE`, or the user's cache folder.
    ///
    /// # Errors
    /// Where the user has no home.
    pub fn default_folder() -> Result<Self, DataError> {
        if let Some(folder) = std::env::var_os("ASTROCYTIC_CACHE").filter(|folder| !folder.is_empty()) {
            return Ok(Self(folder.into()));
        }
        let folders = directories::ProjectDirs::from("", "", "astrocytic");
        let missing = || DataError::fetch("the cache", "there is no home folder; set ASTROCYTIC_CACHE to a folder");
        Ok(Self(folders.ok_or_else(missing)?.cache_dir().to_path_buf()))
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.0
    }

    /// Where models are.
    pub(crate) fn models(&self) -> PathBuf {
        self.0.join("models")
    }
}
