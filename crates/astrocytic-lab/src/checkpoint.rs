//! A run's whole state on disk: replaced as one, so that a kill at any moment leaves the old or the new.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use burn::module::Module;
use burn::store::{BurnpackStore, ModuleSnapshot};
use burn::tensor::Bytes;

use crate::train::Standing;

/// A folder that holds the last checkpoint of a run.
pub struct Checkpoint {
    folder: PathBuf,
}

/// What a checkpoint held.
pub(crate) struct Stored<M> {
    pub(crate) model: M,
    pub(crate) best: M,
    pub(crate) optimizer: Bytes,
    pub(crate) standing: Standing,
}

impl Checkpoint {
    /// Checkpoints in `folder/checkpoint`.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.join("checkpoint") }
    }

    fn old(&self) -> PathBuf {
        self.folder.with_extension("old")
    }

    pub(crate) fn save<M: ModuleSnapshot>(
        &self,
        model: &M,
        best: &M,
        optimizer: &[u8],
        standing: &Standing,
    ) -> Result<()> {
        let parent = self.folder.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(parent)?;
        let next = tempfile::Builder::new().prefix("checkpoint-").tempdir_in(parent)?;
        // Burn's own format, because it keeps the identities by which the optimizer finds its moments again.
        for (name, model) in [("model.bpk", model), ("best.bpk", best)] {
            let mut store = BurnpackStore::from_file(next.path().join(name));
            model.save_into(&mut store).map_err(|e| anyhow!("{name}: {e}"))?;
        }
        std::fs::write(next.path().join("optimizer.bpk"), optimizer)?;
        std::fs::write(next.path().join("standing.json"), serde_json::to_vec(standing)?)?;
        for file in std::fs::read_dir(next.path())? {
            std::fs::File::open(file?.path())?.sync_all()?;
        }
        if self.folder.exists() {
            if self.old().exists() {
                std::fs::remove_dir_all(self.old())?;
            }
            std::fs::rename(&self.folder, self.old())?;
        }
        std::fs::rename(next.keep(), &self.folder)?;
        if self.old().exists() {
            std::fs::remove_dir_all(self.old())?;
        }
        Ok(())
    }

    /// The stored state, if there is one; `like` gives the architecture.
    pub(crate) fn load<M: Module + ModuleSnapshot>(&self, like: &M) -> Result<Option<Stored<M>>> {
        let folder = match (self.folder.exists(), self.old().exists()) {
            (true, _) => self.folder.clone(),
            (false, true) => self.old(),
            _ => return Ok(None),
        };
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read(&path).with_context(|| format!("{}: remove the folder to start anew", path.display()))
        };
        let fill = |name: &str, mut model: M| -> Result<M> {
            let mut store = BurnpackStore::from_file(folder.join(name));
            let result = model.load_from(&mut store);
            result.map_err(|e| anyhow!("{}/{name}: {e}; remove the folder to start anew", folder.display()))?;
            Ok(model)
        };
        // Filled without autodiff: its parameters must be leaves of a new graph.
        let model = fill("model.bpk", like.valid())?.train();
        let best = fill("best.bpk", like.valid())?;
        let standing = serde_json::from_slice(&read("standing.json")?)
            .with_context(|| format!("{}/standing.json: remove the folder to start anew", folder.display()))?;
        let optimizer = Bytes::from_bytes_vec(read("optimizer.bpk")?);
        Ok(Some(Stored { model, best, optimizer, standing }))
    }
}
