//! A run's whole state on disk. It is replaced as one, so that a kill at any moment leaves the old
//! state or the new one. Checksums find damage, so that no run continues from a damaged state.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use astrocytic_data::sha256_of;
use burn::module::Module;
use burn::store::{BurnpackStore, ModuleSnapshot};
use burn::tensor::Bytes;

use crate::standing::Standing;

const MODEL: &str = "model.bpk";
const BEST: &str = "best.bpk";
const OPTIMIZER: &str = "optimizer.bpk";
const STANDING: &str = "standing.json";
const FILES: [&str; 4] = [MODEL, BEST, OPTIMIZER, STANDING];
/// The checksums of the others, as `sha256sum --check` reads them.
const SUMS: &str = "SHA256SUMS";

/// A folder that holds the last checkpoint of a run. The caller must keep other processes away from
/// the run.
pub struct Checkpoint {
    folder: PathBuf,
}

/// What a checkpoint held.
pub struct Stored<M> {
    /// The model that is trained, on its autodiff device.
    pub model: M,
    /// The best weights so far.
    pub best: M,
    /// The optimizer's moments.
    pub optimizer: Bytes,
    /// Where the run stood.
    pub standing: Standing,
    /// What is wrong with a later checkpoint, which was dropped.
    pub damage: Option<String>,
}

impl Checkpoint {
    /// Checkpoints in `folder/checkpoint`.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.join("checkpoint") }
    }

    /// The one before, while it is replaced.
    fn old(&self) -> PathBuf {
        self.folder.with_extension("old")
    }

    /// The next one, while it is made.
    fn new_one(&self) -> PathBuf {
        self.folder.with_extension("new")
    }

    /// Replaces what is stored.
    ///
    /// # Errors
    /// For files that cannot be written.
    pub fn save<M: ModuleSnapshot>(&self, model: &M, best: &M, optimizer: &[u8], standing: &Standing) -> Result<()> {
        let next = self.new_one();
        remove(&next)?;
        fs::create_dir_all(&next)?;
        // Burn's own format, because it keeps the identities by which the optimizer finds its
        // moments again.
        for (name, model) in [(MODEL, model), (BEST, best)] {
            let mut store = BurnpackStore::from_file(next.join(name));
            model.save_into(&mut store).map_err(|e| anyhow!("{name}: {e}"))?;
        }
        fs::write(next.join(OPTIMIZER), optimizer)?;
        fs::write(next.join(STANDING), serde_json::to_vec(standing)?)?;
        let sums = FILES.iter().map(|name| Ok(format!("{}  {name}\n", sha256_of(&next.join(name))?)));
        fs::write(next.join(SUMS), sums.collect::<std::io::Result<String>>()?)?;
        for file in fs::read_dir(&next)? {
            File::open(file?.path())?.sync_all()?;
        }
        if self.folder.exists() {
            remove(&self.old())?;
            fs::rename(&self.folder, self.old())?;
        }
        fs::rename(&next, &self.folder)?;
        // The new name is on disk before the old files go.
        #[cfg(unix)]
        File::open(self.folder.parent().unwrap_or(Path::new(".")))?.sync_all()?;
        remove(&self.old())
    }

    /// The stored state, if there is one; `like` gives the architecture. If it is damaged and a
    /// kill left an older one, that one is loaded. Whatever else a kill left is removed.
    ///
    /// # Errors
    /// For a checkpoint that is damaged where no older one is whole.
    pub fn load<M: Module + ModuleSnapshot>(&self, like: &M) -> Result<Option<Stored<M>>> {
        remove(&self.new_one())?;
        let there = [self.folder.clone(), self.old()].into_iter().filter(|folder| folder.exists());
        let mut damage = None;
        for folder in there {
            if let Err(error) = check(&folder) {
                damage = damage.or(Some(error));
                continue;
            }
            if folder != self.folder {
                remove(&self.folder)?;
                fs::rename(&folder, &self.folder)?;
            }
            remove(&self.old())?;
            let wrong = || format!("{}: remove the folder to start anew", self.folder.display());
            let stored = read(&self.folder, like).with_context(wrong)?;
            return Ok(Some(Stored { damage: damage.map(|damage| damage.to_string()), ..stored }));
        }
        damage.map_or(Ok(None), |damage| Err(anyhow!("{damage}; remove {} to start anew", self.folder.display())))
    }
}

/// Whether every file is as it was saved.
fn check(folder: &Path) -> Result<()> {
    let read = |name: &str| {
        let path = folder.join(name);
        fs::read_to_string(&path).map_err(|error| anyhow!("the checkpoint is not whole: {}: {error}", path.display()))
    };
    let sums = read(SUMS)?;
    let sums: BTreeMap<&str, &str> =
        sums.lines().filter_map(|line| line.split_once("  ")).map(|(sum, name)| (name, sum)).collect();
    for name in FILES {
        let path = folder.join(name);
        let found =
            sha256_of(&path).map_err(|error| anyhow!("the checkpoint is not whole: {}: {error}", path.display()))?;
        if sums.get(name) != Some(&found.as_str()) {
            bail!("the checkpoint is damaged: {} does not have the checksum that {SUMS} holds", path.display());
        }
    }
    Ok(())
}

fn read<M: Module + ModuleSnapshot>(folder: &Path, like: &M) -> Result<Stored<M>> {
    let fill = |name: &str, mut model: M| -> Result<M> {
        // Older checkpoints name the kind of an attention between the layer and its parameters.
        let store = BurnpackStore::from_file(folder.join(name));
        let mut store = store.with_remap_pattern(r"\.attention\.(Softmax|Astrocytic)\.", ".attention.");
        model.load_from(&mut store).map_err(|e| anyhow!("{name}: {e}"))?;
        Ok(model)
    };
    // Filled without autodiff: its parameters must be leaves of a new graph.
    let model = fill(MODEL, like.valid())?.train();
    let best = fill(BEST, like.valid())?;
    let standing = serde_json::from_slice(&fs::read(folder.join(STANDING))?).context(STANDING)?;
    let optimizer = Bytes::from_bytes_vec(fs::read(folder.join(OPTIMIZER))?);
    Ok(Stored { model, best, optimizer, standing, damage: None })
}

/// Removes a folder if it is there.
fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::Device;

    use super::*;

    #[derive(Module, Debug)]
    struct Model<A: Module> {
        block: Block<A>,
    }

    #[derive(Module, Debug)]
    struct Block<A: Module> {
        attention: A,
    }

    /// A derived enum names its variant in the path of every parameter.
    #[derive(Module, Debug)]
    enum OldAttention {
        Softmax(Linear),
    }

    #[test]
    fn checkpoints_that_name_the_kind_of_an_attention_load() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoint = Checkpoint::new(folder.path());
        let old = Model { block: Block { attention: OldAttention::Softmax(model().valid()) } };
        checkpoint.save(&old, &old, b"moments", &standing(3)).unwrap();
        let stored = checkpoint.load(&Model { block: Block { attention: model() } }).unwrap().unwrap();
        let OldAttention::Softmax(old) = old.block.attention;
        assert_eq!(stored.best.block.attention.weight.to_data(), old.weight.to_data());
    }

    fn standing(step: u64) -> Standing {
        Standing { step, best_step: step, best_loss: 1.0, best_accuracy: None, since_best: 0, seconds: 1.0 }
    }

    fn model() -> Linear {
        LinearConfig::new(3, 2).init(&Device::flex().autodiff())
    }

    fn save(checkpoint: &Checkpoint, step: u64) {
        let model = model();
        checkpoint.save(&model.valid(), &model.valid(), b"moments", &standing(step)).unwrap();
    }

    fn step(checkpoint: &Checkpoint) -> Result<Option<u64>> {
        Ok(checkpoint.load(&model())?.map(|stored| stored.standing.step))
    }

    #[test]
    fn what_is_damaged_is_refused_whatever_is_wrong_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoint = Checkpoint::new(folder.path());
        assert_eq!(step(&checkpoint).unwrap(), None);
        save(&checkpoint, 2);
        assert_eq!(step(&checkpoint).unwrap(), Some(2));
        let refused = |what: &str| {
            let error = format!("{:#}", step(&checkpoint).unwrap_err());
            assert!(error.contains("checkpoint") && error.contains("start anew"), "{what}: {error}");
            assert!(!error.contains('\n'), "{what}: {error}");
        };
        for name in FILES.into_iter().chain([SUMS]) {
            let path = checkpoint.folder.join(name);
            let whole = fs::read(&path).unwrap();
            for place in (0..whole.len()).step_by(whole.len() / 9 + 1) {
                let mut flipped = whole.clone();
                flipped[place] ^= 4;
                fs::write(&path, flipped).unwrap();
                refused(&format!("{name}, byte {place}"));
            }
            for length in [0, whole.len() / 2, whole.len() - 1] {
                // The last line of the checksums may do without its break.
                if (name, length) != (SUMS, whole.len() - 1) {
                    fs::write(&path, &whole[..length]).unwrap();
                    refused(&format!("{name}, {length} bytes"));
                }
            }
            fs::remove_file(&path).unwrap();
            refused(&format!("{name} missing"));
            fs::write(&path, whole).unwrap();
        }
        assert_eq!(step(&checkpoint).unwrap(), Some(2));
    }

    #[test]
    fn an_older_whole_one_is_gone_on_with_and_what_a_kill_left_is_swept() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoint = Checkpoint::new(folder.path());
        // As if killed before the old one was removed, and in the middle of the next.
        save(&Checkpoint::new(&folder.path().join("other")), 2);
        save(&checkpoint, 4);
        fs::rename(folder.path().join("other/checkpoint"), checkpoint.old()).unwrap();
        fs::create_dir(checkpoint.new_one()).unwrap();
        fs::write(checkpoint.new_one().join(MODEL), "half").unwrap();
        fs::write(checkpoint.folder.join(OPTIMIZER), "").unwrap();
        assert_eq!(step(&checkpoint).unwrap(), Some(2));
        assert!(!checkpoint.new_one().exists() && !checkpoint.old().exists());
        assert_eq!(step(&checkpoint).unwrap(), Some(2));
    }
}
