//! Files that are whole or not there. An unfinished file lies beside, locked by the process that
//! writes it. A free lock means that this process died; the next one that writes there removes the
//! file.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

/// Beginning of the names of unfinished files.
const UNFINISHED: &str = ".writing-";
/// Extension of a folder's name, which else is its lock's.
const FOLDER: &str = "folder";

/// Writes a file beside its place, synchronises and renames it; makes the folder where it is
/// missing.
///
/// # Errors
/// Where it cannot be written; the old file then stays as it was.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = unfinished(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    // The folder too, so that the name survives a power cut.
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    Ok(())
}

/// SHA-256 of a file, hexadecimal; it is read in pieces, however large.
///
/// # Errors
/// Where it cannot be read.
pub fn sha256_of(path: &Path) -> std::io::Result<String> {
    let mut digest = Sha256::new();
    std::io::copy(&mut BufReader::with_capacity(1 << 20, File::open(path)?), &mut digest)?;
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A folder to work in, removed when it is dropped.
pub struct Scratch {
    path: PathBuf,
    _lock: NamedTempFile,
}

impl Scratch {
    /// A new one in `folder`, which must be there.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn new_in(folder: &Path) -> std::io::Result<Self> {
        let lock = unfinished(folder)?;
        let path = lock.path().with_extension(FOLDER);
        std::fs::create_dir(&path)?;
        Ok(Self { path, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// A new file that this process has locked.
fn unfinished(folder: &Path) -> std::io::Result<NamedTempFile> {
    sweep(folder);
    let mut builder = tempfile::Builder::new();
    // What an ordinary file gets, less the umask; a temporary one would be its owner's alone.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    loop {
        let file = builder.prefix(UNFINISHED).tempfile_in(folder)?;
        match file.as_file().try_lock() {
            // Another's sweep came between making and locking.
            Err(TryLockError::WouldBlock) => {}
            Ok(()) if !file.path().exists() => {}
            // Without locks nobody sweeps.
            Ok(()) | Err(TryLockError::Error(_)) => return Ok(file),
        }
    }
}

/// Removes what dead processes left in a folder. Failing at it is no reason not to write there.
fn sweep(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let is_unfinished =
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(UNFINISHED)) && path.is_file();
        let left = || OpenOptions::new().write(true).open(&path).is_ok_and(|file| file.try_lock().is_ok());
        if is_unfinished && left() {
            let _ = std::fs::remove_dir_all(path.with_extension(FOLDER));
            let _ = std::fs::remove_file(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap().flatten();
        let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_killed_programs_left_goes_and_what_is_being_made_stays() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path();
        // A kill closes files and removes none.
        std::fs::write(place.join(".writing-killed"), "hal").unwrap();
        std::fs::write(place.join(".writing-other"), "").unwrap();
        std::fs::create_dir_all(place.join(".writing-other.folder/inside")).unwrap();
        std::fs::write(place.join("own"), "of the user").unwrap();
        let living = Scratch::new_in(place).unwrap();
        assert_eq!(names(place).len(), 3, "{:?}", names(place));
        write_atomically(&place.join("new"), b"whole").unwrap();
        assert!(living.path().is_dir());
        drop(living);
        assert_eq!(names(place), ["new", "own"]);
    }
}
