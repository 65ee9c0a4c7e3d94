//! The folder in which fetched corpora and models are kept.

use std::fs::File;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::error::DataError;

/// How the names of folders begin that something is fetched into: the cache may be any folder of the user's, and only what
/// bears this name is removed from it.
const WORK: &str = ".astrocytic-fetching-";

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

    /// Removes what programs that were killed have left, unless another one is fetching now. What cannot be removed stays: it
    /// is no reason not to use the cache.
    pub(crate) fn sweep(&self) {
        // A cache that is not there or cannot be written has nothing to sweep.
        let Ok(lock) = self.lock() else { return };
        if lock.try_lock().is_err() {
            return;
        }
        for folder in [self.0.clone(), self.models()] {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                if entry.file_name().to_string_lossy().starts_with(WORK) {
                    let _ = std::fs::remove_dir_all(entry.path());
                }
            }
        }
    }

    /// A folder to fetch into, in `place`; it disappears when it is dropped.
    pub(crate) fn work(&self, place: &Path) -> Result<Work, DataError> {
        std::fs::create_dir_all(place).map_err(|error| DataError::file(place, error))?;
        let lock = self.lock().map_err(|error| DataError::file(&self.0, error))?;
        // A file system without locks has no sweeps either.
        let _ = lock.lock_shared();
        let folder = tempfile::Builder::new().prefix(WORK).tempdir_in(place);
        Ok(Work { folder: folder.map_err(|error| DataError::file(place, error))?, _lock: lock })
    }

    fn lock(&self) -> std::io::Result<File> {
        File::options().write(true).create(true).truncate(false).open(self.0.join(".lock"))
    }
}

/// A folder that is fetched into, safe from other programs' sweeps.
pub(crate) struct Work {
    folder: TempDir,
    _lock: File,
}

impl Work {
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().join("cache"));
        cache.sweep();
        assert!(!cache.folder().exists());

        let kept = ["moby-dick", "models/own", "fetch-mine", "models/deep/.astrocytic-fetching-x"];
        for path in kept.iter().chain(&[".astrocytic-fetching-a/unpacked", "models/.astrocytic-fetching-b"]) {
            std::fs::create_dir_all(cache.folder().join(path)).unwrap();
        }
        let left =
            || [".astrocytic-fetching-a", "models/.astrocytic-fetching-b"].map(|p| cache.folder().join(p).exists());
        // Not while another fetches, which keeps its own folder too.
        let work = cache.work(&cache.models()).unwrap();
        cache.sweep();
        assert_eq!(left(), [true, true]);
        assert!(work.path().exists() && work.path().starts_with(cache.models()));
        let other = cache.work(cache.folder()).unwrap();
        drop(work);
        cache.sweep();
        assert!(other.path().exists());
        drop(other);

        cache.sweep();
        assert_eq!(left(), [false, false]);
        assert!(kept.iter().all(|path| cache.folder().join(path).exists()));
    }
}
